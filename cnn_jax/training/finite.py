"""Where a network went wrong, when its loss or its weights are no longer numbers."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from cnn_jax.lowering import compiler_options
from cnn_jax.training.checkpoint import path_name
from cnn_jax.training.step import (
    Batch,
    State,
    StepSpec,
    finite,
    gradients,
    in_parts,
    merged,
    seen,
)


class NotFiniteError(FloatingPointError):
    """A step would have given a loss or weights that are NaN or infinite."""


def first_nonfinite(spec: StepSpec, state: State, batch: Batch) -> str:
    """What was first not finite in a step: the data, a weight, a stage, or a gradient.

    Args:
        spec: Of the step.
        state: From before it.
        batch: What it was to learn from.

    Returns:
        The end of a sentence.
    """
    names: list[str] = []

    def look(state: State, batch: Batch) -> list[Array]:
        found = _outputs(spec, state, batch)
        names[:] = found
        return list(found.values())

    flags = jax.jit(look, compiler_options=compiler_options())(state, batch)
    wrong = [name for name, fine in zip(names, flags, strict=True) if not fine]
    return wrong[0] if wrong else "everything is finite but the step of the optimizer"


def _outputs(spec: StepSpec, state: State, batch: Batch) -> dict[str, Array]:
    """Whether each is finite, in the order in which a step comes to it."""
    found = {"the inputs of the batch are not": finite(batch[0])}
    weights, _ = jax.tree.flatten_with_path((state.params, state.frozen))
    for path, leaf in weights:
        name = path_name(path[1:])
        found[f"the weights {name} are not, from the start"] = finite(leaf)
    for part in range(spec.accumulate):
        some, key = jax.tree.map(lambda x, i=part: x[i], in_parts(spec, state, batch))
        x, _ = seen(spec, some, key)
        net, x = merged(spec, state.params, state.frozen, state.rest, x)
        for path, stage in net.steps():
            x = stage(x)
            name = f"the first output that is not is that of stage {path!r}"
            found[name] = found.get(name, jnp.array(True)) & finite(x)
    gradient, _, sums = gradients(spec, state, batch)
    found["every stage's output is, but the loss is not"] = finite(sums["loss"])
    slopes, _ = jax.tree.flatten_with_path(gradient)
    for path, leaf in slopes:
        name = f"the loss is, but the gradient of {path_name(path)} is not"
        found[name] = finite(leaf)
    return found
