"""Architectures by name; each function makes a fresh `nn.Chain`."""

from cnn_jax.models.lenet import lenet5 as lenet5
from cnn_jax.models.xo_net import xo_net as xo_net

MODELS = {"xo_net": xo_net, "lenet5": lenet5}
