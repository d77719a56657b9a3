"""Every function of arrays as a function of one image of 6 × 8 × 4.

tests/functional/test_laws.py checks each law for each of these functions.
"""

import jax.numpy as jnp
import numpy as np

import cnn_jax.functional as F

SHAPE = 6, 8, 4


def weights(x, *shape):
    """The same random kernel at every call, in the dtype of `x`."""
    kernel = np.random.default_rng(len(shape)).normal(size=shape)
    return jnp.asarray(kernel, x.dtype)


def as_audio(x):
    """An image as audio of 192 samples."""
    return x.reshape(*x.shape[:-3], 192)


def grid(x, at):
    """The same grid for every image, on the devices of `x`."""
    return 0 * x[..., :3, :2, :2] + jnp.broadcast_to(at, (*x.shape[:-3], *at.shape))


def patches(x):
    """An image as 3 × 4 patches of 2 × 2."""
    rows = x.reshape(*x.shape[:-3], 3, 2, 8, 4)
    return jnp.swapaxes(rows.reshape(*rows.shape[:-2], 4, 2, 4), -4, -3)


OPERATIONS = {
    "conv": lambda x, w=weights: F.conv(
        x, w(x, 3, 2, 2, 6), w(x, 6), stride=(1, 2), padding=1, groups=2
    ),
    "conv reflected": lambda x, w=weights: F.conv(
        x, w(x, 3, 2, 4, 3), padding=((1, 2), (0, 1)), padding_mode="reflect"
    ),
    "conv over rows": lambda x, w=weights: F.conv(x, w(x, 3, 4, 3), dilation=2),
    "conv_transpose": lambda x, w=weights: F.conv_transpose(
        x, w(x, 3, 2, 3, 4), stride=(1, 2), padding=1, groups=2
    ),
    "separable_conv": lambda x, w=weights: F.separable_conv(
        x, w(x, 3, 2, 1, 8), w(x, 1, 1, 8, 3), padding="same"
    ),
    "dense": lambda x, w=weights: F.dense(x, w(x, 4, 3), w(x, 3)),
    "convolve": lambda x, w=weights: F.convolve(x, w(x, 3, 2, 4, 3), mode="same"),
    "match_feature": lambda x, w=weights: F.match_feature(x, w(x, 3, 2, 4)),
    "unfold": lambda x: F.unfold(x, (3, 2), stride=(2, 1), padding=1),
    "fold": lambda x: F.fold(
        patches(x), (4, 6), stride=(1, 2), padding=((0, 0), (1, 1))
    ),
    "pad": lambda x: F.pad(x, ((1, 0), (2, 3)), value=2.0),
    "pad circular": lambda x: F.pad(x, ((1, 0), (2, 3)), mode="circular"),
    "max_pool": lambda x: F.max_pool(x, (3, 2), stride=2, ceil_mode=True),
    "max_pool and indices": lambda x: F.max_pool(
        x, (2, 3), padding=1, dilation=(2, 1), return_indices=True
    )[0],
    "avg_pool": lambda x: F.avg_pool(x, (3, 2), stride=2, padding=1),
    "sum_pool": lambda x: F.sum_pool(x, (3, 2), stride=1),
    "lp_pool": lambda x: F.lp_pool(x, 2, (3, 2), stride=2),
    "adaptive_avg_pool": lambda x: F.adaptive_avg_pool(x, (4, 3)),
    "adaptive_max_pool": lambda x: F.adaptive_max_pool(x, (4, 3)),
    "global_avg_pool": F.global_avg_pool,
    "global_max_pool": F.global_max_pool,
    "max_unpool": lambda x: F.max_unpool(
        *F.max_pool(x, (2, 4), return_indices=True), (2, 4)
    ),
    "batch_norm": lambda x, w=weights: F.batch_norm(
        x, w(x, 4), mean=w(x, 4), variance=w(x, 4) ** 2 + 1
    ),
    "layer_norm": lambda x, w=weights: F.layer_norm(x, w(x, 8, 4), axes=2),
    "group_norm": lambda x, w=weights: F.group_norm(x, w(x, 4), groups=2),
    "instance_norm": F.instance_norm,
    "local_response_norm": lambda x: F.local_response_norm(x, size=3, alpha=0.5),
    "resize": lambda x: F.resize(x, (4, 9), method="cubic"),
    "resize area": lambda x: F.resize(x, (4, 9), method="area"),
    "resize nearest": lambda x: F.resize(x, (4, 9), method="nearest"),
    "grid_sample": lambda x, w=weights: F.grid_sample(x, grid(x, w(x, 3, 2, 2))),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "rgb_to_gray": lambda x: F.rgb_to_gray(x[..., :3]),
    "rgb_to_hsv": lambda x: F.rgb_to_hsv(jnp.abs(x[..., :3])),
    "rgb_to_lab": lambda x: F.rgb_to_lab(jnp.abs(x[..., :3])),
    "hsv_to_rgb": lambda x: F.hsv_to_rgb(jnp.abs(x[..., :3]) / 4),
    "lab_to_rgb": lambda x: F.lab_to_rgb(50 + 5 * jnp.tanh(x[..., :3])),
    "gray_to_rgb": lambda x: F.gray_to_rgb(x[..., :1]),
    "frame": lambda x: F.frame(as_audio(x), 16, hop_length=5),
    "spectrogram": lambda x: F.spectrogram(as_audio(x), n_fft=32),
    "log_mel": lambda x: F.log_mel(as_audio(x), sr=100, n_fft=32, n_mels=5, amin=0.1),
    "peak_norm": lambda x: F.peak_norm(x[..., 0], top_db=4.0),
    "mfcc": lambda x: F.mfcc(
        as_audio(x), sr=100, n_fft=32, n_mels=5, n_mfcc=3, amin=0.1
    ),
    "relu": F.relu,
    "tanh": F.tanh,
    "softmax": F.softmax,
}
