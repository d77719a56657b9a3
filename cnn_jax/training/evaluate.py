"""Predictions and metrics of a trained network."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array

from cnn_jax.data import Source, Split, inputs_of
from cnn_jax.data.dataset import batches, floats, length
from cnn_jax.lowering import compiler_options
from cnn_jax.nn import Chain
from cnn_jax.tasks import Task, default_task
from cnn_jax.tasks.metrics import Metrics, divide
from cnn_jax.training.feed import padded
from cnn_jax.training.mesh import (
    EVERYWHERE,
    ROWS,
    from_own_rows,
    in_turn,
    local_mesh,
    own_rows,
    replicate,
)


@cache  # At the first call, because it asks for the device.
def _compiled(mesh: Mesh | None) -> Any:
    return _jit(_outputs, mesh, static=(0,))


@cache
def _compiled_metrics(mesh: Mesh | None) -> Any:
    def metrics(
        graph: nnx.GraphDef, task: Task, state: nnx.State, x: Any, y: Any, n: Array
    ) -> Metrics:
        mask = (jnp.arange(len(jax.tree.leaves(x)[0])) < n).astype(jnp.float32)
        return task.metrics(_outputs(graph, state, x), y, mask)

    return _jit(metrics, mesh, static=(0, 1))


def _jit(function: Any, mesh: Mesh | None, static: tuple[int, ...]) -> Any:
    """Compiles a function, whose outputs every device of a mesh then holds."""
    options: dict[str, Any] = {"compiler_options": compiler_options()}
    if mesh is not None:
        options["out_shardings"] = NamedSharding(mesh, EVERYWHERE)
    return jax.jit(function, static_argnums=static, **options)


def _outputs(graph: nnx.GraphDef, state: nnx.State, x: Any) -> Any:
    net: Any = nnx.merge(graph, state)
    return net(floats(x))


def _evaluated(net: Chain, mesh: Mesh | None) -> tuple[nnx.GraphDef, nnx.State]:
    """The graph of a network in evaluation mode, and its state on the devices."""
    modes = {"deterministic": True, "use_running_average": True}
    graph, state = nnx.split(nnx.view(net, raise_if_not_found=False, **modes))
    return graph, replicate(mesh, state)


def predict(
    net: Chain,
    inputs: chex.ArrayTree,
    *,
    batch_size: int = 512,
    devices: int | None = None,
) -> Any:
    """The outputs of a network for every input, in evaluation mode.

    Every batch has the same shape, the last one padded, so that one compilation serves
    all.

    Args:
        net: The network.
        inputs: Any number of them: an array, or several by name.
        batch_size: The largest number of inputs in a batch; with several devices
            rounded up to a multiple of them.
        devices: The number of devices of this process that share each batch; by default
            all accelerators, or one CPU.

    Returns:
        The outputs, such as logits, one row per input.

    Raises:
        ValueError: If there are no inputs, or fewer devices.
    """
    count = len(jax.tree.leaves(inputs)[0])
    if not count:
        raise ValueError("`inputs` is empty, but a prediction needs at least one.")
    mesh = local_mesh(devices)
    size = _size(mesh, min(batch_size, count))
    graph, state = _evaluated(net, mesh)
    found = []
    for start in range(0, count, size):
        rows = slice(start, start + size)
        batch = _batch(mesh, jax.tree.map(lambda x, r=rows: x[r], inputs), size)
        outputs = in_turn(mesh, _compiled(mesh)(graph, state, batch))
        rows = slice(min(size, count - start))
        found.append(jax.tree.map(lambda x, r=rows: np.asarray(x)[r], outputs))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def evaluate(
    net: Chain,
    split: Split | Source,
    *,
    task: Task | None = None,
    batch_size: int = 512,
    devices: int | None = None,
) -> dict[str, float]:
    """The metrics of a split: the mean loss, and the error rate of classes.

    Metrics are computed batch by batch on the device, so that no more than one batch of
    outputs is held.

    Args:
        net: The network; it runs in evaluation mode.
        split: Inputs and labels, such as `data.test`; or a source, which is streamed.
        task: What outputs mean; by default read from the labels.
        batch_size: The largest number of examples in a batch; with several devices
            rounded up to a multiple of them.
        devices: The number of devices of this process that share each batch; by default
            all accelerators, or one CPU.

    Returns:
        `loss`, and for classes `error`.

    Raises:
        ValueError: If the split is empty, or there are fewer devices.
    """
    return evaluate_on(local_mesh(devices), net, split, task, batch_size)


def evaluate_on(
    mesh: Mesh | None,
    net: Chain,
    split: Split | Source,
    task: Task | None,
    batch_size: int = 512,
) -> dict[str, float]:
    """As `evaluate`, on the devices of a mesh, by all of its processes together."""
    count = length(split)
    if not count:
        raise ValueError("`split` is empty, but an evaluation needs examples.")
    size = _size(mesh, min(batch_size, count))
    graph, state = _evaluated(net, mesh)
    found = []
    for inputs, labels in _pairs(split, size):
        task = task or default_task(labels)
        number = np.int32(len(jax.tree.leaves(labels)[0]))
        x, y = _batch(mesh, (inputs, labels), size)
        number = replicate(mesh, number)
        metrics = _compiled_metrics(mesh)(graph, task, state, x, y, number)
        found.append(in_turn(mesh, metrics))
    total = Counter()
    for one in jax.device_get(found):
        total.update({name: float(x) for name, x in one.items()})
    return divide(total)


def _size(mesh: Mesh | None, size: int) -> int:
    """The size of a batch, of which every device has equally many rows."""
    return size if mesh is None else -(-size // mesh.size) * mesh.size


def _batch(mesh: Mesh | None, tree: Any, size: int) -> Any:
    """A batch on the devices, padded to `size` rows; each process sends its own."""
    own = own_rows(mesh, np.arange(size))
    first, last = own[0], own[-1] + 1
    parts = jax.tree.map(lambda x: padded(x, size)[first:last], tree)
    return from_own_rows(mesh, parts, ROWS)


def _pairs(split: Split | Source, size: int) -> Iterator[tuple[Any, Any]]:
    """Inputs and labels of a split, `size` at a time."""
    if not isinstance(split, Mapping):
        yield from batches(split, np.arange(len(split)), size)
        return
    pair = inputs_of(split), split["label"]
    for start in range(0, length(split), size):
        yield jax.tree.map(lambda array, i=start: array[i : i + size], pair)
