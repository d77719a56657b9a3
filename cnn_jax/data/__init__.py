"""Data sets: arrays out, nothing learnt."""

from cnn_jax.data.augment import AUGMENTS as AUGMENTS
from cnn_jax.data.augment import augmentation as augmentation
from cnn_jax.data.augment import color_jitter as color_jitter
from cnn_jax.data.augment import cutmix as cutmix
from cnn_jax.data.augment import cutout as cutout
from cnn_jax.data.augment import frequency_mask as frequency_mask
from cnn_jax.data.augment import grayscale as grayscale
from cnn_jax.data.augment import invert as invert
from cnn_jax.data.augment import mixup as mixup
from cnn_jax.data.augment import permute_channels as permute_channels
from cnn_jax.data.augment import random_affine as random_affine
from cnn_jax.data.augment import random_crop as random_crop
from cnn_jax.data.augment import random_elastic as random_elastic
from cnn_jax.data.augment import random_flip as random_flip
from cnn_jax.data.augment import resized_crop as resized_crop
from cnn_jax.data.augment import rotate as rotate
from cnn_jax.data.augment import time_mask as time_mask
from cnn_jax.data.augment import trivial_augment as trivial_augment
from cnn_jax.data.builders.xo.drawing import KINDS as XO_KINDS  # noqa: F401
from cnn_jax.data.builders.xo.drawing import draw as draw_xo  # noqa: F401
from cnn_jax.data.dataset import Dataset as Dataset
from cnn_jax.data.dataset import Source as Source
from cnn_jax.data.dataset import Split as Split
from cnn_jax.data.dataset import as_float as as_float
from cnn_jax.data.dataset import input_name as input_name
from cnn_jax.data.dataset import inputs_of as inputs_of
from cnn_jax.data.loader import load as load
