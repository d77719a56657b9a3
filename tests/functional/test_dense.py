import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnn_jax.functional as F
from tests.helpers import assert_close, draw


def test_agrees_with_numpy(rng):
    x, kernel, bias = draw(rng, 2, 3, 7), draw(rng, 7, 5), draw(rng, 5)
    product = np.float64(x) @ np.float64(kernel)
    assert_close(F.dense(x, kernel), product)
    assert_close(F.dense(x, kernel, bias), product + np.float64(bias))
    assert_close(F.dense(x[1, 2], kernel, bias), (product + np.float64(bias))[1, 2])


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("bfloat16", 2**-8), ("float16", 2**-11)]
)
def test_half_precision_is_summed_in_float32(rng, dtype, tolerance):
    x, kernel, bias = draw(rng, 3, 9000), draw(rng, 9000, 2), draw(rng, 2)
    half = [jnp.asarray(part / 10, dtype) for part in (x, kernel, bias)]
    x, kernel, bias = map(np.float64, half)
    out, pull = jax.vjp(F.dense, *half)
    assert out.dtype == dtype
    assert_close(out, x @ kernel + bias, tolerance)
    ones = np.ones((3, 2))
    wants = ones @ kernel.T, x.T @ ones, ones.sum(axis=0)
    for got, want in zip(pull(jnp.ones_like(out)), wants, strict=True):
        assert got.dtype == dtype
        assert_close(got, want, tolerance)


X, KERNEL, BIAS = jnp.ones((2, 7)), jnp.ones((7, 5)), jnp.ones(5)


@pytest.mark.parametrize(
    ("error", "message", "args"),
    [
        (TypeError, "`x` is int32", (X.astype(int), KERNEL)),
        (TypeError, "`kernel` is int32", (X, KERNEL.astype(int))),
        (
            TypeError,
            "`kernel` is float32, but `x` is b",
            (X.astype("bfloat16"), KERNEL),
        ),
        (TypeError, "`bias` is float16, but", (X, KERNEL, BIAS.astype("float16"))),
        (TypeError, "`x` has 0 axes", (X[0, 0], KERNEL)),
        (TypeError, "`kernel` has 1 axes, but needs 2", (X, KERNEL[:, 0])),
        (ValueError, r"6 features.*reads 7.*shape \(6, 5\)", (X[:, :6], KERNEL)),
        (ValueError, r"\(4,\).*makes 5.*shape \(5,\)", (X, KERNEL, BIAS[:4])),
    ],
)
def test_refusals(as_shipped, error, message, args):
    with pytest.raises(error, match=message):
        F.dense(*args)
