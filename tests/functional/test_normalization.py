import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

import cnn_jax.functional as F
from cnn_jax import nn
from tests.helpers import assert_close, compiled, draw


def standardized(x, axes, epsilon=1e-5):
    """The definition in float64, over any axes."""
    x = np.float64(x)
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


@pytest.fixture
def x(rng):
    return 3 * draw(rng, 2, 3, 5, 7, 6) + 10


@pytest.fixture
def affine(rng):
    return draw(rng, 6), draw(rng, 6)


def test_batch_norm_is_its_formula(x, affine):
    scale, bias = map(np.float64, affine)
    out, mean, variance = compiled(F.batch_norm)(x, *affine, return_statistics=True)
    assert_close(out, standardized(x, (0, 1, 2, 3)) * scale + bias)
    assert_close(mean, np.float64(x).mean(axis=(0, 1, 2, 3)))
    assert_close(variance, np.float64(x).var(axis=(0, 1, 2, 3)))
    assert_close(F.batch_norm(x, epsilon=0.3), standardized(x, (0, 1, 2, 3), 0.3))
    given = np.arange(6.0), np.arange(6.0) + 1
    statistics = dict(zip(("mean", "variance"), map(jnp.float32, given), strict=True))
    out = F.batch_norm(x, *affine, **statistics, epsilon=0.1)
    want = (np.float64(x) - given[0]) / np.sqrt(given[1] + 0.1)
    assert_close(out, want * scale + bias)


@pytest.mark.parametrize("axes", [1, 3])
def test_layer_norm_is_its_formula(rng, x, axes):
    scale, bias = draw(rng, *x.shape[-axes:]), draw(rng, *x.shape[-axes:])
    want = standardized(x, tuple(range(-axes, 0)), 0.2)
    want = want * np.float64(scale) + np.float64(bias)
    assert_close(F.layer_norm(x, scale, bias, axes=axes, epsilon=0.2), want)


