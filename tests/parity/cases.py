"""Values, gradients and errors compared with PyTorch, on random options.

A function draws one configuration, valid or not, and returns the arrays, our call and
PyTorch's. Either both raise an error, or both agree.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as T

from tests.helpers import assert_close

torch.set_num_threads(1)


class Case(NamedTuple):
    """Channels-last arrays, and our function and PyTorch's of them."""

    arrays: list[np.ndarray]
    ours: Callable
    theirs: Callable


class Draw:
    """Random configurations, mostly valid."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.axes = int(self.rng.integers(1, 4))

    def number(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def each(self, low, high, odd=None):
        """One number per axis; rarely the last one is `odd`, which is invalid."""
        numbers = [self.number(low, high) for _ in range(self.axes)]
        if odd is not None and self.rng.random() < 0.05:
            numbers[-1] = odd
        return tuple(numbers)

    def yes(self):
        return bool(self.rng.integers(2))

    def array(self, *shape):
        return self.rng.normal(size=shape).astype(np.float32)

    def pick(self, *choices):
        return choices[self.number(0, len(choices) - 1)]


def first(x):
    """Channels last to channels first."""
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def kernel_of(kernel):
    """Our kernel in PyTorch's layout."""
    return kernel.movedim((-1, -2), (0, 1)).contiguous()


def of_rank(name, axes):
    return getattr(T, f"{name}{axes}d")


def flat(pads):
    """PyTorch pads the last axis first."""
    return [side for pair in reversed(pads) for side in pair]


FLOAT64 = set()  # Functions that are compared in float64.
CHUNKS, CHUNK = 12, 25  # The first chunk always runs; the others are marked `full`.


def every(draws):
    """Each function with chunks of configurations; the first chunk always runs."""
    return [
        pytest.param(
            make,
            chunk,
            id=f"{make.__name__}-{chunk}",
            marks=[pytest.mark.full] if chunk else [],
        )
        for make in draws
        for chunk in range(CHUNKS)
    ]


def as_tuple(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


def theirs_of(case, seed):
    """PyTorch's outputs and gradients, or None if it raises an error."""
    inputs = [torch.tensor(array, requires_grad=True) for array in case.arrays]
    try:
        outs = as_tuple(case.theirs(*inputs))
    except (RuntimeError, ValueError, IndexError):
        return None
    if outs[0].numel() == 0:  # PyTorch sometimes returns an empty array for an error.
        return None
    smooth = [out for out in outs if out.is_floating_point()]
    rng = np.random.default_rng(seed)
    pulls = [torch.tensor(rng.normal(size=out.shape)).to(out) for out in smooth]
    gradients = torch.autograd.grad(smooth, inputs, pulls)
    return [part.detach().numpy() for part in (*outs, *gradients)]


def ours_of(case, seed):
    """Our outputs and gradients, or None if our function raises an error."""

    @jax.jit
    def both(*arrays):
        def smooth(*arrays):
            outs = as_tuple(case.ours(*arrays))
            floats = [out for out in outs if jnp.issubdtype(out.dtype, jnp.floating)]
            return floats, outs

        floats, pull, outs = jax.vjp(smooth, *arrays, has_aux=True)
        rng = np.random.default_rng(seed)
        pulls = [jnp.asarray(rng.normal(size=out.shape), out.dtype) for out in floats]
        return (*outs, *pull(pulls))

    try:
        return both(*map(jnp.asarray, case.arrays))
    except (TypeError, ValueError):
        return None


def agree(make, chunk):
    """Compares one chunk of configurations."""
    with jax.enable_x64(make in FLOAT64):
        _agree(make, chunk)


def _agree(make, chunk):
    agreed = 0
    for seed in range(CHUNK * chunk, CHUNK * (chunk + 1)):
        case = make(Draw(seed))
        if make in FLOAT64:
            case = case._replace(arrays=[np.float64(array) for array in case.arrays])
        ours, theirs = ours_of(case, seed), theirs_of(case, seed)
        assert (ours is None) == (theirs is None), (
            seed,
            "only one raises an error",
        )
        if ours is None:
            continue
        agreed += 1
        for got, want in zip(ours, theirs, strict=True):
            assert_close(got, want, tolerance=1e-4)
    assert agreed > CHUNK // 4
