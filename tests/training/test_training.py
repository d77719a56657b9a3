import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cnn_jax import data, nn, tasks, training
from cnn_jax.tasks import metrics
from cnn_jax.training import checkpoint, optim, trainer
from cnn_jax.training.trainer import Trainer
from tests.helpers import assert_close
from tests.training.networks import by_hand, examples, mlp, normed, small_set, weights


@pytest.fixture
def small():
    return small_set()


def test_one_step_over_everything_is_optaxs(small):
    net, want = mlp(), mlp()
    (want,) = by_hand(want, small.train, [np.arange(23)], optax.sgd(0.5))
    config = training.Config(
        epochs=1, batch_size=23, learning_rate=0.5, optimizer="sgd"
    )
    (record,) = training.fit(net, small, config)
    for a, b in zip(weights(net), want, strict=True):
        assert_close(a, b)
    before = training.evaluate(mlp(), small.train)
    assert record.step == 1
    np.testing.assert_allclose(record.loss, before["loss"], rtol=1e-5)
    np.testing.assert_allclose(record.metrics["error"], before["error"], rtol=1e-6)


def test_a_short_last_batch_counts_by_its_examples(small):
    """Nothing moves at a learning rate of zero, so the record is the evaluation."""
    net = mlp()
    records = training.fit(
        net, small, training.Config(2, batch_size=5), optimizer=optax.sgd(0.0)
    )
    want = training.evaluate(net, small.train)
    for record in records:
        np.testing.assert_allclose(record.loss, want["loss"], rtol=1e-5)
        np.testing.assert_allclose(record.metrics["error"], want["error"], rtol=1e-6)
        assert record.step == 5 * record.epoch
        assert record.examples_per_second > 0


def test_every_epoch_has_every_example_once(small):
    trainer = Trainer(
        mlp(), small, training.Config(batch_size=5), loss=None, optimizer=None,
        augment=None,
    )  # fmt: skip
    trainer.start()
    orders = []
    for step in (0, 5, 7, 9):
        order, begin = trainer.order(trainer.states[0]._replace(step=jnp.int32(step)))
        assert order.shape == (25,)
        assert sorted(order[:23].tolist()) == list(range(23))
        assert (~order[23:]).tolist() == order[:2].tolist()
        assert begin == (0 if step < 5 else 5)
        orders.append(order.tolist())
    assert orders[0] != orders[1] == orders[2] == orders[3]


@pytest.mark.full
def test_evaluation_counts_then_divides(small):
    net = mlp()
    logits = net(jnp.asarray(small.train["table"]))
    each = tasks.cross_entropy(logits, jnp.asarray(small.train["label"]))
    wrong = np.asarray(logits).argmax(axis=1) != small.train["label"]
    for batch_size in (5, 23, 512):
        found = training.evaluate(net, small.train, batch_size=batch_size)
        np.testing.assert_allclose(found["loss"], each.mean(), rtol=1e-5)
        np.testing.assert_allclose(found["error"], wrong.mean(), rtol=1e-6)
    assert_close(training.predict(net, small.train["table"], batch_size=5), logits)


def test_padding_rows_never_count():
    logits = jnp.array([[3.0, 1.0], [jnp.nan, jnp.inf]])
    mask, labels = jnp.array([1.0, 0.0]), jnp.array([1, 0])
    found = metrics.divide(
        metrics.batch_metrics(tasks.cross_entropy, logits, labels, mask)
    )
    np.testing.assert_allclose(found["loss"], np.log1p(np.exp(2.0)), rtol=1e-6)
    assert found["error"] == 1


def test_targets_need_not_be_classes():
    logits, targets = jnp.array([[1.0, 2.0], [3.0, 5.0]]), jnp.zeros((2, 2))
    found = metrics.divide(metrics.batch_metrics(optax.l2_loss, logits, targets))
    assert found == {"loss": 39 / 8}


def test_training_stops_at_the_desired_error(small):
    config = training.Config(200, batch_size=5, learning_rate=0.05, desired_error=0.1)
    records = list(training.fit(mlp(), small, config))
    assert len(records) < 200
    assert records[-1].metrics["error"] <= 0.1
    assert all(record.metrics["error"] > 0.1 for record in records[:-1])


