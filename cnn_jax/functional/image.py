"""Fixed image kernels and conversions between colour spaces.

The last axis holds red, green and blue from 0 to 1 (sRGB), after any number of axes.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.functional.checks import floating
from cnn_jax.lowering import promote_to_float32

_KERNELS = {
    "identity": ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
    "blur": (
        (1 / 16, 2 / 16, 1 / 16),
        (2 / 16, 4 / 16, 2 / 16),
        (1 / 16, 2 / 16, 1 / 16),
    ),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "edge": ((0, -1, 0), (-1, 4, -1), (0, -1, 0)),
    "outline": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
    "emboss": ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
    "sobel_x": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "sobel_y": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "horizontal_line": ((-1, -1, -1), (2, 2, 2), (-1, -1, -1)),
    "vertical_line": ((-1, 2, -1), (-1, 2, -1), (-1, 2, -1)),
    "falling_diagonal": ((2, -1, -1), (-1, 2, -1), (-1, -1, 2)),
    "rising_diagonal": ((-1, -1, 2), (-1, 2, -1), (2, -1, -1)),
}

IMAGE_KERNELS = tuple(_KERNELS)


def image_kernel(name: str) -> Float[Array, "3 3 1 1"]:
    """A 3 × 3 kernel with a known effect, for `conv` on grey images.

    The taps of `identity`, `blur`, `sharpen` and `emboss` sum to 1, so they keep the
    mean brightness. Those of the others sum to 0, so they respond to changes only:
    `edge` and `outline` in any direction, `sobel_x` along a row, `sobel_y` along a
    column, and the line detectors to a bright line of their direction.

    For colour, apply one copy per channel:
    `conv(image, jnp.repeat(image_kernel(name), 3, axis=-1), groups=3)`.

    Args:
        name: One of `IMAGE_KERNELS`.

    Returns:
        The taps as (height, width, 1, 1).

    Raises:
        ValueError: If there is no kernel of that name.

    Example:
        >>> image_kernel("sharpen")[..., 0, 0]
        Array([[ 0., -1.,  0.],
               [-1.,  5., -1.],
               [ 0., -1.,  0.]], dtype=float32)

    Source:
        Powell, "Image Kernels Explained Visually", setosa.io/ev/image-kernels.
    """
    if name not in _KERNELS:
        raise ValueError(
            f"`name` is {name!r}, but must be one of {', '.join(IMAGE_KERNELS)}."
        )
    return jnp.array(_KERNELS[name], jnp.float32)[..., None, None]


def rgb_to_gray(x: Float[Array, "... 3"]) -> Float[Array, "... 1"]:
    """Converts colour to grey by its luminance.

        out = 0.2125 · r + 0.7154 · g + 0.0721 · b

    Args:
        x: Colour images.

    Returns:
        Grey images, with one channel.

    Raises:
        TypeError: If `x` is not floating point.
        ValueError: If `x` does not have 3 channels.

    Example:
        >>> rgb_to_gray(jnp.array([0.0, 1.0, 0.0]))
        Array([0.7154], dtype=float32)

    Source:
        Poynton, "Frequently Asked Questions about Color", 9 (ITU-R BT.709); as
        scikit-image, skimage.color.rgb2gray.
    """
    x = _check_channels(x, 3)
    weights = jnp.asarray([0.2125, 0.7154, 0.0721], promote_to_float32(x).dtype)
    return _mix_channels(x, weights[:, None])


def gray_to_rgb(x: Float[Array, "... 1"]) -> Float[Array, "... 3"]:
    """Converts grey images to colour images with three equal channels.

    Args:
        x: Grey images, with one channel.

    Returns:
        Colour images with equal channels.

    Raises:
        TypeError: If `x` is not floating point.
        ValueError: If `x` does not have 1 channel.

    Example:
        >>> gray_to_rgb(jnp.array([0.5]))
        Array([0.5, 0.5, 0.5], dtype=float32)

    Source:
        scikit-image, skimage.color.gray2rgb.
    """
    return jnp.repeat(_check_channels(x, 1), 3, axis=-1)


def rgb_to_hsv(x: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
    """Converts colour to hue, saturation and value, all from 0 to 1.

    With v the largest of r, g, b and d the largest minus the smallest,

        saturation = d / v
        hue = 1/6 · ((g − b)/d, 2 + (b − r)/d or 4 + (r − g)/d, as v is r, g or b)

    Grey has hue 0 and black also has saturation 0, both with gradient 0.

    Args:
        x: Colour images.

    Returns:
        Hue, saturation and value.

    Raises:
        TypeError: If `x` is not floating point.
        ValueError: If `x` does not have 3 channels.

    Example:
        >>> rgb_to_hsv(jnp.array([0.0, 0.5, 0.5]))
        Array([0.5, 1. , 0.5], dtype=float32)

    Source:
        Smith, "Color Gamut Transform Pairs", 1978; as scikit-image,
        skimage.color.rgb2hsv.
    """
    x = _check_channels(x, 3)
    r, g, b = jnp.moveaxis(promote_to_float32(x), -1, 0)
    value = jnp.maximum(jnp.maximum(r, g), b)
    delta = value - jnp.minimum(jnp.minimum(r, g), b)
    divisor = jnp.where(delta == 0, 1, delta)
    saturation = jnp.where(delta == 0, 0, delta / jnp.where(value == 0, 1, value))
    hue = jnp.where(value == r, (g - b) / divisor, 2 + (b - r) / divisor)
    hue = jnp.where(value == b, 4 + (r - g) / divisor, hue)
    # If two channels are equal, the later one decides, as in scikit-image.
    hue = jnp.where((value == g) & (value != b), 2 + (b - r) / divisor, hue)
    hue = jnp.where(delta == 0, 0, hue / 6 % 1)
    return jnp.stack([hue, saturation, value], axis=-1).astype(x.dtype)


def hsv_to_rgb(x: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
    """Converts hue, saturation and value to colour.

        out = v · (1 − s · max(0, min(t, 4 − t, 1))),  t = (n + 6·h) mod 6

    with n = 5, 3 and 1 for red, green and blue.

    Args:
        x: Hue, saturation and value.

    Returns:
        Colour images.

    Raises:
        TypeError: If `x` is not floating point.
        ValueError: If `x` does not have 3 channels.

    Example:
        >>> hsv_to_rgb(jnp.array([0.5, 1.0, 0.5]))
        Array([0. , 0.5, 0.5], dtype=float32)

    Source:
        Smith, "Color Gamut Transform Pairs", 1978; as scikit-image,
        skimage.color.hsv2rgb.
    """
    x = _check_channels(x, 3)
    hue, saturation, value = jnp.moveaxis(promote_to_float32(x), -1, 0)
    channels = []
    for n in (5, 3, 1):
        t = (n + 6 * hue) % 6
        share = jnp.clip(jnp.minimum(t, 4 - t), 0, 1)
        channels.append(value * (1 - saturation * share))
    return jnp.stack(channels, axis=-1).astype(x.dtype)


# sRGB to CIE XYZ and its white point D65 (2° observer), as in scikit-image.
_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def rgb_to_lab(x: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
    """Converts colour to CIE L*a*b*, which is perceptually uniform.

    sRGB is made linear, converted to XYZ and divided by the white point (D65, 2°). With
    f(t) = ∛t above 0.008856 and 7.787·t + 16/116 below,

        L = 116 · f(y) − 16,  a = 500 · (f(x) − f(y)),  b = 200 · (f(y) − f(z))

    Args:
        x: Colour images.

    Returns:
        L from 0 to 100; a from green to red, and b from blue to yellow, about ±100.

    Raises:
        TypeError: If `x` is not floating point.
        ValueError: If `x` does not have 3 channels.

    Example:
        >>> rgb_to_lab(jnp.array([1.0, 1.0, 1.0])).round(1)[0]
        Array(100., dtype=float32)

    Source:
        CIE 15, "Colorimetry", section 8.2.1; as scikit-image, skimage.color.rgb2lab.
    """
    x = _check_channels(x, 3)
    wide = promote_to_float32(x)
    high = wide > 0.04045
    power = (jnp.where(high, wide, 1) + 0.055) / 1.055
    linear = jnp.where(high, power**2.4, wide / 12.92)
    weights = jnp.asarray((_XYZ / _WHITE[:, None]).T, wide.dtype)
    xyz = _mix_channels(linear, weights)
    high = xyz > 0.008856
    root = jnp.cbrt(jnp.where(high, xyz, 1))
    f = jnp.where(high, root, 7.787 * xyz + 16 / 116)
    lightness = 116 * f[..., 1] - 16
    a, b = 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])
    return jnp.stack([lightness, a, b], axis=-1).astype(x.dtype)


def lab_to_rgb(x: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
    """Converts CIE L*a*b* to colour: the inverse of `rgb_to_lab`.

    Colours outside of sRGB are clipped to 0 … 1.

    Args:
        x: L, a and b.

    Returns:
        Colour images.

    Raises:
        TypeError: If `x` is not floating point.
        ValueError: If `x` does not have 3 channels.

    Example:
        >>> lab_to_rgb(jnp.array([100.0, 0.0, 0.0])).round(2)
        Array([1., 1., 1.], dtype=float32)

    Source:
        CIE 15, "Colorimetry", section 8.2.1; as scikit-image, skimage.color.lab2rgb.
    """
    x = _check_channels(x, 3)
    lightness, a, b = jnp.moveaxis(promote_to_float32(x), -1, 0)
    y = (lightness + 16) / 116
    f = jnp.stack([y + a / 500, y, jnp.maximum(y - b / 200, 0)], axis=-1)
    xyz = jnp.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    weights = jnp.asarray(np.linalg.inv(_XYZ / _WHITE[:, None]).T, xyz.dtype)
    linear = _mix_channels(xyz, weights)
    high = linear > 0.0031308
    root = jnp.where(high, linear, 1) ** (1 / 2.4)
    rgb = jnp.where(high, 1.055 * root - 0.055, 12.92 * linear)
    return jnp.clip(rgb, 0, 1).astype(x.dtype)


def _mix_channels(x: Array, weights: Array) -> Array:
    """Weighted sums of the channels in full float32: TF32 errors are visible."""
    out = jnp.matmul(promote_to_float32(x), weights, precision=lax.Precision.HIGHEST)
    return out.astype(x.dtype)


def _check_channels(x: Array, channels: int) -> Array:
    (x,) = floating(x=x)
    if x.ndim == 0 or x.shape[-1] != channels:
        raise ValueError(
            f"`x` has shape {x.shape}, but must end in {channels} channel(s)."
        )
    return x
