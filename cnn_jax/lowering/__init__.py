"""How one convolution or pooling reaches the hardware.

Here arrays have one batch axis, options are spelt out per axis, and nothing is checked:
`cnn_jax.functional` is the door.
"""

from cnn_jax.lowering.convolution import METHODS as METHODS
from cnn_jax.lowering.convolution import conv as conv
from cnn_jax.lowering.convolution import conv_p as conv_p
from cnn_jax.lowering.geometry import Geometry as Geometry
from cnn_jax.lowering.pooling import max_pool as max_pool
from cnn_jax.lowering.pooling import sum_pool as sum_pool
