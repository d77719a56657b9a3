"""Architectures by name; each function makes a fresh `nn.Chain`."""

from cnn_jax.models.alexnet import alexnet as alexnet
from cnn_jax.models.densenet import densenet as densenet
from cnn_jax.models.googlenet import googlenet as googlenet
from cnn_jax.models.lenet import lenet5 as lenet5
from cnn_jax.models.mlp import mlp as mlp
from cnn_jax.models.mobilenet import mobilenet_v1 as mobilenet_v1
from cnn_jax.models.registry import MODELS as MODELS
from cnn_jax.models.registry import build as build
from cnn_jax.models.registry import hyperparameters as hyperparameters
from cnn_jax.models.registry import made_for as made_for
from cnn_jax.models.registry import outline as outline
from cnn_jax.models.registry import with_head as with_head
from cnn_jax.models.resnet import resnet as resnet
from cnn_jax.models.resnet import small_resnet as small_resnet
from cnn_jax.models.small_cnn import small_cnn as small_cnn
from cnn_jax.models.small_vgg import small_vgg as small_vgg
from cnn_jax.models.sound_net import sound_net as sound_net
from cnn_jax.models.state_dict import from_state_dict as from_state_dict
from cnn_jax.models.state_dict import to_state_dict as to_state_dict
from cnn_jax.models.vgg import vgg as vgg
from cnn_jax.models.weight_files import read_state_dict as read_state_dict
from cnn_jax.models.xo_net import xo_net as xo_net
