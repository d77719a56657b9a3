"""Curves of covered inputs, shares of mass, and the sanity check."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

import cnn_jax.functional as F
from cnn_jax import explain, nn
from tests.explain.networks import evaluated, image_net, signal_net, table_net
from tests.helpers import assert_close, draw


@pytest.mark.full
@pytest.mark.parametrize("channels", [False, True])
def test_curves_are_those_of_covered_inputs(rng, channels):
    net, x, base = image_net(), draw(rng, 2, 9, 6, 2), draw(rng, 9, 6, 2)
    scores = rng.normal(size=x.shape if channels else x.shape[:-1])
    target, steps = [2, 0], 5
    order = np.argsort(-scores.reshape(2, -1), axis=1)
    for measure, inserted in ((explain.deletion, False), (explain.insertion, True)):
        found = measure(net, x, scores, jnp.array(target), value=base, steps=steps)
        np.testing.assert_allclose(found.fractions, np.linspace(0, 1, 6), rtol=1e-6)
        for i in range(2):
            for step in range(steps + 1):
                chosen = np.zeros(order.shape[1], bool)
                chosen[order[i, : round(step / steps * len(chosen))]] = True
                chosen = chosen.reshape(scores.shape[1:])
                chosen = chosen if channels else chosen[..., None]
                shown = np.where(chosen == inserted, x[i], base)
                want = F.softmax(net(jnp.asarray(shown)))[target[i]]
                np.testing.assert_allclose(found.values[i, step], want, rtol=1e-4)
        area = (found.values[:, 1:] + found.values[:, :-1]).sum(axis=1) / 2 / steps
        assert_close(found.area, area)


@pytest.mark.full
def test_a_curve_ends_where_the_other_begins(rng):
    net, x, scores = signal_net(), draw(rng, 3, 11, 2), draw(rng, 3, 11)
    down, up = (m(net, x, scores) for m in (explain.deletion, explain.insertion))
    assert_close(down.values[:, 0], up.values[:, -1])
    assert_close(down.values[:, -1], up.values[:, 0])
    table = draw(rng, 3, 6)
    jitted = jax.jit(lambda x: explain.deletion(table_net(), x, x))(table)
    assert jitted.values.shape == (3, 21)
    one_output = explain.deletion(lambda x: 3 * x[..., :1], table, table, 0, steps=1)
    assert_close(one_output.values, jnp.stack([3 * table[:, 0], 0 * table[:, 0]], 1))


def test_the_best_order_has_the_smallest_deletion_area(rng):
    weights = jnp.array([4.0, 2.0, 1.0, 0.5])
    f = lambda x: jnp.stack([x @ weights, 0 * x[..., 0]], axis=-1)  # noqa: E731
    x = jnp.ones(4)
    areas = {
        "best": explain.deletion(f, x, weights, 0, steps=4).area,
        "worst": explain.deletion(f, x, -weights, 0, steps=4).area,
    }
    assert areas["best"] < areas["worst"]
    gain = [explain.insertion(f, x, s, 0, steps=4).area for s in (weights, -weights)]
    assert gain[0] > gain[1]


def test_mass_and_pointing_are_counted_per_input(rng):
    scores, mask = rng.normal(size=(2, 3, 7, 5)), rng.random((2, 3, 7, 5)) > 0.6
    share = explain.mass_inside(scores, mask)
    for at in np.ndindex(2, 3):
        size = np.abs(scores[at])
        np.testing.assert_allclose(share[at], size[mask[at]].sum() / size.sum(), 1e-5)
        first = np.unravel_index(scores[at].argmax(), (7, 5))
        assert explain.pointing_game(scores, mask)[at] == mask[at][first]
    assert explain.mass_inside(scores[..., 0], mask[..., 0], spatial=1).shape == (2, 3)


def test_random_maps_have_the_share_of_the_area(rng):
    scores, mask = rng.normal(size=(300, 9, 8)), rng.random((9, 8)) > 0.7
    masks = np.broadcast_to(mask, scores.shape)
    share = np.mean(explain.mass_inside(scores, masks))
    np.testing.assert_allclose(share, mask.mean(), rtol=0.03)
    hits = np.mean(explain.pointing_game(scores, masks))
    np.testing.assert_allclose(hits, mask.mean(), atol=0.07)


def test_a_map_of_zeros_has_no_share_and_hits_nothing():
    zeros, mask = np.zeros((2, 3)), np.ones((2, 3), bool)
    assert np.isnan(explain.mass_inside(zeros, mask))
    assert not explain.pointing_game(zeros, mask)


def deep_net():
    rngs = nnx.Rngs(0)
    stages = {}
    for i in range(3):
        stages[f"conv{i}"] = nn.Conv(
            2 if i == 0 else 8, 8, (3, 3), padding=1, rngs=rngs
        )
        stages[f"relu{i}"] = F.relu
    stages["mean"] = nn.GlobalAvgPool()
    stages["classifier"] = nn.Dense(8, 4, rngs=rngs)
    return evaluated(nn.Chain(stages))


@pytest.mark.full
def test_stages_are_randomised_from_the_last_to_the_first(rng):
    net, x = deep_net(), draw(rng, 5, 9, 6, 2)
    seen = []

    def method(net, x, target):
        jax.debug.callback(lambda *v: seen.append(v), *kernels(net))
        return explain.saliency(net, x, target)

    def kernels(net):
        return [net.stages[n].kernel[...] for n in ("conv0", "conv2", "classifier")]

    found = explain.sanity(jax.random.key(0), method, net, x)
    jax.effects_barrier()
    assert found.stages == ("classifier", "conv2", "conv1", "conv0")
    assert found.correlations.shape == (4, 5)
    own = [np.asarray(k) for k in kernels(net)]
    changed = [
        [not np.array_equal(a, b) for a, b in zip(v, own, strict=True)] for v in seen
    ]
    assert changed == [
        [False, False, False],
        [False, False, True],
        [False, True, True],
        [False, True, True],
        [True, True, True],
    ]
    for value, kernel in zip(seen[-1], own, strict=True):
        np.testing.assert_array_equal(
            np.sort(value, axis=None), np.sort(kernel, axis=None)
        )
    low, high = found.interval()[0, 1:]
    mean, sem = found.correlations[0].mean(), stats.sem(found.correlations[0])
    assert_close([low, high], stats.t.interval(0.95, 4, mean, sem))


def test_a_map_of_the_input_alone_does_not_change_and_a_random_one_does(rng):
    net, x = deep_net(), draw(rng, 3, 9, 6, 2)
    check = partial(explain.sanity, jax.random.key(0))
    edges = check(lambda net, x, target: x, net, x)
    np.testing.assert_allclose(edges.correlations, 1, rtol=1e-9)
    zero = check(lambda net, x, target: 0 * x, net, x)
    np.testing.assert_array_equal(zero.correlations, 0)
    lost = check(explain.saliency, net, x)
    assert lost.correlations[-1].mean() < 0.5
    tied = np.array([[1.0, 1.0, 2.0, 5.0]]), np.array([[3.0, 0.0, 1.0, 1.0]])
    from cnn_jax.explain.sanity import _rank_correlations

    want = stats.spearmanr(tied[0][0], tied[1][0]).statistic
    np.testing.assert_allclose(_rank_correlations(*tied), [want])


def test_the_same_key_gives_the_same_check(rng):
    net, x = deep_net(), draw(rng, 2, 9, 6, 2)
    runs = [
        explain.sanity(jax.random.key(seed), explain.saliency, net, x).correlations
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()