def test_many_networks_learn_as_each_alone(small):
    """One shared set, full batches: their order does not matter, so the steps agree."""
    config = training.Config(3, batch_size=23, learning_rate=0.5, optimizer="sgd")
    nets = [mlp(seed) for seed in range(3)]
    records = list(training.fit(nets, small, config))
    assert records[0].loss.shape == records[0].metrics["error"].shape == (3,)
    for seed, net in enumerate(nets):
        alone = mlp(seed)
        want = list(training.fit(alone, small, config))
        for a, b in zip(weights(net), weights(alone), strict=True):
            assert_close(a, b)
        np.testing.assert_allclose(records[-1].loss[seed], want[-1].loss, rtol=1e-5)


def test_many_networks_may_have_data_of_their_own(rng):
    sets = [
        data.Dataset(examples(rng), examples(rng), ("a", "b", "c")) for _ in range(2)
    ]
    config = training.Config(2, batch_size=23, learning_rate=0.5, optimizer="sgd")
    nets = [mlp(0), mlp(0)]
    list(training.fit(nets, sets, config))
    for net, own in zip(nets, sets, strict=True):
        alone = mlp(0)
        list(training.fit(alone, own, config))
        for a, b in zip(weights(net), weights(alone), strict=True):
            assert_close(a, b)


@pytest.mark.full
@pytest.mark.parametrize("own", [False, True])
def test_many_networks_may_be_stacked(rng, monkeypatch, tmp_path, own):
    """As where there is no CPU: mapped by `vmap`, saved and gone on with."""

    def run(epochs, **options):
        nets = [mlp(seed, rate=0.5) for seed in range(3)]
        sets = [small_set(seed) for seed in range(3)] if own else small_set()
        config = training.Config(
            epochs, batch_size=5, save_every=0.0, ema=0.9, keep_state=True
        )
        return nets, list(training.fit(nets, sets, config, **options))

    want, records = run(3)
    monkeypatch.setattr("cnn_jax.training.trainer.side_by_side", lambda: True)
    run(2, folder=tmp_path)
    got, again = run(3, folder=tmp_path, resume=True)
    for one, other in zip(got, want, strict=True):
        chex.assert_trees_all_close(weights(one), weights(other), rtol=1e-4, atol=1e-6)
    assert len(again) == 1
    np.testing.assert_allclose(again[0].loss, records[2].loss, rtol=1e-4)
    nets = [mlp(seed) for seed in range(3)]
    nets[2].stages["zz"].bias[...] = jnp.full(7, jnp.nan)
    config = training.Config(1, batch_size=5)
    with pytest.raises(training.NotFiniteError, match="step 1 of network 2 "):
        list(training.fit(nets, small_set(), config))


@pytest.mark.full
def test_many_convolutions_learn_as_each_alone(rng, monkeypatch):
    images = rng.normal(size=(6, 5, 7, 2)).astype(np.float32)
    split = {"image": images, "label": np.arange(6) % 3}
    small = data.Dataset(split, split, ("a", "b", "c"))

    def make(seed):
        rngs = nnx.Rngs(seed)
        conv = nn.Conv(2, 4, (3, 2), stride=(1, 2), padding="same", rngs=rngs)
        logits = nn.Dense((1, 2, 4), 3, rngs=rngs)
        return nn.Chain(
            {"conv": conv, "pool": nn.MaxPool((3, 2)), "classifier": logits}
        )

    config = training.Config(2, batch_size=6, learning_rate=0.1, optimizer="momentum")
    nets = [make(seed) for seed in range(2)]
    with monkeypatch.context() as elsewhere:  # Stacked, as on any other platform.
        elsewhere.setattr(trainer, "side_by_side", lambda: True)
        list(training.fit(nets, small, config))
    for seed, net in enumerate(nets):
        alone = make(seed)
        list(training.fit(alone, small, config))
        for a, b in zip(weights(net), weights(alone), strict=True):
            assert_close(a, b)


