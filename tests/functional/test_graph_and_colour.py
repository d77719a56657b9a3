import colorsys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import sparse
from jax.test_util import check_grads

import cnn_jax.functional as F
from cnn_jax import nn, report
from experiments import convolution
from tests.helpers import assert_close, compiled, draw


@pytest.fixture
def graph(rng):
    edges = np.triu(rng.random((7, 7)) < 0.4, 1) * rng.random((7, 7))
    return jnp.asarray(edges + edges.T, jnp.float32), draw(rng, 3, 7, 4)


def definition(adjacency, features, weights):
    a = np.float64(adjacency) + np.eye(len(adjacency))
    narrow = np.diag(a.sum(axis=1) ** -0.5)
    return narrow @ a @ narrow @ np.float64(features) @ np.float64(weights)


def test_graph_conv_agrees_with_the_definition(rng, graph):
    adjacency, features = graph
    weights = draw(rng, 4, 5)
    want = definition(adjacency, features, weights)
    assert_close(F.graph_conv(adjacency, features, weights), want)
    assert_close(F.graph_conv(adjacency, features[1], weights), want[1])
    edges = sparse.BCOO.fromdense(adjacency)
    assert_close(jax.jit(F.graph_conv)(edges, features, weights), want)
    many = jnp.stack([adjacency, 0 * adjacency, adjacency])
    out = F.graph_conv(many, features, weights)
    assert_close(out[2], want[2])
    assert_close(out[1], np.float64(features[1]) @ np.float64(weights))


def test_nodes_may_be_renamed(rng, graph):
    (adjacency, features), order = graph, rng.permutation(7)
    weights = draw(rng, 4, 5)
    renamed = adjacency[order][:, order], features[:, order]
    got = F.graph_conv(*renamed, weights)
    assert_close(got, F.graph_conv(adjacency, features, weights)[:, order])


@pytest.mark.full
def test_graph_layers_stack(rng, graph):
    rngs = nnx.Rngs(0)
    net = nn.Chain(
        {
            "first": nn.GraphConv(4, 6, activation=F.relu, rngs=rngs),
            "second": nn.GraphConv(6, 2, use_bias=False, rngs=rngs),
        }
    )
    net.stages["first"].bias[...] = draw(rng, 6)
    first, second = net.stages["first"], net.stages["second"]
    hidden = F.graph_conv(*graph, first.kernel[...]) + first.bias[...].reshape(1, 1, 6)
    want = F.graph_conv(graph[0], F.relu(hidden), second.kernel[...])
    assert_close(net(graph)[1], want)


@pytest.mark.full
def test_graph_gradients_and_half_precision(rng, graph):
    adjacency, features = graph
    weights = draw(rng, 4, 2)
    with jax.enable_x64(True):
        wide = [np.float64(part) for part in (adjacency, features[0], weights)]
        check_grads(jax.jit(F.graph_conv), wide, order=2, modes=["fwd", "rev"])
    half = [part.astype("bfloat16") for part in (adjacency, features, weights)]
    out = F.graph_conv(*half)
    assert out.dtype == "bfloat16"
    assert_close(out, definition(*map(np.float64, half)), tolerance=0.005)


@pytest.fixture
def colours(rng):
    edges = np.array(list(np.ndindex(3, 3, 3))) / 2
    return jnp.asarray(np.concatenate([edges, rng.random((40, 3))]), jnp.float32)


def test_hsv_agrees_with_colorsys(colours):
    got = compiled(F.rgb_to_hsv)(colours)
    want = np.array([colorsys.rgb_to_hsv(*map(float, c)) for c in colours])
    np.testing.assert_allclose(got, want, atol=1e-5)
    back = np.array([colorsys.hsv_to_rgb(*c) for c in want])
    np.testing.assert_allclose(F.hsv_to_rgb(got), back, atol=1e-5)
    np.testing.assert_allclose(back, colours, atol=1e-6)


@pytest.mark.full
def test_lab_agrees_with_published_values(colours):
    # Of the sRGB primaries under D65, to two digits: Lindbloom, brucelindbloom.com.
    known = {
        (1, 1, 1): (100, 0, 0),
        (0, 0, 0): (0, 0, 0),
        (1, 0, 0): (53.24, 80.09, 67.20),
        (0, 1, 0): (87.73, -86.18, 83.18),
        (0, 0, 1): (32.30, 79.19, -107.86),
    }
    got = F.rgb_to_lab(jnp.asarray(list(known), jnp.float32))
    np.testing.assert_allclose(got, list(known.values()), atol=0.02)
    np.testing.assert_allclose(F.lab_to_rgb(F.rgb_to_lab(colours)), colours, atol=1e-4)


