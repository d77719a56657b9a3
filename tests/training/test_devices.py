"""Several devices of one process compute what one device computes."""

import json
import os
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec

import cnn_jax.functional as F
from cnn_jax import data, nn, training
from cnn_jax.training import mesh
from cnn_jax.training.trainer import Trainer


def network(seed=0):
    rngs = nnx.Rngs(seed, dropout=1)
    return nn.Chain(
        {
            "conv": nn.Conv(1, 8, (3, 3), padding="same", rngs=rngs),
            "norm": nn.BatchNorm(8),
            "relu": F.relu,
            "drop": nn.Dropout(0.2, rngs=rngs),
            "hidden": nn.Dense((6, 5, 8), 32, rngs=rngs),
            "classifier": nn.Dense(32, 3, rngs=rngs),
        }
    )


@pytest.fixture
def pictures(rng):
    label = rng.integers(0, 3, 22).astype(np.int32)
    image = rng.random((22, 6, 5, 1)).astype(np.float32) + label[:, None, None, None]
    split = {"image": image, "label": label}
    return data.Dataset(split, split, tuple("abc"), validation=split)


def weights(net):
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(net, nnx.Not(nnx.RngState))))
    return np.concatenate([np.asarray(leaf).ravel() for leaf in leaves])


def trained(pictures, **options):
    options = {"epochs": 2, "batch_size": 8, "optimizer": "sgd"} | options
    net = network()
    records = list(training.fit(net, pictures, training.Config(**options)))
    return weights(net), records[-1]


def difference(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("feed", ["device", "stream"])
@pytest.mark.parametrize("fsdp", [1, 2])
def test_two_devices_train_as_one(pictures, feed, fsdp):
    """With batch norm, dropout, augmentation, and a last batch of 6 of 8 examples."""
    options = {"feed": feed, "augment": ("flip",)}
    one, first = trained(pictures, **options)
    two, second = trained(pictures, devices=2, fsdp=fsdp, **options)
    assert difference(two, one) < 1e-5
    np.testing.assert_allclose(second.loss, first.loss, rtol=1e-5)
    for name, value in first.metrics.items():
        np.testing.assert_allclose(second.metrics[name], value, rtol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize(
    "options",
    [
        {"mixup": 0.4},
        {"cutmix": 1.0},
        {"accumulate": 2},
        {"ema": 0.9, "clip": 0.1, "optimizer": "momentum"},
        {"accumulate": 2, "fsdp": 2, "feed": "stream", "ema": 0.9},
    ],
    ids=str,
)
def test_options_mean_the_same_on_two_devices(pictures, options):
    one, _ = trained(pictures, **{**options, "fsdp": 1})
    two, _ = trained(pictures, devices=2, **options)
    assert difference(two, one) < 1e-5


def test_the_state_is_split_over_fsdp_devices(pictures):
    """Each of two devices holds half of the weights and of Adam's moments."""
    trainer = Trainer(
        network(), pictures, training.Config(batch_size=8, devices=2, fsdp=2)
    )
    trainer.start()
    state = trainer.states[0]
    leaves = jax.tree.leaves((state.params, state.opt_state))
    whole = sum(leaf.nbytes for leaf in leaves)
    device = jax.devices()[1]
    held = sum(
        shard.data.nbytes
        for leaf in leaves
        for shard in leaf.addressable_shards
        if shard.device == device
    )
    assert held <= 1.1 / 2 * whole


def collectives(trainer):
    trainer.start()
    trainer._begin_epoch()
    step = trainer.run.train_steps.lower(
        trainer.states[0], *trainer.feeds[0].take(1), trainer._counts[1]
    )
    found = re.findall(
        r" (all-gather|all-reduce|collective-permute|all-to-all|reduce-scatter)"
        r"(?:-start)?\(",
        step.compile().as_text(),
    )
    return {name: found.count(name) for name in set(found)}


def test_a_data_parallel_step_sums_and_gathers_nothing(pictures):
    config = training.Config(batch_size=8, devices=2, augment=("flip",))
    assert collectives(Trainer(network(), pictures, config)).keys() == {"all-reduce"}


def test_a_step_with_split_weights_gathers_them(pictures):
    config = training.Config(batch_size=8, devices=2, fsdp=2)
    found = collectives(Trainer(network(), pictures, config))
    assert found["all-gather"] > 0
    assert "all-to-all" not in found


def test_a_state_saved_on_two_devices_is_the_same_on_one_and_back(pictures, tmp_path):
    """Everything that is saved, with weights that are split over two devices."""
    options = {"epochs": 2, "batch_size": 8, "keep_state": True}
    two = training.Config(**options, devices=2, fsdp=2)
    list(training.fit(network(), pictures, two, folder=tmp_path / "two"))
    states = []
    for devices, fsdp in (1, 1), (2, 1), (2, 2):
        config = training.Config(**options, devices=devices, fsdp=fsdp)
        trainer = Trainer(network(1), pictures, config)
        trainer.start()
        folder = tmp_path / "two" / "checkpoints" / "6"
        assert folder.is_dir()
        restored = _restored(trainer, folder)
        states.append([np.asarray(leaf) for leaf in restored])
    for other in states[1:]:
        for a, b in zip(states[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def _restored(trainer, folder):
    from cnn_jax.training.arrays import by_path
    from cnn_jax.training.checkpoint_format import read_arrays, read_notes

    _, shapes, checksums = read_notes(folder)
    arrays = read_arrays(folder, shapes, checksums)
    trainer.load([arrays[name] for name in trainer.shapes()], 6)
    again = by_path(trainer.tree())
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
    return list(again.values())


def test_evaluation_and_prediction_share_batches(pictures):
    net, image = network(), pictures.test["image"]
    one = training.predict(net, image, batch_size=7)
    two = training.predict(net, image, batch_size=7, devices=2)
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
    first = training.evaluate(net, pictures.test, batch_size=7)
    second = training.evaluate(net, pictures.test, batch_size=7, devices=2)
    assert second == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 3}, "`devices` is 3, but JAX has 2"),
        ({"devices": 2, "batch_size": 7}, "multiple of the 2 devices: 6 or 8"),
        ({"devices": 2, "batch_size": 12, "accumulate": 4}, "has 3 examples"),
        ({"devices": 1, "fsdp": 2}, "`fsdp` is 2, but must divide"),
        ({"devices": 0}, "`devices` is 0"),
        ({"fsdp": 0}, "`fsdp` is 0"),
    ],
)
def test_devices_that_do_not_fit_are_refused(pictures, options, message):
    options = {"batch_size": 8} | options
    with pytest.raises(ValueError, match=re.escape(message)):
        training.check(network(), pictures, training.Config(**options))


