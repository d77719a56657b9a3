import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import cnn_jax.functional as F
from tests import oracle
from tests.helpers import assert_close, draw

POOLS = {"max": F.max_pool, "avg": F.avg_pool, "sum": F.sum_pool}


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
    how = dict(padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    want = oracle.pool(kind, np.float64(x), window, stride=stride or window, **how)
    assert_close(POOLS[kind](x, window, stride=stride, **how), want)


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_any_number_of_axes(rng, kind, axes):
    x, window = draw(rng, 2, *(7, 8, 9)[:axes], 3), (3, 2, 4)[:axes]
    how = dict(stride=(2, 1, 3)[:axes], padding=((1, 0), (1, 1), (0, 2))[:axes])
    same = dict(dilation=(1,) * axes, ceil_mode=True)
    want = [oracle.pool(kind, np.float64(one), window, **how, **same) for one in x]
    assert_close(POOLS[kind](x, window, **how, ceil_mode=True), np.stack(want))


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_padding_need_not_count(rng, ceil_mode):
    x, window = draw(rng, 6, 7, 2), (3, 4)
    how = dict(stride=(2, 3), padding=((1, 1), (2, 0)), ceil_mode=ceil_mode)
    want = oracle.pool(
        "avg", np.float64(x), window, **how, dilation=(1, 1), include_pad=False
    )
    assert_close(F.avg_pool(x, window, **how, count_include_pad=False), want)


def test_no_window_starts_in_the_far_padding(rng):
    x, how = draw(rng, 6, 7, 2), dict(padding=((0, 1), (1, 1)), ceil_mode=True)
    want = oracle.pool(
        "max", np.float64(x), (2, 2), stride=(2, 2), dilation=(1, 1), **how
    )
    assert want.shape == (3, 4, 2)
    assert_close(F.max_pool(x, (2, 2), **how), want)


def test_same_is_xlas(rng):
    x = draw(rng, 2, 7, 8, 3)
    want = jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, 3, 2, 1), (1, 2, 3, 1), "SAME"
    )
    assert_close(F.max_pool(x, (3, 2), stride=(2, 3), padding="same"), want)


@pytest.mark.parametrize("kind", POOLS)
def test_laws(rng, kind):
    pool, x = POOLS[kind], draw(rng, 3, 2, 6, 8, 2)
    out = pool(x, (2, 3), ceil_mode=True)
    assert out.shape == (3, 2, 3, 3, 2)
    assert_close(out[2, 1], pool(x[2, 1], (2, 3), ceil_mode=True))
    assert_close(jax.jit(lambda x: pool(x, (2, 3), ceil_mode=True))(x), out)
    assert_close(jax.vmap(lambda x: pool(x, (2, 3), ceil_mode=True), 1, 1)(x), out)
    assert pool(jnp.zeros((0, 6, 8, 2)), (2, 3)).shape == (0, 3, 2, 2)


@pytest.mark.parametrize("kind", POOLS)
def test_gradients_of_any_order(rng, kind):
    # Shuffled whole numbers: no two are close, so no window has a tie.
    x = jnp.asarray(rng.permutation(2 * 7 * 8).reshape(7, 8, 2) / 4.0, jnp.float32)
    how = dict(stride=(2, 1), dilation=(1, 2), padding=1, ceil_mode=True)
    with jax.enable_x64(True):
        f = jax.jit(lambda x: jnp.sin(POOLS[kind](x, (2, 3), **how)))
        check_grads(f, [np.float64(x)], order=2, modes=["fwd", "rev"])


def test_the_first_maximum_gets_the_gradient():
    x = jnp.array([[1.0, 3.0, 3.0], [3.0, 0.0, 3.0]])[..., None]
    gradient = jax.grad(lambda x: F.max_pool(x, (2, 3)).sum())(x)
    np.testing.assert_array_equal(gradient[..., 0], [[0, 1, 0], [0, 0, 0]])
    below = jax.grad(lambda x: F.max_pool(x, (2, 3)).sum())(x.at[0].set(0.0))
    np.testing.assert_array_equal(below[..., 0], [[0, 0, 0], [1, 0, 0]])


def test_nan_wins():
    x = jnp.array([[1.0, jnp.nan, 5.0, 4.0]]).T
    np.testing.assert_array_equal(F.max_pool(x, (2,))[:, 0], [np.nan, 5.0])
    x = jnp.array([[jnp.nan, 1.0, 5.0, 4.0]]).T
    np.testing.assert_array_equal(F.max_pool(x, (2,))[:, 0], [np.nan, 5.0])


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("dilation", [1, 2])
def test_no_gradient_scatters(kind, dilation):
    def total(x):
        return POOLS[kind](x, (3, 3), stride=2, dilation=dilation).sum()

    text = jax.jit(jax.grad(total)).lower(jnp.ones((2, 9, 9, 3))).as_text()
    assert "stablehlo.pad" in text
    assert "scatter" not in text


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_floats(rng, dtype):
    x = draw(rng, 4, 40, 2, dtype=dtype)
    for pool in (F.avg_pool, F.sum_pool, F.max_pool):
        out = pool(x, (2, 20))
        assert out.dtype == dtype
        wide = pool(x.astype(jnp.float32), (2, 20))
        np.testing.assert_array_equal(out, wide.astype(dtype))


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_global_avg_pool(rng, spatial):
    x = draw(rng, 2, 3, 4, 5, 6)
    axes = tuple(range(4 - spatial, 4))
    assert_close(F.global_avg_pool(x, spatial=spatial), np.float64(x).mean(axis=axes))


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
        (ValueError, "has 5 places.*spans 6", {"window": (6, 2)}),
        (ValueError, "adds 2 places.*spans 2.*at most half, 1", {"padding": (0, 2)}),
        (ValueError, '"same".*`ceil_mode`', {"padding": "same", "ceil_mode": True}),
    ],
)
def test_refusals(as_shipped, pool, error, message, change):
    with pytest.raises(error, match=message):
        pool(**({"x": X, "window": (2, 2)} | change))


def test_more_refusals(as_shipped):
    with pytest.raises(NotImplementedError, match="`return_indices`"):
        F.max_pool(X, (2, 2), return_indices=True)
    with pytest.raises(ValueError, match="`spatial` is 4"):
        F.global_avg_pool(X, spatial=4)
    with pytest.raises(TypeError, match="`x` has 2 axes.*at least 3"):
        F.global_avg_pool(X[0, 0])
    with pytest.raises(ValueError, match="0 places"):
        F.global_avg_pool(jnp.ones((0, 3, 2)))
