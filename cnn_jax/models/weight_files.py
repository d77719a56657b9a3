"""Files of weights: safetensors, and PyTorch's own of both kinds."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.models.extras import required
from cnn_jax.models.torch_files import (
    DamagedError,
    ForbiddenError,
    read_pickles,
    read_zip,
)

DAMAGED = (DamagedError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError)
PICKLE = b"\x80"  # With which every pickle of protocol 2 or later begins.


def read_state_dict(file: str | Path) -> dict[str, np.ndarray]:
    """Reads the weights in a file of safetensors or of PyTorch.

    The content tells the format, not the name. PyTorch is not needed. No code in the
    file is run: a pickle may hold tensors and dictionaries, and is refused otherwise.

    Args:
        file: A `.safetensors` file, or a `.pth` or `.pt` file that `torch.save` wrote:
            a zip archive, or from before PyTorch 1.6 a row of pickles.

    Returns:
        Arrays by PyTorch's names.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is damaged, truncated, of another format, or would run code.
        ModuleNotFoundError: If it is of safetensors, which is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile(suffix=".pth") as empty:
        ...     read_state_dict(empty.name)
        Traceback (most recent call last):
        ...
        ValueError: ...pth has no weights: it is empty.

    Source:
        PyTorch, `torch.serialization`; safetensors, "Format".
    """
    path = Path(file).expanduser()
    with open(path, "rb") as opened:
        head = opened.read(9)
    try:
        return _reader(path, head)(path)
    except ForbiddenError as error:
        raise ValueError(f"{path} is refused: {error}.") from error
    except DAMAGED as error:
        raise ValueError(f"{path} is damaged or truncated: {error}.") from error
    except ValueError as error:
        raise ValueError(f"{path} has no weights: {error}.") from error


def _reader(path: Path, head: bytes) -> Any:
    if not head:
        raise ValueError("it is empty")
    if head[8:] == b"{":
        return _read_safetensors
    if zipfile.is_zipfile(path) or head.startswith(b"PK"):
        return read_zip
    if head.startswith(PICKLE):
        return read_pickles
    raise ValueError("it is of neither safetensors nor PyTorch")


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    library = required("safetensors", "pretrained", "files of safetensors")
    numpy = required("safetensors.numpy", "pretrained", "files of safetensors")
    try:
        return numpy.load_file(path)
    except library.SafetensorError as error:
        raise DamagedError(str(error)) from error
