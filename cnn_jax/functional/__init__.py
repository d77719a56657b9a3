"""Pure functions of arrays: convolution, pooling, activation and their kin.

import cnn_jax.functional as F
"""

from cnn_jax.functional.activation import relu as relu
from cnn_jax.functional.activation import softmax as softmax
from cnn_jax.functional.activation import tanh as tanh
from cnn_jax.functional.convolution import conv as conv
from cnn_jax.functional.convolution import conv_transpose as conv_transpose
from cnn_jax.functional.convolution import convolve as convolve
from cnn_jax.functional.convolution import match_feature as match_feature
from cnn_jax.functional.convolution import separable_conv as separable_conv
from cnn_jax.functional.image import IMAGE_KERNELS as IMAGE_KERNELS
from cnn_jax.functional.image import image_kernel as image_kernel
from cnn_jax.functional.normalization import dropout as dropout
from cnn_jax.functional.padding import pad as pad
from cnn_jax.functional.patches import fold as fold
from cnn_jax.functional.patches import unfold as unfold
from cnn_jax.functional.pooling import adaptive_avg_pool as adaptive_avg_pool
from cnn_jax.functional.pooling import adaptive_max_pool as adaptive_max_pool
from cnn_jax.functional.pooling import avg_pool as avg_pool
from cnn_jax.functional.pooling import global_avg_pool as global_avg_pool
from cnn_jax.functional.pooling import global_max_pool as global_max_pool
from cnn_jax.functional.pooling import lp_pool as lp_pool
from cnn_jax.functional.pooling import max_pool as max_pool
from cnn_jax.functional.pooling import max_unpool as max_unpool
from cnn_jax.functional.pooling import sum_pool as sum_pool
