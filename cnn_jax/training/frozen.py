"""A frozen prefix of a network, whose outputs are computed once and cached."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cnn_jax.data import Dataset, inputs_of
from cnn_jax.data.augment import Augment
from cnn_jax.data.dataset import floats, length
from cnn_jax.lowering import compiler_options
from cnn_jax.nn import Chain
from cnn_jax.training import feed
from cnn_jax.training.config import Config
from cnn_jax.training.step import in_half

log = logging.getLogger(__name__)


def with_frozen(config: Config, frozen: str | None) -> Config:
    """The options with a frozen prefix that is given apart.

    Raises:
        ValueError: If they name another one.
    """
    if frozen is None or frozen == config.frozen:
        return config
    if config.frozen is not None:
        raise ValueError(
            f"`frozen` is {frozen!r}, but that of `config` is {config.frozen!r}: give "
            "one of the two."
        )
    return dataclasses.replace(config, frozen=frozen)


def cached_cut(
    net: Chain,
    datasets: Sequence[Dataset],
    config: Config,
    augment: Augment | None,
) -> str | None:
    """The stage whose outputs are cached; None if they are computed in every step.

    They are cached where they are the same in every epoch, and fit onto the device.

    Args:
        net: One of the networks.
        datasets: Their data.
        config: Names the last stage of the frozen prefix.
        augment: Random changes of the inputs.
    """
    changed = augment is not None or config.mixup or config.cutmix
    stored = all(isinstance(one.train, Mapping) for one in datasets)
    cut = config.frozen
    if cut is None or changed or config.head_weights or not stored:
        return None
    (shape,) = {one.shape for one in datasets} if config.feed != "stream" else (None,)
    if not isinstance(shape, tuple):
        return None
    output = feature_shape(net, datasets[0], cut)
    if not isinstance(output, jax.ShapeDtypeStruct):
        return None
    count = sum(length(split) for one in datasets for split in one.splits().values())
    size = count * output.size * output.dtype.itemsize
    fits = size <= feed.device_share()
    log.info(
        "the outputs of the frozen prefix up to %r (%.1f MB) are %s",
        cut,
        size / 1e6,
        "computed once and cached" if fits else "computed in every step",
    )
    return cut if fits else None


def feature_shape(net: Chain, data: Dataset, cut: str) -> Any:
    """The shape and dtype of the output of a stage for one example."""
    graph, state = _evaluated(net)
    inputs = jnp.asarray(np.zeros_like(inputs_of(data.train)[:1]))
    output = jax.eval_shape(partial(_run, graph, cut), state, inputs)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), output)


def features(
    net: Chain, split: Any, *, cut: str, batch_size: int, half: bool = False
) -> dict[str, np.ndarray]:
    """The outputs of a stage for every example of a split, and the labels.

    Args:
        net: The network; it runs in evaluation mode.
        split: Arrays by name.
        cut: The stage.
        batch_size: Examples at a time.
        half: Whether to compute in bfloat16.

    Returns:
        A split with `features` as its only input.
    """
    graph, state = _evaluated(net)
    run = jax.jit(partial(_run, graph, cut), compiler_options=compiler_options())
    if half:  # Batch statistics stay in float32, as in a step.
        weights, rest = nnx.split_state(state, nnx.Param, ...)
        state = nnx.merge_state(in_half(weights), rest)
    inputs, count = inputs_of(split), length(split)
    found = []
    for start in range(0, count, batch_size):
        x = floats(
            jnp.asarray(feed.padded(inputs[start : start + batch_size], batch_size))
        )
        found.append(np.asarray(run(state, in_half(x) if half else x)))
    return {"features": np.concatenate(found)[:count], "label": split["label"]}


def stages_after(net: Chain, cut: str) -> Chain:
    """The stages after a cut as a network of its own, which shares their weights."""
    after = net.steps()[net.index_after(cut) :]
    return Chain({f"stage{i}": stage for i, (_, stage) in enumerate(after)})


def _evaluated(net: Chain) -> tuple[nnx.GraphDef, nnx.State]:
    modes = {"deterministic": True, "use_running_average": True}
    return nnx.split(nnx.view(net, raise_if_not_found=False, **modes))


def _run(graph: nnx.GraphDef, cut: str, state: nnx.State, x: Any) -> Any:
    net: Any = nnx.merge(graph, state)
    return net.run(floats(x), upto=cut)
