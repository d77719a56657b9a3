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
    options = dict(stride=draw.each(1, 3, odd=0), dilation=draw.each(1, 2, odd=0))
    if draw.yes():
        options["stride"] = (1,) * draw.axes

    def theirs(x, kernel, bias=None):
        # As torch.nn.Conv2d applies `padding_mode`.
        name = {"zeros": "constant"}.get(mode, mode)
        x = T.pad(first(x), flat(pads), mode=name)
        kernel = kernel_of(kernel)
        return last(
            of_rank("conv", draw.axes)(x, kernel, bias, groups=groups, **options)
        )

    def ours(*arrays):
        our_options = options | dict(padding=pads, padding_mode=mode, groups=groups)
        return F.conv(*arrays, **our_options)

    return Case(arrays, ours, theirs)


def conv_same(draw):
    arrays = [draw.array(2, *draw.each(3, 8), 3), draw.array(*draw.each(1, 4), 3, 2)]
    options = dict(padding="same", dilation=draw.each(1, 3))

    def theirs(x, kernel):
        return last(of_rank("conv", draw.axes)(first(x), kernel_of(kernel), **options))

    return Case(arrays, lambda x, kernel: F.conv(x, kernel, **options), theirs)


def conv_transpose(draw):
    groups = draw.pick(1, 1, 2, 3)
    channels = groups * draw.number(1, 2) + (draw.number(1, 20) == 1)
    arrays = [
        draw.array(2, *draw.each(1, 5), channels),
        draw.array(*draw.each(1, 3), draw.number(1, 2), channels),
    ]
    if draw.yes():
        arrays.append(draw.array(groups * arrays[1].shape[-2]))
    options = dict(stride=draw.each(1, 3, odd=0), dilation=draw.each(1, 3))
    options |= dict(padding=draw.each(0, 1, odd=3), groups=groups)
    maximum = (
        min(map(max, zip(options["stride"], options["dilation"], strict=True))) - 1
    )
    options["output_padding"] = draw.each(0, maximum, odd=3)

    def theirs(x, kernel, *bias):
        call = of_rank("conv_transpose", draw.axes)
        return last(call(first(x), kernel_of(kernel), *bias, **options))

    return Case(arrays, lambda *arrays: F.conv_transpose(*arrays, **options), theirs)


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
    options = dict(stride=draw.each(1, 2), padding=draw.each(0, 2))

    def theirs(x, deep, point, bias):
        call = of_rank("conv", draw.axes)
        maps = call(first(x), kernel_of(deep), groups=channels, **options)
        return last(call(maps, kernel_of(point), bias))

    return Case(arrays, lambda *arrays: F.separable_conv(*arrays, **options), theirs)


def pad(draw):
    mode = draw.pick("zeros", "reflect", "replicate", "circular")
    pads = tuple(zip(draw.each(0, 3), draw.each(0, 3), strict=True))
    value = 1.5 if mode == "zeros" and draw.yes() else 0.0
    options = dict(mode={"zeros": "constant"}.get(mode, mode), value=value or None)

    return Case(
        [draw.array(2, *draw.each(2, 6), 3)],
        lambda x: F.pad(x, pads, mode=mode, value=value),
        lambda x: last(T.pad(first(x), flat(pads), **options)),
    )


def pool_options(draw, minimum=3):
    options = dict(padding=draw.each(0, 1, odd=2), ceil_mode=draw.yes())
    if draw.yes():
        options["stride"] = draw.each(1, 4, odd=0)
    return draw.array(2, *draw.each(minimum, 9), 3), draw.each(1, 4), options


