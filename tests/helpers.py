import functools

import jax
import jax.numpy as jnp
import numpy as np


def draw(rng, *shape, dtype=jnp.float32):
    """Normal numbers as a JAX array."""
    return jnp.asarray(rng.normal(size=shape), dtype)


def relative(got, want):
    """The largest difference over the largest value: max|a − b| / max|b|."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, (got.shape, want.shape)
    return np.abs(got - want).max() / max(np.abs(want).max(), 1e-30)


def assert_close(got, want, tolerance=1e-5):
    assert relative(got, want) < tolerance, relative(got, want)


def compiled(function):
    """`function` under one `jax.jit`, to avoid compiling every operation apart."""

    @functools.wraps(function)
    def call(*args, **options):
        arrays = {i: arg for i, arg in enumerate(args) if isinstance(arg, jax.Array)}

        def run(arrays):
            return function(
                *(arrays.get(i, arg) for i, arg in enumerate(args)), **options
            )

        return jax.jit(run)(arrays)

    return call
