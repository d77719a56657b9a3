"""Random augmentation of images and spectrograms, on the device.

Images are floats, `(batch, height, width, channels)`; spectrograms have a row per
frequency band and a column per frame. Each example is changed independently.
"""

from cnn_jax.data.augment.colour import color_jitter as color_jitter
from cnn_jax.data.augment.colour import grayscale as grayscale
from cnn_jax.data.augment.colour import invert as invert
from cnn_jax.data.augment.colour import permute_channels as permute_channels
from cnn_jax.data.augment.geometry import random_affine as random_affine
from cnn_jax.data.augment.geometry import random_crop as random_crop
from cnn_jax.data.augment.geometry import random_elastic as random_elastic
from cnn_jax.data.augment.geometry import random_flip as random_flip
from cnn_jax.data.augment.geometry import resized_crop as resized_crop
from cnn_jax.data.augment.geometry import rotate as rotate
from cnn_jax.data.augment.masks import cutout as cutout
from cnn_jax.data.augment.masks import frequency_mask as frequency_mask
from cnn_jax.data.augment.masks import time_mask as time_mask
from cnn_jax.data.augment.mixing import cutmix as cutmix
from cnn_jax.data.augment.mixing import mixup as mixup
from cnn_jax.data.augment.names import AUGMENTS as AUGMENTS
from cnn_jax.data.augment.names import Augment as Augment
from cnn_jax.data.augment.names import AugmentName as AugmentName
from cnn_jax.data.augment.names import augmentation as augmentation
from cnn_jax.data.augment.trivial import trivial_augment as trivial_augment
