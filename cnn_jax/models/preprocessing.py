"""From an image to the input for which published weights were trained."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from cnn_jax import nn

Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Normalize:
    """Brings pixels to the mean and deviation with which a network was trained.

        y[c] = (p[c] − mean[c]) / deviation[c]

    p is a pixel from 0 to 1. Bytes are divided by 255; floats are those from −1 to 1
    that training and prediction make of bytes here, so that p = (x + 1) / 2. A grey
    image is repeated for each channel of `mean`. As a stage it comes first in a
    network.

    Args:
        mean: Of each channel.
        deviation: The standard deviation of each channel.

    Raises:
        ValueError: If the two differ in length, or a deviation is not above 0.

    Example:
        >>> stage = Normalize((0.5, 0.0), (0.5, 1.0))
        >>> stage(jnp.array([255, 0], jnp.uint8)), stage(jnp.array([1.0, -1.0]))
        (Array([1., 0.], dtype=float32), Array([1., 0.], dtype=float32))

    Source:
        torchvision, `torchvision.transforms.Normalize`.
    """

    mean: Sequence[float]
    deviation: Sequence[float]

    def __post_init__(self):
        for name in "mean", "deviation":
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        if len(self.mean) != len(self.deviation) or min(self.deviation) <= 0:
            raise ValueError(
                f"`deviation` is {self.deviation}, but must have {len(self.mean)} "
                "numbers above 0, as many as `mean`."
            )

    def __call__(
        self, x: Shaped[Array, "*batch channels"]
    ) -> Float[Array, "*batch normalized"]:
        """The normalized pixels."""
        dtype = x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.float32
        pixels = x.astype(dtype) / 255 if x.dtype == jnp.uint8 else (x + 1) / 2
        shape = (1,) * (x.ndim - 1) + (-1,)
        mean, deviation = (
            jnp.asarray(values, dtype).reshape(shape)
            for values in (self.mean, self.deviation)
        )
        return (pixels - mean) / deviation

    def receptive_field(self, size: tuple[int, ...]) -> nn.ReceptiveField:
        """The receptive field of an output unit: one pixel."""
        return nn.ReceptiveField((1,) * len(size), (1,) * len(size), (0.0,) * len(size))


@dataclass(frozen=True)
class Preprocessing:
    """Scales the short side of an image, crops its centre and normalizes it.

    The result is that of torchvision's and timm's transforms for evaluation. As there,
    transparency is dropped, and the orientation in EXIF data is not used. Bilinear and
    bicubic scaling are those of Pillow, which smooth where they shrink.

    Args:
        resize: The length of the short side after scaling.
        crop: Height and width of the crop.
        interpolation: Of the scaling.
        normalize: Mean and deviation of the channels.

    Raises:
        ValueError: If the crop is larger than the scaled image.

    Example:
        >>> prepare = Preprocessing(4, 2, "bilinear", Normalize((0.5,), (0.5,)))
        >>> prepare(np.full((6, 9, 3), 255, np.uint8)).shape
        (2, 2, 3)

    Source:
        torchvision, `torchvision.transforms._presets.ImageClassification`; timm,
        `timm.data.transforms_factory.transforms_imagenet_eval`.
    """

    resize: int
    crop: int
    interpolation: Interpolation
    normalize: Normalize

    def __post_init__(self):
        if not 1 <= self.crop <= self.resize:
            raise ValueError(
                f"`crop` is {self.crop}, but must be from 1 to `resize`, {self.resize}."
            )

    def __call__(self, image: Any) -> np.ndarray:
        """The input of the network, (crop, crop, 3): `pixels`, normalized."""
        mean = np.asarray(self.normalize.mean, np.float32)
        deviation = np.asarray(self.normalize.deviation, np.float32)
        return (self.pixels(image) / np.float32(255) - mean) / deviation

    def pixels(self, image: Any) -> np.ndarray:
        """The scaled and cropped image as bytes.

        Args:
            image: The bytes of an image file, a Pillow image, or an array of bytes
                (height, width) or (height, width, channels).

        Returns:
            Bytes, (crop, crop, 3).

        Raises:
            TypeError: If it is something else, such as an array of floats.
            OSError: If the bytes are no image that Pillow reads.
        """
        from PIL import Image

        image = _opened(image).convert("RGB")
        size = self._scaled(*image.size)
        if size != image.size:
            method = Image.Resampling[self.interpolation.upper()]
            image = image.resize(size, method)
        left, top = (round((side - self.crop) / 2) for side in size)
        return np.asarray(image)[top : top + self.crop, left : left + self.crop]

    def _scaled(self, width: int, height: int) -> tuple[int, int]:
        long = int(self.resize * max(width, height) / min(width, height))
        return (self.resize, long) if width <= height else (long, self.resize)


def _opened(image: Any) -> Any:
    """A Pillow image."""
    from PIL import Image

    if isinstance(image, Image.Image):
        return image
    if isinstance(image, bytes | bytearray):
        return Image.open(io.BytesIO(image))
    if not hasattr(image, "dtype") or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise TypeError(
            f"`image` is {kind}, but must be the bytes of a file, a Pillow image or an "
            "array of bytes from 0 to 255: it is normalized here, and only once."
        )
    array = np.asarray(image)
    return Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)
