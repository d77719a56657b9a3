"""`precision` reaches every matrix product and convolution that XLA compiles."""

import re

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.experimental import sparse

import cnn_jax.functional as F
from tests.helpers import draw

CONV = [(2, 7, 8, 4), (3, 3, 4, 6)]
TRANSPOSED = [(2, 7, 8, 6), (3, 3, 4, 6)]
SEPARABLE = [(2, 7, 8, 4), (3, 3, 1, 4), (1, 1, 4, 6)]
# Function, its options, the shapes of its arrays, and the products in one call.
CALLS = {
    "conv": (F.conv, {}, CONV, 1),
    "conv by xla": (F.conv, {"method": "xla"}, CONV, 1),
    "conv by toeplitz": (F.conv, {"method": "toeplitz"}, CONV, 2),
    "conv_transpose": (F.conv_transpose, {"method": "direct"}, TRANSPOSED, 1),
    "separable_conv": (F.separable_conv, {}, SEPARABLE, 1),
    "separable_conv by xla": (F.separable_conv, {"method": "xla"}, SEPARABLE, 2),
    "dense": (F.dense, {}, [(2, 7), (7, 5)], 1),
    "graph_conv": (F.graph_conv, {}, [(7, 7), (2, 7, 4), (4, 5)], 3),
}
PRODUCT = re.compile(
    r"stablehlo\.(?:convolution|dot_general)\b.*?precision(?:_config)? = \[([^]]*)\]"
)


def precisions(f, arrays):
    """The precisions of every product in the lowered text of `f`."""
    text = jax.jit(f).lower(*arrays).as_text()
    pairs = PRODUCT.findall(text)
    products = re.findall(r"stablehlo\.(convolution|dot_general)\b", text)
    assert len(pairs) == len(products)
    return [tuple(re.findall("DEFAULT|HIGHEST|HIGH", pair)) for pair in pairs]


@pytest.fixture(params=CALLS)
def call(request):
    """A function of arrays and a precision, arrays, and the number of products."""
    function, options, shapes, products = CALLS[request.param]
    arrays = [jnp.ones(shape) for shape in shapes]

    def run(precision):
        return lambda *arrays: function(*arrays, precision=precision, **options)

    return run, arrays, products


@pytest.mark.parametrize("precision", ["highest", lax.Precision.HIGHEST])
def test_precision_reaches_every_product(call, precision):
    run, arrays, products = call
    highest = [("HIGHEST", "HIGHEST")]
    assert precisions(run(precision), arrays) == highest * products
    assert precisions(run("high"), arrays) == [("HIGH", "HIGH")] * products
    assert precisions(run(None), arrays) == [("DEFAULT", "DEFAULT")] * products


def test_precision_reaches_gradients_and_vmap(call):
    run, arrays, products = call
    argnums = tuple(range(len(arrays)))
    gradient = jax.grad(lambda *args: jnp.sum(run("highest")(*args) ** 2), argnums)
    found = precisions(gradient, arrays)
    assert set(found) == {("HIGHEST", "HIGHEST")}
    assert len(found) > products
    many = [jnp.stack([array, array]) for array in arrays]
    for mapped in (jax.vmap(run("highest")), jax.vmap(gradient)):
        assert set(precisions(mapped, many)) == {("HIGHEST", "HIGHEST")}


def test_a_pair_gives_each_factor_its_own_precision():
    arrays = [jnp.ones(shape) for shape in CONV]
    pair = ("default", "highest")
    found = precisions(lambda *args: F.conv(*args, precision=pair), arrays)
    assert found == [("DEFAULT", "HIGHEST")]


@pytest.mark.full
def test_dense_products_of_a_sparse_graph_have_the_precision(rng):
    edges = sparse.BCOO.fromdense(jnp.eye(5))
    arrays = edges, draw(rng, 5, 3), draw(rng, 3, 2)
    found = precisions(lambda *args: F.graph_conv(*args, precision="highest"), arrays)
    assert ("HIGHEST", "HIGHEST") in found


@pytest.mark.parametrize("precision", ["exact", 3, ("high",), ("high", "exact")])
def test_an_unknown_precision_is_refused(as_shipped, call, precision):
    run, arrays, _ = call
    with pytest.raises(ValueError, match="`precision` is .*None, 'default'.*'highest'"):
        run(precision)(*arrays)
