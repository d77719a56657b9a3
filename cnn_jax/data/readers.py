"""From a file to what a network reads: pictures, sounds and rows of a table.

A reader is a frozen record. It is written beside the weights of a trained network, so
that whatever comes later is read in the same way.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnn_jax.data.table import Table

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
)
AUDIO_SUFFIXES = frozenset((".wav", ".flac", ".ogg", ".oga"))
FULL_SCALE, CLIPPED = 0.999, 0.001  # Where samples are cut off, and the share allowed.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


@dataclasses.dataclass(frozen=True)
class ImageReader:
    """Images of any kind and size, as bytes of one size.

    A picture is turned upright as its EXIF says, laid on white where it is transparent,
    reduced to 8 bits and to grey or red, green and blue, scaled until it just covers
    the size, and cut evenly on both sides. Of a moving one the first is taken. What a
    file holds is told from its content, not from its name.

    Args:
        size: Height and width.
        channels: 1 for grey, 3 for colours.

    Raises:
        ValueError: If a size is below 1, or channels are not 1 or 3.

    Example:
        >>> ImageReader((28, 28), channels=1).shape
        (28, 28, 1)
    """

    kind: ClassVar[str] = "image"
    size: tuple[int, int]
    channels: int

    def __post_init__(self):
        if min(self.size) < 1:
            raise ValueError(f"`size` is {self.size}, but must be at least 1 by 1.")
        if self.channels not in (1, 3):
            raise ValueError(f"`channels` is {self.channels}, but must be 1 or 3.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return *self.size, self.channels

    def read(self, path: str | Path) -> np.ndarray:
        """The picture in a file, as bytes.

        Args:
            path: Of a JPEG, PNG, WebP, BMP, GIF or TIFF file.

        Returns:
            An array (height, width, channels).

        Raises:
            ValueError: If it is a sound.
            Exception: Whatever Pillow says of what it cannot read.
        """
        from PIL import ImageOps

        if Path(path).suffix.lower() in AUDIO_SUFFIXES:
            raise ValueError("it is a sound, where a picture is expected")
        with open_image(path) as image:
            image.draft(None, (2 * self.size[1], 2 * self.size[0]))  # JPEG, quickly.
            return self.fit(ImageOps.exif_transpose(image))

    def fit(self, image: Any) -> np.ndarray:
        """A picture in memory, as bytes of the size.

        Args:
            image: Pillow's, or an array (height, width, channels) of bytes.

        Returns:
            An array (height, width, channels).
        """
        from PIL import Image, ImageOps

        if isinstance(image, np.ndarray):
            grey = image.shape[-1] == 1
            image = Image.fromarray(image[..., 0] if grey else image)
        height, width = self.size
        image = _plain(image, "L" if self.channels == 1 else "RGB")
        image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
        return np.asarray(image).reshape(self.shape)

    def remark(self, image: np.ndarray) -> str:
        """What is odd about a picture that was read: it is all of one colour, or ''."""
        return "of one colour throughout" if (image == image[:1, :1]).all() else ""


def open_image(path: str | Path) -> Any:
    """A picture of which only the header was read."""
    from PIL import Image

    Image.init()  # Formats that are asked for by name must have been loaded.
    return Image.open(path, formats=FORMATS)


def _plain(image: Any, mode: str) -> Any:
    """A picture of 8 bits without a palette or holes."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip to 8.
        high = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(high.clip(0, 255).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    return image.convert(mode)


@contextlib.contextmanager
def open_audio(path: str | Path) -> Iterator[Any]:
    """A sound of which only the header was read."""
    import soundfile

    with open(path, "rb") as content:  # libsndfile would hide an error of the system.
        try:
            file = soundfile.SoundFile(content)
        except soundfile.LibsndfileError as error:
            raise ValueError(error.error_string) from error
        with file:
            yield file


@dataclasses.dataclass(frozen=True)
class AudioReader:
    """Audio of any rate, length and number of channels, as samples of one length.

    Channels are averaged, and the rate is changed by a polyphase filter. What is too
    long is cut at its end, what is too short is followed by silence.

    Args:
        rate: Samples per second.
        samples: How many.

    Raises:
        ValueError: If either is below 1.

    Example:
        >>> AudioReader(rate=8000, samples=4000).shape
        (4000,)
    """

    kind: ClassVar[str] = "signal"
    rate: int
    samples: int

    def __post_init__(self):
        for name in "rate", "samples":
            if getattr(self, name) < 1:
                value = getattr(self, name)
                raise ValueError(f"`{name}` is {value}, but must be at least 1.")

    @property
    def shape(self) -> tuple[int]:
        """The number of samples."""
        return (self.samples,)

    def read(self, path: str | Path) -> np.ndarray:
        """The sound in a file, from −1 to 1.

        Args:
            path: Of a WAV, FLAC or OGG file.

        Returns:
            An array of samples.

        Raises:
            ValueError: If it is a picture, has no samples, or some that are no number.
            Exception: Whatever soundfile says of what it cannot read.
        """
        if Path(path).suffix.lower() in IMAGE_SUFFIXES:
            raise ValueError("it is a picture, where a sound is expected")
        with open_audio(path) as file:
            most = math.ceil(self.samples * file.samplerate / self.rate) + 1
            wave = file.read(most, dtype="float32", always_2d=True)
            return self.fit(wave, file.samplerate)

    def fit(self, wave: np.ndarray, rate: int) -> np.ndarray:
        """A sound in memory, at the rate and length.

        Args:
            wave: Samples, or (samples, channels).
            rate: Samples per second.

        Returns:
            An array of samples.

        Raises:
            ValueError: If there are none, or some that are no number.
        """
        from scipy.signal import resample_poly

        wave = wave.mean(axis=1) if wave.ndim == 2 else wave
        if not len(wave):
            raise ValueError("it has no samples")
        if not np.isfinite(wave).all():
            raise ValueError("it has samples that are NaN or infinite")
        if rate != self.rate:
            common = math.gcd(rate, self.rate)
            wave = resample_poly(wave, self.rate // common, rate // common)
        wave = wave[: self.samples].astype(np.float32)
        return np.pad(wave, (0, self.samples - len(wave)))

    def remark(self, wave: np.ndarray) -> str:
        """What is odd about a sound that was read: it is silent, clipped, or ''."""
        if not wave.any():
            return "silent"
        clipped = np.abs(wave) >= FULL_SCALE
        return "clipped" if clipped.sum() > CLIPPED * np.count_nonzero(wave) else ""


Reader = (
    ImageReader | AudioReader | Table
)  # How a file becomes an input, or a table its rows.
READERS: dict[str, Any] = {"image": ImageReader, "signal": AudioReader, "table": Table}


def to_fields(reader: Reader) -> dict[str, Any]:
    """A reader as JSON can hold it."""
    return {"kind": reader.kind} | dataclasses.asdict(reader)


def from_fields(fields: Mapping[str, Any]) -> Reader:
    """The reader that `to_fields` gave."""
    lists = {name: value for name, value in fields.items() if name != "kind"}
    made = {k: tuple(v) if isinstance(v, list) else v for k, v in lists.items()}
    return READERS[fields["kind"]](**made)
