"""Readers: from a file to the input of a network.

A reader is a frozen record. It is stored with the weights of a trained network, so that
later files are read in the same way.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from cnn_jax.data.errors import check_regular
from cnn_jax.data.table import Table

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
)
AUDIO_SUFFIXES = frozenset((".wav", ".flac", ".ogg", ".oga"))
Framing = Literal["crop", "pad", "stretch"]
FULL_SCALE = 0.999  # From which a sample counts as clipped.
CLIPPED = 0.001  # The largest fraction of such samples without a remark.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


@dataclasses.dataclass(frozen=True)
class ImageReader:
    """Reads images of any format and size as bytes of one size.

    An image is rotated as its EXIF says, laid on white where it is transparent,
    converted to 8 bits and to grey or RGB, and scaled to the size. Of an animation the
    first frame is read. The format is recognised by the content of a file, not by its
    name.

    Args:
        size: Height and width.
        channels: 1 for grey, 3 for RGB.
        framing: What happens to an image of another ratio of height to width. `crop`
            cuts the sides that exceed the size, `pad` adds black bars, and `stretch`
            changes the ratio.

    Raises:
        ValueError: If a size is below 1, channels are not 1 or 3, or there is no such
            framing.

    Example:
        >>> ImageReader((28, 28), channels=1).shape
        (28, 28, 1)
    """

    kind: ClassVar[str] = "image"
    size: tuple[int, int]
    channels: int
    framing: Framing = "crop"

    def __post_init__(self):
        if min(self.size) < 1:
            raise ValueError(f"`size` is {self.size}, but must be at least 1 by 1.")
        if self.channels not in (1, 3):
            raise ValueError(f"`channels` is {self.channels}, but must be 1 or 3.")
        if self.framing not in get_args(Framing):
            raise ValueError(
                f"`framing` is {self.framing!r}, but must be one of "
                f"{', '.join(get_args(Framing))}."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return *self.size, self.channels

    def read(self, path: str | Path) -> np.ndarray:
        """Reads the image in a file.

        Args:
            path: A JPEG, PNG, WebP, BMP, GIF or TIFF file.

        Returns:
            Bytes, (height, width, channels).

        Raises:
            ValueError: If it is audio.
            Exception: Of any kind that Pillow raises for a broken file.
        """
        from PIL import ImageOps

        if Path(path).suffix.lower() in AUDIO_SUFFIXES:
            raise ValueError("it is audio, but an image is expected")
        with open_image(path) as image:
            image.draft(None, (2 * self.size[1], 2 * self.size[0]))  # Faster for JPEG.
            return self.fit(ImageOps.exif_transpose(image))

    def fit(self, image: Any) -> np.ndarray:
        """Brings an image in memory to the size.

        Args:
            image: A Pillow image, or bytes (height, width, channels).

        Returns:
            An array (height, width, channels).
        """
        from PIL import Image, ImageOps

        if isinstance(image, np.ndarray):
            grey = image.shape[-1] == 1
            image = Image.fromarray(image[..., 0] if grey else image)
        size, method = (self.size[1], self.size[0]), Image.Resampling.BICUBIC
        image = _plain(image, "L" if self.channels == 1 else "RGB")
        if self.framing == "stretch":
            image = image.resize(size, method)
        else:
            scale = ImageOps.fit if self.framing == "crop" else ImageOps.pad
            image = scale(image, size, method)
        return np.asarray(image).reshape(self.shape)

    def remark(self, image: np.ndarray) -> str:
        """A remark on an image of a single colour; otherwise an empty text."""
        return "of a single colour" if (image == image[:1, :1]).all() else ""


def open_image(path: str | Path) -> Any:
    """Opens an image; only its header is read."""
    from PIL import Image

    check_regular(path)
    Image.init()  # Loads the formats, so that they are known by name.
    return Image.open(path, formats=FORMATS)


def _plain(image: Any, mode: str) -> Any:
    """An image of 8 bits without palette and transparency."""
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
    """Opens an audio file; only its header is read."""
    import soundfile

    check_regular(path)
    with open(path, "rb") as content:  # libsndfile hides errors of the system.
        try:
            file = soundfile.SoundFile(content)
        except soundfile.LibsndfileError as error:
            raise ValueError(error.error_string) from error
        with file:
            yield file


@dataclasses.dataclass(frozen=True)
class AudioReader:
    """Audio of any rate, length and number of channels, as samples of one length.

    Channels are averaged, and the rate is converted by a polyphase filter. Audio is cut
    at its end, or padded with silence.

    Args:
        rate: Samples per second.
        samples: The number of samples.

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
        """Reads the samples of a file, from −1 to 1.

        Args:
            path: A WAV, FLAC or OGG file.

        Returns:
            An array of samples.

        Raises:
            ValueError: If it is an image, has no samples, or NaN or infinite ones.
            Exception: Of any kind that soundfile raises for a broken file.
        """
        if Path(path).suffix.lower() in IMAGE_SUFFIXES:
            raise ValueError("it is an image, but audio is expected")
        with open_audio(path) as file:
            count = math.ceil(self.samples * file.samplerate / self.rate) + 1
            wave = file.read(count, dtype="float32", always_2d=True)
            return self.fit(wave, file.samplerate)

    def fit(self, wave: np.ndarray, rate: int) -> np.ndarray:
        """Brings audio in memory to the rate and length.

        Args:
            wave: Samples, or (samples, channels).
            rate: Samples per second.

        Returns:
            An array of samples.

        Raises:
            ValueError: If there are no samples, or NaN or infinite ones.
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
        """A remark on silent or clipped audio; otherwise an empty text."""
        if not wave.any():
            return "silent"
        clipped = np.abs(wave) >= FULL_SCALE
        return "clipped" if clipped.sum() > CLIPPED * np.count_nonzero(wave) else ""


Reader = (
    ImageReader | AudioReader | Table
)  # How a file becomes an input, or a table its rows.
READERS: dict[str, Any] = {"image": ImageReader, "signal": AudioReader, "table": Table}


def to_fields(reader: Reader) -> dict[str, Any]:
    """A reader as JSON values."""
    if isinstance(reader, Table):
        return {"kind": reader.kind} | reader.to_fields()
    return {"kind": reader.kind} | dataclasses.asdict(reader)


def from_fields(fields: Mapping[str, Any]) -> Reader:
    """The reader from which `to_fields` made these values."""
    lists = {name: value for name, value in fields.items() if name != "kind"}
    if fields["kind"] == Table.kind:
        return Table.from_fields(lists)
    made = {k: tuple(v) if isinstance(v, list) else v for k, v in lists.items()}
    return READERS[fields["kind"]](**made)
