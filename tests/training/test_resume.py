"""Cut off at any moment, a run ends where it would have ended."""

import dataclasses
import errno
import functools
import io
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import warnings

import chex
import jax
import numpy as np
import optax
import pytest
from flax import nnx

from cnn_jax import tasks, training
from cnn_jax.training.checkpoint_format import read_notes
from tests.training import killed
from tests.training.networks import mlp, normed, small_set, trained, weights

TMP = "*.orbax-checkpoint-tmp*"


def start(folder, marks, epochs, *feed):
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.killed", folder, marks, epochs, *feed],
        env=os.environ | settings,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return errors


def wait_for(process, happened):
    """Looks again and again, for what happens soon."""
    while not happened():
        assert process.poll() is None, process.communicate()
        with_patience(process, 0.001)


def with_patience(process, seconds):
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def kill(folder, marks, epochs, moment, chance):
    """Kills a run inside of a step, of a save, or anywhere; says where it was."""
    process = start(folder, marks, epochs)
    saves = folder / "checkpoints"
    wait_for(process, lambda: marks.exists() and marks.read_bytes())
    if moment == "anywhere":
        with_patience(process, chance.uniform(0, 1))
    elif moment == "step":
        with_patience(process, chance.uniform(0, 0.3))
        wait_for(process, lambda: marks.read_bytes()[-1:] == b"s")
    else:
        wait_for(process, lambda: list(saves.glob(TMP)))
        with_patience(process, chance.uniform(0, 0.01))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    where = {"step"} if marks.read_bytes()[-1:] == b"s" else set()
    marks.unlink()
    return where | ({"save"} if list(saves.glob(TMP)) else set())


def read(folder):
    with np.load(folder / "weights.npz") as arrays:
        return [arrays[name] for name in arrays.files]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """From how many epochs to the folder of a run that nobody cut off."""

    @functools.cache
    def run(epochs):
        folder = tmp_path_factory.mktemp("whole")
        killed.train(folder, dataclasses.replace(killed.CONFIG, epochs=int(epochs)))
        return folder

    return run


