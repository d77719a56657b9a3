import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import cnn_jax.functional as F
from tests import oracle
from tests.helpers import assert_close, compiled, draw

unfold, fold = compiled(F.unfold), compiled(F.fold)


def unequal_options(axes):
    """Options that differ on every axis."""
    return {
        "stride": (2, 3, 1)[:axes],
        "padding": ((1, 2), (0, 3), (2, 0))[:axes],
        "dilation": (2, 1, 3)[:axes],
    }


SIZES = {1: ((8,), (3,)), 2: ((6, 7), (2, 4)), 3: ((5, 6, 8), (2, 1, 3))}


@pytest.mark.parametrize("axes", SIZES)
def test_unfold_and_fold_agree_with_the_definition(rng, axes):
    (size, window), options = SIZES[axes], unequal_options(axes)
    x = draw(rng, 2, 1, *size, 3)
    patches = unfold(x, window, **options)
    want = [oracle.unfold(np.float64(one[0]), window, **options) for one in x]
    assert_close(patches[:, 0], np.stack(want))
    values = draw(rng, *patches.shape)
    want = [oracle.fold(np.float64(one[0]), size, **options) for one in values]
    assert_close(fold(values, size, **options)[:, 0], np.stack(want))


@pytest.mark.parametrize("axes", SIZES)
def test_a_convolution_is_one_product_with_the_patches(rng, axes):
    (size, window), options = SIZES[axes], unequal_options(axes)
    x, kernel = draw(rng, 2, *size, 3), draw(rng, *window, 3, 5)
    patches = unfold(x, window, **options)
    rows = patches.reshape(*patches.shape[: axes + 1], -1)
    assert_close(rows @ kernel.reshape(-1, 5), F.conv(x, kernel, **options))


def test_same_and_batch_axes(rng):
    x = draw(rng, 2, 0, 5, 7, 3)
    patches = unfold(x, (3, 2), padding="same", stride=2)
    assert patches.shape == (2, 0, 3, 4, 3, 2, 3)
    assert fold(patches, (5, 7), padding="same", stride=2).shape == x.shape


@pytest.mark.full
def test_gradients_of_any_order(rng):
    x, options = draw(rng, 5, 7, 2), unequal_options(2)
    patches = F.unfold(x, (2, 3), **options)
    with jax.enable_x64(True):
        for f, at in (
            (lambda x: jnp.sin(F.unfold(x, (2, 3), **options)), x),
            (lambda p: jnp.sin(F.fold(p, (5, 7), **options)), patches),
        ):
            check_grads(jax.jit(f), [np.float64(at)], order=2, modes=["fwd", "rev"])
    for f, at in ((F.unfold, x), (F.fold, F.unfold(x, (2, 3)))):
        size = (2, 3) if f is F.unfold else (5, 7)
        total = jax.grad(lambda x, f=f, size=size: jnp.sum(f(x, size) ** 2))
        assert "scatter" not in jax.jit(total).lower(at).as_text()


X = jnp.ones((2, 5, 6, 4))
PATCHES = jnp.ones((4, 5, 2, 2, 3))


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "`window` is 2, but must be a tuple", lambda: F.unfold(X, 2)),
        (TypeError, "`x` has 2 axes", lambda: F.unfold(X[0, 0], (2, 2))),
        (TypeError, "`x` is int32", lambda: F.unfold(X.astype(int), (2, 2))),
        (ValueError, "has size 5.*spans 6", lambda: F.unfold(X, (6, 2))),
        (ValueError, "`window` is 0", lambda: F.unfold(X, (2, 0))),
        (ValueError, "`stride` is 0", lambda: F.unfold(X, (2, 2), stride=0)),
        (ValueError, "`padding` is -1", lambda: F.unfold(X, (2, 2), padding=-1)),
        (TypeError, "`size` is 5, but must be a tuple", lambda: F.fold(PATCHES, 5)),
        (ValueError, "`size` is 0", lambda: F.fold(PATCHES, (5, 0))),
        (TypeError, "`patches` has 4 axes.*5", lambda: F.fold(PATCHES[0], (5, 6))),
        (
            ValueError,
            r"has \(4, 5\) patches.*\(2, 2\) gives \(4, 6\) on .* \(5, 7\)",
            lambda: F.fold(PATCHES, (5, 7)),
        ),
        (ValueError, "`dilation` is 0", lambda: F.fold(PATCHES, (5, 6), dilation=0)),
    ],
)
def test_refusals(as_shipped, error, message, call):
    with pytest.raises(error, match=message):
        call()