def test_grey(colours):
    weights = np.array([0.2125, 0.7154, 0.0721])
    assert_close(F.rgb_to_gray(colours), np.float64(colours) @ weights[:, None])
    gray = F.rgb_to_gray(colours[0])
    np.testing.assert_array_equal(F.gray_to_rgb(gray), jnp.repeat(gray, 3))


@pytest.mark.full
def test_colours_keep_dtype_and_have_finite_gradients(colours):
    for f in (F.rgb_to_hsv, F.hsv_to_rgb, F.rgb_to_lab, F.lab_to_rgb, F.rgb_to_gray):
        assert compiled(f)(colours.astype("bfloat16")).dtype == "bfloat16"
        gradient = jax.jit(jax.grad(lambda x, f=f: f(x).sum()))(colours)
        assert np.isfinite(gradient).all()
    smooth = np.array([[0.1, 0.5, 0.9], [0.8, 0.3, 0.2]])
    with jax.enable_x64(True):
        both = jax.jit(lambda x: (F.rgb_to_hsv(x), F.rgb_to_lab(x)))
        check_grads(both, [smooth], order=2, rtol=1e-3)


A, N, W = jnp.ones((7, 7)), jnp.ones((7, 4)), jnp.ones((4, 5))


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (
            ValueError,
            "is 7 × 6, but must be square",
            lambda: F.graph_conv(A[:, :6], N, W),
        ),
        (
            ValueError,
            "has 6 nodes, but `adjacency` has 7",
            lambda: F.graph_conv(A, N[:6], W),
        ),
        (
            ValueError,
            r"`weights` has shape \(3, 5\).*\(4, out_features\)",
            lambda: F.graph_conv(A, N, W[:3]),
        ),
        (TypeError, "`adjacency` has 1 axes", lambda: F.graph_conv(A[0], N, W)),
        (TypeError, "`adjacency` is int32", lambda: F.graph_conv(A.astype(int), N, W)),
        (
            TypeError,
            "`weights` is bfloat16",
            lambda: F.graph_conv(A, N, W.astype("bfloat16")),
        ),
        (
            ValueError,
            r"batch axes \(2,\), but `features` has \(3,\)",
            lambda: F.graph_conv(jnp.ones((2, 7, 7)), jnp.ones((3, 7, 4)), W),
        ),
        (
            TypeError,
            "sparse and has 3 axes",
            lambda: F.graph_conv(sparse.BCOO.fromdense(A[None]), N[None], W),
        ),
        (
            ValueError,
            "`out_features` is 0",
            lambda: nn.GraphConv(3, 0, rngs=nnx.Rngs(0)),
        ),
        (ValueError, r"\(4, 5\).*end in 3 channel", lambda: F.rgb_to_hsv(W)),
        (ValueError, "end in 1 channel", lambda: F.gray_to_rgb(W)),
        (TypeError, "`x` is uint8", lambda: F.rgb_to_lab(jnp.ones((4, 3), jnp.uint8))),
    ],
)
def test_refusals(as_shipped, error, message, call):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("name", "slopes"),
    {
        "relu": {0: 0}, "leaky_relu": {0: 1}, "relu6": {0: 0, 6: 0}, "elu": {0: 1},
        "celu": {0: 1}, "selu": {0: 1.7580993}, "hard_tanh": {-1: 1, 1: 1},
        "hard_sigmoid": {-3: 0, 3: 0}, "hard_silu": {-3: 0, 3: 1},
    }.items(),
)  # fmt: skip
def test_slopes_at_kinks_are_as_stated(name, slopes):
    for x, slope in slopes.items():
        got = jax.grad(getattr(F, name))(float(x))
        np.testing.assert_allclose(got, slope, rtol=1e-6)


@pytest.mark.full
def test_the_experiment_shows_the_grey_of_the_function(monkeypatch):
    shown = []
    monkeypatch.setattr(report, "images", lambda images, **_: shown.extend(images))
    page = SimpleNamespace(section=print, table=print, figure=print)
    convolution.image_kernels(page, convolution.Config())
    colour, grey = shown[0], shown[1 + F.IMAGE_KERNELS.index("identity")]
    assert_close(grey, F.rgb_to_gray(jnp.asarray(colour))[..., 0])
