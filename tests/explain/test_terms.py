"""The terms of a unit and its bias are the unit, for every kind of stage."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import explain, models, nn
from cnn_jax.nn.walk import INPUT
from tests.explain.networks import evaluated, image_net, in_float64

RNGS = nnx.Rngs(0)
IMAGE = (6, 8, 4)
# Stage → the shape that it reads, for every kind of stage.
STAGES = {
    "conv": (
        nn.Conv(4, 6, (3, 2), stride=(1, 2), groups=2, padding=1, rngs=RNGS),
        IMAGE,
    ),
    "reflected": (
        nn.Conv(4, 3, (3, 2), padding=1, padding_mode="reflect", rngs=RNGS),
        IMAGE,
    ),
    "transposed": (nn.ConvTranspose(4, 3, (3, 2), stride=2, rngs=RNGS), IMAGE),
    "separable": (nn.SeparableConv(4, 3, (3, 2), multiplier=2, rngs=RNGS), IMAGE),
    "dense": (nn.Dense(IMAGE, 5, rngs=RNGS), IMAGE),
    "batch norm": (nn.BatchNorm(4), IMAGE),
    "layer norm": (nn.LayerNorm((8, 4)), IMAGE),
    "group norm": (nn.GroupNorm(4, groups=2), IMAGE),
    "instance norm": (nn.InstanceNorm(4), IMAGE),
    "local response": (nn.LocalResponseNorm(3, alpha=0.5), IMAGE),
    "dropout": (nn.Dropout(0.5, rngs=nnx.Rngs(1)), IMAGE),
    "max": (nn.MaxPool((2, 3), stride=1), IMAGE),
    "maxima and indices": (nn.MaxPool((2, 2), return_indices=True), IMAGE),
    "mean": (nn.AvgPool((2, 3), padding=1), IMAGE),
    "sum": (nn.SumPool((2, 3)), IMAGE),
    "norm": (nn.LpPool(2, (2, 3)), IMAGE),
    "adaptive mean": (nn.AdaptiveAvgPool((4, 3)), IMAGE),
    "adaptive max": (nn.AdaptiveMaxPool((4, 3)), IMAGE),
    "global mean": (nn.GlobalAvgPool(), IMAGE),
    "global max": (nn.GlobalMaxPool(), IMAGE),
    "pad": (nn.Pad((1, 2), mode="reflect"), IMAGE),
    "unfold": (nn.Unfold((3, 2)), IMAGE),
    "fold": (nn.Fold((4, 6)), (3, 5, 2, 2, 4)),
    "spectrogram": (nn.Spectrogram(n_fft=32), (100,)),
    "log-mel": (nn.LogMel(sr=100, n_fft=32, n_mels=5), (100,)),
    "MFCC": (nn.MFCC(sr=100, n_fft=32, n_mels=5, n_mfcc=3), (100,)),
    "peak norm": (nn.PeakNorm(top_db=4.0), (6, 8, 1)),
    "relu": (F.relu, IMAGE),
    "tanh": (F.tanh, IMAGE),
    "softmax": (F.softmax, IMAGE),
    "residual": (
        nn.Residual(
            nn.Chain({"conv": nn.Conv(4, 5, (3, 3), padding=1, rngs=RNGS)}),
            nn.Conv(4, 5, (1, 1), rngs=RNGS),
            F.relu,
        ),
        IMAGE,
    ),
    "inception": (
        nn.Branches(
            {
                "1": nn.Conv(4, 2, (1, 1), rngs=RNGS),
                "3": nn.Chain(
                    {"a": nn.Conv(4, 2, (1, 1), rngs=RNGS), "b": nn.MaxPool((1, 1))}
                ),
            }
        ),
        IMAGE,
    ),
    "dense block": (
        nn.Branches({"before": nn.identity, "new": nn.Conv(4, 2, (1, 1), rngs=RNGS)}),
        IMAGE,
    ),
    "masked": (
        nn.Masked(nn.Chain({"conv": nn.Conv(4, 2, (3, 3), padding=1, rngs=RNGS)})),
        IMAGE,
    ),
}


def total(found):
    return sum(np.sum(np.asarray(p, np.float64)) for p in found.products.values())


def assert_adds_up(found, scale=1.0):
    error = abs(total(found) + float(found.bias) - float(found.value))
    assert error <= 1e-12 * max(scale, abs(float(found.value)))


QUICK = ("conv", "dense", "batch norm", "max", "relu", "tanh", "dense block")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.full])
        for kind in STAGES
    ],
)
def test_the_terms_and_the_bias_are_the_unit(rng, kind):
    stage, shape = STAGES[kind]
    net = evaluated(nn.Chain({"before": F.tanh, "stage": stage}))
    with jax.enable_x64(True):
        net = in_float64(net)
        x = jnp.asarray(rng.normal(size=shape))
        value = net.run(x, upto="stage")
        value = value[0] if isinstance(value, tuple) else value
        for _ in range(3):
            at = tuple(int(rng.integers(n)) for n in value.shape)
            found = explain.terms(net, x, "stage", at)
            assert float(found.value) == float(value[at])
            assert_adds_up(found)
            pixels = explain.terms(net, x, "stage", at, source=INPUT)
            assert pixels.weights[INPUT].shape == shape
            assert_adds_up(pixels)


def rebuilt(net, x, path, position):
    """A unit from pixels alone: each input of a sum is replaced by its own sum."""

    @functools.cache
    def value(path, position):
        if path == INPUT:
            return float(x[position])
        found = explain.terms(net, x, path, position)
        rows = found.rows()
        return float(found.bias) + sum(
            row.weight * value(row.source, row.position) for row in rows
        )

    return value(path, position)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["residual", "inception", "dense block"])
def test_it_leads_down_to_the_pixels_through_blocks(rng, kind):
    stage, _ = STAGES[kind]
    first = nn.Conv(2, 4, (2, 2), padding="same", rngs=nnx.Rngs(0))
    net = nn.Chain({"conv": first, "relu": F.relu, "block": stage})
    net = evaluated(net)
    with jax.enable_x64(True):
        net = in_float64(net)
        x = jnp.asarray(rng.normal(size=(3, 2, 2)))
        at = (1, 1, 1)
        want = float(net(x)[at])
        assert abs(rebuilt(net, x, "block", at) - want) <= 1e-12 * max(1, abs(want))


def test_weights_and_bias_are_those_of_the_layer(rng):
    net = image_net()
    x = jnp.asarray(rng.normal(size=(9, 6, 2)), jnp.float32)
    conv, norm = net.stages["conv1"], net.stages["norm1"]
    found = explain.terms(net, x, "conv1", (3, 2, 1))
    assert found.inputs.keys() == {INPUT}
    window = found.weights[INPUT][2:5, 1:3]
    np.testing.assert_allclose(window, conv.kernel[..., 1], rtol=1e-5)
    np.testing.assert_allclose(found.bias, conv.bias[1], atol=1e-5)
    assert len(found.rows()) == 3 * 2 * 2
    assert found.rows(2)[0].source == INPUT
    sizes = [abs(row.product) for row in found.rows()]
    assert sizes == sorted(sizes, reverse=True)
    found = explain.terms(net, x, "norm1", (3, 2, 1))
    scale = norm.scale[1] / np.sqrt(norm.var[1] + norm.epsilon)
    ((source, at, _, weight, _),) = found.rows()
    assert (source, at) == ("conv1", (3, 2, 1))
    np.testing.assert_allclose(weight, scale, rtol=1e-5)
    np.testing.assert_allclose(
        found.bias, norm.bias[1] - scale * norm.mean[1], atol=1e-5
    )


def test_what_passes_has_weight_1(rng):
    net = image_net()
    x = jnp.asarray(rng.normal(size=(9, 6, 2)), jnp.float32)
    maps = np.asarray(net.run(x, upto="relu1"))
    found = explain.terms(net, x, "pool1", (1, 2, 0))
    ((source, at, value, weight, product),) = found.rows()
    assert (source, weight, product) == ("relu1", 1.0, value)
    window = maps[2:4, 4:6, 0]
    assert value == window.max()
    assert window[at[0] - 2, at[1] - 4] == value
    off = tuple(int(i) for i in np.argwhere(maps == 0)[0])
    assert explain.terms(net, x, "relu1", off).rows() == []


@pytest.mark.full
def test_the_bias_down_to_the_pixels_is_that_of_all_layers(rng):
    """In a net of ReLUs it is Σ over layers of bias · ∂ logit / ∂ bias."""
    net = image_net()
    del net.stages["norm1"]
    net = nn.Chain({n: net.stages[n] for n in net.names if n != "norm1"})
    x = jnp.asarray(rng.normal(size=(9, 6, 2)), jnp.float32)
    graph, params = nnx.split(net)
    slopes = jax.grad(lambda p: nnx.merge(graph, p)(x)[2])(params)
    pairs = zip(nnx.to_flat_state(params), nnx.to_flat_state(slopes), strict=True)
    bias = sum(
        jnp.sum(p[...] * g[...]) for (path, p), (_, g) in pairs if path[-1] == "bias"
    )
    found = explain.terms(net, x, "classifier", (2,), source=INPUT)
    np.testing.assert_allclose(found.bias, bias, rtol=1e-4)


@pytest.mark.full
def test_a_block_reads_its_branches(rng):
    net = evaluated(models.build("resnet20", classes=3, rngs=nnx.Rngs(0)))
    x = jnp.asarray(rng.normal(size=(5, 6, 3)), jnp.float32)
    at = (1, 2, 5)
    while float(net.run(x, upto="layer1/0")[at]) == 0:
        at = (at[0], at[1], at[2] + 1)
    rows = explain.terms(net, x, "layer1/0", at).rows()
    assert {(r.source, r.position, r.weight) for r in rows} == {
        ("relu1", at, 1.0),
        ("layer1/0/norm2", at, 1.0),
    }
    sums = list(explain.largest_terms(net, x, "classifier", (1,)))
    assert sums[0].path == "classifier"
    assert sums[-1].inputs.keys() == {INPUT}
    for one, after in itertools.pairwise(sums):
        (largest,) = one.rows(1)
        assert (after.path, after.position) == largest[:2]


@pytest.mark.full
def test_maps_and_graphs_of_several_arrays(rng):
    x = jnp.asarray(rng.normal(size=(4, 6, 2)), jnp.float32)
    net = nn.Chain(
        {
            "pool": nn.MaxPool((2, 2), return_indices=True),
            "unpool": nn.MaxUnpool((2, 2)),
        }
    )
    value = net(x)
    at = tuple(int(i) for i in np.argwhere(value != 0)[0])
    (row,) = explain.terms(net, x, "unpool", at).rows()
    assert (row.source, row.product) == ("pool", float(value[at]))
    graph = nn.Chain({"mix": nn.GraphConv(3, 5, rngs=nnx.Rngs(0))})
    pair = jnp.eye(4) + 1, jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)
    found = explain.terms(graph, pair, "mix", (1, 2))
    np.testing.assert_allclose(found.value, graph(pair)[1][1, 2], rtol=1e-5)
    np.testing.assert_allclose(total(found), found.value - found.bias, rtol=1e-5)
    assert len(found.rows()) == 12