def records(folder):
    """What was recorded, but for how long it took."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    clock = ("examples_per_second", "seconds_left")
    return [
        {name: value for name, value in json.loads(line).items() if name not in clock}
        for line in lines
    ]


@pytest.mark.full
def test_a_killed_run_ends_at_the_very_same_weights(tmp_path, whole):
    """24 kills, six of them at least inside a step and six inside a save."""
    kills, least, epochs = 24, 6, "20"
    cut, marks = tmp_path / "cut", tmp_path / "marks"
    chance, seen, wanted = random.Random(0), [], {"step": least, "save": least}
    while len(seen) < kills or any(
        sum(moment in where for where in seen) < count
        for moment, count in wanted.items()
    ):
        short = [m for m, n in wanted.items() if sum(m in w for w in seen) < n]
        moment = short[-1] if short else "anywhere"
        seen.append(kill(cut, marks, epochs, moment, chance))
    with warnings.catch_warnings(action="ignore"):  # Of what is half-written.
        killed.train(cut, dataclasses.replace(killed.CONFIG, epochs=int(epochs)))
    chex.assert_trees_all_equal(read(cut), read(whole(epochs)))
    assert records(cut) == records(whole(epochs))
    assert len(records(cut)) == 2 * int(epochs)


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_end_saves_first(tmp_path, whole, number):
    cut, marks = tmp_path / "cut", tmp_path / "marks"
    process = start(cut, marks, "3", "stream")
    wait_for(process, lambda: marks.exists() and len(marks.read_bytes()) > 3)
    process.send_signal(number)
    _, errors = process.communicate()
    if number == signal.SIGTERM:
        assert process.returncode == 128 + signal.SIGTERM, errors
    else:
        assert "KeyboardInterrupt" in errors
    taken = marks.read_bytes().count(b"r")
    assert marks.read_bytes().endswith(b"r")
    last = max(
        int(p.name) for p in (cut / "checkpoints").iterdir() if p.name.isdecimal()
    )
    # The marks count dispatches; what was saved is what the last of them came to.
    assert last >= taken
    finish(start(cut, marks, "3"))
    chex.assert_trees_all_equal(read(cut), read(whole("3")))
    assert records(cut) == records(whole("3"))


# In one process.


@pytest.fixture
def small():
    return small_set()


def config(**kwargs):
    return training.Config(
        **({"epochs": 4, "batch_size": 5, "save_every": 0.0} | kwargs)
    )


def same(net, other):
    """Asserts that two networks have the very same weights."""
    chex.assert_trees_all_equal(weights(net), weights(other))


def begin(folder, sets, until=2, make=mlp, **kwargs):
    """A run that ends after some records, as if the machine had been switched off."""
    records = training.fit(make(), sets, config(**kwargs), folder=folder)
    for _, _record in zip(range(until), records, strict=False):
        pass
    records.close()


def steps(folder):
    names = (path.name for path in (folder / "checkpoints").iterdir())
    return sorted(int(name) for name in names if name.isdecimal())


@pytest.mark.parametrize(
    ("feed", "many"),
    [
        ("stream", True),
        pytest.param("device", True, marks=pytest.mark.full),
        pytest.param("stream", False, marks=pytest.mark.full),
        pytest.param("device", False, marks=pytest.mark.full),
    ],
)
def test_a_run_goes_on_inside_of_an_epoch(tmp_path, small, feed, many):
    def make():
        return [mlp(0, rate=0.5), mlp(1, rate=0.5)] if many else mlp(rate=0.5)

    kwargs = {"record_every": 2, "ema": 0.9}
    begin(tmp_path / "run", small, until=4, make=make, **kwargs)
    assert steps(tmp_path / "run")[-1] == 6
    whole, again = make(), make()
    list(training.fit(whole, small, config(**kwargs)))
    rest = training.fit(
        again, small, config(**kwargs, feed=feed), folder=tmp_path / "run", resume=True
    )
    assert next(rest).step == 8
    assert next(rest).step == 10
    list(rest)
    pairs = zip(whole, again, strict=True) if many else [(whole, again)]
    for one, other in pairs:
        same(one, other)


def test_the_last_and_the_best_are_kept(tmp_path, small):
    sets = small_set(validation=small.test)
    kwargs = {"optimizer": "sgd", "learning_rate": 20.0, "keep": 2, "epochs": 6}
    run = training.fit(mlp(), sets, config(**kwargs), folder=tmp_path)
    scores = {
        record.step: record.metrics["validation_loss"]
        for record in itertools.islice(run, 6)
    }
    run.close()  # Before its end, after which the best weights alone stay.
    best = min(scores, key=scores.get)
    assert best < 25
    assert steps(tmp_path) == [best, 25, 30]
    assert training.best(tmp_path).name == str(best)
    net = mlp(3)
    training.restore(training.best(tmp_path), net)
    assert training.evaluate(net, small.test)["loss"] == pytest.approx(scores[best])
    with pytest.raises(FileNotFoundError, match="has no checkpoint that can be read"):
        training.best(tmp_path / "elsewhere")


def runs_on(folder, sets, make=mlp, **kwargs):
    """The records of a run that goes on, and its network."""
    net = make()
    return list(
        training.fit(net, sets, config(**kwargs), folder=folder, resume=True)
    ), net


def test_a_finished_run_has_nothing_left_to_do(tmp_path, small):
    net = mlp()
    list(training.fit(net, small, config(keep_state=True), folder=tmp_path))
    assert steps(tmp_path) == [20]
    nothing, again = runs_on(tmp_path, small, keep_state=True)
    assert nothing == []
    same(net, again)
    (record,), longer = runs_on(tmp_path, small, epochs=5, keep_state=True)
    assert record.epoch == 5
    same(longer, trained_for(5, small))
    assert steps(tmp_path) == [25]


def trained_for(epochs, sets):
    net = mlp()
    list(training.fit(net, sets, config(epochs=epochs)))
    return net


def dropout_mlp():
    return mlp(rate=0.5)


@pytest.mark.parametrize(
    "make",
    [dropout_mlp, lambda: [dropout_mlp(), mlp(1, rate=0.5)], lambda: [dropout_mlp()]],
    ids=["one", "two", "a list of one"],
)
@pytest.mark.parametrize("keep_best", [False, True])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_weights_alone_stay_after_the_end(tmp_path, small, make, keep_best, ema):
    sets = small_set(validation=small.test)
    kwargs = {"learning_rate": 0.5, "keep_best": keep_best, "ema": ema}
    nets = make()
    run = training.fit(nets, sets, config(**kwargs), folder=tmp_path)
    scores = [training_score(record) for record in run]
    last = scores[-1] == min(scores)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == (["best"] if last or keep_best else ["best", "last"])
    every = nets if isinstance(nets, list) else [nets]
    restored = [mlp(5, rate=0.5) for _ in every]
    for i, net in enumerate(restored):
        training.restore(training.best(tmp_path), net, index=i)
    found = np.mean([score_of(net, small.test) for net in restored], axis=0)
    np.testing.assert_allclose(found, min(scores), rtol=1e-6)
    nothing, again = runs_on(tmp_path, sets, make, **kwargs)
    assert nothing == []
    for one, other in zip(every, again if len(every) > 1 else [again], strict=False):
        same(one, other[0] if isinstance(other, list) else other)
    with pytest.raises(ValueError, match=r"20 steps, but 25 are asked .*keep_state"):
        runs_on(tmp_path, sets, make, **kwargs, epochs=5)
    with pytest.raises(FileExistsError, match="holds a run of 20 steps"):
        training.fit(make(), sets, config(**kwargs), folder=tmp_path)


def test_a_kill_while_checkpoints_are_removed_loses_nothing(tmp_path, small):
    """Any of the states in between is resumed to the same end, and can be loaded."""
    kwargs = {"keep_best": True}
    net = mlp()
    run = training.fit(net, small, config(**kwargs), folder=tmp_path / "run")
    *_, _last = itertools.islice(run, 4)
    run.close()  # All of its steps are taken, and nothing is removed.
    begun = tmp_path / "begun"
    shutil.copytree(tmp_path / "run", begun)
    list(training.fit(net, small, config(**kwargs), folder=begun, resume=True))
    for count in range(4):
        folder = tmp_path / str(count)
        shutil.copytree(tmp_path / "run", folder)
        saves = folder / "checkpoints"
        shutil.copytree(begun / "checkpoints" / "best", saves / "best")
        for step in steps(folder)[:count]:
            (saves / str(step)).rename(saves / f"{step}.removed")
        if gone := list(saves.glob("*.removed/state")):
            shutil.rmtree(gone[0])
        for where in training.best(folder), training.best(begun):
            other = mlp(7)
            training.restore(where, other)
            same(other, net)
        nothing, again = runs_on(folder, small, **kwargs)
        assert nothing == []
        same(again, net)
        assert sorted(path.name for path in saves.iterdir()) == ["best"]


def test_a_damaged_best_checkpoint_is_passed_over(tmp_path, small):
    begin(tmp_path, small, until=3)
    scores = {
        step: read_notes(tmp_path / "checkpoints" / str(step)).values["score"]
        for step in steps(tmp_path)
    }
    best, second, third = sorted(scores, key=scores.get)
    assert training.best(tmp_path).name == str(best)
    shutil.rmtree(tmp_path / "checkpoints" / str(best) / "state")
    shutil.rmtree(tmp_path / "checkpoints" / str(second) / "notes")
    with pytest.warns(UserWarning, match="is damaged") as caught:
        assert training.best(tmp_path).name == str(third)
    told = sorted(str(one.message) for one in caught)
    for step, text in zip(sorted((best, second), key=str), told, strict=True):
        assert f"checkpoints/{step} is damaged" in text
        assert f"{third} is used" in text
    net, other = mlp(3), mlp(5)
    with pytest.warns(UserWarning, match="is damaged") as caught:
        training.restore_best(tmp_path, net)
    assert sorted(str(one.message) for one in caught) == told
    training.restore(tmp_path / "checkpoints" / str(third), other)
    same(net, other)
    shutil.rmtree(tmp_path / "checkpoints" / str(third) / "notes")
    for read in training.best, lambda folder: training.restore_best(folder, net):
        with pytest.raises(ValueError, match="every checkpoint .* is damaged") as error:
            read(tmp_path)
        assert "\n" not in str(error.value)


def training_score(record):
    metrics = record.metrics
    return (
        float(np.mean(metrics["validation_error"])),
        float(np.mean(metrics["validation_loss"])),
    )


def score_of(net, split):
    found = training.evaluate(net, split)
    return found["error"], found["loss"]


@pytest.mark.full
def test_patience_outlives_the_process(tmp_path, small):
    sets = small_set(validation=small.test)
    kwargs = {"optimizer": "sgd", "learning_rate": 50.0, "patience": 3, "epochs": 50}
    whole = trained(mlp(), sets, config(**kwargs))
    begin(tmp_path, sets, until=2, **kwargs)
    net = mlp()
    list(training.fit(net, sets, config(**kwargs), folder=tmp_path, resume=True))
    got = jax.tree.leaves(nnx.state(net, nnx.Not(nnx.RngState)))
    chex.assert_trees_all_equal(list(got), list(whole))


@pytest.mark.full
def test_a_run_says_how_it_was_trained(tmp_path, small):
    run = training.Run.create(tmp_path, "xo", "first", None)
    changed = config(clip=1.0, class_weights=(1.0, 2.0, 1.0))
    list(training.fit(mlp(), small, changed, folder=run.folder))
    assert training.read_config(run.folder) == changed
    written = json.loads((run.folder / "config.json").read_text())
    assert written["hardware"] == training.hardware()
    assert len(records(run.folder)) == 4


def test_records_of_steps_that_are_taken_again_are_left_out(tmp_path, small):
    begin(tmp_path, small)
    file = tmp_path / "metrics.jsonl"
    first = file.read_text().splitlines()
    assert len(first) == 2
    other = '{"note": "kept"}'
    file.write_text("\n".join([*first, '{"step": 15}', other, '{"step": 16, "lo']))
    list(training.fit(mlp(), small, config(), folder=tmp_path, resume=True))
    lines = file.read_text().splitlines()
    assert lines[:3] == [*first, other]
    assert [json.loads(line)["step"] for line in lines[3:]] == [15, 20]


# What is refused.


def test_another_run_is_refused(tmp_path, small, as_shipped):
    begin(tmp_path, small)

    def resume(net=None, sets=small, **kwargs):
        training.fit(net or mlp(), sets, config(**kwargs), folder=tmp_path, resume=True)

    with pytest.raises(FileExistsError, match="holds a run of 10 steps: `resume=True`"):
        training.fit(mlp(), small, config(), folder=tmp_path)
    with pytest.raises(
        ValueError, match="other options:\nlearning_rate: 0.1 here, 0.001"
    ):
        resume(learning_rate=0.1)
    with pytest.raises(ValueError, match="networks: 2 here, 1 there"):
        resume([mlp(0), mlp(1)])
    short = {name: array[:20] for name, array in small.train.items()}
    fewer = type(small)(short, short, small.classes)
    with pytest.raises(ValueError, match="examples: 20 here, 23 there"):
        resume(sets=fewer)
    with pytest.raises(ValueError, match="of another architecture") as caught:
        resume(normed())
    lines = str(caught.value).splitlines()
    assert "- rest/stages/norm/mean is missing" in lines
    assert "+ rest/stages/drop/rngs/count is unexpected" in lines
    assert steps(tmp_path) == [5, 10]


@pytest.mark.full
def scaled(scale):
    def loss(logits, labels):
        return scale * tasks.cross_entropy(logits, labels)

    return loss


@pytest.mark.full
def test_other_functions_are_refused(tmp_path, small):
    def run(folder, **functions):
        net = mlp()
        return training.fit(
            net, small, config(), folder=folder, resume=True, **functions
        )

    next(records := run(tmp_path / "own", loss=scaled(2.0)))
    records.close()
    assert next(run(tmp_path / "own", loss=scaled(2.0))).step == 10
    with pytest.raises(ValueError, match="one training step: all names"):
        run(tmp_path / "own", loss=scaled(3.0))
    with pytest.raises(ValueError, match=r"loss: of the conf.* here, .*scaled.* there"):
        run(tmp_path / "own")
    next(records := run(tmp_path / "named"))
    records.close()
    with pytest.raises(ValueError, match=r"augment: .*<lambda> here, of the conf"):
        run(tmp_path / "named", augment=lambda key, x: x)
    with pytest.raises(ValueError, match=r"optimizer: optax.* here, of the conf"):
        run(tmp_path / "named", optimizer=optax.adam(1e-3))


@pytest.mark.full
def test_a_run_in_another_process_is_the_same_run(tmp_path, small):
    begin(tmp_path, small, until=1)
    code = (
        "from cnn_jax import training\n"
        "from tests.training.networks import small_set\n"
        "from tests.training.test_resume import config, mlp\n"
        f"options = dict(folder={str(tmp_path)!r}, resume=True)\n"
        "print(next(training.fit(mlp(), small_set(), config(), **options)).step)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "10", done.stderr


def test_an_architecture_that_differs_in_shape_is_refused(tmp_path, small, as_shipped):
    from cnn_jax import nn

    def make(width):
        rngs = nnx.Rngs(0)
        return nn.Chain(
            {"a": nn.Dense(3, width, rngs=rngs), "b": nn.Dense(width, 3, rngs=rngs)}
        )

    begin(tmp_path, small, make=lambda: make(7))
    with pytest.raises(ValueError, match="of another architecture") as caught:
        training.fit(make(8), small, config(), folder=tmp_path, resume=True)
    want = r"! params/stages/a/kernel is (3, 7), but must be (3, 8)"
    assert want in str(caught.value).splitlines()


def test_a_folder_that_cannot_be_written(tmp_path, small, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(PermissionError, match="file/checkpoints cannot be made: Not a"):
        training.fit(mlp(), small, config(), folder=file)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="cannot be written to. Choose another"):
        training.fit(mlp(), small, config(), folder=tmp_path / "run")


def test_what_needs_a_folder(small):
    with pytest.raises(ValueError, match="`resume` needs a `folder`"):
        training.fit(mlp(), small, config(), resume=True)
    with pytest.raises(ValueError, match="`profile` needs a `folder`"):
        training.fit(mlp(), small, config(profile=True))


# Damage.


def damage(folder, chance, keep):
    """Cuts one file of a checkpoint short, or turns a byte of it."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.stat().st_size]
    file = chance.choice(sorted(files))
    content = bytearray(file.read_bytes())
    at = chance.randrange(len(content))
    if keep:
        content[at] ^= 1 << chance.randrange(8)
    else:
        del content[at:]
    file.write_bytes(bytes(content))
    return file


