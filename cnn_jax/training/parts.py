"""The variables of networks: trained, frozen, and the rest."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import chex
import jax
from flax import nnx

from cnn_jax.nn import Chain
from cnn_jax.training.step import Parts


@dataclasses.dataclass(frozen=True)
class Below:
    """A filter of everything below some paths."""

    paths: tuple[tuple[str, ...], ...]

    def __call__(self, path: Sequence[Any], value: Any) -> bool:
        """Whether `path` is below one of the paths."""
        return any(tuple(path[: len(below)]) == below for below in self.paths)


def below(net: Chain, cut: str | None) -> Below:
    """A filter of the stages up to and including `cut`; of none where it is None."""
    if cut is None:
        return Below(())
    paths = [path for path, _ in net.steps()[: net.index_after(cut)]]
    return Below(
        tuple(
            tuple(part for name in path.split("/") for part in ("stages", name))
            for path in paths
        )
    )


def split(nets: Sequence[Chain], frozen: Below) -> tuple[Any, Any, list[Parts]]:
    """The filter of trained variables, the shared graph, and the parts of each network.

    Args:
        nets: Networks of one architecture.
        frozen: The stages that are not trained; they run in evaluation mode.

    Returns:
        The filter, the graph definition, and (trained, frozen, rest) of each network.

    Raises:
        ValueError: If the networks differ in architecture, or nothing is trained.
    """
    trained = nnx.All(nnx.Param, nnx.Not(frozen)) if frozen.paths else nnx.Param
    if frozen.paths:
        modes = {"deterministic": True, "use_running_average": True}
        nets = [
            nnx.view(net, only=frozen, raise_if_not_found=False, **modes)
            for net in nets
        ]
    every = [nnx.split(net, trained, nnx.Param, ...) for net in nets]
    for i, (graph, *_) in enumerate(every):
        if graph != every[0][0]:
            raise ValueError(
                f"network {i} is of another architecture than network 0: networks that "
                "train together may differ in their weights only."
            )
    if not jax.tree.leaves(every[0][1]):
        raise ValueError("no weight is trained: all stages are frozen or have none.")
    parts = [(params, fixed, rest) for _, params, fixed, rest in every]
    if len(parts) > 1:  # As equal graphs promise.
        chex.assert_trees_all_equal_shapes_and_dtypes(*parts)
    return trained, every[0][0], parts
