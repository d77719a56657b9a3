import inspect

import jax
import jax.numpy as jnp
import pytest

import cnn_jax.functional as F
from tests.helpers import assert_close, compiled, draw
from tests.laws import OPERATIONS, SHAPE

# Functions that are not of images, complex or random.
OTHERS = {
    "affine_grid", "dropout", "graph_conv", "image_kernel", "mel_filterbank", "stft",
}  # fmt: skip


def weights(out):
    """A cotangent without symmetries."""
    return jnp.cos(jnp.arange(out.size, dtype=jnp.float32)).astype(out.dtype)


def test_every_function_is_among_the_operations():
    functions = {
        name
        for name, function in inspect.getmembers(F, inspect.isfunction)
        if function.__module__.startswith("cnn_jax")
    }
    assert functions - OTHERS == {name.split()[0] for name in OPERATIONS}


@pytest.fixture(params=OPERATIONS)
def operation(request):
    return OPERATIONS[request.param]


def test_batch_axes_and_vmap_are_loops(rng, operation):
    x = draw(rng, 3, 1, *SHAPE)
    out = compiled(operation)(x)
    alone = compiled(operation)(x[2, 0])
    assert out.shape == (3, 1, *alone.shape)
    assert_close(out[2, 0], alone)
    mapped = jax.jit(jax.vmap(operation, in_axes=2, out_axes=1))
    assert_close(mapped(jnp.moveaxis(x, 0, 2))[0], out[:, 0])
    none = jax.eval_shape(operation, jax.ShapeDtypeStruct((0, *SHAPE), jnp.float32))
    assert none.shape == (0, *alone.shape)


# Tolerance against the result in float32, whose weights are not rounded.
DTYPES = {"bfloat16": 0.03, "float16": 0.004, "float64": 1e-5}


@pytest.mark.full
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_kept_and_agrees(rng, operation, dtype):
    x = draw(rng, *SHAPE, dtype="bfloat16")  # Exact in every other dtype.

    @jax.jit
    def both(x):
        out, pull = jax.vjp(operation, x)
        return out, *pull(weights(out).reshape(out.shape))

    single = both(x.astype(jnp.float32))
    with jax.enable_x64(dtype == "float64"):
        for got, want in zip(both(x.astype(dtype)), single, strict=True):
            assert got.dtype == dtype
            assert_close(got, want, DTYPES[dtype])


@pytest.mark.full
def test_forward_mode_is_reverse_mode_inside_a_scan(rng, operation):
    x, v = draw(rng, 3, *SHAPE), draw(rng, 3, *SHAPE)

    def slopes(x, v):
        out, forward = jax.jvp(operation, (x,), (v,))
        _, pull = jax.vjp(operation, x)
        weight = weights(out).reshape(out.shape)
        return jnp.vdot(weight, forward), jnp.vdot(pull(weight)[0], v)

    step = lambda carry, at: (carry, slopes(*at))  # noqa: E731
    _, (forward, reverse) = jax.jit(lambda x, v: jax.lax.scan(step, 0, (x, v)))(x, v)
    assert_close(forward, reverse)
