"""Flax NNX modules: they own parameters and call `cnn_jax.functional`."""

from cnn_jax.nn.chain import Chain as Chain
from cnn_jax.nn.chain import Stage as Stage
from cnn_jax.nn.layers import AvgPool as AvgPool
from cnn_jax.nn.layers import Conv as Conv
from cnn_jax.nn.layers import Dense as Dense
from cnn_jax.nn.layers import Dropout as Dropout
from cnn_jax.nn.layers import MaxPool as MaxPool
from cnn_jax.nn.summary import Field as Field
from cnn_jax.nn.summary import Row as Row
from cnn_jax.nn.summary import Summary as Summary
from cnn_jax.nn.summary import summary as summary
