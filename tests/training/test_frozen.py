"""A frozen prefix is run once, and the stages below the last learn more slowly."""

import contextlib
import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn, training
from cnn_jax.training import feed, frozen
from cnn_jax.training.optim import slower_below
from tests.helpers import assert_close
from tests.training.networks import examples, small_set, trained, weights


def net_of(seed=0, before=F.relu):
    """A network with statistics and a dropout in the prefix that is frozen."""
    rngs = nnx.Rngs(seed)
    norm = nn.BatchNorm(7)
    norm.mean[...] = jnp.linspace(-1.0, 1.0, 7)
    return nn.Chain(
        {
            "zz": nn.Dense(3, 7, rngs=rngs),
            "norm": norm,
            "before": before,
            "drop": nn.Dropout(0.5, rngs=rngs),
            "middle": nn.Dense(7, 5, rngs=rngs),
            "aa": nn.Dense(5, 3, rngs=rngs),
        }
    )


def options(**given):
    defaults = {"epochs": 3, "batch_size": 5, "optimizer": "sgd", "learning_rate": 0.3}
    return training.Config(**defaults | {"frozen": "drop"} | given)


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(3)
    return small_set(validation=examples(rng, 8))


@contextlib.contextmanager
def without_cache(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(frozen.feed, "device_share", lambda: 0)
        yield


@pytest.mark.parametrize("given", [{}, {"accumulate": 5}, {"precision": "bfloat16"}])
def test_the_cache_changes_nothing(given, split, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "cnn_jax")
    config = options(**given)
    cached = net_of()
    records = list(training.fit(cached, split, config))
    assert "'drop' (0.0 MB) are computed once and cached" in caplog.text
    other = net_of()
    with without_cache(monkeypatch):
        again = list(training.fit(other, split, config))
    assert "'drop' (0.0 MB) are computed in every step" in caplog.text
    tolerance = 1e-2 if given.get("precision") else 1e-5
    for one, two in zip(weights(cached), weights(other), strict=True):
        assert_close(one, two, tolerance)
    for one, two in zip(records, again, strict=True):
        assert one.metrics.keys() == two.metrics.keys()
        assert_close(one.loss, two.loss, tolerance)
        one, two = one.metrics["validation_loss"], two.metrics["validation_loss"]
        assert_close(one, two, tolerance)
    start = net_of()
    for name in "zz", "norm":
        for one, two in zip(
            jax.tree.leaves(nnx.state(cached.stages[name])),
            jax.tree.leaves(nnx.state(start.stages[name])),
            strict=True,
        ):
            np.testing.assert_array_equal(one, two)


def test_the_prefix_is_run_once(split):
    seen = []

    def look(x):
        jax.debug.callback(lambda x: seen.append(len(x)), x)
        return F.relu(x)

    list(training.fit(net_of(before=look), split, options(epochs=6)))
    jax.effects_barrier()
    assert sum(seen) == 25 + 10  # 23 and 8 rows, in batches of 5.


def test_several_networks_have_features_of_their_own(split, monkeypatch):
    config = options()
    nets = [net_of(seed) for seed in (0, 1)]
    list(training.fit(nets, [split, small_set(9, validation=split.validation)], config))
    apart = [net_of(seed) for seed in (0, 1)]
    with without_cache(monkeypatch):
        list(training.fit(apart, [split, small_set(9)], config))
    for one, two in zip(nets, apart, strict=True):
        for a, b in zip(weights(one), weights(two), strict=True):
            assert_close(a, b)


def noise(key, x):
    return x + jax.random.normal(key, x.shape)


@pytest.mark.parametrize(
    ("config", "augment"),
    [
        (options(mixup=0.5), None),
        (options(feed="stream"), None),
        (options(), noise),
        (options(frozen=None), None),
    ],
)
def test_inputs_that_change_are_not_cached(config, augment, split):
    assert frozen.cached_cut(net_of(), [split], config, augment) is None
    assert frozen.cached_cut(net_of(), [split], options(), None) == "drop"


def test_the_argument_stands_for_the_option(split):
    by_argument = trained(net_of(), split, options(frozen=None), frozen="drop")
    by_option = trained(net_of(), split, options())
    for one, two in zip(by_argument, by_option, strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(ValueError, match="`frozen` is 'zz', but that of `config`"):
        training.fit(net_of(), split, options(), frozen="zz")
    with pytest.raises(ValueError, match="there is no stage 'pool9'"):
        training.fit(net_of(), split, options(frozen=None), frozen="pool9")


@pytest.mark.parametrize("cache", [True, False])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    cache, split, tmp_path, monkeypatch
):
    config = options(epochs=4, save_every=0.0, keep_best=True)
    whole = trained(net_of(), split, config, folder=tmp_path / "whole")
    records = training.fit(net_of(), split, config, folder=tmp_path / "cut")
    next(records)
    next(records)
    records.close()
    again = net_of(5)
    with contextlib.nullcontext() if cache else without_cache(monkeypatch):
        list(training.fit(again, split, config, folder=tmp_path / "cut", resume=True))
    found = jax.tree.leaves(nnx.state(again, nnx.Not(nnx.RngState)))
    for one, two in zip(found, whole, strict=True):
        assert_close(one, two, 1e-6)
    loaded = net_of(7)
    training.restore(training.best(tmp_path / "cut"), loaded)
    for one, two in zip(weights(loaded), weights(again), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_value_that_is_not_finite_is_named_behind_the_cache(split):
    net = net_of()
    net.stages["middle"].bias[...] = jnp.full(5, jnp.nan)
    with pytest.raises(training.NotFiniteError, match="weights .*middle/bias are not"):
        list(training.fit(net, split, options()))


def test_stages_below_the_last_take_smaller_steps(split):
    config = options(epochs=1, batch_size=23)
    start = weights(net_of())
    whole, slow = net_of(), net_of()
    list(training.fit(whole, split, config))
    list(training.fit(slow, split, dataclasses.replace(config, rate_below=0.1)))
    steps = {
        name: [
            np.asarray(net.stages[name].kernel[...] - net_of().stages[name].kernel[...])
            for net in (whole, slow)
        ]
        for name in ("middle", "aa")
    }
    np.testing.assert_allclose(steps["aa"][1], steps["aa"][0], atol=1e-7)
    np.testing.assert_allclose(steps["middle"][1], 0.1 * steps["middle"][0], atol=1e-7)
    assert np.abs(steps["middle"][0]).max() > 1e-3
    assert len(start) == 8
    sgd = optax.sgd(0.1)
    assert slower_below(sgd, "aa", 1.0) is sgd
    assert slower_below(sgd, "aa", 0.5) is slower_below(sgd, "aa", 0.5)


def test_the_share_of_the_device_is_positive():
    assert feed.device_share() > 0
