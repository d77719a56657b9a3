"""What a configuration asks for, against optax by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import data, nn, tasks, training
from cnn_jax.training import optim
from tests.helpers import assert_close
from tests.training.networks import (
    by_hand,
    mlp,
    normed,
    small_set,
    trained,
    weights,
)

ALL = np.arange(23)


@pytest.fixture
def small():
    return small_set()


def full(**options):
    """One batch of everything, so that its order does not matter."""
    return training.Config(
        **(
            {"epochs": 3, "batch_size": 23, "optimizer": "sgd", "learning_rate": 0.5}
            | options
        )
    )


def assert_same(got, want):
    for a, b in zip(got, want, strict=True):
        assert_close(a, b)


# Losses.


def entropy(targets, logits):
    logits = np.asarray(logits, np.float64)
    return -np.sum(
        targets * (logits - np.log(np.exp(logits).sum(-1, keepdims=True))), -1
    )


def test_cross_entropy_with_smoothing_and_weights(rng):
    logits, labels = rng.normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    w = (0.5, 1.0, 3.0)
    targets = 0.9 * np.eye(3)[labels] + 0.1 / 3
    loss = tasks.named_loss("cross_entropy", 0.1, w)
    got = loss(jnp.asarray(logits, jnp.float32), jnp.asarray(labels))
    assert_close(got, np.array(w)[labels] * entropy(targets, logits))


def test_sigmoid_with_smoothing_and_weights(rng):
    logits, labels = rng.normal(size=(5, 3)), rng.integers(0, 2, size=(5, 3))
    w = np.array([0.5, 1.0, 3.0])
    targets, right = 0.8 * labels + 0.1, 1 / (1 + np.exp(-logits))
    want = -targets * np.log(right) - (1 - targets) * np.log(1 - right)
    loss = tasks.named_loss("sigmoid", 0.2, tuple(w))
    got = loss(jnp.asarray(logits, jnp.float32), jnp.asarray(labels))
    assert_close(got, np.where(labels, w, 1.0) * want)


@pytest.mark.parametrize("name", ["squared", "absolute", "huber"])
def test_quantities(rng, name):
    logits, targets = rng.normal(size=(2, 5, 3)) * 2
    away = np.abs(logits - targets)
    want = {
        "squared": away**2,
        "absolute": away,
        "huber": np.where(away < 1, away**2 / 2, away - 0.5),
    }
    got = tasks.named_loss(name)(
        *(jnp.asarray(a, jnp.float32) for a in (logits, targets))
    )
    assert_close(got, want[name])
    with pytest.raises(ValueError, match=f"`loss` is '{name}', which has no classes"):
        tasks.named_loss(name, 0.1)


# Targets of every kind.


def learned(net, split, classes, loss, epochs=60):
    sets = data.Dataset(split, split, classes)
    config = training.Config(epochs, batch_size=8, learning_rate=0.05, loss=loss)
    return list(training.fit(net, sets, config))


def dense(inputs, outputs):
    return nn.Chain({"classifier": nn.Dense(inputs, outputs, rngs=nnx.Rngs(0))})


@pytest.mark.full
def test_several_classes_at_once(rng):
    table = rng.normal(size=(40, 4)).astype(np.float32)
    split = {"table": table, "label": table[:, :3] > 0}
    first, *_, last = learned(dense(4, 3), split, ("a", "b", "c"), "sigmoid")
    assert first.metrics["error"] > 0.25
    assert last.metrics["error"] < 0.1
    assert last.loss < 0.3


@pytest.mark.full
def test_quantities_are_learned(rng):
    table = rng.normal(size=(40, 4)).astype(np.float32)
    split = {
        "table": table,
        "label": table @ rng.normal(size=(4, 2)).astype(np.float32),
    }
    *_, last = learned(dense(4, 2), split, ("height", "width"), "squared")
    assert last.loss < 0.05
    assert last.metrics == {}


@pytest.mark.full
def test_a_label_for_every_position(rng):
    images = rng.normal(size=(16, 5, 7, 2)).astype(np.float32)
    split = {"image": images, "label": images.argmax(axis=-1)}
    net = nn.Chain({"classifier": nn.Conv(2, 2, (1, 1), rngs=nnx.Rngs(0))})
    first, *_, last = learned(net, split, ("left", "right"), "cross_entropy")
    assert last.metrics["error"] < min(0.05, first.metrics["error"])
    assert training.evaluate(net, split)["error"] < 0.05


def test_labels_that_do_not_fit(rng, as_shipped):
    table = rng.normal(size=(6, 4)).astype(np.float32)

    def start(label, classes="ab", outputs=2, **options):
        split = {"table": table, "label": np.asarray(label)}
        sets = data.Dataset(split, split, tuple(classes))
        training.fit(dense(4, outputs), sets, training.Config(batch_size=2, **options))

    whole, shares = np.arange(6) % 2, np.zeros((6, 2), np.float32)
    with pytest.raises(ValueError, match="needs whole numbers as labels.*float32"):
        start(shares, loss="cross_entropy")
    with pytest.raises(
        ValueError, match=r"label has shape \(\), but `loss` 'squared'.*\(2,\)"
    ):
        start(whole, loss="squared")
    with pytest.raises(ValueError, match="3 classes, but the network has 2 logits"):
        start(whole, classes="abc")
    with pytest.raises(ValueError, match="`class_weights` has 3 entries.*2 logits"):
        start(whole, class_weights=(1.0, 1.0, 1.0))
    with pytest.raises(
        ValueError, match="`train` has labels from 0 to 2, but there are 2"
    ):
        start(np.arange(6) % 3)
    with pytest.raises(ValueError, match="labels that are NaN"):
        start(np.full((6, 2), np.nan), loss="squared")


# Optimizers.


@pytest.mark.full
@pytest.mark.parametrize("accumulate", [pytest.param(1, marks=pytest.mark.full), 5])
def test_gradients_are_added_up(small, accumulate):
    train = {name: array[:20] for name, array in small.train.items()}
    sets = data.Dataset(train, small.test, small.classes)
    want = by_hand(mlp(), small.train, [np.arange(20)] * 3, optax.sgd(0.5))[-1]
    net = mlp()
    list(training.fit(net, sets, full(batch_size=20, accumulate=accumulate)))
    assert_same(weights(net), want)


@pytest.mark.full
def test_a_part_of_padding_rows_counts_for_nothing(small):
    # 23 examples in batches of 20: the second has 3, and parts of it have none at all.
    options = {"batch_size": 20, "epochs": 2}
    one, cut = mlp(), mlp()
    records = list(training.fit(one, small, full(**options)))
    again = list(training.fit(cut, small, full(**options, accumulate=10)))
    assert_same(weights(cut), weights(one))
    for a, b in zip(again, records, strict=True):
        np.testing.assert_allclose(a.loss, b.loss, rtol=1e-5)


@pytest.mark.full
def test_clipping_is_optaxs(small):
    optimizer = optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.5))
    want = by_hand(mlp(), small.train, [ALL] * 3, optimizer)[-1]
    assert_same(trained(mlp(), small, full(clip=0.1)), want)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("adamw", optax.adamw(0.5, weight_decay=0.2)),
        ("sgd", optax.chain(optax.add_decayed_weights(0.2), optax.sgd(0.5))),
        pytest.param(
            "momentum",
            optax.chain(
                optax.add_decayed_weights(0.2), optax.sgd(0.5, 0.9, nesterov=True)
            ),
            marks=pytest.mark.full,
        ),
    ],
)
def test_decay_is_optaxs(small, name, optimizer):
    want = by_hand(mlp(), small.train, [ALL] * 3, optimizer)[-1]
    assert_same(trained(mlp(), small, full(optimizer=name, weight_decay=0.2)), want)


def test_an_average_of_weights_is_optaxs(small):
    steps = by_hand(mlp(), small.train, [ALL] * 3, optax.sgd(0.5))
    average = optax.ema(0.9, debias=True)
    state = average.init(weights(mlp()))
    for step in steps:
        want, state = average.update(list(step), state)
    net = mlp()
    records = list(training.fit(net, small, full(ema=0.9)))
    assert_same(weights(net), want)
    assert records[-1].loss < records[0].loss


@pytest.mark.full
def test_a_slow_average_is_not_the_network_before_training(small):
    nets = mlp(), mlp()
    for net, ema in zip(nets, (None, 0.999), strict=True):
        list(training.fit(net, small, full(epochs=50, learning_rate=1.0, ema=ema)))
    before, plain, averaged = (
        training.evaluate(net, small.train)["loss"] for net in (mlp(), *nets)
    )
    assert averaged < (before + plain) / 2


@pytest.mark.full
def test_statistics_are_averaged_with_the_weights(small):
    first, second, averaged = normed(), normed(), normed()
    list(training.fit(first, small, full(epochs=1)))
    list(training.fit(second, small, full(epochs=2)))
    list(training.fit(averaged, small, full(epochs=2, ema=0.75)))
    for name in ("mean", "var"):
        one, two, got = (
            np.asarray(getattr(net.stages["norm"], name)[...])
            for net in (first, second, averaged)
        )
        assert_close(got, (0.75 * one + two) / 1.75)


@pytest.mark.full
@pytest.mark.parametrize("name", optim.SCHEDULES)
def test_schedules_are_optaxs(name):
    want = {
        "constant": optax.constant_schedule(0.3),
        "step": optax.piecewise_constant_schedule(0.3, {20: 0.1, 45: 0.1}),
        "cosine": optax.cosine_decay_schedule(0.3, 50),
        "warmup_cosine": optax.warmup_cosine_decay_schedule(0.0, 0.3, 10, 50),
        "onecycle": optax.cosine_onecycle_schedule(50, 0.3),
    }[name]
    made = optim.schedule(name, 0.3, 50, warmup=0.2, drops=(0.4, 0.9))
    got, want = ([float(rate(step)) for step in range(51)] for rate in (made, want))
    np.testing.assert_allclose(got, want, atol=1e-7)
    assert max(got) == pytest.approx(0.3)


def test_a_schedule_goes_over_all_steps(small):
    rate = optax.cosine_decay_schedule(0.5, 3)
    want = by_hand(mlp(), small.train, [ALL] * 3, optax.sgd(rate))[-1]
    assert_same(trained(mlp(), small, full(schedule="cosine")), want)


# Precision.


@pytest.mark.full
def test_half_precision_keeps_weights_and_statistics_whole(small):
    net = normed()
    list(training.fit(net, small, full(precision="bfloat16")))
    state = nnx.state(net, nnx.Not(nnx.RngState))
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype("float32")}
    whole = normed()
    list(training.fit(whole, small, full()))
    chex.assert_trees_all_close(weights(net), weights(whole), atol=0.02)
    for a, b in zip(weights(net), weights(whole), strict=True):
        assert (a != b).any()


@pytest.mark.full
def test_half_precision_is_what_the_network_computes_in(small):
    seen = []

    def look(x):
        seen.append(x.dtype)
        return x

    layer = nn.Dense(3, 3, rngs=nnx.Rngs(0))
    net = nn.Chain({"before": look, "classifier": layer, "behind": look})
    list(training.fit(net, small, full(precision="bfloat16", epochs=1)))
    assert set(seen) == {jnp.dtype("bfloat16")}


# Parts that do not learn, and heads that do.


def test_a_frozen_prefix_stays(small):
    net = normed()
    start = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(net)))
    list(training.fit(net, small, full(frozen="norm")))
    end = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(net)))
    for name in ("zz", "norm"):
        chex.assert_trees_all_equal(start["stages"][name], end["stages"][name])
    assert (start["stages"]["aa"]["kernel"] != end["stages"]["aa"]["kernel"]).any()


@pytest.mark.full
def test_a_frozen_prefix_is_seen_as_it_is_evaluated(small):
    """Features by hand, and a network of the last stage alone on them."""
    net = normed()
    list(training.fit(net, small, full(epochs=2)))
    view = nnx.view(net, use_running_average=True)
    features = np.asarray(view.run(jnp.asarray(small.train["table"]), upto="norm"))
    split = {"table": features, "label": small.train["label"]}
    last = nn.Chain({"aa": nn.Dense(7, 3, rngs=nnx.Rngs(1))})
    kernel = np.array(net.stages["aa"].kernel[...])
    last.stages["aa"].kernel[...] = jnp.asarray(kernel)
    last.stages["aa"].bias[...] = jnp.array(net.stages["aa"].bias[...])
    list(training.fit(last, data.Dataset(split, split, tuple("abc")), full()))
    list(training.fit(net, small, full(frozen="norm")))
    assert_close(net.stages["aa"].kernel[...], last.stages["aa"].kernel[...])


@pytest.mark.full
def test_a_prefix_may_end_inside_of_a_block(small):
    rngs = nnx.Rngs(0)
    block = {"one": nn.Dense(3, 5, rngs=rngs), "two": nn.Dense(5, 5, rngs=rngs)}
    net = nn.Chain({"block": nn.Chain(block), "classifier": nn.Dense(5, 3, rngs=rngs)})
    start = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(net)))
    list(training.fit(net, small, full(frozen="block/one")))
    end = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(net)))
    one, two = (
        [state["stages"]["block"]["stages"][name]["kernel"] for state in (start, end)]
        for name in ("one", "two")
    )
    np.testing.assert_array_equal(*one)
    assert (two[0] != two[1]).any()


def with_head():
    rngs = nnx.Rngs(0)
    stages = {"zz": nn.Dense(3, 7, rngs=rngs), "relu": F.relu}
    stages["aa"] = nn.Dense(7, 3, rngs=rngs)
    return nn.Chain(stages, heads={"aux": ("relu", nn.Dense(7, 3, rngs=rngs))})


@pytest.mark.full
def test_heads_learn_by_their_weight(small):
    net, want = with_head(), with_head()
    graph, params, rest = nnx.split(want, nnx.Param, ...)
    x, y = jnp.asarray(small.train["table"]), jnp.asarray(small.train["label"])

    def loss(params):
        logits = nnx.merge(graph, params, rest, copy=True).with_heads(x)
        main, aux = (tasks.cross_entropy(logits[n], y).mean() for n in ("aa", "aux"))
        return main + 0.3 * aux

    slope = jax.jit(jax.grad(loss))(params)
    stepped = jax.tree.map(lambda p, g: p - 0.5 * g, params, slope)
    config = full(epochs=1, head_weights=(("aux", 0.3),))
    (record,) = training.fit(net, small, config)
    assert_same(weights(net), jax.tree.leaves(stepped))
    before = training.evaluate(with_head(), small.train)
    np.testing.assert_allclose(record.loss, before["loss"], rtol=1e-5)


def test_unknown_parts(small, as_shipped):
    with pytest.raises(ValueError, match="there is no stage 'pool9'; the stages are"):
        training.fit(mlp(), small, full(frozen="pool9"))
    with pytest.raises(ValueError, match="no weight is trained"):
        training.fit(mlp(), small, full(frozen="aa"))
    with pytest.raises(ValueError, match=r"names \['aux1'\].*has heads \['aux'\]"):
        training.fit(with_head(), small, full(head_weights=(("aux1", 0.3),)))


# Mixed and changed examples.


@pytest.mark.full
def test_mixup_mixes_examples_and_losses(small):
    seen = []

    def loss(logits, labels):
        seen.append(labels.shape)
        return tasks.cross_entropy(logits, labels)

    net = mlp()
    *_, last = training.fit(net, small, full(mixup=0.4, epochs=40), loss=loss)
    assert last.loss < np.log(3)
    # Twice in a step: for an example and for its partner.
    assert len(seen) == 3


@pytest.mark.full
def test_mixup_by_hand(small):
    net = dense(3, 3)
    trainer = training.trainer.Trainer(
        net, small, full(mixup=0.7), loss=None, optimizer=None, augment=None
    )
    trainer.start()
    state, spec = trainer.states[0], trainer.spec
    x, y = jnp.asarray(small.train["table"]), jnp.asarray(small.train["label"])
    from cnn_jax.training.step import gradients, in_parts

    _, _, found = gradients(spec, state, (x, y, jnp.ones(23)))
    _, key = in_parts(spec, state, (x, y, jnp.ones(23)))
    mixed, partner, share = data.mixup(jax.random.split(key[0])[1], x, alpha=0.7)
    logits = np.asarray(net(mixed))
    want = share * entropy(np.eye(3)[y], logits)
    want += (1 - share) * entropy(np.eye(3)[y[partner]], logits)
    np.testing.assert_allclose(found["loss"], want.sum(), rtol=1e-5)
    assert found["count"] == 23


@pytest.mark.full
def test_named_augmentation_is_applied(rng):
    images = rng.normal(size=(6, 8, 9, 1)).astype(np.float32)
    split = {"image": images, "label": np.arange(6) % 3}
    sets = data.Dataset(split, split, tuple("abc"))

    def loss_of(**options):
        net = nn.Chain({"classifier": nn.Dense((8, 9, 1), 3, rngs=nnx.Rngs(0))})
        config = training.Config(1, batch_size=6, **options)
        (record,) = training.fit(net, sets, config, optimizer=optax.sgd(0.0))
        return record.loss

    assert loss_of() != loss_of(augment=("flip", "crop"))


# Ending early.


def test_patience_ends_training_and_brings_the_best_back(small):
    """At such a rate every step makes it worse, so the first record is the best."""
    sets = small_set(validation=small.test)
    config = training.Config(
        50, batch_size=23, optimizer="sgd", learning_rate=1e3, patience=2
    )
    net, kept = mlp(), []
    for record in training.fit(net, sets, config):
        now = [np.array(w) for w in weights(net)]
        kept.append((record.metrics["validation_loss"], now))
    losses = [loss for loss, _ in kept]
    best = int(np.argmin(losses))
    assert len(kept) == best + 3 < 50
    chex.assert_trees_all_equal(weights(net), list(kept[best][1]))


def test_validation_is_evaluated_every_record(small):
    net = mlp()
    sets = small_set(validation=small.test)
    for record in training.fit(net, sets, full(epochs=2)):
        want = training.evaluate(net, small.test)
        assert record.metrics["validation_loss"] == want["loss"]
        assert record.metrics["validation_error"] == want["error"]
    pair = [mlp(0), mlp(1)]
    for record in training.fit(pair, sets, full(epochs=1)):
        want = [training.evaluate(one, small.test)["loss"] for one in pair]
        assert record.metrics["validation_loss"].tolist() == want


def test_records_inside_of_an_epoch(small):
    options = {"batch_size": 5, "learning_rate": 0.0001}
    config = training.Config(2, record_every=2, **options)
    records = list(training.fit(mlp(), small, config))
    assert [r.step for r in records] == [2, 4, 5, 6, 8, 10]
    assert [r.epoch for r in records] == [1, 1, 1, 2, 2, 2]
    assert {r.steps for r in records} == {10}
    (whole,) = training.fit(mlp(), small, training.Config(1, **options))
    counts = [10, 10, 3]
    mean = np.dot(counts, [record.loss for record in records[:3]]) / 23
    np.testing.assert_allclose(mean, whole.loss, rtol=1e-6)


# The configuration itself.


def test_a_configuration_comes_back_from_json():
    config = training.Config(
        epochs=7,
        class_weights=(1.0, 0.5),
        augment=("crop", "flip"),
        head_weights=(("aux", 0.3),),
        clip=1.0,
        frozen="conv1",
    )
    assert training.Config.from_json(config.to_json()) == config
    assert training.Config.from_json("{}") == training.Config()
    with pytest.raises(ValueError, match="Config has no epoch, speed"):
        training.Config.from_json('{"epoch": 3, "speed": 1, "epochs": 2}')


BAD = {
    "epochs": (0, -1, 1.5),
    "batch_size": (0, 2.0),
    "optimizer": ("adamm",),
    "schedule": ("steps",),
    "learning_rate": (0.0, -1.0, float("nan"), float("inf"), "fast"),
    "warmup": (-0.1, 1.1),
    "drops": ((0.5, 1.5),),
    "weight_decay": (-1.0,),
    "loss": ("mse",),
    "label_smoothing": (-0.1, 1.5),
    "class_weights": ((1.0, -1.0),),
    "augment": (("crop", "spin"), "crop"),
    "mixup": (-1.0,),
    "cutmix": (-1.0,),
    "precision": ("float16",),
    "accumulate": (0, 3),
    "clip": (0.0, -1.0),
    "ema": (-0.5, 1.5),
    "head_weights": ((("aux", -0.3),),),
    "desired_error": (-0.1, 2.0),
    "patience": (0,),
    "record_every": (0,),
    "feed": ("disk",),
    "workers": (-1,),
    "keep": (0,),
    "save_every": (-1.0,),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, some in BAD.items() for value in some]
)
def test_every_option_out_of_range(name, value, as_shipped):
    with pytest.raises(ValueError, match=f"`{name}` is .*must be|`accumulate`, 3"):
        training.Config(**{name: value})


def test_what_may_differ_when_a_run_goes_on():
    differing = training.Config(epochs=2).differences(training.Config(seed=1))
    assert differing == ["seed: 0 here, 1 there"]
    differing = training.Config(keep=1).differences(training.Config(feed="stream"))
    assert differing == []
    cosine = training.Config(epochs=2, schedule="cosine")
    assert cosine.differences(training.Config(schedule="cosine")) == [
        "epochs: 2 here, 10 there"
    ]


@pytest.mark.full
def test_cutmix_and_mixup_take_turns(rng):
    images = rng.normal(size=(12, 5, 6, 1)).astype(np.float32)
    split = {"image": images, "label": np.arange(12) % 3}
    sets = data.Dataset(train=split, test=split, classes=("a", "b", "c"))
    flat = {"out": nn.Dense((5, 6, 1), 3, rngs=nnx.Rngs(0))}
    options = dict(loss=None, optimizer=None, augment=None)
    both = training.trainer.Trainer(
        nn.Chain(flat), sets, full(batch_size=12, cutmix=1.0, mixup=1.0), **options
    )
    both.start()
    from cnn_jax.training.step import augmented

    batch = jnp.asarray(images), jnp.asarray(split["label"]), jnp.ones(12)
    cut = []
    for key in jax.random.split(jax.random.key(0), 24):
        x, ((share, _), (other, _)) = augmented(both.spec, batch, key)
        np.testing.assert_allclose(share + other, 1, rtol=1e-6)
        # Cutmix takes pixels of an image or its partner, and mixup makes new ones.
        cut.append(bool(np.isin(np.asarray(x), images).all()))
    assert 4 < sum(cut) < 20


def test_cutmix_needs_images(small):
    with pytest.raises(ValueError, match="`cutmix` is 1.0, which changes images"):
        training.fit(mlp(), small, training.Config(1, 5, cutmix=1.0))
