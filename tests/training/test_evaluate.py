"""What a config, an evaluation and the memory check do before anything is trained."""

import importlib

import chex
import jax
import numpy as np
import pytest
from flax import nnx

from cnn_jax import data, nn, tasks, training
from cnn_jax.data import memory
from cnn_jax.training import feed
from tests.helpers import assert_close

evaluation = importlib.import_module("cnn_jax.training.evaluate")  # Not the function.


def test_lists_in_a_config_are_tuples(as_shipped):
    config = training.Config(class_weights=[1.0, 2.0], drops=[0.5], augment=["flip"])
    assert config == training.Config(
        class_weights=(1.0, 2.0), drops=(0.5,), augment=("flip",)
    )
    assert hash(config) == hash(training.Config.from_json(config.to_json()))


def test_memory_is_what_a_container_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(jax.devices()[0].__class__, "memory_stats", lambda _: None)
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "LIMITS", (limit, tmp_path / "none"))
    limit.write_text("max\n")
    whole = feed._memory()
    assert whole > 2**20
    limit.write_text("1048576\n")
    assert feed._memory() == 2**20


@pytest.mark.parametrize("sizes", [(11, 4), (11, 64), (8, 4)])
def test_one_compilation_serves_every_batch_of_an_evaluation(rng, sizes, monkeypatch):
    count, batch_size = sizes
    net = nn.Chain({"out": nn.Dense(3, 5, rngs=nnx.Rngs(0))})
    split = {
        "table": rng.normal(size=(count, 3)).astype(np.float32),
        "label": np.arange(count) % 5,
    }
    chex.clear_trace_counter()
    once = chex.assert_max_traces(evaluation._outputs, n=1)
    monkeypatch.setattr(evaluation, "_outputs", once)
    evaluation._compiled_metrics.cache_clear()
    rows = [{name: array[i] for name, array in split.items()} for i in range(count)]
    for given in (split, rows):
        found = training.evaluate(net, given, batch_size=batch_size)
        logits = net(jax.numpy.asarray(split["table"]))
        want = tasks.cross_entropy(logits, split["label"]).mean()
        assert_close(found["loss"], want)
        assert found["error"] == np.mean(logits.argmax(-1) != split["label"])
    evaluation._compiled_metrics.cache_clear()


def test_an_empty_split_is_refused():
    net = nn.Chain({"out": nn.Dense(3, 5, rngs=nnx.Rngs(0))})
    empty = {"table": np.zeros((0, 3), np.float32), "label": np.zeros(0, int)}
    with pytest.raises(ValueError, match="`split` is empty"):
        training.evaluate(net, empty)
    assert data.dataset.length(empty) == 0
