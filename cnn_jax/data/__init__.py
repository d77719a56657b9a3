"""Data sets: arrays out, nothing learnt."""

from cnn_jax.data.augment import random_affine
from cnn_jax.data.builders.xo.drawing import KINDS as XO_KINDS
from cnn_jax.data.builders.xo.drawing import draw as draw_xo
from cnn_jax.data.dataset import Dataset as Dataset
from cnn_jax.data.dataset import Split as Split
from cnn_jax.data.dataset import input_name as input_name
from cnn_jax.data.loader import load as load

__all__ = [
    "XO_KINDS",
    "Dataset",
    "Split",
    "draw_xo",
    "input_name",
    "load",
    "random_affine",
]
