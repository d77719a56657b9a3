"""The weights of a network on disk, through Orbax."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx

from cnn_jax.data.errors import DamagedError
from cnn_jax.data.quiet import quiet
from cnn_jax.nn import Chain
from cnn_jax.training.arrays import (
    Shapes,
    by_path,
    checksum,
    compare,
    nested,
    path_name,
    shapes_of,
)
from cnn_jax.training.checkpoint_format import (
    checkpointer,
    naming,
    read_weights,
    whole,
)
from cnn_jax.training.weights import first_undamaged


def save(folder: str | Path, net: Chain) -> None:
    """Writes the weights and statistics of a network to a new folder.

    Arrays lie under their parameter paths, `stages/conv1/kernel`, beside a `checksum`.

    Args:
        folder: Must not exist.
        net: The network.

    Raises:
        FileExistsError: If there is such a folder.
    """
    folder = Path(folder).absolute()
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; nothing was written.")
    arrays = by_path(_variables(net))
    tree = nested(arrays | {"checksum": _checksum(arrays)})
    with checkpointer(ocp.StandardCheckpointHandler) as writer:
        writer.save(folder, args=ocp.args.StandardSave(tree))


def restore(folder: str | Path, net: Chain, *, index: int = 0) -> None:
    """Reads weights into a network of the same architecture.

    Args:
        folder: What `save` wrote, or a checkpoint of a run, such as `best(run)`.
        net: Takes over the weights.
        index: The number of the network, in a run of several.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the network has another architecture, with each missing,
            unexpected and differing array; or if the weights are damaged.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder with a checkpoint.")
    naming(folder, lambda: _restore(folder, net, index))


def restore_best(folder: str | Path, net: Chain) -> None:
    """Reads the weights of the best checkpoint of a run into a network.

    A checkpoint whose weights are damaged is passed over, with a warning.

    Args:
        folder: The folder that `fit` was given.
        net: Takes over the weights; of the same architecture.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If the network has another architecture, or every checkpoint is
            damaged.
    """
    first_undamaged(folder, lambda path, _: _restore(path, net, 0))


def _restore(folder: Path, net: Chain, index: int) -> None:
    variables = _variables(net)
    arrays = _arrays(folder, net, shapes_of(variables), index)
    state = nnx.state(net, nnx.Not(nnx.RngState))
    pure = jax.tree_util.tree_map_with_path(
        lambda path, _: jnp.asarray(arrays[path_name(path)]), variables
    )
    nnx.replace_by_pure_dict(state, pure)
    nnx.update(net, state)


def _arrays(
    folder: Path, net: Chain, wanted: Shapes, index: int
) -> dict[str, np.ndarray]:
    """Arrays of a checkpoint of a run, or of what `save` wrote."""
    if (folder / "state").is_dir() or (folder / "notes").is_dir():
        everything = shapes_of(nnx.to_pure_dict(nnx.state(net)))
        return read_weights(folder, everything, wanted, index)
    return _read(folder, wanted)


def _read(folder: Path, expected: Any) -> dict[str, np.ndarray]:
    """Arrays that `save` wrote, by path."""
    with quiet(), checkpointer(ocp.StandardCheckpointHandler) as reader:

        def shapes() -> Any:
            return shapes_of(reader.metadata(folder).item_metadata.tree)

        found = whole(folder, shapes)
        found.pop("checksum", None)
        compare(found, expected)
        arrays = by_path(whole(folder, lambda: reader.restore(folder)))
    stored = arrays.pop("checksum")
    if (stored != _checksum(arrays)).any():
        raise DamagedError("its weights are not those that were saved")
    return arrays


def _variables(net: Chain) -> dict[str, Any]:
    """All variables but the RNG state: a restored network keeps its own."""
    return nnx.to_pure_dict(nnx.state(net, nnx.Not(nnx.RngState)))


def _checksum(arrays: dict[str, np.ndarray]) -> np.ndarray:
    digests = "".join(checksum(arrays[name]) for name in sorted(arrays))
    return np.frombuffer(bytes.fromhex(checksum(digests)), np.uint8)
