import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import cnn_jax.functional as F
from tests import oracle
from tests.helpers import assert_close, compiled, draw


def lp_pool(x, window, **options):
    """Of |x|: the sum of cubes may be negative, which has no root."""
    return F.lp_pool(jnp.abs(x), 3, window, **options)


POOLS = {"max": F.max_pool, "avg": F.avg_pool, "sum": F.sum_pool, "lp": lp_pool}
RUN = {kind: compiled(pool) for kind, pool in POOLS.items()}
max_pool, max_unpool = compiled(F.max_pool), compiled(F.max_unpool)
adaptive_avg_pool = compiled(F.adaptive_avg_pool)
adaptive_max_pool = compiled(F.adaptive_max_pool)


def definition(kind, x, window, **options):
    x = np.float64(x)
    return oracle.pool(kind, abs(x) if kind == "lp" else x, window, **options)


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("stride", [None, (1, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("size", "padding"),
    [((7, 8), ((0, 0), (0, 0))), ((6, 11), ((1, 0), (0, 1)))],
)
def test_agrees_with_the_definition(
    rng, kind, stride, dilation, ceil_mode, padding, size
):
    x, window = draw(rng, *size, 3), (2, 3)
    options = dict(padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    want = definition(kind, x, window, stride=stride or window, **options)
    assert_close(RUN[kind](x, window, stride=stride, **options), want)


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_any_number_of_axes(rng, kind, axes):
    x, window = draw(rng, 2, *(7, 8, 9)[:axes], 3), (3, 2, 4)[:axes]
    options = dict(stride=(2, 1, 3)[:axes], padding=((1, 0), (1, 1), (0, 2))[:axes])
    same = dict(dilation=(1,) * axes, ceil_mode=True)
    want = [definition(kind, one, window, **options, **same) for one in x]
    assert_close(RUN[kind](x, window, **options, ceil_mode=True), np.stack(want))


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_padding_need_not_count(rng, ceil_mode):
    x, window = draw(rng, 6, 7, 2), (3, 4)
    options = dict(stride=(2, 3), padding=((1, 1), (2, 0)), ceil_mode=ceil_mode)
    want = oracle.pool(
        "avg", np.float64(x), window, **options, dilation=(1, 1), include_pad=False
    )
    assert_close(RUN["avg"](x, window, **options, count_include_pad=False), want)


def test_no_window_starts_in_the_far_padding(rng):
    x, options = draw(rng, 6, 7, 2), dict(padding=((0, 1), (1, 1)), ceil_mode=True)
    want = oracle.pool(
        "max", np.float64(x), (2, 2), stride=(2, 2), dilation=(1, 1), **options
    )
    assert want.shape == (3, 4, 2)
    assert_close(max_pool(x, (2, 2), **options), want)


def test_same_agrees_with_xla(rng):
    x = draw(rng, 2, 7, 8, 3)
    want = jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, 3, 2, 1), (1, 2, 3, 1), "SAME"
    )
    assert_close(max_pool(x, (3, 2), stride=(2, 3), padding="same"), want)


@pytest.mark.parametrize(
    "kind",
    [
        "max",
        *(pytest.param(k, marks=pytest.mark.full) for k in POOLS if k != "max"),
    ],
)
def test_gradients_of_any_order(rng, kind):
    # Shuffled whole numbers: no two are close, so no window has a tie.
    x = jnp.asarray(rng.permutation(2 * 7 * 8).reshape(7, 8, 2) / 4.0, jnp.float32)
    options = dict(stride=(2, 1), dilation=(1, 2), padding=1, ceil_mode=True)
    with jax.enable_x64(True):
        f = jax.jit(lambda x: jnp.sin(POOLS[kind](x, (2, 3), **options)))
        check_grads(f, [np.float64(x)], order=2, modes=["fwd", "rev"])


def test_the_first_maximum_gets_the_gradient():
    x = jnp.array([[1.0, 3.0, 3.0], [3.0, 0.0, 3.0]])[..., None]
    gradient = jax.grad(lambda x: F.max_pool(x, (2, 3)).sum())(x)
    np.testing.assert_array_equal(gradient[..., 0], [[0, 1, 0], [0, 0, 0]])
    below = jax.grad(lambda x: F.max_pool(x, (2, 3)).sum())(x.at[0].set(0.0))
    np.testing.assert_array_equal(below[..., 0], [[0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("pool", [F.max_pool, F.adaptive_max_pool])
def test_the_first_of_equal_values_in_row_major_order_wins(pool):
    x = jnp.array([[1.0, 3.0, 3.0], [3.0, 0.0, 3.0]])[..., None]
    size = (2, 3) if pool is F.max_pool else (1, 1)
    assert pool(x, size, return_indices=True)[1] == 1
    assert pool(x.at[0].set(0.0), size, return_indices=True)[1] == 3
    value, index = pool(x.at[1, 1].set(jnp.nan), size, return_indices=True)
    assert jnp.isnan(value)
    assert index == 4


def test_nan_propagates():
    x = jnp.array([[1.0, jnp.nan, 5.0, 4.0]]).T
    np.testing.assert_array_equal(F.max_pool(x, (2,))[:, 0], [np.nan, 5.0])
    x = jnp.array([[jnp.nan, 1.0, 5.0, 4.0]]).T
    np.testing.assert_array_equal(F.max_pool(x, (2,))[:, 0], [np.nan, 5.0])


NO_SCATTER = {
    kind: (lambda x, p=p: p(x, (3, 3), stride=2)) for kind, p in POOLS.items()
}
NO_SCATTER |= {
    f"{kind} dilated": (lambda x, p=p: p(x, (3, 2), stride=2, dilation=2))
    for kind, p in POOLS.items()
}
NO_SCATTER |= {
    "adaptive avg": lambda x: F.adaptive_avg_pool(x, (4, 2)),
    "adaptive max": lambda x: F.adaptive_max_pool(x, (4, 2)),
    "global avg": F.global_avg_pool,
    "global max": F.global_max_pool,
}


@pytest.mark.parametrize("pool", NO_SCATTER)
def test_no_gradient_scatters(pool):
    def total(x):
        return jnp.sum(NO_SCATTER[pool](x) ** 2)

    for function in (jax.grad(total), jax.hessian(total)):
        text = jax.jit(function).lower(jnp.ones((2, 9, 9, 3))).as_text()
        assert "stablehlo.multiply" in text
        assert "scatter" not in text


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_sums_are_rounded_once(rng, dtype):
    x = draw(rng, 4, 40, 2, dtype=dtype)
    pools = [lambda x, p=pool: p(x, (2, 20)) for pool in RUN.values()]
    pools += [lambda x: adaptive_avg_pool(x, (3, 1)), compiled(F.global_avg_pool)]
    for pool in pools:
        wide = pool(x.astype(jnp.float32))
        np.testing.assert_array_equal(pool(x), wide.astype(dtype))
    patches, fold = compiled(F.unfold)(x, (3, 20)), compiled(F.fold)
    wide = fold(patches.astype(jnp.float32), (4, 40))
    np.testing.assert_array_equal(fold(patches, (4, 40)), wide.astype(dtype))
    # In gradients too, where windows overlap.
    for function in (
        lambda x: F.unfold(x, (3, 20)),
        lambda x: F.max_pool(x, (3, 20), stride=1),
        lambda x: F.max_pool(x, (3, 20), stride=1, return_indices=True)[0],
    ):
        gradient = compiled(lambda x, ct, f=function: jax.vjp(f, x)[1](ct)[0])
        ct = draw(rng, *jax.eval_shape(function, x).shape, dtype=dtype)
        wide = gradient(x.astype(jnp.float32), ct.astype(jnp.float32))
        np.testing.assert_array_equal(gradient(x, ct), wide.astype(dtype))


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_global_avg_pool(rng, spatial):
    x = draw(rng, 2, 3, 4, 5, 6)
    axes = tuple(range(4 - spatial, 4))
    assert_close(F.global_avg_pool(x, spatial=spatial), np.float64(x).mean(axis=axes))


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_global_max_pool(rng, spatial):
    x = draw(rng, 2, 3, 4, 5, 6)
    axes = tuple(range(4 - spatial, 4))
    got = compiled(F.global_max_pool)(x, spatial=spatial)
    assert_close(got, np.float64(x).max(axis=axes))


SIZES = [((7,), (3,)), ((7, 6), (3, 4)), ((4, 5), (6, 1)), ((6, 7, 8), (4, 7, 2))]


@pytest.mark.parametrize(("size", "bins"), SIZES)
def test_adaptive_pools_agree_with_the_definition(rng, size, bins):
    x = draw(rng, 2, 1, *size, 3)
    values, indices = adaptive_max_pool(x, bins, return_indices=True)
    got = {"max": values, "indices": indices, "avg": adaptive_avg_pool(x, bins)}
    for kind, result in got.items():
        want = [oracle.adaptive(kind, np.float64(one[0]), bins) for one in x]
        assert_close(result, np.stack(want)[:, None])
    assert indices.dtype == jnp.int32
    assert_close(adaptive_max_pool(x, bins), values)


def test_adaptive_pools_keep_an_axis_of_none(rng):
    x = draw(rng, 5, 7, 2)
    for pool in (adaptive_avg_pool, adaptive_max_pool):
        assert_close(pool(x, (None, 3)), pool(x, (5, 3)))
        assert pool(x, (2, None)).shape == (2, 7, 2)


@pytest.mark.full
@pytest.mark.parametrize("value", [1.0, -jnp.inf])
def test_the_first_of_equal_values_wins_in_every_pool(value):
    x = jnp.full((4, 6, 1), value)
    for pool, first in (
        (lambda x, **options: max_pool(x, (2, 3), **options), [[0, 3], [12, 15]]),
        (
            lambda x, **options: adaptive_max_pool(x, (2, 2), **options),
            [[0, 3], [12, 15]],
        ),
        (
            lambda x, **options: max_pool(
                x, (2, 2), stride=(2, 3), padding=1, **options
            ),
            [[0, 2, 5], [6, 8, 11], [18, 20, 23]],
        ),
    ):
        _, indices = pool(x, return_indices=True)
        np.testing.assert_array_equal(indices[..., 0], first)
        gradient = jax.grad(lambda x, pool=pool: pool(x, return_indices=True)[0].sum())
        np.testing.assert_array_equal(
            np.flatnonzero(gradient(x)), np.unique(np.ravel(first))
        )
    assert jnp.isnan(adaptive_max_pool(x.at[0, 1].set(jnp.nan), (2, 2))[0, 0, 0])


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_indices_agree_with_the_definition(rng, axes, ceil_mode):
    x, window = draw(rng, 2, *(7, 8, 6)[:axes], 3), (3, 2, 4)[:axes]
    options = dict(stride=(2, 1, 3)[:axes], padding=((1, 0), (1, 1), (0, 2))[:axes])
    options |= dict(dilation=(1, 2, 1)[:axes])
    values, indices = max_pool(
        x, window, **options, ceil_mode=ceil_mode, return_indices=True
    )
    assert indices.dtype == jnp.int32
    assert_close(max_pool(x, window, **options, ceil_mode=ceil_mode), values)
    shape = values.shape[1:-1]
    want = [
        oracle.max_indices(np.float64(one), window, **options, shape=shape) for one in x
    ]
    np.testing.assert_array_equal(indices, np.stack(want))
    flat = x.reshape(2, -1, 3)
    taken = jnp.take_along_axis(flat, indices.reshape(2, -1, 3), axis=1)
    np.testing.assert_array_equal(taken, values.reshape(2, -1, 3))


@pytest.mark.full
def test_gradients_of_the_others(rng):
    x = jnp.asarray(rng.permutation(2 * 5 * 7).reshape(5, 7, 2) / 4.0, jnp.float32)
    _, indices = max_pool(x, (2, 3), return_indices=True)

    def every(x):
        outs = [
            F.adaptive_avg_pool(x, (2, 3)),
            F.adaptive_max_pool(x, (2, 3)),
            F.max_pool(x, (2, 3), return_indices=True)[0],
            F.max_unpool(x[:2, :2], indices, (2, 3), output_size=(5, 7)),
            F.global_max_pool(x),
            F.global_avg_pool(x),
        ]
        return [jnp.sin(out) for out in outs]

    with jax.enable_x64(True):
        check_grads(jax.jit(every), [np.float64(x)], order=2, modes=["fwd", "rev"])


@pytest.mark.full
def test_lp_pool_has_gradient_0_at_zero():
    x = jnp.array([[0.0], [0.0], [3.0], [-4.0]])
    value, gradient = jax.value_and_grad(lambda x: F.lp_pool(x, 2, (2,)).sum())(x)
    assert value == 5
    np.testing.assert_allclose(gradient[:, 0], [0, 0, 0.6, -0.8], rtol=1e-6)
    assert jnp.isnan(F.lp_pool(x, 3, (2,))[1, 0])
    assert_close(F.lp_pool(x, 1, (2,)), F.sum_pool(x, (2,)))
    assert_close(F.lp_pool(x, jnp.inf, (2,)), F.max_pool(jnp.abs(x), (2,)))


@pytest.mark.parametrize("axes", [1, 2, pytest.param(3, marks=pytest.mark.full)])
def test_unpooling_restores_maxima(rng, axes):
    size, window = (7, 6, 9)[:axes], (2, 3, 2)[:axes]
    x = draw(rng, 2, 3, *size, 2)
    values, indices = max_pool(x, window, return_indices=True)
    back = max_unpool(values, indices, window, output_size=size)
    assert back.shape == x.shape
    kept = np.zeros(x.shape, bool).reshape(6, -1, 2)
    np.put_along_axis(kept, np.asarray(indices).reshape(6, -1, 2), True, axis=1)
    np.testing.assert_array_equal(back, np.where(kept.reshape(x.shape), x, 0))
    whole = tuple(slice(n // k * k) for n, k in zip(size, window, strict=True))
    x = x[:, :, *whole]
    values, indices = max_pool(x, window, return_indices=True)
    usual = max_unpool(values, indices, window)
    assert_close(usual, max_unpool(values, indices, window, output_size=x.shape[2:-1]))
    unpool = jax.vmap(lambda values, indices: F.max_unpool(values, indices, window))
    assert_close(unpool(values, indices), usual)


@pytest.mark.parametrize("index", [-1, 12])
def test_an_index_outside_gives_nan(index):
    x = jnp.ones((2, 2, 2, 3))
    indices = jnp.arange(4, dtype=jnp.int32).reshape(1, 2, 2, 1) + 0 * x.astype("int32")
    indices = indices.at[1, 0, 1, 2].set(index)
    out = jax.jit(lambda x, i: F.max_unpool(x, i, (2, 2), output_size=(4, 3)))(
        x, indices
    )
    is_nan = jnp.isnan(out)
    assert is_nan[1, ..., 2].all()
    assert is_nan.sum() == 12
    assert jnp.nansum(out) == 2 * 2 * 2 * 3 - 4


X = jnp.ones((2, 5, 6, 4))


@pytest.mark.parametrize("pool", POOLS.values())
@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (TypeError, r"`window` is 2, but must be a tuple", {"window": 2}),
        (TypeError, "`window` has 4 axes", {"window": (1, 1, 1, 1)}),
        (TypeError, "`x` has 2 axes.*at least 3", {"x": X[0, 0]}),
        (TypeError, "`x` is int32", {"x": X.astype(jnp.int32)}),
        (ValueError, "`window` is 0", {"window": (2, 0)}),
        (ValueError, "`stride` is 0", {"stride": 0}),
        (ValueError, "has size 5.*spans 6", {"window": (6, 2)}),
        (ValueError, "adds 2 elements.*spans 2.*at most half, 1", {"padding": (0, 2)}),
        (ValueError, '"same".*`ceil_mode`', {"padding": "same", "ceil_mode": True}),
    ],
)
def test_refusals(as_shipped, pool, error, message, change):
    with pytest.raises(error, match=message):
        pool(**({"x": X, "window": (2, 2)} | change))


AT = jnp.zeros(X.shape, jnp.int32)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, "`spatial` is 4", lambda: F.global_avg_pool(X, spatial=4)),
        (TypeError, "has 2 axes.*least 3", lambda: F.global_max_pool(X[0, 0])),
        (ValueError, "empty axis", lambda: F.global_avg_pool(X[:, :0])),
        (ValueError, "empty axis", lambda: F.adaptive_max_pool(X[:, :0], (2, 2))),
        (TypeError, "`size` is 3, but.*tuple", lambda: F.adaptive_avg_pool(X, 3)),
        (ValueError, "`size` is 0.*1", lambda: F.adaptive_avg_pool(X, (2, 0))),
        (TypeError, "`x` is int32", lambda: F.adaptive_avg_pool(AT, (2, 2))),
        (TypeError, "`x` has 2 axes", lambda: F.adaptive_max_pool(X[0, 0], (2, 2))),
        (ValueError, "`p` is 0.*above 0", lambda: F.lp_pool(X, 0, (2, 2))),
        (TypeError, "`p` is '2'", lambda: F.lp_pool(X, "2", (2, 2))),
        (
            ValueError,
            r"`padding` is 3, which makes .*`output_size` \(-2, 6\)",
            lambda: F.max_unpool(X[:, :2], AT[:, :2], (2, 2), padding=3),
        ),
        (ValueError, "`p` is nan", lambda: F.lp_pool(X, jnp.nan, (2, 2))),
        (TypeError, "`indices` are float32", lambda: F.max_unpool(X, X, (2, 2))),
        (
            ValueError,
            r"`indices` have shape \(2, 5, 6, 2\), but `x` has \(2, 5, 6, 4\)",
            lambda: F.max_unpool(X, AT[..., :2], (2, 2)),
        ),
        (
            ValueError,
            "`output_size` has 8, but its default is 10 and the stride 2: use 9 to 11",
            lambda: F.max_unpool(X, AT, (2, 2), output_size=(8, 12)),
        ),
        (
            ValueError,
            "`output_size` has 3 entries",
            lambda: F.max_unpool(X, AT, (2, 2), output_size=(10, 12, 1)),
        ),
        (
            ValueError,
            "`padding` is 'same', but must be numbers",
            lambda: F.max_unpool(X, AT, (2, 2), padding="same"),
        ),
        (
            ValueError,
            "`padding` is -1",
            lambda: F.max_unpool(X, AT, (2, 2), padding=-1),
        ),
    ],
)
def test_more_refusals(as_shipped, error, message, call):
    with pytest.raises(error, match=message):
        call()