def test_evaluation_on_devices_that_are_not_there_is_refused(pictures):
    with pytest.raises(ValueError, match="`devices` is 5, but JAX has 2"):
        training.evaluate(network(), pictures.test, devices=5)


def test_the_largest_axis_that_can_be_split_is_split():
    split = {
        (3, 3, 8, 16): PartitionSpec(None, None, None, "fsdp"),
        (3, 3, 16, 8): PartitionSpec(None, None, "fsdp"),
        (6,): PartitionSpec(),
        (): PartitionSpec(),
        (0, 4): PartitionSpec(None, "fsdp"),
    }
    for shape, spec in split.items():
        assert mesh.state_spec(shape, fsdp=4) == spec


def run(tmp_path, name, **options):
    out = tmp_path / f"{name}.npz"
    environment = {key: x for key, x in os.environ.items() if key != "XLA_FLAGS"}
    subprocess.run(
        [sys.executable, "-m", "tests.training.together", out, json.dumps(options)],
        check=True,
        env=environment,
        capture_output=True,
        timeout=300,
    )
    return np.load(out)["weights"]


@pytest.mark.full
@pytest.mark.parametrize(
    ("model", "float64", "tolerance"),
    [
        ("lenet5", True, 1e-12),
        ("lenet5", False, 1e-5),
        ("resnet20", True, 1e-12),
        ("resnet20", False, 1e-5),
    ],
)
def test_one_two_and_four_devices_agree_after_twenty_steps(
    tmp_path, model, float64, tolerance
):
    """In float32 at a small rate: a ReLU that a rounding turns off is no rounding."""
    config = {"learning_rate": 1e-4, "optimizer": "sgd"}
    options = {"model": model, "float64": float64, "config": config}
    one = run(tmp_path, "one", devices=1, **options)
    for devices in 2, 4:
        several = run(tmp_path, "several", devices=devices, **options)
        assert difference(several, one) <= tolerance
