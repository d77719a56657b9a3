import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as T
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from tests.helpers import assert_close, draw
from tests.parity.cases import FLOAT64, Case, agree, every, first, last

pytestmark = pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid")

SAME = (
    "relu", "leaky_relu", "relu6", "elu", "celu", "selu", "silu", "softplus", "mish",
)  # fmt: skip
OTHER_NAMES = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard_tanh": T.hardtanh,
    "hard_sigmoid": T.hardsigmoid,
    "hard_silu": T.hardswish,
    "gelu": lambda x: T.gelu(x, approximate="tanh"),
}


def activation(draw):
    theirs = {name: getattr(T, name) for name in SAME} | OTHER_NAMES
    name = draw.pick(*theirs)
    x = 3 * draw.array(2, 5, 3)
    return Case([x], lambda x: getattr(F, name)(x), theirs[name])


def softmax(draw):
    axis, log = draw.number(-4, 3), draw.yes()
    ours, theirs = (F.log_softmax, T.log_softmax) if log else (F.softmax, T.softmax)
    return Case(
        [3 * draw.array(2, 5, 3)],
        lambda x: ours(x, axis=axis),
        lambda x: theirs(x, axis),
    )


def affine(draw, channels):
    return [draw.array(channels), draw.array(channels)] if draw.yes() else []


def batch_norm(draw):
    shape = draw.number(1, 3), *draw.each(1, 4), 5
    mean, variance = draw.array(5), abs(draw.array(5)) + 0.1
    train, epsilon = draw.yes(), draw.pick(1e-5, 0.1)
    given = (
        {} if train else dict(mean=jnp.asarray(mean), variance=jnp.asarray(variance))
    )

    def theirs(x, *affine):
        running = torch.tensor(mean).to(x), torch.tensor(variance).to(x)
        options = dict(training=train, eps=epsilon)
        return last(T.batch_norm(first(x), *running, *affine, **options))

    return Case(
        [draw.array(*shape), *affine(draw, 5)],
        lambda x, *affine: F.batch_norm(x, *affine, **given, epsilon=epsilon),
        theirs,
    )


def layer_norm(draw):
    shape, axes = (2, *draw.each(2, 4), 5), draw.number(1, 2)
    arrays = [draw.array(*shape)]
    if draw.yes():
        arrays += [draw.array(*shape[-axes:]), draw.array(*shape[-axes:])]
    return Case(
        arrays,
        lambda *arrays: F.layer_norm(*arrays, axes=axes),
        lambda x, *affine: T.layer_norm(x, shape[-axes:], *affine),
    )


def group_norm(draw):
    groups, channels = draw.pick(1, 2, 3, 6), draw.pick(6, 6, 12, 8)
    x = draw.array(2, *draw.each(2, 4), channels)

    def theirs(x, *affine):
        return last(T.group_norm(first(x), groups, *affine))

    return Case(
        [x, *affine(draw, channels)],
        lambda *arrays: F.group_norm(*arrays, groups=groups, spatial=draw.axes),
        theirs,
    )


def instance_norm(draw):
    x = draw.array(2, *draw.each(3, 5, odd=1), 5)

    def theirs(x, *affine):
        weight, bias = affine or (None, None)
        return last(T.instance_norm(first(x), weight=weight, bias=bias))

    ours = lambda *arrays: F.instance_norm(*arrays, spatial=draw.axes)  # noqa: E731
    return Case([x, *affine(draw, 5)], ours, theirs)


def local_response_norm(draw):
    size, options = draw.number(1, 6), dict(alpha=0.3, beta=draw.pick(0.5, 0.75), k=2.0)
    return Case(
        [draw.array(2, *draw.each(1, 4), 5)],
        lambda x: F.local_response_norm(x, size=size, **options),
        lambda x: last(T.local_response_norm(first(x), size, **options)),
    )


