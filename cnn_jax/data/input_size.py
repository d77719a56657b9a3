"""The memory that the inputs of a data set take."""

import math

from cnn_jax.data.memory import check_memory, free_memory
from cnn_jax.data.readers import AudioReader, Reader


def check_inputs(name: object, reader: Reader, count: int, *, workers: int = 1) -> None:
    """Refuses inputs that do not fit into memory, before the first is read.

    Args:
        name: The data.
        reader: Reads the inputs.
        count: The number of inputs that are in memory at a time.
        workers: The threads that read.

    Raises:
        ValueError: If they take more memory than is free.
    """
    audio = isinstance(reader, AudioReader)
    # Beside the inputs: 20 taps of SciPy's `resample_poly`, or the pixels of Pillow.
    working = 160 * reader.rate if audio else 4 * math.prod(reader.shape[:2])
    size = "×".join(map(str, reader.shape))
    check_memory(
        f"{name}: {count:,} input(s) of {size} in memory at a time",
        count * bytes_of(reader) + workers * working,
        f"choose a smaller {'`seconds` or `rate`' if audio else '`size`'}",
        free=free_memory(),
    )


def bytes_of(reader: Reader) -> int:
    """The bytes of one input."""
    return (1 if reader.kind == "image" else 4) * math.prod(reader.shape)
