"""Files as `torch.save` writes them, made without PyTorch, from opcodes of a pickle."""

import io
import pickle
import zipfile

import numpy as np

KINDS = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}
KINDS |= {"float16": "HalfStorage"}


def called(function, arguments):
    """The opcodes of a call; `function` is a module and a name."""
    return (
        b"c" + "\n".join(function).encode() + b"\n(" + b"".join(arguments) + b"t" + b"R"
    )


def value(x):
    """The opcodes of a number, text or tuple."""
    return pickle.dumps(x, protocol=2)[2:-1]


def tensor(key, array, *, legacy=False, count=None):
    """The opcodes of a tensor whose storage has a key."""
    kind = f"ctorch\n{KINDS[str(array.dtype)]}\n".encode()
    count = array.size if count is None else count
    rest = [value(str(key)), value("cpu"), value(count)] + [b"N"] * legacy
    storage = b"(" + value("storage") + kind + b"".join(rest) + b"t" + b"Q"
    steps = tuple(step // array.itemsize for step in array.strides)
    parts = [storage, value(0), value(array.shape), value(steps), b"\x89"]
    hooks = called(("collections", "OrderedDict"), [])
    return called(("torch._utils", "_rebuild_tensor_v2"), [*parts, hooks])


def dictionary(entries):
    """A whole pickle of an OrderedDict, from opcodes by name."""
    pairs = b"".join(value(name) + entry for name, entry in entries.items())
    made = called(("collections", "OrderedDict"), [])
    return b"\x80\x02" + made + b"(" + pairs + b"u."


def zip_file(arrays, *, order="little", **options):
    """The bytes of a file of PyTorch 1.6 or later."""
    entries = {n: tensor(i, a, **options) for i, (n, a) in enumerate(arrays.items())}
    return zipped(dictionary(entries), arrays, order)


def zipped(content, arrays, order="little"):
    """The zip archive of a pickle and the storages of arrays."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", content)
        archive.writestr("net/byteorder", order)
        for i, array in enumerate(arrays.values()):
            archive.writestr(f"net/data/{i}", in_order(array, order))
    return file.getvalue()


def legacy_file(arrays, *, order="little"):
    """The bytes of a file from before PyTorch 1.6."""
    entries = {n: tensor(i, a, legacy=True) for i, (n, a) in enumerate(arrays.items())}
    keys = [str(i) for i in range(len(arrays))]
    parts = [
        pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2),
        pickle.dumps(1001, protocol=2),
        pickle.dumps({"little_endian": order == "little"}, protocol=2),
        dictionary(entries),
        pickle.dumps(keys, protocol=2),
    ]
    for array in arrays.values():
        parts += [array.size.to_bytes(8, order), in_order(array, order)]
    return b"".join(parts)


def in_order(array, order):
    array = np.ascontiguousarray(array)
    return (array if order == "little" else array.byteswap()).tobytes()
