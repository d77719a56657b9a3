"""Tasks, several inputs, class weights, best weights, and checkpoints for others."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import nnx

from cnn_jax import data, nn, tasks, training
from tests.training.networks import mlp, small_set


class Sum(nnx.Module):
    """Reads a table and a signal, and adds what two layers make of them."""

    def __init__(self, rngs):
        self.table = nn.Dense(3, 2, rngs=rngs)
        self.signal = nn.Dense(5, 2, rngs=rngs)

    def __call__(self, x):
        return self.table(x["table"]) + self.signal(x["signal"])


def two_inputs():
    return nn.Chain({"classifier": Sum(nnx.Rngs(0))})


def pairs(rng, count):
    label = rng.integers(0, 2, count)
    table = rng.normal(size=(count, 3)).astype(np.float32)
    signal = rng.normal(size=(count, 5)).astype(np.float32)
    table[:, 1] += label
    signal[:, 2] += 2 * label
    return {"table": table, "signal": signal, "label": label}


@pytest.fixture
def both(rng):
    return data.Dataset(pairs(rng, 22), pairs(rng, 9), ("a", "b"), pairs(rng, 7))


CONFIG = {"batch_size": 5, "learning_rate": 0.05}


def fitted(both, **options):
    net = two_inputs()
    records = list(training.fit(net, both, training.Config(8, **CONFIG, **options)))
    return net, records


@pytest.mark.full
def test_several_inputs_are_trained_streamed_and_evaluated(both):
    assert both.shape == {"table": (3,), "signal": (5,)}
    net, records = fitted(both)
    assert records[-1].loss < records[0].loss
    streamed, same = fitted(both, feed="stream")
    assert [r.loss for r in same] == [r.loss for r in records]
    chex.assert_trees_all_equal(*(nnx.state(n, nnx.Param) for n in (net, streamed)))
    inputs = data.inputs_of(both.test)
    logits = training.predict(net, inputs, batch_size=4)
    chex.assert_shape(logits, (9, 2))
    wrong = (logits.argmax(-1) != both.test["label"]).mean()
    assert training.evaluate(net, both.test, batch_size=4)["error"] == pytest.approx(
        wrong
    )


def test_several_inputs_resume(both, tmp_path):
    want, _ = fitted(both)
    config = training.Config(8, **CONFIG)
    records = training.fit(two_inputs(), both, config, folder=tmp_path)
    next(records), next(records)
    records.close()
    net = two_inputs()
    list(training.fit(net, both, config, folder=tmp_path, resume=True))
    chex.assert_trees_all_equal(*(nnx.state(n, nnx.Param) for n in (net, want)))


@pytest.mark.full
def test_a_task_is_as_good_as_its_name():
    sets = small_set()
    named, given = mlp(), mlp()
    options = {"batch_size": 8, "learning_rate": 0.01}
    config = training.Config(2, label_smoothing=0.1, **options)
    list(training.fit(named, sets, config))
    task = tasks.Classification(label_smoothing=0.1)
    list(training.fit(given, sets, training.Config(2, **options), task=task))
    chex.assert_trees_all_equal(*(nnx.state(n, nnx.Param) for n in (named, given)))
    with pytest.raises(ValueError, match="`task` and `loss` are both given"):
        training.fit(mlp(), sets, config, task=task, loss=tasks.cross_entropy)


@pytest.mark.full
def test_floats_are_quantities(rng):
    x = rng.normal(size=(20, 4)).astype(np.float32)
    split = {"table": x, "label": (x @ rng.normal(size=(4, 1))).astype(np.float32)}
    sets = data.Dataset(split, split, ("y",))
    net = nn.Chain({"out": nn.Dense(4, 1, rngs=nnx.Rngs(0))})
    config = training.Config(60, batch_size=5, learning_rate=0.05)
    *_, last = training.fit(net, sets, config)
    assert "error" not in last.metrics
    outputs = training.predict(net, x)
    assert tasks.Regression().score(outputs, split["label"])["r2"] > 0.99


# Class weights.


def uneven(counts):
    label = np.repeat(np.arange(len(counts)), counts)
    split = {"table": np.ones((len(label), 3), np.float32), "label": label}
    return data.Dataset(split, split, tuple("abcd"[: len(counts)]))


def test_balanced_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    sets = uneven([12, 3, 5])
    given = training.Config(2, batch_size=20, class_weights="balanced")
    label = sets.train["label"]
    weights = compute_class_weight("balanced", classes=np.arange(3), y=label)
    named = training.Config(2, batch_size=20, class_weights=tuple(weights.tolist()))
    losses = [
        [record.loss for record in training.fit(mlp(), sets, config)]
        for config in (given, named)
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("sets", "weights", "message"),
    [
        (uneven([4, 0, 2]), "balanced", "'balanced', but no example has class 'b'"),
        (uneven([4, 1, 2]), "fair", "`class_weights` is 'fair', but must be numbers"),
    ],
)
def test_weights_that_cannot_be(sets, weights, message, as_shipped):
    with pytest.raises(ValueError, match=message):
        training.check(
            mlp(), sets, training.Config(batch_size=2, class_weights=weights)
        )


# The best weights, and a check without a training.


def test_the_best_weights_are_kept_without_stopping_early():
    sets = small_set(validation=small_set().test)
    options = {"optimizer": "sgd", "learning_rate": 20.0, "batch_size": 5}
    net = mlp()
    records = list(
        training.fit(net, sets, training.Config(6, keep_best=True, **options))
    )
    scores = [record.metrics["validation_loss"] for record in records]
    assert len(records) == 6
    assert np.argmin(scores) < 5
    got = training.evaluate(net, sets.validation)["loss"]
    assert got == pytest.approx(min(scores), rel=1e-5)
    last = mlp()
    list(training.fit(last, sets, training.Config(6, **options)))
    assert training.evaluate(last, sets.validation)["loss"] > min(scores)


def test_a_check_refuses_what_a_fit_refuses():
    sets = small_set()
    assert training.check(mlp(), sets, training.Config(batch_size=5)) is None
    with pytest.raises(ValueError, match="`batch_size` is 64, but there are"):
        training.check(mlp(), sets, training.Config(batch_size=64))


# Checkpoints.


def run(folder, nets, **options):
    sets = small_set(validation=small_set().test)
    config = training.Config(2, batch_size=5, learning_rate=0.1, **options)
    list(training.fit(nets, sets, config, folder=folder))
    last = folder / "checkpoints" / "last"
    return last if last.is_dir() else last.with_name("best")


def test_plain_orbax_finds_each_weight_once_by_its_path(tmp_path):
    net = mlp()
    last = run(tmp_path, net)
    with ocp.StandardCheckpointer() as reader:
        tree = reader.restore(last.absolute() / "state")
    found = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, leaf in jax.tree.flatten_with_path(tree)[0]
        for _, own in nnx.to_flat_state(nnx.state(net, nnx.Param))
        if leaf.shape == own.shape and np.array_equal(leaf, own[...])
    ]
    names = {"/".join(path) for path, _ in nnx.to_flat_state(nnx.state(net, nnx.Param))}
    assert sorted(found) == sorted(f"params/{name}" for name in names)
    assert not (last / "net0").exists()


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"keep_best": True}])
def test_a_checkpoint_of_a_run_is_restored_into_a_net(tmp_path, options):
    net = mlp()
    last = run(tmp_path, net, **options)
    other = mlp(9)
    training.restore(training.best(tmp_path) if "keep_best" in options else last, other)
    chex.assert_trees_all_equal(*(nnx.state(n, nnx.Param) for n in (net, other)))


def test_each_of_several_networks_is_restored(tmp_path):
    nets = [mlp(seed) for seed in range(3)]
    last = run(tmp_path, nets)
    for index, net in enumerate(nets):
        other = mlp(9)
        training.restore(last, other, index=index)
        chex.assert_trees_all_equal(*(nnx.state(n, nnx.Param) for n in (net, other)))
    with pytest.raises(ValueError, match="holds no network 3"):
        training.restore(last, mlp(), index=3)


@pytest.mark.full
def test_stacked_networks_are_restored(tmp_path, monkeypatch):
    monkeypatch.setattr("cnn_jax.training.trainer.side_by_side", lambda: True)
    nets = [mlp(seed) for seed in range(2)]
    last = run(tmp_path, nets)
    other = mlp(9)
    training.restore(last, other, index=1)
    chex.assert_trees_all_equal(*(nnx.state(n, nnx.Param) for n in (nets[1], other)))


def test_the_net_goes_through_jit_after_a_restore(tmp_path):
    net = mlp()
    training.save(tmp_path / "net", net)
    other = mlp(9)
    training.restore(tmp_path / "net", other)
    x = jnp.ones((2, 3))
    for one in (net, other):
        one.eval()
    chex.assert_trees_all_equal(nnx.jit(other)(x), nnx.jit(net)(x))
