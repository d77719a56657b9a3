import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import cnn_jax.functional as F
from tests import oracle
from tests.helpers import assert_close, draw


def test_relu(rng):
    x = draw(rng, 4, 5)
    assert_close(F.relu(x), np.maximum(np.float64(x), 0))
    at = jnp.array([-1.0, 0.0, 2.0, jnp.nan, jnp.inf, -jnp.inf])
    np.testing.assert_array_equal(F.relu(at), [0, 0, 2, np.nan, np.inf, 0])
    np.testing.assert_array_equal(jax.vmap(jax.grad(F.relu))(at[:3]), [0, 0, 1])


def test_tanh(rng):
    x = np.float64(draw(rng, 4, 5))
    want = (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))
    assert_close(F.tanh(jnp.float32(x)), want)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(rng, axis):
    x = draw(rng, 4, 5)
    wide = np.exp(np.float64(x))
    assert_close(F.softmax(x, axis=axis), wide / wide.sum(axis=axis, keepdims=True))
    assert_close(
        F.softmax(x + 1000, axis=axis), F.softmax(x, axis=axis), tolerance=1e-3
    )
    assert np.isfinite(F.softmax(1e30 * x, axis=axis)).all()


@pytest.mark.parametrize("function", [F.tanh, F.softmax, lambda x: F.relu(x + 0.01)])
def test_gradients(rng, function):
    with jax.enable_x64(True):
        x = np.linspace(-2, 2, 12).reshape(3, 4)
        check_grads(jax.jit(function), [x], order=2, modes=["fwd", "rev"])


@pytest.mark.parametrize("function", [F.relu, F.tanh, F.softmax])
def test_dtypes(as_shipped, function):
    for dtype in ("bfloat16", "float16", "float32"):
        assert function(jnp.ones((2, 3), dtype)).dtype == dtype
    with pytest.raises(TypeError, match="`x` is int32"):
        function(jnp.ones((2, 3), jnp.int32))


def test_softmax_refuses_a_missing_axis(as_shipped):
    with pytest.raises(ValueError, match="`axis` is 2, but `x` has 2 axes"):
        F.softmax(jnp.ones((2, 3)), axis=2)


def test_dropout_keeps_the_mean():
    x = jnp.full((300, 200), 2.0)
    out = F.dropout(jax.random.key(0), x, 0.25)
    np.testing.assert_allclose(jnp.unique(out), [0, 2 / 0.75], rtol=1e-6)
    # 60,000 draws: the mean has a standard deviation of 2 · √(1/3 / 60,000) = 0.005.
    assert abs(out.mean() - 2) < 0.025
    assert_close(F.dropout(jax.random.key(0), x, 0.0), x)


def test_dropout_refuses_a_rate_out_of_range(as_shipped):
    for rate in (-0.1, 1.0):
        with pytest.raises(ValueError, match="`rate` is"):
            F.dropout(jax.random.key(0), jnp.ones(3), rate)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_pad(rng, mode, axes):
    x = draw(rng, 2, *(4, 5, 6)[:axes], 3)
    pads = ((1, 3), (0, 2), (4, 1))[:axes]
    want = np.stack([oracle.pad(np.float64(one), pads, mode=mode) for one in x])
    assert_close(F.pad(x, pads, mode=mode), want)


def test_pad_takes_numbers_and_a_value(rng):
    x = draw(rng, 4, 5, 3)
    want = oracle.pad(np.float64(x), ((1, 1), (2, 2)), mode="zeros", value=7.0)
    assert_close(F.pad(x, (1, 2), value=7.0), want)


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (TypeError, "`padding` is 1, but must be a tuple", {"padding": 1}),
        (TypeError, "`x` has 3 axes.*at least 4", {"padding": (1, 1, 1)}),
        (ValueError, "`padding` is -1", {"padding": (1, -1)}),
        (
            ValueError,
            "`mode` is 'wrap'.*'circular'",
            {"padding": (1, 1), "mode": "wrap"},
        ),
        (ValueError, "at most 3", {"padding": (4, 0), "mode": "reflect"}),
        (ValueError, "at most 4", {"padding": (5, 0), "mode": "circular"}),
        (
            ValueError,
            "`value` is 1",
            {"padding": (1, 0), "mode": "reflect", "value": 1.0},
        ),
    ],
)
def test_pad_refusals(as_shipped, error, message, options):
    with pytest.raises(error, match=message):
        F.pad(jnp.ones((4, 5, 3)), **options)


def test_image_kernels():
    sums = {name: float(F.image_kernel(name).sum()) for name in F.IMAGE_KERNELS}
    keep = {"identity", "blur", "sharpen", "emboss"}
    assert sums == {name: float(name in keep) for name in F.IMAGE_KERNELS}
    assert len(sums) == 12
    board = jnp.eye(7)[..., None]
    lines = ["horizontal_line", "vertical_line", "falling_diagonal", "rising_diagonal"]
    responses = {name: F.conv(board, F.image_kernel(name)).max() for name in lines}
    assert max(responses, key=responses.get) == "falling_diagonal"


def test_sobel_x_responds_to_changes_along_a_row():
    ramp = jnp.broadcast_to(jnp.arange(6.0), (5, 6))[..., None]
    np.testing.assert_array_equal(F.conv(ramp, F.image_kernel("sobel_x")), 8.0)
    np.testing.assert_array_equal(F.conv(ramp, F.image_kernel("sobel_y")), 0.0)


def test_an_unknown_kernel_is_refused():
    with pytest.raises(ValueError, match="'sobel'.*sobel_x"):
        F.image_kernel("sobel")
