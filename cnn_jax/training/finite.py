"""The first value in a step that is NaN or infinite."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from cnn_jax.lowering import compiler_options
from cnn_jax.training.arrays import path_name
from cnn_jax.training.step import (
    Batch,
    State,
    StepSpec,
    augmented,
    finite,
    gradients,
    in_parts,
    merged,
)


class NotFiniteError(FloatingPointError):
    """A loss, weights or a prediction would be NaN or infinite."""


def first_nonfinite(spec: StepSpec, state: State, batch: Batch) -> str:
    """Names what is first not finite in a step: data, weight, stage or gradient.

    Args:
        spec: The static part of the step.
        state: The state before it.
        batch: Its inputs, labels and mask.

    Returns:
        The end of a sentence.
    """
    names: list[str] = []

    def flags_of(state: State, batch: Batch) -> list[Array]:
        found = _outputs(spec, state, batch)
        names[:] = found
        return list(found.values())

    flags = jax.jit(flags_of, compiler_options=compiler_options())(state, batch)
    wrong = [name for name, fine in zip(names, flags, strict=True) if not fine]
    return wrong[0] if wrong else "everything is finite but the step of the optimizer"


def _outputs(spec: StepSpec, state: State, batch: Batch) -> dict[str, Array]:
    """Whether each value is finite, in the order of computation."""
    found = {"the inputs of the batch are not": finite(batch[0])}
    weights, _ = jax.tree.flatten_with_path((state.params, state.frozen))
    for path, leaf in weights:
        name = path_name(path[1:])
        found[f"the weights {name} are not, from the start"] = finite(leaf)
    for part in range(spec.accumulate):
        own, key = jax.tree.map(lambda x, i=part: x[i], in_parts(spec, state, batch))
        x, _ = augmented(spec, own, key)
        net, x = merged(spec, state.params, state.frozen, state.rest, x)
        for path, stage in net.steps():
            x = stage(x)
            name = f"the first output that is not is that of stage {path!r}"
            found[name] = found.get(name, jnp.array(True)) & finite(x)
    gradient, _, metrics = gradients(spec, state, batch)
    found["every stage's output is, but the loss is not"] = finite(metrics["loss"])
    leaves, _ = jax.tree.flatten_with_path(gradient)
    for path, leaf in leaves:
        name = f"the loss is, but the gradient of {path_name(path)} is not"
        found[name] = finite(leaf)
    return found