@pytest.mark.filterwarnings("ignore:the checkpoint .* is damaged")
@pytest.mark.parametrize("times", [3, pytest.param(100, marks=pytest.mark.full)])
@pytest.mark.parametrize("keep", [False, True], ids=["cut", "turned"])
def test_a_damaged_checkpoint_is_never_taken_for_whole(tmp_path, small, times, keep):
    begin(tmp_path / "run", small, until=3)
    found = {}
    for step in (10, 15):
        folder = tmp_path / "only"
        shutil.copytree(tmp_path / "run", folder)
        for other in {5, 10, 15} - {step}:
            shutil.rmtree(folder / "checkpoints" / str(other))
        net = mlp()
        training.fit(net, small, config(), folder=folder, resume=True).close()
        found[step] = restored(folder, small)
        shutil.rmtree(folder)
    chance = random.Random(0)
    outcomes = []
    for _ in range(times):
        folder = tmp_path / "only"
        shutil.copytree(tmp_path / "run", folder)
        damage(folder / "checkpoints" / "15", chance, keep)
        step, leaves = restored(folder, small)
        assert step in found
        chex.assert_trees_all_equal(list(leaves), list(found[step][1]))
        outcomes.append(step)
        shutil.rmtree(folder)
    assert times < 100 or set(outcomes) == {10, 15}


