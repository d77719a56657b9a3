"""How examples reach the device."""

import logging
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnn_jax import data, nn, training
from cnn_jax.training import trainer as trainers
from cnn_jax.training.feed import fits
from tests.training.networks import mlp, small_set, trained, weights


class Shelf:
    """A source that reads one example at a time, and counts how often."""

    def __init__(self, split):
        self.split, self.reads = split, 0

    def __len__(self):
        return len(self.split["label"])

    def __getitem__(self, row):
        self.reads += 1
        return {name: array[row] for name, array in self.split.items()}


@pytest.fixture
def small():
    return small_set()


def pictures(count, classes=10, side=28):
    rng = np.random.default_rng(0)
    label = np.arange(count, dtype=np.int32) % classes
    image = rng.integers(0, 256, size=(count, side, side, 1), dtype=np.uint8)
    image[np.arange(count), 3, label] = 255
    return {"image": image, "label": label}


def linear(side=28, classes=10):
    logits = nn.Dense((side, side, 1), classes, rngs=nnx.Rngs(0))
    return nn.Chain({"classifier": logits})


@pytest.mark.full
@pytest.mark.parametrize(
    ("batch_size", "workers"),
    [
        (5, 0),
        pytest.param(23, 0, marks=pytest.mark.full),
        pytest.param(5, 2, marks=pytest.mark.full),
    ],
)
def test_streamed_examples_give_the_very_same_weights(small, batch_size, workers):
    options = {"epochs": 3, "batch_size": batch_size}
    want = trained(mlp(rate=0.5), small, training.Config(**options, feed="device"))
    streamed = training.Config(**options, feed="stream", workers=workers)
    chex.assert_trees_all_equal(trained(mlp(rate=0.5), small, streamed), list(want))


@pytest.mark.full
def test_a_source_gives_what_arrays_give(small, caplog):
    shelf = Shelf(small.train)
    sets = data.Dataset(shelf, Shelf(small.test), small.classes, Shelf(small.test))
    assert sets.shape == small.shape == (3,)
    want = trained(mlp(), small, training.Config(2, batch_size=5))
    caplog.set_level(logging.INFO, "cnn_jax")
    got = trained(mlp(), sets, training.Config(2, batch_size=5))
    assert "examples (a source) are streamed, feed=auto" in caplog.text
    assert shelf.reads >= 46
    chex.assert_trees_all_equal(list(got), list(want))
    found = training.evaluate(mlp(), sets.test, batch_size=4)
    same = training.evaluate(mlp(), small.test)
    np.testing.assert_allclose(found["loss"], same["loss"], rtol=1e-6)
    assert found["error"] == pytest.approx(same["error"])


@pytest.mark.full
def test_a_source_may_be_put_on_the_device(small):
    want = trained(mlp(), small, training.Config(2, batch_size=5))
    sets = data.Dataset(Shelf(small.train), small.test, small.classes)
    got = trained(mlp(), sets, training.Config(2, batch_size=5, feed="device"))
    chex.assert_trees_all_equal(list(got), list(want))


@pytest.mark.full
def test_many_networks_learn_from_a_stream(small):
    config = training.Config(2, batch_size=5)
    pair, alike = [mlp(0), mlp(1)], [mlp(0), mlp(1)]
    list(training.fit(pair, small, config))
    list(training.fit(alike, small, training.Config(2, batch_size=5, feed="stream")))
    chex.assert_trees_all_equal(
        [weights(net) for net in pair], [weights(net) for net in alike]
    )


def test_what_is_large_is_streamed(small, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "cnn_jax")
    for feed, memory, message in (
        ("auto", 10**6, "lie on the device, feed=auto"),
        ("auto", 10**3, "are streamed, feed=auto"),
        ("device", 10**3, "lie on the device, feed=device"),
        ("stream", 10**6, "are streamed, feed=stream"),
    ):
        monkeypatch.setattr("cnn_jax.training.feed._memory", lambda m=memory: m)
        caplog.clear()
        assert fits([small], training.Config(feed=feed)) == ("device," in message)
        assert message in caplog.text


def test_labels_of_a_stream_are_looked_at(small):
    split = {name: array.copy() for name, array in small.train.items()}
    split["label"][7] = 3
    shelf = Shelf(split)
    sets = data.Dataset(shelf, small.test, small.classes)
    with pytest.raises(ValueError, match="labels from 0 to 3, but there are 3 classes"):
        list(training.fit(mlp(), sets, training.Config(batch_size=5)))


def test_what_is_no_source_is_refused(small, as_shipped):
    with pytest.raises(TypeError, match="`train` is int, but must be arrays"):
        data.Dataset(3, small.test, small.classes)
    with pytest.raises(ValueError, match="`test` is empty"):
        data.Dataset(small.train, Shelf({"label": np.zeros(0, int)}), small.classes)


@pytest.mark.full
def test_bytes_stay_bytes_until_a_step(monkeypatch):
    split = pictures(20)
    sets = data.Dataset(split, split, tuple("0123456789"))
    config = training.Config(2, batch_size=6)
    trainer = trainers.Trainer(
        linear(), sets, config, loss=None, optimizer=None, augment=None
    )
    trainer.start()
    assert trainer.feeds[0].inputs.dtype == jnp.uint8
    floats = {**split, "image": split["image"] / np.float32(127.5) - 1}
    want = trained(linear(), data.Dataset(floats, floats, sets.classes), config)
    got = trained(linear(), sets, config)
    chex.assert_trees_all_close(got, list(want), rtol=1e-5, atol=1e-7)
    net = linear()
    logits = training.predict(net, split["image"])
    np.testing.assert_allclose(
        logits, training.predict(net, floats["image"]), rtol=1e-4, atol=1e-5
    )


@pytest.mark.full
def test_an_epoch_takes_nothing_from_the_host(monkeypatch):
    """60,000 pictures on the device, and what the host reads is counted."""
    split = pictures(60_000)
    sets = data.Dataset(split, pictures(10), tuple("0123456789"))
    reads = []
    get = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda x: reads.append(1) or get(x))
    config = training.Config(3, batch_size=1000, augment=("crop",), record_every=30)
    records = training.fit(linear(), sets, config)
    next(records)
    reads.clear()
    with jax.transfer_guard("disallow_explicit"):
        for _ in range(3):
            last = next(records)
    records.close()
    assert last.step == 120
    # Twice 16 steps are half an epoch: a flag for each dispatch, and the sums.
    assert len(reads) == 3 * (2 + 1)


def test_the_guard_would_see_a_transfer(small):
    """Streamed examples do come from the host, so the same guard refuses them."""
    records = training.fit(mlp(), small, training.Config(batch_size=5, feed="stream"))
    next(records)
    refused = pytest.raises(Exception, match="Disallowed host-to-device transfer")
    with jax.transfer_guard("disallow_explicit"), refused:
        next(records)


def test_interrupts_are_left_alone_without_a_folder(small):
    import signal

    before = signal.getsignal(signal.SIGTERM)
    records = training.fit(mlp(), small, training.Config(batch_size=5))
    next(records)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not list(Path().glob("checkpoints"))