def resize(draw):
    names = {1: "linear", 2: "bilinear", 3: "trilinear"}
    method = draw.pick("nearest", "nearest-exact", "area", "linear", "linear", "cubic")
    if method == "cubic":
        draw.axes = 2  # PyTorch supports no other.
    options = dict(align_corners=method in ("linear", "cubic") and draw.yes())
    if draw.axes == 2 and method in ("linear", "cubic") and draw.yes():
        options = dict(align_corners=False, antialias=True)
    name = {"linear": names[draw.axes], "cubic": "bicubic"}.get(method, method)
    size, new = draw.each(1, 9), draw.each(1, 9)
    torch_options = options if method in ("linear", "cubic") else {}
    return Case(
        [draw.array(2, *size, 3)],
        lambda x: F.resize(x, new, method=method, **options),
        lambda x: last(T.interpolate(first(x), new, mode=name, **torch_options)),
    )


def grid_sample(draw):
    draw.axes = draw.pick(2, 3)  # PyTorch supports no other.
    method = draw.pick("nearest", "linear", *["cubic"] * (draw.axes == 2))
    padding_mode = draw.pick("zeros", "border", "reflection")
    aligned = draw.yes()
    name = {"linear": "bilinear", "cubic": "bicubic"}.get(method, method)
    options = dict(padding_mode=padding_mode, align_corners=aligned)
    x = draw.array(2, *draw.each(2, 6), 3)
    grid = 1.2 * draw.array(draw.pick(2, 2, 2, 1), *draw.each(1, 4), draw.axes)
    return Case(
        [x, grid],
        lambda x, grid: F.grid_sample(
            x, grid, method=method, padding_mode=padding_mode, align_corners=aligned
        ),
        lambda x, grid: last(T.grid_sample(first(x), grid, mode=name, **options)),
    )


def affine_grid(draw):
    draw.axes = draw.pick(2, 3)
    size, aligned = draw.each(1, 5), draw.yes()
    rows = draw.axes + (draw.number(1, 10) == 1)
    return Case(
        [draw.array(2, rows, draw.axes + 1)],
        lambda matrix: F.affine_grid(matrix, size, align_corners=aligned),
        lambda matrix: T.affine_grid(matrix, [2, 3, *size], align_corners=aligned),
    )


def pixel_shuffle(draw):
    r = draw.pick(1, 2, 3)
    channels = draw.pick(r * r, 2 * r * r, r * r + 1)
    return Case(
        [draw.array(2, draw.number(1, 4), draw.number(1, 4), channels)],
        lambda x: F.pixel_shuffle(x, r),
        lambda x: last(T.pixel_shuffle(first(x), r)),
    )


def pixel_unshuffle(draw):
    r = draw.pick(1, 2, 3)
    size = r * draw.number(1, 3), r * draw.number(1, 3) + draw.pick(0, 0, 1)
    return Case(
        [draw.array(2, *size, 2)],
        lambda x: F.pixel_unshuffle(x, r),
        lambda x: last(T.pixel_unshuffle(first(x), r)),
    )


DRAWS = [
    activation, softmax, batch_norm, layer_norm, group_norm, instance_norm,
    local_response_norm, resize, grid_sample, affine_grid, pixel_shuffle,
    pixel_unshuffle,
]  # fmt: skip


# With few values per statistic, the gradient is a small difference of two large sums.
# In float32 the error of each library is as large as the difference between the two.
FLOAT64 |= {batch_norm, layer_norm, group_norm, instance_norm}


@pytest.mark.parametrize(("make", "chunk"), every(DRAWS))
def test_agrees_with_torch(make, chunk, as_shipped):
    agree(make, chunk)


def test_running_statistics_agree_with_torch(rng):
    ours, theirs = nn.BatchNorm(5, momentum=0.3), torch.nn.BatchNorm2d(5, momentum=0.3)
    for _ in range(5):
        x = 2 * draw(rng, 3, 4, 6, 5) + 1
        want = last(theirs(first(torch.tensor(np.asarray(x)))))
        assert_close(ours(x), want.detach().numpy())
    assert_close(ours.mean[...], theirs.running_mean.numpy())
    assert_close(ours.var[...], theirs.running_var.numpy())
    want = last(theirs.eval()(first(torch.tensor(np.asarray(x)))))
    frozen = nnx.view(ours, use_running_average=True)
    assert_close(frozen(x), want.detach().numpy())
