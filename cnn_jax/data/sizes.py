"""The size, rate and length that files are brought to, where they are not given."""

import contextlib
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import SYSTEM, raise_if_system
from cnn_jax.data.options import refuse
from cnn_jax.data.readers import (
    AUDIO_SUFFIXES,
    AudioReader,
    Framing,
    ImageReader,
    Reader,
    open_audio,
    open_image,
)

SIZES = (32, 64, 128)  # Of images.
MANY, MAX_OF_FEW = 7000, 64  # Fewer images than `MANY` are not larger than this.
MAX_RATE, MAX_SECONDS = 22_050, 10.0  # Of audio.


def reader_for(
    paths: Sequence[Path],
    *,
    size: int | None,
    rate: int | None,
    seconds: float | None,
    framing: Framing | None = None,
) -> tuple[Reader, list[str]]:
    """The reader of some files, chosen from their headers.

    Args:
        paths: Images or audio files.
        size: Height and width of images; by default 32, 64 or, of many images, 128,
            as large as 1.5 times the median of the shorter sides allows.
        rate: Samples per second of audio; by default the most common one, up to 22,050.
        seconds: The length of audio; by default the 95 % quantile, up to 10.
        framing: See `ImageReader`; `pad` by default, which cuts nothing away.

    Returns:
        The reader, and remarks for the user.

    Raises:
        ValueError: If no file can be read, or an option belongs to the other kind.
    """
    if any(path.suffix.lower() in AUDIO_SUFFIXES for path in paths):
        refuse("a folder of audio", {"size": size, "framing": framing})
        return _audio_reader(paths, rate, seconds)
    refuse("a folder of images", {"rate": rate, "seconds": seconds})
    return _image_reader(paths, size, framing)


def _image_reader(
    paths: Sequence[Path], size: int | None, framing: Framing | None
) -> tuple[Reader, list[str]]:
    """A reader in grey if all images are grey, and of a usual size."""
    sizes, grey = [], True
    for path in paths:  # All headers, because one image in colour makes all so.
        with _skip_broken(), open_image(path) as image:
            sizes.append(image.size)
            grey &= image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    if not sizes:
        raise ValueError(f"none of {len(paths):,} files is an image that can be read.")
    sides, framing = list(map(min, sizes)), framing or "pad"
    notes = [f"the median of the shorter sides is {statistics.median(sides):g} pixels"]
    oblong = sum(max(one) > 1.1 * min(one) for one in sizes)
    if oblong:
        notes.append(f"{oblong:,} images are not square: `framing` is {framing!r}")
    largest = MAX_OF_FEW if len(sides) < MANY else SIZES[-1]
    size = size or min(usual_size(sides), largest)
    return ImageReader((size, size), 1 if grey else 3, framing), notes


def usual_size(sides: Sequence[int]) -> int:
    """Height and width for images with these shorter sides."""
    side = statistics.median(sides)
    return max([known for known in SIZES if known <= 1.5 * side], default=SIZES[0])


def usual_seconds(lengths: Sequence[float]) -> float:
    """A length that 95 % of audio files do not exceed, at most 10 s."""
    return min(MAX_SECONDS, float(np.quantile(lengths, 0.95)))


def _audio_reader(
    paths: Sequence[Path], rate: int | None, seconds: float | None
) -> tuple[Reader, list[str]]:
    """A reader at the most common rate, and of a usual length."""
    rates, lengths, several = Counter(), [], 0
    for path in paths:
        with _skip_broken(), open_audio(path) as file:
            rates[file.samplerate] += 1
            several += file.channels > 1
            lengths.append(file.frames / file.samplerate)
    if not lengths:
        raise ValueError(f"none of {len(paths):,} files is audio that can be read.")
    rate = rate or min(MAX_RATE, rates.most_common(1)[0][0])
    seconds = seconds or usual_seconds(lengths)
    samples = max(1, math.ceil(seconds * rate))
    notes = [note_on_lengths(lengths, samples / rate)]
    others = len(lengths) - rates[rate]
    if others:
        notes.append(f"{others:,} have another rate than {rate:,} Hz and are resampled")
    if several:
        notes.append(f"{several:,} have several channels, which are averaged")
    return AudioReader(rate, samples), notes


def note_on_lengths(lengths: Sequence[float], seconds: float) -> str:
    """A remark on the number of audio files that are cut."""
    cut = sum(length > seconds for length in lengths)
    return (
        f"{cut:,} of {len(lengths):,} audio files are longer than {seconds:.2f} s and "
        "are cut; shorter ones are padded with silence"
    )


@contextlib.contextmanager
def _skip_broken() -> Iterator[None]:
    """Skips a broken file; it is reported when all files are read."""
    try:
        yield
    except Exception as error:  # Pillow raises whatever its decoders do.
        raise_if_system(error, codes=SYSTEM)