def max_pool(draw):
    x, window, options = pool_options(draw)
    options["dilation"] = draw.each(1, 2)
    if draw.axes == 3:  # See its docstring.
        half = zip(options["padding"], window, strict=True)
        options["padding"] = tuple(min(p, k // 2) for p, k in half)

    def theirs(x):
        call = of_rank("max_pool", draw.axes)
        pair = call(first(x), window, return_indices=True, **options)
        return tuple(map(last, pair))

    return Case(
        [x], lambda x: F.max_pool(x, window, return_indices=True, **options), theirs
    )


def max_pool_alone(draw):
    x, window, options = pool_options(draw)
    call = of_rank("max_pool", draw.axes)
    return Case(
        [x],
        lambda x: F.max_pool(x, window, **options),
        lambda x: last(call(first(x), window, **options)),
    )


def avg_pool(draw):
    x, window, options = pool_options(draw, minimum=4)  # See its docstring.
    options["count_include_pad"] = draw.yes()
    call = of_rank("avg_pool", draw.axes)
    return Case(
        [x],
        lambda x: F.avg_pool(x, window, **options),
        lambda x: last(call(first(x), window, **options)),
    )


def sum_pool(draw):
    draw.axes = draw.pick(2, 3)  # In one dimension PyTorch has no divisor.
    x, window, options = pool_options(draw, minimum=4)
    call = of_rank("avg_pool", draw.axes)
    return Case(
        [x],
        lambda x: F.sum_pool(x, window, **options),
        lambda x: last(call(first(x), window, divisor_override=1, **options)),
    )


def lp_pool(draw):
    x, window, options = pool_options(draw)
    options = {name: value for name, value in options.items() if name == "stride"}
    p, call = draw.pick(1, 2, 3, 2.5, float("inf")), of_rank("lp_pool", draw.axes)
    x = x if p in (2, float("inf")) else abs(x) + np.float32(0.1)

    def theirs(x):
        if draw.axes > 1:
            return last(call(first(x), p, window, **options))
        # In one dimension PyTorch accepts numbers only.
        return last(call(first(x), p, window[0], *options.get("stride", ())))

    return Case([x], lambda x: F.lp_pool(x, p, window, **options), theirs)


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
        options = dict(spatial=draw.axes)
        return F.global_avg_pool(x, **options), F.global_max_pool(x, **options)

    return Case([draw.array(2, *draw.each(1, 6), 3)], ours, theirs)


def max_unpool(draw):
    # No overlapping windows, which give several values one index: see the docstring.
    window = draw.each(1, 3)
    stride = tuple(k + draw.number(0, 1) for k in window)
    padding = tuple(
        min(p, k // 2) for p, k in zip(draw.each(0, 1), window, strict=True)
    )
    options = dict(stride=stride, padding=padding)
    size = tuple(k + n for k, n in zip(window, draw.each(0, 6), strict=True))
    x = draw.array(2, *size, 3)
    call = of_rank("max_pool", draw.axes)
    pair = call(first(torch.tensor(x)), window, return_indices=True, **options)
    values, indices = (last(part).numpy() for part in pair)
    if draw.number(1, 10) == 1:
        size = (size[0] + 4, *size[1:])

    def theirs(values):
        at = first(torch.tensor(indices))
        unpool = of_rank("max_unpool", draw.axes)
        return last(unpool(first(values), at, window, output_size=size, **options))

    at = jnp.asarray(indices, jnp.int32)
    return Case(
        [values],
        lambda values: F.max_unpool(values, at, window, output_size=size, **options),
        theirs,
    )


def patch_options(draw):
    draw.axes = 2  # PyTorch supports no other number.
    options = dict(stride=draw.each(1, 3, odd=0), padding=draw.each(0, 2))
    return draw.each(3, 8), draw.each(1, 4), options | dict(dilation=draw.each(1, 2))


def as_torch(patches):
    """(batch, *out_size, *window, channels) to (batch, channels · taps, positions)."""
    return patches.permute(0, 5, 3, 4, 1, 2).flatten(4, 5).flatten(1, 3)


def unfold(draw):
    size, window, options = patch_options(draw)

    def ours(x):
        out = jnp.transpose(F.unfold(x, window, **options), (0, 5, 3, 4, 1, 2))
        return out.reshape(len(out), np.prod(out.shape[1:4]), -1)

    return Case(
        [draw.array(2, *size, 3)], ours, lambda x: T.unfold(first(x), window, **options)
    )


def fold(draw):
    size, window, options = patch_options(draw)
    each = zip(size, window, *options.values(), strict=True)
    out_size = [
        max((n + 2 * p - d * (k - 1) - 1) // max(s, 1) + 1, 1) for n, k, s, p, d in each
    ]
    if draw.number(1, 10) == 1:
        out_size[0] += 1
    return Case(
        [draw.array(2, *out_size, *window, 3)],
        lambda patches: F.fold(patches, size, **options),
        lambda patches: last(T.fold(as_torch(patches), size, window, **options)),
    )


DRAWS = [
    conv, conv_same, conv_transpose, separable_conv, pad, max_pool, max_pool_alone,
    avg_pool, sum_pool, lp_pool, adaptive_avg_pool, adaptive_max_pool, global_pools,
    max_unpool, unfold, fold, ]  # fmt: skip


@pytest.mark.parametrize(("make", "chunk"), every(DRAWS))
def test_agrees_with_torch(make, chunk, as_shipped):
    agree(make, chunk)