def restored(folder, sets):
    """The step and the arrays that a run would go on from."""
    from pathlib import Path

    from cnn_jax.training.folder import Folder
    from cnn_jax.training.trainer import Trainer

    trainer = Trainer(mlp(), sets, config(), loss=None, optimizer=None, augment=None)
    found = Folder(Path(folder), trainer, resume=True)._found
    return (0, []) if found is None else (found.step, found.tree)


def test_arrays_of_another_checkpoint_are_not_taken(tmp_path, small):
    begin(tmp_path, small, until=3)
    saves = tmp_path / "checkpoints"
    shutil.rmtree(saves / "15" / "state")
    shutil.copytree(saves / "10" / "state", saves / "15" / "state")
    with pytest.warns(UserWarning, match="its arrays are not those that were written"):
        records = training.fit(mlp(), small, config(), folder=tmp_path, resume=True)
    assert next(records).step == 15
    records.close()


def test_damage_is_named_and_the_one_before_is_used(tmp_path, small):
    begin(tmp_path, small, until=3)
    for file in (tmp_path / "checkpoints" / "15" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.warns(UserWarning, match=r"checkpoints/15 is damaged.*15\.damaged"):
        records = training.fit(mlp(), small, config(), folder=tmp_path, resume=True)
    assert next(records).step == 15
    records.close()


def test_what_is_half_written_is_named(tmp_path, small):
    begin(tmp_path, small)
    half = tmp_path / "checkpoints" / "15.orbax-checkpoint-tmp"
    half.mkdir()
    with pytest.warns(UserWarning, match=f"{half.name} is half-written"):
        records = training.fit(mlp(), small, config(), folder=tmp_path, resume=True)
    assert [record.step for record in records] == [15, 20]
    assert not half.exists()


def test_a_checkpoint_that_was_not_merged_is_no_checkpoint(
    tmp_path, small, monkeypatch
):
    begin(tmp_path, small, until=1)
    listed = os.scandir

    def refuse(path=".", *args):
        if str(path).endswith("orbax-checkpoint-tmp"):
            raise OSError(errno.EACCES, "Permission denied", str(path))
        return listed(path, *args)

    net = mlp()
    records = training.fit(net, small, config(), folder=tmp_path, resume=True)
    with monkeypatch.context() as planted:
        planted.setattr("os.scandir", refuse)
        with (
            pytest.warns(UserWarning, match="could not be written"),
            pytest.raises(OSError, match="not merged"),
        ):
            list(records)
    assert steps(tmp_path) == [5]
    other = mlp()
    again = training.fit(other, small, config(), folder=tmp_path, resume=True)
    assert [record.step for record in again][-1] == 20
    whole = mlp()
    list(training.fit(whole, small, config()))
    same(other, whole)


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_over(tmp_path, small):
    begin(tmp_path, small, until=1)
    records = (tmp_path / "metrics.jsonl").read_text()
    (tmp_path / "checkpoints" / "5" / "notes" / "metadata").write_text("{}")
    with pytest.warns(UserWarning, match="checkpoints/5 is damaged"):  # noqa: SIM117
        with pytest.raises(ValueError, match="every checkpoint in .* is damaged"):
            training.fit(mlp(), small, config(), folder=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"5\.damaged"):
        training.fit(mlp(), small, config(), folder=tmp_path, resume=True)
    assert (tmp_path / "metrics.jsonl").read_text() == records


def test_an_error_of_the_system_is_no_damage(tmp_path, small, monkeypatch):
    begin(tmp_path, small, until=3)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    opened = io.open

    def full(file, *args, **kwargs):
        if "checkpoints" in str(file):
            raise OSError(errno.EMFILE, "Too many open files", str(file))
        return opened(file, *args, **kwargs)

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(OSError, match="Too many open files"):
        training.fit(mlp(), small, config(), folder=tmp_path, resume=True)
    monkeypatch.undo()
    now = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert now == before
    records = training.fit(mlp(), small, config(), folder=tmp_path, resume=True)
    assert next(records).step == 20
    records.close()


FULL = """
import resource, signal, sys, warnings
from cnn_jax import training
from tests.training.networks import small_set
from tests.training.test_resume import config, mlp
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
records = training.fit(mlp(), small_set(), config(), folder=sys.argv[1])
next(records), next(records)
resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
next(records)
if sys.argv[2] == "again":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
list(records)
"""


@pytest.mark.filterwarnings("ignore:.* is half-written")
@pytest.mark.full
@pytest.mark.parametrize("then", ["again", "never"])
def test_a_full_disk_leaves_what_is_there_whole(tmp_path, small, then):
    """No file may grow beyond 64 bytes from the third record on."""
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), then],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    if then == "again":
        assert run.returncode == 0, run.stderr
        assert "could not be written" in run.stderr
        assert "the next is tried again" in run.stderr
        assert (tmp_path / "checkpoints" / "best").is_dir()
        assert not list((tmp_path / "checkpoints").glob("*tmp*"))
        return
    assert run.returncode == 1
    message = run.stderr.splitlines()[-1]
    assert "NotSavedError: the weights could not be written" in message
    assert "File too large" in message
    assert re.search(r"There are checkpoints of steps \[5(, 10)?\]", message)
    assert run.stderr.count("Traceback") == 2  # That of Python, and its cause.
    assert not list((tmp_path / "checkpoints").glob("*tmp*"))
    net, whole = mlp(), mlp()
    list(training.fit(net, small, config(), folder=tmp_path, resume=True))
    list(training.fit(whole, small, config()))
    same(net, whole)
