"""What people see of a training: its progress, its end in numbers that are none."""

import io
import json
import re

import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from rich.console import Console

import cnn_jax.functional as F
from cnn_jax import data, nn, tasks, training
from cnn_jax.training.trainer import Trainer
from tests.training.networks import mlp, small_set, weights


@pytest.fixture
def small():
    return small_set()


def fails(net, sets, config, **options):
    """The message of a run that comes to what is no number."""
    with pytest.raises(training.NotFiniteError) as caught:
        list(training.fit(net, sets, config, **options))
    return str(caught.value)


def with_stage(stage):
    rngs = nnx.Rngs(0)
    stages = {"zz": nn.Dense(3, 7, rngs=rngs), "odd": stage, "relu": F.relu}
    return nn.Chain(stages | {"aa": nn.Dense(7, 3, rngs=rngs)})


def test_the_first_stage_that_is_not_finite_is_named(small):
    net = with_stage(lambda x: jnp.log(x - x))
    before = [np.array(w) for w in weights(net)]
    text = fails(net, small, training.Config(batch_size=5, learning_rate=0.02))
    assert "step 1 (epoch 1, learning rate 0.02) would make the loss" in text
    assert "the first output that is not is that of stage 'odd'" in text
    chex.assert_trees_all_equal(weights(net), list(before))


@pytest.mark.full
def test_a_later_step_is_found_and_the_weights_before_it_stay(small):
    """At such a rate the weights grow until they are too large for float32."""
    options = {"optimizer": "sgd", "learning_rate": 1e12, "batch_size": 23}
    net, want = mlp(), mlp()
    text = fails(net, small, training.Config(50, **options))
    step = int(re.match(r"step (\d+) ", text)[1])
    assert 1 < step < 50
    assert "(epoch " + str(step) in text
    list(training.fit(want, small, training.Config(step - 1, **options)))
    chex.assert_trees_all_equal(weights(net), weights(want))


def test_no_step_is_taken_behind_the_bad_one(small):
    """One example is no number; steps behind it, in the same dispatch, are fine."""
    config = training.Config(1, batch_size=5, record_every=1)
    trainer = Trainer(mlp(), small, config, loss=None, optimizer=None, augment=None)
    trainer.start()
    order, _ = trainer.order(trainer.states[0])
    table = small.train["table"].copy()
    table[int(order[12])] = np.nan  # In the third of five batches.
    sets = data.Dataset({**small.train, "table": table}, small.test, small.classes)
    net, want = mlp(), mlp()
    # Once two steps have set the pace, the others are one dispatch.
    text = fails(net, sets, training.Config(1, batch_size=5))
    assert text.startswith("step 3 (epoch 1")
    records = training.fit(want, small, config)
    assert [next(records).step for _ in range(2)] == [1, 2]
    records.close()
    chex.assert_trees_all_equal(weights(net), weights(want))


def test_data_are_looked_at_first(small):
    table = small.train["table"].copy()
    table[4, 1] = np.nan
    sets = data.Dataset({**small.train, "table": table}, small.test, small.classes)
    text = fails(mlp(), sets, training.Config(batch_size=23))
    assert "the inputs of the batch are not" in text


@pytest.mark.full
def test_weights_gradients_and_the_optimizer_are_told_apart(small):
    net = mlp()
    net.stages["aa"].kernel[...] = net.stages["aa"].kernel[...].at[0, 0].set(jnp.inf)
    config = training.Config(batch_size=23)
    text = fails(net, small, config)
    assert "the weights stages/aa/kernel are not, from the start" in text
    steep = with_stage(lambda x: jnp.sqrt(jnp.abs(x - x)))
    assert "the loss is, but the gradient of stages/zz" in fails(steep, small, config)

    def loss(logits, labels):
        return tasks.cross_entropy(logits, labels) / 0

    text = fails(mlp(), small, config, loss=loss)
    assert "every stage's output is, but the loss is not" in text
    wild = optax.sgd(jnp.inf)
    text = fails(mlp(), small, config, optimizer=wild)
    assert "learning rate that of your optimizer" in text
    assert "everything is finite but the step of the optimizer" in text


