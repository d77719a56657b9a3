"""Weights as PyTorch saves them, read without PyTorch.

A file is an archive of pickles and raw bytes: a zip since PyTorch 1.6, and before that
several pickles in a row. A pickle can call any function, so the unpickler here knows
tensors and dictionaries, and refuses everything else by its name.
"""

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C  # The first pickle of a file before PyTorch 1.6.
PROTOCOL = 1001  # The second one.
DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
# What unpickling damaged bytes can end in.
UNPICKLING = (
    pickle.UnpicklingError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
    struct.error,
    MemoryError,  # Reserved for what a damaged length says.
)


class ForbiddenError(ValueError):
    """A pickle asks for something else than tensors."""


class DamagedError(ValueError):
    """A file does not hold what was written."""


class Storage(NamedTuple):
    """A run of numbers in the file, on which tensors are views."""

    key: str
    dtype: str
    count: int


class Tensor(NamedTuple):
    """A view of a storage, in units of its numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle._Unpickler):  # pyright: ignore[reportAttributeAccessIssue]
    """Reads tensors and dictionaries, and refuses everything else.

    It is Python's own, not that in C, which reserves as much memory as a damaged byte
    says.
    """

    def __init__(self, file: io.BufferedIOBase):
        super().__init__(file, encoding="utf-8")
        # Methods and texts have no attributes that a pickle could change.
        self._known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            ("torch.nn.parameter", "Parameter"): self._parameter,
            ("torch", "Size"): tuple,
            **{("torch", name): dtype for name, dtype in DTYPES.items()},
        }

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle may use by name."""
        if (module, name) not in self._known:
            raise ForbiddenError(
                f"it would use {module}.{name}, but only tensors are read: do not open "
                "it with other tools, unless you trust its source"
            )
        return self._known[module, name]

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that a pickle refers to."""
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or dtype not in DTYPES.values() or any(view):
            raise pickle.UnpicklingError(f"a storage of an unknown kind: {pid}")
        return Storage(str(key), dtype, int(count))

    def _tensor(
        self, storage: Storage, offset: int, shape: Any, strides: Any, *_: Any
    ) -> Tensor:
        sizes, steps = tuple(map(int, shape)), tuple(map(int, strides))
        last = offset + sum(
            (n - 1) * s for n, s in zip(sizes, steps, strict=True) if math.prod(sizes)
        )
        fits = offset >= 0 and last < max(storage.count, 1) and min((*steps, 0)) >= 0
        if not fits or min((*sizes, 0)) < 0:
            raise pickle.UnpicklingError("a tensor reaches beyond its storage")
        return Tensor(storage, int(offset), sizes, steps)

    def _parameter(self, tensor: Tensor, *_: Any) -> Tensor:
        return tensor


def _load(file: io.BufferedIOBase) -> Any:
    """The content of one pickle."""
    try:
        return _Unpickler(file).load()
    except ForbiddenError:
        raise
    except UNPICKLING as error:
        text = str(error) or type(error).__name__
        raise DamagedError(" ".join(text.split())) from error


def read_zip(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file of PyTorch 1.6 or later.

    Args:
        path: The file, a zip archive.

    Returns:
        Arrays by name.

    Raises:
        ValueError: If it is damaged or holds something else.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise ValueError("it is a zip archive, but has no weights of PyTorch")
        root = pickles[0].removesuffix("data.pkl")
        order = "little"
        if f"{root}byteorder" in names:
            order = archive.read(f"{root}byteorder").decode()
        content = _load(io.BytesIO(archive.read(pickles[0])))

        def read(storage: Storage) -> bytes:
            name = f"{root}data/{storage.key}"
            if name not in names:
                raise DamagedError(f"{name} is missing")
            return archive.read(name)

        return _arrays(content, read, order)


def read_pickles(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file from before PyTorch 1.6.

    Args:
        path: The file: a magic number, a version, facts about the machine, the tensors,
            the keys of their storages, and the storages.

    Returns:
        Arrays by name.

    Raises:
        ValueError: If it is damaged or holds something else.
    """
    with open(path, "rb") as file:
        if _load(file) != MAGIC or _load(file) != PROTOCOL:
            raise ValueError("it is a pickle, but has no weights of PyTorch")
        machine = _load(file)
        little = isinstance(machine, dict) and machine.get("little_endian", True)
        order: Literal["little", "big"] = "little" if little else "big"
        content = _load(file)
        found = {t.storage.key: t.storage for t in _tensors(content).values()}
        stored = {}
        keys = _load(file)
        if not isinstance(keys, list) or set(keys) != set(found):
            raise DamagedError("its list of storages is not the one of its tensors")
        for key in keys:
            count = int.from_bytes(_exactly(file, 8), order)
            if count != found[key].count:
                raise DamagedError(f"its storage {key!r} has another length")
            stored[key] = _exactly(file, count * jnp.dtype(found[key].dtype).itemsize)
        return _arrays(content, lambda storage: stored[storage.key], order)


def _exactly(file: io.BufferedIOBase, count: int) -> bytes:
    """So many bytes, or an error."""
    data = file.read(count)
    if len(data) != count:
        raise DamagedError(f"{count} bytes are expected, but {len(data)} are left")
    return data


def _tensors(content: Any) -> dict[str, Tensor]:
    """The tensors of a dictionary; a checkpoint may hold it as `state_dict`."""
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise ValueError("it holds no dictionary of tensors")
    other = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if other:
        raise ValueError(f"its entry {other[0]!r} is no tensor")
    return dict(content)


def _arrays(
    content: Any, read: Callable[[Storage], bytes], order: str
) -> dict[str, np.ndarray]:
    """Copies of all tensors; each storage is read once."""
    stored: dict[str, np.ndarray] = {}
    arrays = {}
    for name, tensor in _tensors(content).items():
        storage = tensor.storage
        if storage.key not in stored:
            stored[storage.key] = _numbers(storage, read(storage), order)
        numbers = stored[storage.key]
        steps = [step * numbers.itemsize for step in tensor.strides]
        view = np.lib.stride_tricks.as_strided(
            numbers[tensor.offset :], tensor.shape, steps, writeable=False
        )
        arrays[name] = np.array(view)
    return arrays


def _numbers(storage: Storage, data: bytes, order: str) -> np.ndarray:
    dtype = jnp.dtype(storage.dtype)
    if len(data) != storage.count * dtype.itemsize:
        raise DamagedError(
            f"its storage {storage.key!r} has {len(data)} bytes, but {storage.count} "
            f"numbers of {dtype} are expected"
        )
    numbers = np.frombuffer(data, dtype)
    return numbers if order == "little" else numbers.byteswap()
