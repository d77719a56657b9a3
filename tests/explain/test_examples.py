"""Filters, feature maps, the examples that excite a unit, and the nearest ones."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnn_jax import explain, nn
from tests.explain.networks import (
    evaluated,
    image_net,
    signal_net,
    sound_net,
    table_net,
)
from tests.helpers import assert_close, draw


def test_filters_are_the_kernels_one_by_one():
    net, kernel = image_net(), image_net().stages["conv1"].kernel[...]
    found = explain.filters(net, "conv1")
    assert found.shape == (4, 3, 2, 2)
    np.testing.assert_array_equal(found[3], kernel[..., 3])
    dense = explain.filters(net, "classifier")
    np.testing.assert_array_equal(dense[2], net.stages["classifier"].kernel[:, 2])
    maps = explain.filters(signal_net(), "classifier")
    assert maps.shape == (3, 3, 4)
    block = nn.Residual(
        nn.Chain({"conv": nn.SeparableConv(2, 2, (3, 1), rngs=nnx.Rngs(0))})
    )
    assert explain.filters(nn.Chain({"block": block}), "block/conv").shape == (
        2,
        3,
        1,
        1,
    )


def test_feature_maps_are_one_image_per_channel(rng):
    x = draw(rng, 9, 6, 2)
    maps = explain.feature_maps(image_net(), x, "relu1")
    np.testing.assert_array_equal(maps[1], image_net().run(x, upto="relu1")[..., 1])


@pytest.mark.parametrize("k", [3, 40])
@pytest.mark.parametrize("streamed", [False, True])
def test_top_examples_are_those_of_all_activations_sorted(rng, k, streamed):
    net, x = image_net(), draw(rng, 30, 9, 6, 2)
    maps = np.asarray(net.run(x, upto="conv2")).reshape(30, -1, 5)
    highest = maps.max(axis=1)
    order = np.argsort(-highest, axis=0)[:k]
    inputs = (np.asarray(x[i : i + 7]) for i in range(0, 30, 7)) if streamed else x
    found = explain.top_examples(net, inputs, "conv2", None, k=k, batch_size=11)
    np.testing.assert_array_equal(found.indices, order.T)
    assert_close(found.activations, np.take_along_axis(highest, order, axis=0).T)
    at = np.ravel_multi_index(tuple(np.moveaxis(found.positions, -1, 0)), (3, 2))
    unit = np.arange(5)[:, None]
    assert_close(maps[found.indices, at, unit], found.activations)


def test_a_crop_is_all_that_a_unit_reads(rng):
    """Another example around the same crop has the same activation."""
    net, x = image_net(), draw(rng, 20, 9, 6, 2)
    found = explain.top_examples(net, x, "conv1", [2, 0], k=4)
    assert found.crops.shape == (2, 4, 3, 2, 2)
    conv = net.stages["conv1"]
    kernel, bias = np.asarray(conv.kernel[...]), np.asarray(conv.bias[...])
    for unit, crops, want in zip([2, 0], found.crops, found.activations, strict=True):
        got = (crops * kernel[..., unit]).sum(axis=(1, 2, 3)) + bias[unit]
        assert_close(got, want)
    whole = explain.top_examples(net, x, "mean", 1, k=2)
    np.testing.assert_array_equal(whole.crops, np.asarray(x)[whole.indices])
    assert whole.activations.shape == (2,)
    assert whole.positions.shape == (2, 0)


@pytest.mark.full
def test_units_of_signals_sounds_and_tables(rng):
    x = draw(rng, 12, 11, 2)
    found = explain.top_examples(signal_net(), x, "conv1", 0, k=2)
    assert found.crops.shape == (2, 3, 2)
    at = int(found.positions[0, 0])
    padded = np.pad(x[found.indices[0]], ((1, 1), (0, 0)))
    np.testing.assert_array_equal(found.crops[0], padded[at : at + 3])
    waves = 0.3 * draw(rng, 6, 600)
    found = explain.top_examples(sound_net(), waves, "round1/conv", 0, k=2)
    assert found.crops.shape == (2, 600)
    assert found.positions.shape == (2, 2)
    found = explain.top_examples(table_net(), draw(rng, 12, 6), "hidden1", None, k=2)
    assert found.crops.shape == (5, 2, 6)


def test_a_unit_that_is_always_0_is_refused_where_it_is_asked_for(rng):
    net = image_net()
    net.stages["conv2"].bias[...] = jnp.array([0.0, -1e6, 0.0, 0.0, 0.0])
    x = draw(rng, 5, 9, 6, 2)
    with pytest.raises(ValueError, match="unit 1 of 'relu2' is 0 at every position"):
        explain.top_examples(net, x, "relu2", [0, 1])
    assert (explain.top_examples(net, x, "relu2", None).activations[1] == 0).all()


def test_the_nearest_examples_are_those_of_all_distances_sorted(rng):
    net, x, queries = image_net(), draw(rng, 30, 9, 6, 2), draw(rng, 3, 9, 6, 2)
    features, own = (np.asarray(net.run(v, upto="mean")) for v in (x, queries))
    away = np.linalg.norm(own[:, None] - features, axis=-1)
    found = explain.nearest_examples(net, iter([x[:9], x[9:]]), queries, "mean", k=4)
    np.testing.assert_array_equal(found.indices, np.argsort(away, axis=1)[:, :4])
    assert_close(found.distances, np.sort(away, axis=1)[:, :4])
    same = explain.nearest_examples(net, x, x[7:8], "conv1", k=1)
    assert same.indices == [[7]]
    assert same.distances == [[0]]


def test_a_stage_that_is_a_chain_has_units_too(rng):
    inner = nn.Chain({"conv": nn.Conv(2, 3, (2, 2), rngs=nnx.Rngs(0))})
    net = evaluated(nn.Chain({"block": inner}))
    found = explain.top_examples(net, draw(rng, 4, 5, 6, 2), "block", 0, k=1)
    assert found.crops.shape == (1, 2, 2, 2)
