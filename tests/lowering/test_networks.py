"""`vmap` over kernels: a loop or a grouped convolution, with all derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

import cnn_jax.functional as F
from cnn_jax.lowering.convolution import ROLES, _compute_each
from cnn_jax.lowering.geometry import Geometry
from tests.helpers import assert_close, draw

CALLS = {
    "conv": partial(F.conv, stride=(1, 2), padding=1),
    "grouped": partial(F.conv, groups=2),
    "conv_transpose": partial(F.conv_transpose, stride=(1, 2)),
}


def arrays(rng, name, *networks):
    kernel = (3, 2, 4 // (2 if name == "grouped" else 1), 4)
    return draw(rng, 3, 7, 8, 4), draw(rng, *networks, *kernel)


def loss(call, x, kernel):
    return jnp.sum(jnp.sin(call(x, kernel)))


def mapped(name):
    """Several networks on the same examples, and per-example kernel gradients."""
    slope = jax.grad(partial(loss, CALLS[name]), argnums=1)
    return {
        "networks": jax.vmap(partial(loss, CALLS[name]), (None, 0)),
        "gradients of networks": jax.vmap(slope, (None, 0)),
        "per example": lambda x, kernel: jax.vmap(slope, (0, None))(x, kernel[0]),
    }


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("platform", ["cuda", "tpu", "cpu"])
def test_only_a_cpu_loops(rng, name, platform):
    for function in mapped(name).values():
        lowered = jax.jit(function).trace(*arrays(rng, name, 5))
        text = lowered.lower(lowering_platforms=(platform,)).as_text()
        assert ("stablehlo.while" in text) == (platform == "cpu")


@pytest.mark.parametrize("operation", ROLES)
@pytest.mark.parametrize("networks", [(True, False), (False, True), (True, True)])
def test_other_platforms_agree_with_one_at_a_time(rng, operation, networks):
    geometry = Geometry((7, 8), (3, 2), (1, 2), ((0, 1), (2, 0)), (2, 1), groups=2)
    shapes = {"x": (4, 7, 8, 4), "kernel": (3, 2, 2, 6), "y": (4, 4, 5, 6)}
    pair = [
        draw(rng, *[5] * many, *shapes[role])
        for role, many in zip(ROLES[operation], networks, strict=False)
    ]
    options = {"geometry": geometry, "method": "auto", "precision": None}
    run = jax.jit(
        partial(_compute_each, operation, networks=networks, **options),
        static_argnames="platform",
    )
    got = run(*pair, platform="cuda")
    assert got.shape == (5, *shapes[ROLES[operation][2]])
    assert_close(got, run(*pair, platform="cpu"))
    alone = [x[3] if many else x for x, many in zip(pair, networks, strict=True)]
    one = partial(_compute_each, operation, networks=(False, False), **options)
    assert_close(got[3], one(*alone, platform="cpu"))


@pytest.mark.full
@pytest.mark.parametrize("name", CALLS)
def test_nested_maps_and_second_derivatives_are_loops(rng, name):
    x, kernels = arrays(rng, name, 2, 3)
    x = draw(rng, 5, *x.shape)
    slope = jax.grad(partial(loss, CALLS[name]), argnums=(0, 1))

    def curve(x, kernel):
        energy = lambda x, k: sum(jnp.sum(g**2) for g in slope(x, k))  # noqa: E731
        return jax.grad(energy, argnums=(0, 1))(x, kernel)

    nested = jax.vmap(jax.vmap(curve, (None, 0)), (None, 0))
    got = jax.jit(jax.vmap(nested, (0, None)))(x, kernels)
    alone = jax.jit(curve)
    for i, j, k in ((0, 0, 0), (4, 1, 2), (3, 0, 1)):
        for one, other in zip(got, alone(x[i], kernels[j, k]), strict=True):
            assert_close(one[i, j, k], other)
    outside = jax.jit(jax.grad(lambda x: nested(x, kernels)[1].sum()))(x[0])
    assert outside.shape == x[0].shape
    each = sum(
        jax.grad(lambda x, k: curve(x, k)[1].sum())(x[0], k)
        for k in kernels.reshape(-1, *kernels.shape[2:])
    )
    assert_close(outside, each)
