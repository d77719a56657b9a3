"""Gradients on two devices equal those on one, for every way of sharding."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import cnn_jax.functional as F
from tests.helpers import assert_close, draw
from tests.laws import OPERATIONS, SHAPE, weights

CASES = {
    **OPERATIONS,
    "batch_norm of the batch": lambda x, w=weights: F.batch_norm(x, w(x, 4), w(x, 4)),
    "graph_conv": lambda x, w=weights: F.graph_conv(
        jnp.abs(x[..., :6, 0]), x[..., 1, :], w(x, 4, 3)
    ),
}
QUICK = {"conv", "max_pool", "batch_norm of the batch"}


@pytest.fixture(
    params=[
        name if name in QUICK else pytest.param(name, marks=pytest.mark.full)
        for name in CASES
    ]
)
def operation(request):
    return CASES[request.param]


def mean_sine(operation, factor, x):
    """A loss of a batch that depends on the input and on every weight."""
    out = operation(x, lambda *args: factor * weights(*args))
    return jnp.mean(jnp.sin(2 * out))


@pytest.fixture
def double():
    """In float64, so that rounding neither causes a failure nor hides one."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def case(rng, operation, double):
    """A loss, its arguments and gradients on one device, halves of the batch apart."""
    takes_weights = "weights" in str(operation.__defaults__ or "")
    run = operation if takes_weights else lambda x, w: operation(w(x, 1)[0] * x)
    loss = partial(mean_sine, run)
    factor, x = jnp.asarray(1.25, float), draw(rng, 4, *SHAPE, dtype=float)

    def halves(factor, x):
        return (loss(factor, x[:2]) + loss(factor, x[2:])) / 2

    whole = jax.jit(jax.grad(loss, argnums=(0, 1)))(factor, x)
    apart = jax.jit(jax.grad(halves, argnums=(0, 1)))(factor, x)
    return loss, (factor, x), whole, apart


def assert_same(got, want):
    for one, other in zip(got, want, strict=True):
        assert_close(one, other, 1e-6)


def test_inside_shard_map(case):
    loss, args, _, want = case
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=(P(), P("data")), out_specs=(P(), P("data")))
    def gradients(factor, x):
        mean = lambda factor, x: lax.pmean(loss(factor, x), "data")  # noqa: E731
        return jax.grad(mean, argnums=(0, 1))(factor, x)

    assert_same(gradients(*args), want)


@pytest.mark.parametrize("check", [True, False])
def test_through_shard_map(case, check):
    loss, args, _, want = case
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
    specs = {"in_specs": (P(), P("data")), "out_specs": P("data")}

    @jax.shard_map(mesh=mesh, check_vma=check, **specs)
    def each(factor, x):
        return loss(factor, x)[None]

    mean = lambda factor, x: each(factor, x).mean()  # noqa: E731
    assert_same(jax.jit(jax.grad(mean, argnums=(0, 1)))(*args), want)


def test_under_an_explicit_mesh(case):
    loss, (factor, x), want, _ = case
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x = jax.device_put(x, P("data"))
        got = jax.jit(jax.grad(loss, argnums=(0, 1)))(factor, x)
        assert got[1].sharding.spec[0] == "data"
    assert_same(got, want)
