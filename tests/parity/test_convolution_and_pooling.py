import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as T

import cnn_jax.functional as F
from tests.parity.cases import Case, agree, every, first, flat, kernel_of, last, of_rank

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


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


DRAWS = [
    conv, conv_same, conv_transpose, separable_conv, pad, max_pool, max_pool_alone,
    avg_pool, sum_pool, lp_pool, adaptive_avg_pool, adaptive_max_pool, global_pools,
    max_unpool, unfold, fold, ]  # fmt: skip


@pytest.mark.parametrize(("make", "chunk"), every(DRAWS))
def test_agrees_with_torch(make, chunk, as_shipped):
    agree(make, chunk)