@pytest.mark.parametrize("spatial", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_is_its_formula(x, affine, spatial, groups):
    apart = np.float64(x).reshape(*x.shape[:-1], groups, 6 // groups)
    axes = (*range(-2 - spatial, -2), -1)
    want = standardized(apart, axes).reshape(x.shape)
    want = want * np.float64(affine[0]) + np.float64(affine[1])
    assert_close(F.group_norm(x, *affine, groups=groups, spatial=spatial), want)
    if groups == 6:
        assert_close(F.instance_norm(x, *affine, spatial=spatial), want)


@pytest.mark.parametrize("size", [1, 2, 5, 9, 12, 10**9])
def test_local_response_norm_is_its_formula(rng, size):
    x = draw(rng, 3, 6)
    want = np.zeros(x.shape)
    for c in range(6):
        low = max(c - size // 2, 0)
        around = np.float64(x[:, low : c + (size - 1) // 2 + 1]) ** 2
        want[:, c] = x[:, c] / (2 + 0.3 / size * around.sum(axis=1)) ** 0.6
    options = dict(size=size, alpha=0.3, beta=0.6, k=2)
    assert_close(F.local_response_norm(x, **options), want)
    assert_close(nn.LocalResponseNorm(**options)(x), want)


@pytest.mark.full
def test_gradients_of_any_order(rng):
    x, scale, bias = draw(rng, 3, 4, 2, 4), draw(rng, 4), draw(rng, 4)

    def every(x, scale, bias):
        return [
            *F.batch_norm(x, scale, bias, return_statistics=True),
            F.batch_norm(x, scale, bias, mean=bias, variance=scale**2),
            F.layer_norm(x, scale, bias),
            F.group_norm(x, scale, bias, groups=2),
            F.instance_norm(x, scale, bias, spatial=1),
            F.local_response_norm(x, size=3, alpha=0.5),
        ]

    def f(x, scale, bias):
        return [jnp.sin(out) for out in every(x, scale, bias)]

    with jax.enable_x64(True):
        wide = [np.float64(array) for array in (x, scale, bias)]
        check_grads(jax.jit(f), wide, order=2, modes=["fwd", "rev"], rtol=1e-3)


def test_the_gradient_of_batch_norm_sums_over_its_input_once(x, affine):
    out, pull = jax.vjp(F.batch_norm, x, *affine)
    text = jax.jit(lambda pull, ct: pull(ct)).lower(pull, out).compile().as_text()
    entry = text[text.index("ENTRY") :]
    shape = ",".join(map(str, x.shape))
    ct = re.search(r"%(ct[\w.]*) = ", entry)[1]
    inputs = re.findall(rf"%(\S+) = f32\[{shape}\]\S* parameter", entry)
    steps = re.findall(r"= f32\[([\d,]*)\]\S* (?:fusion|reduce)\((.*?)\), ", entry)
    of_ct = [(out, operands) for out, operands in steps if f"%{ct}" in operands]
    sums = [operands for out, operands in of_ct if out != shape]
    passes = [operands for out, operands in steps if out == shape]
    reads = [any(f"%{name}" in s for name in inputs if name != ct) for s in sums]
    assert len(of_ct) == 3
    assert sorted(reads) == [False, True]
    assert len(passes) == 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_statistics_are_float32(rng, dtype):
    x = (draw(rng, 4000, 2) + 40).astype(dtype)
    out, mean, variance = F.batch_norm(x, return_statistics=True)
    assert out.dtype == dtype
    assert mean.dtype == variance.dtype == jnp.float32
    assert_close(mean, np.float64(x).mean(axis=0))
    assert_close(variance, np.float64(x).var(axis=0))


def test_batch_norm_tracks_running_statistics(rng):
    layer = nn.BatchNorm(3, momentum=0.25, epsilon=0.1)
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(5):
        x = 2 * draw(rng, 4, 5, 3) + 1
        assert_close(layer(x), standardized(x, (0, 1), 0.1))
        mean = 0.75 * mean + 0.25 * np.float64(x).mean(axis=(0, 1))
        variance = 0.75 * variance + 0.25 * np.float64(x).var(axis=(0, 1), ddof=1)
    assert_close(layer.mean[...], mean)
    assert_close(layer.var[...], variance)
    frozen = nnx.view(layer, use_running_average=True)
    assert_close(frozen(x), (np.float64(x) - mean) / np.sqrt(variance + 0.1))
    assert_close(layer.mean[...], mean)
    params = nnx.state(layer, nnx.Param)
    assert {path[-1] for path, _ in nnx.to_flat_state(params)} == {"scale", "bias"}


def test_layers_are_the_functions(rng, x):
    bare = dict(use_scale=False, use_bias=False)
    for layer, function in (
        (nn.LayerNorm((7, 6), epsilon=0.1), lambda x, s, b: F.layer_norm(
            x, s, b, axes=2, epsilon=0.1)),
        (nn.GroupNorm(6, groups=3, spatial=1), lambda x, s, b: F.group_norm(
            x, s, b, groups=3, spatial=1)),
        (nn.InstanceNorm(6, spatial=3, epsilon=0.1), lambda x, s, b: F.instance_norm(
            x, s, b, spatial=3, epsilon=0.1)),
    ):  # fmt: skip
        layer.scale[...] = draw(rng, *layer.scale.shape)
        layer.bias[...] = draw(rng, *layer.bias.shape)
        assert_close(layer(x), function(x, layer.scale[...], layer.bias[...]))
    for layer in (nn.BatchNorm(6, **bare), nn.InstanceNorm(6, **bare)):
        assert not jax.tree.leaves(nnx.state(layer, nnx.Param))
        assert layer(x).shape == x.shape


def test_dropout_sets_whole_maps_to_zero():
    x = jnp.ones((20, 4, 5, 30))
    out = F.dropout(jax.random.key(0), x, 0.5, spatial=2)
    kept = (out != 0).mean(axis=(1, 2))
    assert set(np.unique(kept)) == {0.0, 1.0}
    assert 0.4 < kept.mean() < 0.6
    assert_close(out.max(), np.float64(2))
    layer = nn.Dropout(0.5, spatial=1, rngs=nnx.Rngs(0))
    kept = (layer(x) != 0).mean(axis=2)
    assert set(np.unique(kept)) == {0.0, 1.0}


X = jnp.ones((2, 5, 6, 4))


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "`x` is int32", lambda: F.batch_norm(X.astype(int))),
        (TypeError, "`x` has 0 axes", lambda: F.batch_norm(jnp.array(1.0))),
        (
            ValueError,
            r"`scale` has shape \(3,\).*\(4,\)",
            lambda: F.batch_norm(X, X[0, 0, :3, 0]),
        ),
        (
            ValueError,
            r"`variance` has shape",
            lambda: F.batch_norm(X, mean=X[0, 0, 0], variance=X[0]),
        ),
        (
            ValueError,
            "`variance` is None: give both",
            lambda: F.batch_norm(X, mean=X[0, 0, 0]),
        ),
        (ValueError, "has 1 value.*at least 2", lambda: F.batch_norm(jnp.ones((1, 4)))),
        (ValueError, "`epsilon` is -1", lambda: F.batch_norm(X, epsilon=-1)),
        (TypeError, "`x` has 4 axes.*last 5", lambda: F.layer_norm(X, axes=5)),
        (ValueError, "`axes` is 0", lambda: F.layer_norm(X, axes=0)),
        (
            ValueError,
            r"`bias` has shape \(4,\).*\(6, 4\)",
            lambda: F.layer_norm(X, None, X[0, 0, 0], axes=2),
        ),
        (ValueError, "4 channels, which 3 groups", lambda: F.group_norm(X, groups=3)),
        (ValueError, "`groups` is 0", lambda: F.group_norm(X, groups=0)),
        (ValueError, "`spatial` is 4", lambda: F.group_norm(X, groups=2, spatial=4)),
        (TypeError, "2 axes.*at least 3", lambda: F.instance_norm(X[0, 0])),
        (ValueError, r"spatial size \[1, 1\]", lambda: F.instance_norm(X[:, :1, :1])),
        (ValueError, "`size` is 0", lambda: F.local_response_norm(X, size=0)),
        (
            ValueError,
            "`spatial` is 7",
            lambda: F.dropout(jax.random.key(0), X, 0.5, spatial=7),
        ),
        (ValueError, "`momentum` is 2", lambda: nn.BatchNorm(3, momentum=2)),
        (
            ValueError,
            "`channels` is 4, which 3 groups",
            lambda: nn.GroupNorm(4, groups=3),
        ),
        (ValueError, "`shape` is 0", lambda: nn.LayerNorm((3, 0))),
    ],
)
def test_refusals(as_shipped, error, message, call):
    with pytest.raises(error, match=message):
        call()