@pytest.mark.parametrize(
    "options",
    [
        {"feed": "stream"},
        pytest.param({"accumulate": 5, "mixup": 0.3}, marks=pytest.mark.full),
    ],
)
def test_it_is_found_in_every_kind_of_step(small, options):
    net = with_stage(lambda x: jnp.log(x - x))
    text = fails(net, small, training.Config(batch_size=5, **options))
    assert "stage 'odd'" in text


@pytest.mark.full
def test_the_network_is_named_among_many(small):
    nets = [mlp(0), mlp(1), mlp(2)]
    nets[1].stages["zz"].bias[...] = jnp.full(7, jnp.nan)
    text = fails(nets, small, training.Config(batch_size=5))
    assert text.startswith("step 1 of network 1 (epoch 1")


@pytest.mark.full
def test_the_last_good_checkpoint_stays(tmp_path, small):
    options = {"optimizer": "sgd", "learning_rate": 1e12, "batch_size": 23}
    config = training.Config(50, **options, save_every=0.0)
    text = fails(mlp(), small, config, folder=tmp_path)
    step = int(re.match(r"step (\d+) ", text)[1])
    folders = [
        p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdecimal()
    ]
    assert max(map(int, folders)) == step - 1
    again = fails(mlp(), small, config, folder=tmp_path, resume=True)
    assert again == text


# Progress.


def shown(sets, *, terminal):
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=terminal, highlight=False)
    records = training.fit(mlp(), sets, training.Config(3, batch_size=5))
    seen = list(training.progress_bar(records, name="a net", console=console))
    assert [record.epoch for record in seen] == [1, 2, 3]
    return file.getvalue()


def test_progress_without_a_terminal_is_plain_lines(small):
    lines = shown(small_set(validation=small.test), terminal=False).splitlines()
    assert len(lines) == 3
    pattern = (
        r"a net: epoch 2, step 10 of 15: loss \d\.\d{3}, error \d+\.\d\d%, "
        r"validation \d+\.\d\d%, [\d,]+/s, \d+ s left"
    )
    assert re.fullmatch(pattern, lines[1])


def test_progress_in_a_terminal_is_a_bar(small):
    text = shown(small, terminal=True)
    assert "━" in text
    last = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text).splitlines()[-1]
    assert re.search(r"a net ━+ .*loss \d\.\d{3}, error \d+\.\d\d%, [\d,]+/s", last)
    assert len(last.rstrip()) <= 80


def test_progress_where_nothing_can_be_wrong(rng):
    table = rng.normal(size=(8, 3)).astype(np.float32)
    split = {"table": table, "label": table}
    sets = data.Dataset(split, split, tuple("abc"))
    net = nn.Chain({"out": nn.Dense(3, 3, rngs=nnx.Rngs(0))})
    file = io.StringIO()
    records = training.fit(net, sets, training.Config(1, batch_size=4, loss="squared"))
    list(training.progress_bar(records, console=Console(file=file, width=80)))
    assert "wrong" not in file.getvalue()
    assert file.getvalue().startswith("epoch 1, step 2 of 2: loss ")


@pytest.mark.full
def test_a_trace_is_written_of_the_second_record(tmp_path, small):
    config = training.Config(3, batch_size=5, profile=True)
    list(training.fit(mlp(), small, config, folder=tmp_path))
    (trace,) = tmp_path.rglob("*.xplane.pb")
    assert trace.stat().st_size > 1000
    written = json.loads((tmp_path / "config.json").read_text())
    assert written.keys() == {"functions", "hardware", "training"}


# The report.


def pictures(count=24):
    rng = np.random.default_rng(0)
    label = np.arange(count, dtype=np.int32) % 3
    image = rng.integers(0, 256, size=(count, 5, 6, 3), dtype=np.uint8)
    return {"image": image, "label": label}


