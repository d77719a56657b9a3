"""A network's weights on disk, through Orbax."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from flax import nnx

from cnn_jax.nn import Chain


def save(folder: str | Path, net: Chain) -> None:
    """Writes the weights and statistics of a network to a new folder.

    Args:
        folder: Where they go.
        net: Whose they are.

    Raises:
        FileExistsError: If there is such a folder already.
    """
    folder = Path(folder).absolute()
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; nothing was written.")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, nnx.to_pure_dict(_saved(net)))


def restore(folder: str | Path, net: Chain) -> None:
    """Reads the weights that `save` wrote into a network of the same architecture.

    Args:
        folder: Where they lie.
        net: What takes them over.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the network is of another architecture; the message lists what it
            lacks, what it has too much, and what differs in shape.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder with a checkpoint.")
    state = _saved(net)
    with ocp.StandardCheckpointer() as checkpointer:
        found = _shapes(checkpointer.metadata(folder).item_metadata.tree)
        _compare(found, _shapes(nnx.to_pure_dict(state)))
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, nnx.to_pure_dict(state))
        nnx.replace_by_pure_dict(state, checkpointer.restore(folder, target))
    nnx.update(net, state)


def _saved(net: Chain) -> nnx.State:
    """All but the state of chance: a restored network draws its own."""
    return nnx.state(net, nnx.Not(nnx.RngState))


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {
        "/".join(str(key.key) for key in path): tuple(x.shape) for path, x in leaves
    }


def _compare(
    found: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]
) -> None:
    lines = [f"- {name} is missing" for name in wanted.keys() - found.keys()]
    lines += [f"+ {name} is unexpected" for name in found.keys() - wanted.keys()]
    lines += [
        f"! {name} is {found[name]}, but must be {wanted[name]}"
        for name in found.keys() & wanted.keys()
        if found[name] != wanted[name]
    ]
    if lines:
        raise ValueError(
            "the checkpoint is of another architecture:\n" + "\n".join(sorted(lines))
        )
