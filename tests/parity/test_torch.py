"""Values, gradients and refusals, against PyTorch, on options that chance draws.

Each function below draws one configuration, legal or not, and returns the arrays, our
call and PyTorch's. Both must refuse, or agree.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as T

import cnn_jax.functional as F
from tests.helpers import assert_close

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


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


def conv(draw):
    groups, mode = draw.pick(1, 1, 2, 3), draw.pick("zeros", "zeros", "reflect")
    mode = draw.pick(mode, "replicate", "circular")
    pads = tuple(zip(draw.each(0, 2), draw.each(0, 3), strict=True))
    window = draw.each(1, 3)
    channels = groups * draw.number(1, 2) + (draw.number(1, 20) == 1)
    arrays = [
        draw.array(2, *draw.each(3, 8), channels),
        draw.array(*window, max(channels // groups, 1), groups * draw.number(1, 2)),
    ]
    if draw.yes():
        arrays.append(draw.array(arrays[1].shape[-1]))
    how = dict(stride=draw.each(1, 3, odd=0), dilation=draw.each(1, 2, odd=0))
    if draw.yes():
        how["stride"] = (1,) * draw.axes

    def theirs(x, kernel, bias=None):
        # F.pad writes what `padding_mode` says, as torch.nn.Conv2d has it do.
        name = {"zeros": "constant"}.get(mode, mode)
        x = T.pad(first(x), flat(pads), mode=name)
        kernel = kernel_of(kernel)
        return last(of_rank("conv", draw.axes)(x, kernel, bias, groups=groups, **how))

    def ours(*arrays):
        how_ours = how | dict(padding=pads, padding_mode=mode, groups=groups)
        return F.conv(*arrays, **how_ours)

    return Case(arrays, ours, theirs)


def conv_same(draw):
    arrays = [draw.array(2, *draw.each(3, 8), 3), draw.array(*draw.each(1, 4), 3, 2)]
    how = dict(padding="same", dilation=draw.each(1, 3))

    def theirs(x, kernel):
        return last(of_rank("conv", draw.axes)(first(x), kernel_of(kernel), **how))

    return Case(arrays, lambda x, kernel: F.conv(x, kernel, **how), theirs)


def conv_transpose(draw):
    groups = draw.pick(1, 1, 2, 3)
    channels = groups * draw.number(1, 2) + (draw.number(1, 20) == 1)
    arrays = [
        draw.array(2, *draw.each(1, 5), channels),
        draw.array(*draw.each(1, 3), draw.number(1, 2), channels),
    ]
    if draw.yes():
        arrays.append(draw.array(groups * arrays[1].shape[-2]))
    how = dict(stride=draw.each(1, 3, odd=0), dilation=draw.each(1, 3))
    how |= dict(padding=draw.each(0, 1, odd=3), groups=groups)
    most = min(map(max, zip(how["stride"], how["dilation"], strict=True))) - 1
    how["output_padding"] = draw.each(0, most, odd=3)

    def theirs(x, kernel, *bias):
        call = of_rank("conv_transpose", draw.axes)
        return last(call(first(x), kernel_of(kernel), *bias, **how))

    return Case(arrays, lambda *arrays: F.conv_transpose(*arrays, **how), theirs)


def separable_conv(draw):
    channels = draw.number(1, 3)
    middle = channels * draw.number(1, 2)
    ones = (1,) * draw.axes
    arrays = [
        draw.array(2, *draw.each(4, 8), channels),
        draw.array(*draw.each(1, 4), 1, middle),
        draw.array(*ones, middle, 4),
        draw.array(4),
    ]
    how = dict(stride=draw.each(1, 2), padding=draw.each(0, 2))

    def theirs(x, deep, point, bias):
        call = of_rank("conv", draw.axes)
        maps = call(first(x), kernel_of(deep), groups=channels, **how)
        return last(call(maps, kernel_of(point), bias))

    return Case(arrays, lambda *arrays: F.separable_conv(*arrays, **how), theirs)


def pad(draw):
    mode = draw.pick("zeros", "reflect", "replicate", "circular")
    pads = tuple(zip(draw.each(0, 3), draw.each(0, 3), strict=True))
    value = 1.5 if mode == "zeros" and draw.yes() else 0.0
    how = dict(mode={"zeros": "constant"}.get(mode, mode), value=value or None)

    return Case(
        [draw.array(2, *draw.each(2, 6), 3)],
        lambda x: F.pad(x, pads, mode=mode, value=value),
        lambda x: last(T.pad(first(x), flat(pads), **how)),
    )


def pool_options(draw, least=3):
    how = dict(padding=draw.each(0, 1, odd=2), ceil_mode=draw.yes())
    if draw.yes():
        how["stride"] = draw.each(1, 4, odd=0)
    return draw.array(2, *draw.each(least, 9), 3), draw.each(1, 4), how


def max_pool(draw):
    x, window, how = pool_options(draw)
    how["dilation"] = draw.each(1, 2)
    if draw.axes == 3:  # See its docstring.
        half = zip(how["padding"], window, strict=True)
        how["padding"] = tuple(min(p, k // 2) for p, k in half)

    def theirs(x):
        call = of_rank("max_pool", draw.axes)
        found = call(first(x), window, return_indices=True, **how)
        return tuple(map(last, found))

    return Case(
        [x], lambda x: F.max_pool(x, window, return_indices=True, **how), theirs
    )


def max_pool_alone(draw):
    x, window, how = pool_options(draw)
    call = of_rank("max_pool", draw.axes)
    return Case(
        [x],
        lambda x: F.max_pool(x, window, **how),
        lambda x: last(call(first(x), window, **how)),
    )


def avg_pool(draw):
    x, window, how = pool_options(draw, least=4)  # See its docstring.
    how["count_include_pad"] = draw.yes()
    call = of_rank("avg_pool", draw.axes)
    return Case(
        [x],
        lambda x: F.avg_pool(x, window, **how),
        lambda x: last(call(first(x), window, **how)),
    )


def sum_pool(draw):
    draw.axes = draw.pick(2, 3)  # In one dimension PyTorch has no divisor.
    x, window, how = pool_options(draw, least=4)
    call = of_rank("avg_pool", draw.axes)
    return Case(
        [x],
        lambda x: F.sum_pool(x, window, **how),
        lambda x: last(call(first(x), window, divisor_override=1, **how)),
    )


def lp_pool(draw):
    x, window, how = pool_options(draw)
    how = {name: value for name, value in how.items() if name == "stride"}
    p, call = draw.pick(1, 2, 3, 2.5, float("inf")), of_rank("lp_pool", draw.axes)
    x = x if p in (2, float("inf")) else abs(x) + np.float32(0.1)

    def theirs(x):
        if draw.axes > 1:
            return last(call(first(x), p, window, **how))
        # In one dimension it takes bare numbers alone.
        return last(call(first(x), p, window[0], *how.get("stride", ())))

    return Case([x], lambda x: F.lp_pool(x, p, window, **how), theirs)


def adaptive_avg_pool(draw):
    x, size = draw.array(2, *draw.each(1, 9), 3), draw.each(1, 9)
    if draw.yes() and draw.axes > 1:
        size = (None, *size[1:])
    call = of_rank("adaptive_avg_pool", draw.axes)
    return Case(
        [x],
        lambda x: F.adaptive_avg_pool(x, size),
        lambda x: last(call(first(x), size)),
    )


def adaptive_max_pool(draw):
    x, size = draw.array(2, *draw.each(1, 9), 3), draw.each(1, 9)

    def theirs(x):
        call = of_rank("adaptive_max_pool", draw.axes)
        return tuple(map(last, call(first(x), size, return_indices=True)))

    ours = lambda x: F.adaptive_max_pool(x, size, return_indices=True)  # noqa: E731
    return Case([x], ours, theirs)


def global_pools(draw):
    axes = tuple(range(2, 2 + draw.axes))

    def theirs(x):
        return first(x).mean(axes), first(x).amax(axes)

    def ours(x):
        how = dict(spatial=draw.axes)
        return F.global_avg_pool(x, **how), F.global_max_pool(x, **how)

    return Case([draw.array(2, *draw.each(1, 6), 3)], ours, theirs)


def max_unpool(draw):
    # Windows that overlap give one place to several values: see the docstring.
    window = draw.each(1, 3)
    stride = tuple(k + draw.number(0, 1) for k in window)
    padding = tuple(
        min(p, k // 2) for p, k in zip(draw.each(0, 1), window, strict=True)
    )
    how = dict(stride=stride, padding=padding)
    size = tuple(k + n for k, n in zip(window, draw.each(0, 6), strict=True))
    x = draw.array(2, *size, 3)
    call = of_rank("max_pool", draw.axes)
    found = call(first(torch.tensor(x)), window, return_indices=True, **how)
    values, indices = (last(part).numpy() for part in found)
    if draw.number(1, 10) == 1:
        size = (size[0] + 4, *size[1:])

    def theirs(values):
        at = first(torch.tensor(indices))
        unpool = of_rank("max_unpool", draw.axes)
        return last(unpool(first(values), at, window, output_size=size, **how))

    at = jnp.asarray(indices, jnp.int32)
    return Case(
        [values],
        lambda values: F.max_unpool(values, at, window, output_size=size, **how),
        theirs,
    )


def patch_options(draw):
    draw.axes = 2  # PyTorch's have no other.
    how = dict(stride=draw.each(1, 3, odd=0), padding=draw.each(0, 2))
    return draw.each(3, 8), draw.each(1, 4), how | dict(dilation=draw.each(1, 2))


def as_torch(patches):
    """(batch, *places, *window, channels) to (batch, channels · taps, places)."""
    return patches.permute(0, 5, 3, 4, 1, 2).flatten(4, 5).flatten(1, 3)


def unfold(draw):
    size, window, how = patch_options(draw)

    def ours(x):
        out = jnp.transpose(F.unfold(x, window, **how), (0, 5, 3, 4, 1, 2))
        return out.reshape(len(out), np.prod(out.shape[1:4]), -1)

    return Case(
        [draw.array(2, *size, 3)], ours, lambda x: T.unfold(first(x), window, **how)
    )


def fold(draw):
    size, window, how = patch_options(draw)
    each = zip(size, window, *how.values(), strict=True)
    places = [
        max((n + 2 * p - d * (k - 1) - 1) // max(s, 1) + 1, 1) for n, k, s, p, d in each
    ]
    if draw.number(1, 10) == 1:
        places[0] += 1
    return Case(
        [draw.array(2, *places, *window, 3)],
        lambda patches: F.fold(patches, size, **how),
        lambda patches: last(T.fold(as_torch(patches), size, window, **how)),
    )


def activation(draw):
    name = draw.pick("relu", "tanh", "softmax")
    how = dict(axis=draw.number(-3, 2)) if name == "softmax" else {}
    theirs = {"relu": T.relu, "tanh": torch.tanh, "softmax": T.softmax}[name]
    dim = tuple(how.values())
    return Case(
        [3 * draw.array(2, 5, 3)],
        lambda x: getattr(F, name)(x, **how),
        lambda x: theirs(x, *dim),
    )


DRAWS = [
    conv, conv_same, conv_transpose, separable_conv, pad, max_pool, max_pool_alone,
    avg_pool, sum_pool, lp_pool, adaptive_avg_pool, adaptive_max_pool, global_pools,
    max_unpool, unfold, fold, activation,
]  # fmt: skip
CHUNKS, CHUNK = 12, 25  # The first chunk runs always, all of them in a full run.


def outputs(found):
    return found if isinstance(found, tuple) else (found,)


def theirs_of(case, seed):
    """PyTorch's outputs and gradients, or None if it refuses."""
    inputs = [torch.tensor(array, requires_grad=True) for array in case.arrays]
    try:
        outs = outputs(case.theirs(*inputs))
    except (RuntimeError, ValueError):
        return None
    if outs[0].numel() == 0:  # Where we refuse, it sometimes leaves nothing.
        return None
    smooth = [out for out in outs if out.is_floating_point()]
    rng = np.random.default_rng(seed)
    pulls = [torch.tensor(rng.normal(size=out.shape)).float() for out in smooth]
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


@pytest.mark.parametrize("name", [draw.__name__ for draw in DRAWS])
@pytest.mark.parametrize(
    "chunk",
    [pytest.param(i, marks=[pytest.mark.full] if i else []) for i in range(CHUNKS)],
)
def test_agrees_with_torch(name, chunk, as_shipped):
    (make,) = (draw for draw in DRAWS if draw.__name__ == name)
    agreed = 0
    for seed in range(CHUNK * chunk, CHUNK * (chunk + 1)):
        case = make(Draw(seed))
        ours, theirs = ours_of(case, seed), theirs_of(case, seed)
        assert (ours is None) == (theirs is None), (seed, "one of the two refuses")
        if ours is None:
            continue
        agreed += 1
        for got, want in zip(ours, theirs, strict=True):
            assert_close(got, want, most=1e-4)
    assert agreed > CHUNK // 4