@pytest.mark.full
def test_a_report_of_curves_and_mistakes(tmp_path, capsys):
    split = pictures()
    sets = data.Dataset(split, split, ("ant", "bee", "cat"), validation=split)
    net = nn.Chain({"classifier": nn.Dense((5, 6, 3), 3, rngs=nnx.Rngs(0))})
    config = training.Config(3, batch_size=8, learning_rate=1e-5)
    given = list(training.fit(net, sets, config, folder=tmp_path))
    assert training.read_records(tmp_path) == given
    page = training.write_report(tmp_path, net, sets)
    out, html = capsys.readouterr().out, page.read_text()
    # Two curves, the matrix and the pictures.
    assert html.count("<img") == 4
    answers = training.predict(net, split["image"]).argmax(axis=-1)
    wrong = (answers != split["label"]).sum()
    assert wrong > 0
    assert f"{wrong} of 24 predictions were wrong" in out
    assert f"{training.evaluate(net, split)['loss']:.4f}" in html
    assert training.hardware() in html


@pytest.mark.full
def test_a_report_states_the_loss_of_the_training(tmp_path, rng):
    table = rng.normal(size=(8, 3)).astype(np.float32)
    split = {"table": table, "label": np.arange(8) % 3}
    sets = data.Dataset(split, split, tuple("abc"))
    net = nn.Chain({"out": nn.Dense(3, 3, rngs=nnx.Rngs(0))})

    def steep(logits, labels):
        return 100 * tasks.cross_entropy(logits, labels)

    config = training.Config(1, batch_size=4)
    list(training.fit(net, sets, config, loss=steep, folder=tmp_path))
    own, named = (
        f"{training.evaluate(net, split, task=task)['loss']:.4f}"
        for task in (tasks.CustomLoss(steep), tasks.Classification())
    )
    html = training.write_report(tmp_path, net, sets).read_text()
    assert own not in html
    assert named not in html
    assert "steep, was not given to the report" in html
    html = training.write_report(tmp_path, net, sets, loss=steep).read_text()
    assert own in html


def test_the_worst_mistake_is_the_surest(tmp_path):
    from cnn_jax import report
    from cnn_jax.training.run_report import show_errors

    shown = []
    page = report.Page("t", console=Console(file=io.StringIO()))
    page.figure = lambda figure, caption: shown.append(figure)
    logits = np.array([[2.0, 0, 0], [0, 3.0, 0], [0, 9.0, 0], [0, 0, 4.0]])
    labels = np.array([0, 0, 2, 1])
    images = np.zeros((4, 5, 6, 1))
    counts = show_errors(page, images, logits, labels, ("ant", "bee", "cat"))
    assert counts.tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    titles = [ax.get_title() for ax in shown[-1].axes]
    assert titles == ["cat,\nnot bee", "bee,\nnot cat", "ant,\nnot bee"]


def test_a_report_where_nothing_can_be_wrong(tmp_path, rng):
    table = rng.normal(size=(8, 3)).astype(np.float32)
    split = {"table": table, "label": table}
    sets = data.Dataset(split, split, tuple("abc"))
    net = nn.Chain({"out": nn.Dense(3, 3, rngs=nnx.Rngs(0))})
    config = training.Config(1, batch_size=4, loss="squared")
    list(training.fit(net, sets, config, folder=tmp_path))
    html = training.write_report(tmp_path, net, sets).read_text()
    assert html.count("<img") == 1
    assert "logits were wrong" not in html


def test_ten_lines_where_there_is_no_terminal(small):
    out = io.StringIO()
    console = Console(file=out, width=60)
    config = training.Config(35, batch_size=23)
    list(training.progress_bar(training.fit(mlp(), small, config), console=console))
    lines = out.getvalue().splitlines()
    assert [int(re.search(r"epoch (\d+)", line)[1]) for line in lines] == [
        4, 7, 11, 14, 18, 21, 25, 28, 32, 35,
    ]  # fmt: skip


def test_runs_of_one_second_have_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda _: "now")
    names = [
        training.Run.create(tmp_path, "xo", None, None).folder.name for _ in range(3)
    ]
    assert names == ["now", "now-2", "now-3"]
