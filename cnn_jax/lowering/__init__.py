"""Implementations of convolution and pooling on the hardware.

Arrays have one batch axis, options are given per axis, and arguments are not checked:
`cnn_jax.functional` checks them.
"""

from cnn_jax.lowering.choose import METHODS as METHODS
from cnn_jax.lowering.choose import can as can
from cnn_jax.lowering.compiler import compiler_options as compiler_options
from cnn_jax.lowering.convolution import conv as conv
from cnn_jax.lowering.convolution import conv_p as conv_p
from cnn_jax.lowering.convolution import conv_transpose as conv_transpose
from cnn_jax.lowering.convolution import input_gradient_p as input_gradient_p
from cnn_jax.lowering.geometry import Geometry as Geometry
from cnn_jax.lowering.geometry import promote_to_float32 as promote_to_float32
from cnn_jax.lowering.patches import fold as fold
from cnn_jax.lowering.patches import unfold as unfold
from cnn_jax.lowering.pooling import adaptive_avg_pool as adaptive_avg_pool
from cnn_jax.lowering.pooling import adaptive_max_pool as adaptive_max_pool
from cnn_jax.lowering.pooling import max_pool as max_pool
from cnn_jax.lowering.pooling import max_pool_with_indices as max_pool_with_indices
from cnn_jax.lowering.pooling import sum_pool as sum_pool
from cnn_jax.lowering.sums import channel_dot as channel_dot
