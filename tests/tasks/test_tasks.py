import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax import tasks
from cnn_jax.tasks.metrics import divide, mean_interval
from tests.helpers import assert_close, draw


def probabilities(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_classification_is_its_definition(rng):
    logits, labels = draw(rng, 7, 3), jnp.asarray(rng.integers(0, 3, 7))
    task = tasks.Classification()
    p = probabilities(np.float64(logits))
    assert_close(task.decode(logits), p)
    want = -np.log(p[np.arange(7), labels])
    assert_close(task.loss(logits, labels), want)
    means = divide(task.metrics(logits, labels))
    assert_close(means["loss"], want.mean())
    assert means["error"] == pytest.approx((p.argmax(-1) != labels).mean())


def test_several_labels_are_a_sigmoid_each(rng):
    logits, labels = draw(rng, 7, 3), jnp.asarray(rng.random((7, 3)) < 0.4)
    task = tasks.default_task(np.asarray(labels))
    assert task == tasks.Classification(multi_label=True)
    p = 1 / (1 + np.exp(-np.float64(logits)))
    assert_close(task.decode(logits), p)
    want = -np.where(labels, np.log(p), np.log(1 - p))
    assert_close(divide(task.metrics(logits, labels))["loss"], want.mean())


def test_padding_rows_count_for_nothing(rng):
    logits, labels = draw(rng, 7, 3), jnp.asarray(rng.integers(0, 3, 7))
    task = tasks.Classification()
    mask = jnp.array([1.0] * 5 + [0.0] * 2)
    spoilt = logits.at[5:].set(jnp.nan)
    got = divide(task.metrics(spoilt, labels, mask))
    want = divide(task.metrics(logits[:5], labels[:5]))
    chex.assert_trees_all_close(got, want, rtol=1e-6)


def test_evaluation_has_no_smoothing_and_no_weights(rng):
    logits, labels = draw(rng, 7, 3), jnp.asarray(rng.integers(0, 3, 7))
    task = tasks.Classification(label_smoothing=0.1, class_weights=(1.0, 2.0, 5.0))
    plain = task.for_evaluation().metrics(logits, labels)["loss"]
    assert plain == tasks.Classification().metrics(logits, labels)["loss"]
    assert task.metrics(logits, labels)["loss"] != plain


def test_scores_of_a_regression():
    decoded, targets = np.array([[1.0], [3.0], [2.0]]), np.array([[1.0], [2.0], [4.0]])
    got = tasks.Regression().score(decoded, targets)
    assert got["rmse"] == pytest.approx(np.sqrt(5 / 3))
    total = ((targets - targets.mean()) ** 2).sum()
    assert got["r2"] == pytest.approx(1 - 5 / total)


def test_the_task_follows_from_labels():
    whole, floats = np.array([0, 1]), np.array([[0.5], [1.5]])
    assert tasks.default_task(whole) == tasks.Classification()
    assert tasks.default_task(floats) == tasks.Regression("squared")
    assert tasks.default_task(whole, loss="huber") == tasks.Regression("huber")
    with pytest.raises(ValueError, match="'squared', which has no classes"):
        tasks.default_task(floats, label_smoothing=0.1)


def test_equal_tasks_are_one():
    pair = {tasks.CustomLoss(optax.l2_loss), tasks.CustomLoss(optax.l2_loss)}
    assert len(pair) == 1
    assert len({tasks.Classification(), tasks.Classification()}) == 1


def test_an_interval_of_equal_values_is_a_point():
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)


def test_a_loss_function_is_a_task(rng):
    outputs, targets = draw(rng, 5, 2), draw(rng, 5, 2)
    task = tasks.CustomLoss(optax.squared_error)
    got = divide(task.metrics(outputs, targets))["loss"]
    assert_close(got, ((np.float64(outputs) - targets) ** 2).mean())
    assert task.decode(outputs) is outputs