def test_a_seed_repeats_a_run(small):
    def once(seed):
        net = mlp(rate=0.5)
        list(training.fit(net, small, training.Config(2, batch_size=5, seed=seed)))
        return weights(net)

    first, again, other = once(0), once(0), once(1)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_weights_are_live_at_every_record_and_after_closing(small):
    net, kept = mlp(), []
    records = training.fit(net, small, training.Config(5, batch_size=5))
    for record in records:
        kept.append(jax.tree.map(np.asarray, weights(net)))
        kept.append(weights(net))
        if record.epoch == 3:
            records.close()
    chex.assert_trees_all_equal(list(kept[-2]), weights(net))
    # What was taken at an earlier record is still there: no step took it over.
    chex.assert_trees_all_equal(list(kept[0]), list(kept[1]))
    assert (kept[0][0] != kept[2][0]).any()


def test_the_networks_own_weights_are_not_taken_over(small):
    net = mlp()
    before = weights(net)
    records = training.fit(net, small, training.Config(1, batch_size=5))
    next(records)
    assert not any(leaf.is_deleted() for leaf in before)


def test_equal_networks_share_one_trace(small):
    @chex.assert_max_traces(n=3)  # On shapes only in two checks, and once to compile.
    def loss(logits, labels):
        return tasks.cross_entropy(logits, labels)

    config = training.Config(3, batch_size=5)
    for seed in (0, 1):
        assert len(list(training.fit(mlp(seed), small, config, loss=loss))) == 3


def test_augmentation_is_applied_to_inputs_in_training(small):
    net = mlp()
    config = training.Config(1, batch_size=23)
    nothing = optax.sgd(0.0)
    fit = training.fit(
        net, small, config, optimizer=nothing, augment=lambda _, x: 0 * x
    )
    (record,) = fit
    np.testing.assert_allclose(record.loss, np.log(3), rtol=1e-6)


def test_every_step_has_a_chance_of_its_own(small):
    def shaken(key, x):
        return x * jax.random.normal(key)  # The same for all, whose order differs.

    config = training.Config(2, batch_size=23)
    nothing = optax.sgd(0.0)
    records = training.fit(mlp(), small, config, optimizer=nothing, augment=shaken)
    first, second = (record.loss for record in records)
    assert abs(first - second) > 1e-3


@pytest.mark.parametrize("name", [*optim.OPTIMIZERS, "adamw"])
@pytest.mark.parametrize("schedule", optim.SCHEDULES)
def test_every_named_optimizer_learns(name, schedule):
    made = optim.optimizer(name, optim.schedule(schedule, 0.05, 40))
    target, w = jnp.array([1.0, -2.0]), jnp.zeros(2)
    state = made.init(w)
    for _ in range(40):
        updates, state = made.update(w - target, state, w)
        w = optax.apply_updates(w, updates)
    assert jnp.abs(w - target).sum() < 2.8


def test_refusals(as_shipped, small, rng):
    def start(net=None, sets=small, **options):
        training.fit(net or mlp(), sets, training.Config(**({"epochs": 1} | options)))

    with pytest.raises(
        ValueError, match="`batch_size` is 24, but there are 23 examples"
    ):
        start(batch_size=24)
    wide = nn.Chain({"classifier": nn.Dense(3, 3, rngs=nnx.Rngs(0))})
    with pytest.raises(ValueError, match="network 1 is of another architecture"):
        start([mlp(), wide], batch_size=5)
    with pytest.raises(ValueError, match="2 data sets, but there are 1 networks"):
        start([mlp()], [small, small])
    short = data.Dataset(examples(rng, 22), small.test, small.classes)
    with pytest.raises(ValueError, match="`data` must have one shape"):
        start([mlp(), mlp()], [small, short])
    with pytest.raises(ValueError, match="`inputs` is empty"):
        training.predict(mlp(), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="1 entries, but needs at least two"):
        training.mean_interval([1.0])


def test_mean_interval_is_students(rng):
    from scipy import stats

    values = rng.normal(size=7)
    want = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    got = training.mean_interval(values, level=0.9)
    np.testing.assert_allclose(got, [values.mean(), *want])


# Nudging.


