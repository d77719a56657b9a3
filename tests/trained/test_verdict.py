"""What a training came to, and what images may go through in training."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx as flax

from cnn_jax import data, nn, trained, training
from cnn_jax.trained.baseline import describe_audio, describe_images
from experiments.small_data import sets


def verdict(correct, count=60, majority=1 / 3, **rest):
    return trained.Verdict(correct, count, majority, "a", **rest)


def test_the_interval_is_wilsons():
    one, z = verdict(45), 1.959964
    p, n = 45 / 60, 60
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(one.interval, (middle - reach, middle + reach), 1e-5)


def test_nothing_learned_is_said():
    assert not verdict(24).learned
    assert "learned nothing that can be shown" in verdict(24).headline()
    assert verdict(35).learned
    assert "nothing" not in verdict(35).headline()
    # Two classes of 54 and 6: all answers alike are 90 % right and no achievement.
    assert not verdict(54, majority=0.9).learned


def test_random_labels_are_hardly_ever_learned(rng):
    """At random 2.5 % of intervals lie above the share of the classes."""
    correct = rng.binomial(60, 1 / 3, size=2000)
    assert np.mean([verdict(int(k)).learned for k in correct]) < 0.04


@pytest.mark.parametrize(
    ("known", "simple", "words"),
    [
        (0.99, 0.5, "learned it by heart"),
        (0.35, 0.3, "more epochs may help"),
        (None, 0.6, "use trees"),
        (None, 0.2, None),
    ],
)
def test_advice_fits(known, simple, words):
    baseline = trained.Baseline("trees", simple)
    found = verdict(24, training_accuracy=known, baseline=baseline).advice()
    assert (words is None and not found) or any(words in line for line in found)


def test_augmentation_is_named_where_it_may_hide_the_classes():
    low = verdict(22, training_accuracy=0.35)
    assert "`--augment crop`" in low.advice()[0]
    table = dataclasses.replace(low, kind="table")
    assert "augment" not in table.advice()[0]


def test_a_verdict_is_that_of_the_evaluation(rng, tmp_path):
    label = np.repeat([0, 1, 1], 11).astype(np.int32)
    table = (label + rng.normal(size=33)).astype(np.float32)[:, None]
    split = {"table": table, "label": label}
    sets_ = data.Dataset(train=split, test=split, classes=("a", "b"))
    net = nn.Chain({"classifier": nn.Dense(1, 2, rngs=flax.Rngs(0))})
    found = trained.judge(net, sets_)
    right = np.asarray(net(jnp.asarray(table)).argmax(-1)) == label
    assert found.correct == right.sum()
    assert (found.majority, found.majority_class) == (2 / 3, "b")
    assert found.training_accuracy == pytest.approx(right.mean())
    assert found.baseline.name == "boosted trees"
    trained.write_verdict(tmp_path, found)
    assert json.loads((tmp_path / "verdict.json").read_text())["count"] == 33
    assert trained.read_baseline(tmp_path) == found.baseline


@pytest.mark.full
def test_features_of_images_and_audio(rng):
    images = rng.integers(0, 256, (3, 20, 30, 3)).astype(np.uint8)
    found = describe_images(images)
    assert found.shape == (3, 8 * 8 * 3 + 4 * 4 * 8 + 8 * 3)
    np.testing.assert_allclose(
        found, describe_images(images / np.float32(127.5) - 1), atol=1e-5
    )
    np.testing.assert_allclose(found[:, -24:].reshape(3, 8, 3).sum(1), 1, rtol=1e-5)
    gradients = found[:, 192:-24]
    np.testing.assert_allclose(np.linalg.norm(gradients, axis=1), 1, rtol=1e-5)
    assert describe_audio(
        rng.normal(size=(2, 4000)).astype(np.float32), 8000
    ).shape == (2, 48)


@pytest.mark.full
def test_changes_that_cost_accuracy_are_found():
    digits = trained.measure_changes(sets.split("handwriting", 0))
    assert not any(kept.harmless for kept in digits.values())
    colours = trained.measure_changes(sets.split("colour", 0))
    assert {name for name, kept in colours.items() if not kept.harmless} == {
        "recoloured"
    }
    positions = trained.measure_changes(sets.split("position", 0))
    assert {name for name, kept in positions.items() if kept.harmless} == {"recoloured"}


@pytest.mark.full
def test_single_examples_cannot_be_held_out(rng):
    images = rng.integers(0, 256, (5, 9, 9, 3)).astype(np.uint8)
    split = {"image": images, "label": np.array([0, 0, 1, 1, 2])}
    found = data.Dataset(train=split, test=split, classes=("a", "b", "c"))
    assert trained.measure_changes(found) == {}


@pytest.mark.full
def test_minutes_bound_the_epochs():
    found = sets.split("table", 0)
    net = nn.Chain({"classifier": nn.Dense(12, 2, rngs=flax.Rngs(0))})
    config = training.Config(epochs=10**6, batch_size=32)
    few, more = (
        trained.epochs_within(minutes, net, found, config) for minutes in (1e-9, 1e3)
    )
    assert few == 1 < more
    short = training.Config(epochs=3, batch_size=32)
    assert trained.epochs_within(1e3, net, found, short) == 3
    with pytest.raises(ValueError, match="`minutes` is 0.0, but must be above 0"):
        trained.epochs_within(0.0, net, found, config)
