"""Is this picture an X or an O, and why does it take a network to tell?

    python -m experiments.xo

First the arithmetic of one small example, number by number. Then three methods that
compare whole images, and five networks, on images with stronger and stronger
deformations. Then one network: its training, its features, and two images on their way
through its layers. Last, two ways to find weights: nudging each of them, and automatic
differentiation.

Expected: an accuracy of at least 99 % on unseen images of moderate deformation (0.5)
and of at least 95 % at full strength, where the networks are ahead of all three other
methods. Under 60 seconds on 2 CPU cores.
"""

from experiments.xo.config import Config as Config
from experiments.xo.experiment import Result as Result
from experiments.xo.experiment import run as run