def bowl(w):
    return jnp.sum(jnp.array([1.0, 3.0, 0.5, 2.0]) * (w - 0.3) ** 2) + w[0] * w[1]


def test_nudging_tries_one_weight_after_the_other(rng):
    start, size = rng.normal(size=4), 0.1
    want, least = start.copy(), float(bowl(jnp.asarray(start)))
    for i in range(4):
        tried = [want + size * step * np.eye(4)[i] for step in (1, -1)]
        errors = [float(bowl(jnp.asarray(w, jnp.float32))) for w in tried]
        if min(errors) < least:
            want, least = tried[int(np.argmin(errors))], min(errors)
    assert_close(training.nudge(bowl, jnp.asarray(start, jnp.float32), size), want)


def test_nudging_keeps_what_cannot_be_bettered():
    w = jnp.zeros(3)
    np.testing.assert_array_equal(training.nudge(lambda w: jnp.sum(w**2), w, 0.1), w)


def test_differences_are_the_gradient(rng):
    w = jnp.asarray(rng.normal(size=4), jnp.float32)
    slopes = training.difference_gradient(bowl, w, 0.01)
    assert_close(slopes, jax.grad(bowl)(w), tolerance=1e-3)


# Checkpoints and runs.


def test_a_checkpoint_comes_back(tmp_path):
    net, other = mlp(0, rate=0.3), mlp(1, rate=0.3)
    checkpoint.save(tmp_path / "here", net)
    checkpoint.restore(tmp_path / "here", other)
    assert other.names == ("zz", "relu", "drop", "aa")
    chex.assert_trees_all_equal(weights(net), weights(other))


def test_a_checkpoint_of_another_architecture_is_refused_both_ways(tmp_path):
    checkpoint.save(tmp_path / "here", mlp())
    rngs = nnx.Rngs(0)
    other = nn.Chain({"zz": nn.Dense(3, 8, rngs=rngs), "bb": nn.Dense(8, 3, rngs=rngs)})
    with pytest.raises(ValueError, match="another architecture") as refusal:
        checkpoint.restore(tmp_path / "here", other)
    lines = str(refusal.value).splitlines()[1:]
    assert lines == [
        "! stages/zz/bias is (7,), but must be (8,)",
        "! stages/zz/kernel is (3, 7), but must be (3, 8)",
        "+ stages/aa/bias is unexpected",
        "+ stages/aa/kernel is unexpected",
        "- stages/bb/bias is missing",
        "- stages/bb/kernel is missing",
    ]
    with pytest.raises(FileExistsError, match="exists already; nothing was written"):
        checkpoint.save(tmp_path / "here", other)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        checkpoint.restore(tmp_path / "there", other)


def test_a_run_is_a_folder_of_its_own(tmp_path):
    config = training.Config(epochs=3)
    run = training.Run.create(tmp_path, "xo", "first", config)
    run.log({"epoch": 1, "loss": np.float32(0.5), "error": np.array([0.25, 0.5])})
    run.log({"epoch": 2, "loss": jnp.float32(0.25)})
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"epoch": 1, "loss": 0.5, "error": [0.25, 0.5]}
    assert json.loads(lines[1])["loss"] == 0.25
    written = json.loads((run.folder / "config.json").read_text())
    assert written["epochs"] == 3
    assert written["hardware"] == training.hardware()
    with pytest.raises(FileExistsError, match="first exists already.*another name"):
        training.Run.create(tmp_path, "xo", "first", config)
    other = training.Run.create(tmp_path, "xo", None, config)
    assert other.folder.parent == run.folder.parent


def test_batch_norm_remembers_while_fit_learns(rng, small):
    net, pair = normed(0), [normed(0), normed(1)]
    config = training.Config(epochs=3, batch_size=23)
    for _ in training.fit(net, small, config):
        pass
    for _ in training.fit(pair, small, config):
        pass
    for trained in (net, *pair):
        norm = trained.stages["norm"]
        assert np.abs(norm.mean[...]).min() > 0
        assert (np.asarray(norm.var[...]) != 1).all()
    one = training.predict(net, small.test["table"][:1])
    assert_close(one, training.predict(net, small.test["table"])[:1])
