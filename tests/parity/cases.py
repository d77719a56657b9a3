"""Values, gradients and refusals, against PyTorch, on options that chance draws.

A function draws one configuration, legal or not, and returns the arrays, our call and
PyTorch's. Both must refuse, or agree.
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
    """Arrays, channels last, and the two functions of them."""

    arrays: list[np.ndarray]
    ours: Callable
    theirs: Callable


class Draw:
    """Chance, with a bias to what is legal."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.axes = int(self.rng.integers(1, 4))

    def number(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def each(self, low, high, odd=None):
        """One number per axis, or rarely an odd one for the last."""
        found = [self.number(low, high) for _ in range(self.axes)]
        if odd is not None and self.rng.random() < 0.05:
            found[-1] = odd
        return tuple(found)

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


WIDE = set()  # What is compared in float64.
CHUNKS, CHUNK = 12, 25  # The first chunk runs always, all of them in a full run.


def every(draws):
    """Each function in chunks of configurations, of which the first runs always."""
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


def outputs(found):
    return found if isinstance(found, tuple) else (found,)


def theirs_of(case, seed):
    """PyTorch's outputs and gradients, or None if it refuses."""
    inputs = [torch.tensor(array, requires_grad=True) for array in case.arrays]
    try:
        outs = outputs(case.theirs(*inputs))
    except (RuntimeError, ValueError, IndexError):
        return None
    if outs[0].numel() == 0:  # Where we refuse, it sometimes leaves nothing.
        return None
    smooth = [out for out in outs if out.is_floating_point()]
    rng = np.random.default_rng(seed)
    pulls = [torch.tensor(rng.normal(size=out.shape)).to(out) for out in smooth]
    gradients = torch.autograd.grad(smooth, inputs, pulls)
    return [part.detach().numpy() for part in (*outs, *gradients)]


def ours_of(case, seed):
    """Our outputs and gradients, or None if a door is shut."""

    @jax.jit
    def both(*arrays):
        def smooth(*arrays):
            outs = outputs(case.ours(*arrays))
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
    with jax.enable_x64(make in WIDE):
        _agree(make, chunk)


def _agree(make, chunk):
    agreed = 0
    for seed in range(CHUNK * chunk, CHUNK * (chunk + 1)):
        case = make(Draw(seed))
        if make in WIDE:
            case = case._replace(arrays=[np.float64(array) for array in case.arrays])
        ours, theirs = ours_of(case, seed), theirs_of(case, seed)
        assert (ours is None) == (theirs is None), (seed, "one of the two refuses")
        if ours is None:
            continue
        agreed += 1
        for got, want in zip(ours, theirs, strict=True):
            assert_close(got, want, tolerance=1e-4)
    assert agreed > CHUNK // 4
