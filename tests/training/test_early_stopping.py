"""Which record is the best, and when training stops."""

import json

import numpy as np

from cnn_jax import training
from cnn_jax.training.early_stopping import EarlyStopping, score_of
from cnn_jax.training.record import Record


def record(error=None, loss=1.0, validation=None):
    metrics = {} if validation is None else {"validation_loss": validation}
    if error is not None:
        metrics["validation_error"] = error
    return Record(1, 1, loss, metrics)


def test_the_error_decides_and_then_the_loss():
    """A constant classifier of a low loss is not better than one that is more right."""
    stopping = EarlyStopping(training.Config(patience=2))
    constant, better = record(2 / 3, validation=1.1), record(0.5, validation=3.0)
    found = [
        stopping.update(each)
        for each in (constant, better, record(0.5, validation=2.0), constant, constant)
    ]
    assert found == [True, True, True, False, False]
    assert stopping.best == (0.5, 2.0)
    assert stopping.done


def test_scores_without_errors_or_without_validation():
    assert score_of(record(validation=0.3)) == (0.0, 0.3)
    assert score_of(record(loss=np.array([1.0, 2.0]))) == (0.0, 1.5)
    many = record(np.array([0.1, 0.3]), validation=np.array([1.0, 3.0]))
    assert score_of(many) == (0.2, 2.0)


def test_the_state_survives_json():
    stopping = EarlyStopping(training.Config(patience=3))
    stopping.update(record(0.5, validation=2.0))
    again = EarlyStopping(training.Config(patience=3))
    again.restore(json.loads(json.dumps(stopping.state())))
    assert again == stopping
    assert not again.update(record(0.5, validation=2.0))
