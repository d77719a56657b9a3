"""`dtype`, `param_dtype`, `precision` and `method` of the modules with a kernel."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from jax.experimental import sparse

from cnn_jax import lowering, nn
from tests.helpers import assert_close, draw

BFLOAT16 = dict(dtype=jnp.bfloat16)


def conv(**options):
    return nn.Conv(3, 4, (3, 2), stride=(1, 2), rngs=nnx.Rngs(0), **options)


def conv_transpose(**options):
    return nn.ConvTranspose(3, 4, (3, 2), stride=(1, 2), rngs=nnx.Rngs(0), **options)


def separable_conv(**options):
    return nn.SeparableConv(3, 4, (3, 2), multiplier=2, rngs=nnx.Rngs(0), **options)


def dense(**options):
    return nn.Dense((6, 8, 3), 4, rngs=nnx.Rngs(0), **options)


class FromEdges(nnx.Module):
    """A graph convolution as a module of features alone."""

    def __init__(self, adjacency, **options):
        self.layer = nn.GraphConv(3, 4, rngs=nnx.Rngs(0), **options)
        self.adjacency = nnx.Variable(adjacency)

    def __call__(self, features):
        adjacency, out = self.layer((self.adjacency[...], features))
        assert adjacency.dtype == self.adjacency.dtype
        return out


def graph_conv(**options):
    edges = np.random.default_rng(1).random((8, 8)).astype(np.float32)
    return FromEdges(jnp.asarray(edges + edges.T), **options)


MAKE = (conv, conv_transpose, separable_conv, dense, graph_conv)
WITH_METHOD = (conv, conv_transpose, separable_conv)


def with_biases(module, rng):
    """The module with biases that are not zero."""
    for path, leaf in nnx.to_flat_state(nnx.state(module, nnx.Param)):
        if path[-1] == "bias":
            leaf[...] = draw(rng, *leaf.shape, dtype=leaf.dtype)
    return module


def in_float64(make, module, x):
    """The output in float64, of the same parameters."""
    with jax.enable_x64(True):
        wide = make(dtype=jnp.float64)
        nnx.update(wide, nnx.state(module))
        out = wide(jnp.asarray(np.asarray(x), jnp.float64))
        assert out.dtype == jnp.float64
        return np.asarray(out)


def eqns(function, *args):
    """Every equation of a function, also of the functions it calls."""

    def inside(jaxpr):
        for equation in jaxpr.eqns:
            yield equation
            for inner in jax.tree.leaves(tuple(equation.params.values())):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from inside(inner)

    return list(inside(jax.make_jaxpr(function)(*args).jaxpr))


@pytest.fixture
def x(rng):
    return draw(rng, 2, 6, 8, 3)


@pytest.mark.parametrize(
    "make",
    [
        make if make in (conv, dense) else pytest.param(make, marks=pytest.mark.full)
        for make in MAKE
    ],
)
def test_bfloat16_computation_with_float32_parameters(make, rng, x):
    module = with_biases(make(**BFLOAT16), rng)
    chex.assert_trees_all_equal_dtypes(
        *jax.tree.leaves(nnx.state(module, nnx.Param)), jnp.zeros(())
    )
    out = module(x)
    assert out.dtype == jnp.bfloat16
    assert_close(out, in_float64(make, module, x), 0.02)
    assert_close(module(x.astype(jnp.bfloat16)), out)
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    def loss(params):
        out = nnx.merge(graph, params, rest)(x).astype(jnp.float32)
        return jnp.sum(out**2)

    gradient = jax.grad(loss)(params)
    chex.assert_trees_all_equal_shapes_and_dtypes(gradient, params)
    chex.assert_tree_all_finite(gradient)
    assert all(jnp.any(leaf != 0) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("make", MAKE)
def test_bfloat16_products_are_bfloat16(make, x):
    names = {"dot_general", "conv_general_dilated"}
    products = [
        equation
        for equation in eqns(make(**BFLOAT16), x)
        if equation.primitive.name in names
        or equation.primitive in (lowering.conv_p, lowering.input_gradient_p)
    ]
    assert products
    if make is not graph_conv:  # `functional.graph_conv` computes in float32.
        for equation in products:
            assert {v.aval.dtype for v in equation.invars} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("make", MAKE)
def test_parameters_are_stored_as_param_dtype(make, x):
    module = make(param_dtype=jnp.bfloat16)
    leaves = jax.tree.leaves(nnx.state(module, nnx.Param))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.bfloat16)}
    float32 = jax.tree.leaves(nnx.state(make(), nnx.Param))
    for low, full in zip(leaves, float32, strict=True):
        if full.any():  # Biases are zero.
            assert_close(jnp.std(low.astype(jnp.float32)), jnp.std(full), 0.4)
    mixed = make(param_dtype=jnp.bfloat16, dtype=jnp.float32)
    assert mixed(x).dtype == jnp.float32


@pytest.mark.parametrize("make", MAKE)
def test_without_a_dtype_nothing_is_cast(as_shipped, make, x):
    assert make()(x).dtype == jnp.float32
    with pytest.raises(TypeError, match="bfloat16"):
        make()(x.astype(jnp.bfloat16))
    with pytest.raises(TypeError, match="bfloat16"):
        make(param_dtype=jnp.bfloat16)(x)


@pytest.mark.parametrize("make", MAKE)
def test_precision_reaches_the_products(make, x):
    highest = lax.Precision.HIGHEST
    module = make(precision="highest")
    precisions = [
        equation.params["precision"]
        for equation in eqns(module, x)
        if "precision" in equation.params
    ]
    assert precisions
    assert set(precisions) == {(highest, highest)}
    assert nnx.split(make(precision=highest))[0] == nnx.split(module)[0]


@pytest.mark.parametrize("make", WITH_METHOD)
def test_method_reaches_the_primitive(make, x):
    methods = [
        equation.params["method"]
        for equation in eqns(make(method="xla"), x)
        if "method" in equation.params
    ]
    assert methods
    assert set(methods) == {"xla"}
    assert_close(make(method="xla")(x), make()(x))
    with pytest.raises(ValueError, match="`method` is 'fastest', but must be one of"):
        make(method="fastest")(x)


@pytest.mark.parametrize("make", MAKE)
def test_split_merge_jit_vmap_and_grad(make, x):
    module = make(dtype="bfloat16", precision="high")
    graph, state = nnx.split(module)
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(state, x):
        return nnx.merge(graph, state)(x)

    out = run(state, x)
    assert_close(out, module(x), 0.01)
    each = jax.vmap(lambda one: nnx.merge(graph, state)(one))(x)
    assert_close(each, out, 0.01)
    slope = jax.grad(lambda x: run(state, x).astype(jnp.float32).sum())(x)
    chex.assert_equal_shape([slope, x])
    assert slope.dtype == x.dtype
    assert jnp.any(slope != 0)


@pytest.mark.parametrize("make", MAKE)
def test_equal_modules_share_a_trace(make, x):
    @chex.assert_max_traces(n=1)
    def run(graph, state, x):
        return nnx.merge(graph, state)(x)

    chex.clear_trace_counter()
    run = jax.jit(run, static_argnums=0)
    spellings = ("bfloat16", jnp.bfloat16, jnp.dtype("bfloat16"))
    outs = [run(*nnx.split(make(dtype=dtype)), x) for dtype in spellings]
    chex.assert_trees_all_equal(*outs)
    assert nnx.split(make())[0] != nnx.split(make(**BFLOAT16))[0]


@pytest.mark.parametrize("make", MAKE)
def test_refusals(as_shipped, make):
    for name in ("dtype", "param_dtype"):
        for dtype in (jnp.int32, "nonsense", 3):
            with pytest.raises(TypeError, match=f"`{name}` is .*floating-point dtype"):
                make(**{name: dtype})
    with pytest.raises(ValueError, match="`precision` is 'most'"):
        make(precision="most")


@pytest.mark.full
def test_sparse_edges_are_cast(rng):
    layer = nn.GraphConv(3, 4, rngs=nnx.Rngs(0), **BFLOAT16)
    dense_edges, features = jnp.abs(draw(rng, 5, 5)), draw(rng, 5, 3)
    edges = sparse.BCOO.fromdense(dense_edges)
    kept, out = layer((edges, features))
    assert kept is edges
    assert out.dtype == jnp.bfloat16
    assert_close(out, layer((dense_edges, features))[1], 0.02)
