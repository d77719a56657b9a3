"""Pure functions of arrays: convolution, pooling, activation and their kin.

import cnn_jax.functional as F
"""

from cnn_jax.functional.activation import relu as relu
from cnn_jax.functional.activation import softmax as softmax
from cnn_jax.functional.activation import tanh as tanh
from cnn_jax.functional.convolution import conv as conv
from cnn_jax.functional.convolution import convolve as convolve
from cnn_jax.functional.convolution import match_feature as match_feature
from cnn_jax.functional.image import IMAGE_KERNELS as IMAGE_KERNELS
from cnn_jax.functional.image import image_kernel as image_kernel
from cnn_jax.functional.normalization import dropout as dropout
from cnn_jax.functional.padding import pad as pad
from cnn_jax.functional.pooling import avg_pool as avg_pool
from cnn_jax.functional.pooling import global_avg_pool as global_avg_pool
from cnn_jax.functional.pooling import max_pool as max_pool
from cnn_jax.functional.pooling import sum_pool as sum_pool
