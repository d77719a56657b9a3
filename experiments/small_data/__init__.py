"""How much do the defaults learn from little data, beside PyTorch and scikit-learn?

    python -m experiments.small_data
    python -m experiments.small_data --sets shape count --seeds 2

Eight small sets, of 150 to 600 examples: the shape, texture, colour, position and
number of things, handwriting, sounds and a table. All but the handwriting are drawn
here. Each is split anew for every seed. Three methods learn from the same training
split: what `cnn-jax train` does without options; a simple classifier (`trained.
baseline`); and, where PyTorch and torchvision are installed (`-e '.[parity]'`), a
ResNet-18 from scratch with TrivialAugment, AdamW and one cycle, for as many seconds as
the first took.

The defaults were chosen on the shapes and on handwriting. The six other sets were not
looked at before.

Expected: at least 95 % on shapes; a lower error than PyTorch's in the geometric mean.
About two minutes for each set of images and seed on 2 CPU cores.
"""

from experiments.small_data.experiment import Config as Config
from experiments.small_data.experiment import Result as Result
from experiments.small_data.experiment import run as run
