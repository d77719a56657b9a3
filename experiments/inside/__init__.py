"""What have networks learned, and do the methods that explain them tell the truth?

    python -m experiments.inside

Networks for X's and O's and LeNets for digits are opened: their filters and feature
maps, the examples and images that excite their units, and what a linear classifier
reads from each stage. Then the methods of attribution are examined. Their maps must
change when weights are randomised. And they must mark what the class depends on, where
that is known: the stroke of X's and O's, the informative columns of a synthetic table,
and the frames of a spectrogram in which a word is spoken.

Expected: classes become linearly separable stage by stage while receptive fields grow;
images from `maximize` excite at least 90 % of the units of the digits networks more
than the best training example does; the maps of guided backpropagation change less
than those of the gradient when weights are randomised; integrated gradients and
Grad-CAM put at least twice as much mass on the stroke as random maps, or the report
says which do not. 12 minutes on 2 CPU cores.
"""

from experiments.inside.config import Config as Config
from experiments.inside.experiment import Result as Result
from experiments.inside.experiment import run as run
