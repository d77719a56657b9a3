"""How fast are convolution and training here, beside Flax, Keras and PyTorch?

    python -m experiments.speed            # pip install -e '.[bench]' for all libraries
    python -m experiments.speed --quick --only nets
    python -m experiments.speed --backend gpu

Every comparison is one run on one machine: after warm-up the libraries take turns, and
each time is divided by the time of a matrix product in the same round, because the
speed of a machine drifts. "cnn_jax" is compiled with `cnn_jax.compiler_options()`;
"plain" is the same code without them, and "−YNN" marks a stock library with them.
Libraries that are not installed are left out.

Expected on 2 CPU cores: hardly any operation slower than XLA's own, single train steps
between 0.9 and 2.4 times PyTorch's time, and ten steps per dispatch between 0.6 and 1.8
times. Half an hour; `--quick` takes some minutes.
"""

from experiments.speed.config import Config as Config
from experiments.speed.experiment import Result as Result
from experiments.speed.experiment import run as run
