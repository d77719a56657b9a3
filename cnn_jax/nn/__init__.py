"""Flax NNX modules: they own parameters and call `cnn_jax.functional`."""

from cnn_jax.nn.chain import Chain as Chain
from cnn_jax.nn.chain import Stage as Stage
from cnn_jax.nn.layers import Conv as Conv
from cnn_jax.nn.layers import ConvTranspose as ConvTranspose
from cnn_jax.nn.layers import Dense as Dense
from cnn_jax.nn.layers import Dropout as Dropout
from cnn_jax.nn.layers import SeparableConv as SeparableConv
from cnn_jax.nn.records import AdaptiveAvgPool as AdaptiveAvgPool
from cnn_jax.nn.records import AdaptiveMaxPool as AdaptiveMaxPool
from cnn_jax.nn.records import AvgPool as AvgPool
from cnn_jax.nn.records import Fold as Fold
from cnn_jax.nn.records import GlobalAvgPool as GlobalAvgPool
from cnn_jax.nn.records import GlobalMaxPool as GlobalMaxPool
from cnn_jax.nn.records import LpPool as LpPool
from cnn_jax.nn.records import MaxPool as MaxPool
from cnn_jax.nn.records import MaxUnpool as MaxUnpool
from cnn_jax.nn.records import Pad as Pad
from cnn_jax.nn.records import SumPool as SumPool
from cnn_jax.nn.records import Unfold as Unfold
from cnn_jax.nn.summary import Field as Field
from cnn_jax.nn.summary import Row as Row
from cnn_jax.nn.summary import Summary as Summary
from cnn_jax.nn.summary import summary as summary
