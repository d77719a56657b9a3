"""Each experiment once, in a small configuration; what it prints is what it returns."""

import json
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from cnn_jax import models, training
from cnn_jax.training import checkpoint
from experiments import audio, convolution, digits, networks, tabular, xo
from experiments import locality as calibration
from experiments._shared import start
from tests import files
from tests.test_locality import waves
from tests.test_mission import MAP, POOLED


def whole(run):
    """The page, after a look at what every run leaves behind."""
    assert json.loads((run.folder / "config.json").read_text())["name"] == "test"
    html = (run.folder / "report.html").read_text()
    assert "CPU cores" in html
    return html


@pytest.mark.full
def test_xo(tmp_path, data_dir, capsys):
    config = xo.Config(
        name="test",
        runs=tmp_path,
        data_dir=data_dir,
        seeds=2,
        examples=600,
        epochs=6,
        pictures=60,
        desired_error=0.2,
        sweeps=1,
    )
    result = xo.run(config)
    out, html = capsys.readouterr().out, whole(result)

    np.testing.assert_allclose(9 * result.boards["maps"][..., 0], MAP, atol=1e-5)
    np.testing.assert_allclose(9 * result.boards["pooled"][..., 0], POOLED, atol=1e-5)
    np.testing.assert_allclose(9 * result.boards["matches"], [9, 5, -9], atol=1e-5)
    rectified = np.maximum(result.boards["maps"], 0)
    np.testing.assert_array_equal(result.boards["rectified"], rectified)
    assert re.search(r"7/9 +−1/9 +1/9 +3/9 +5/9 +−1/9 +3/9", out)
    np.testing.assert_allclose(result.boards["softmax"].sum(), 1, rtol=1e-6)

    shape = (len(xo.STRENGTHS), 2)
    assert set(result.right) == set(xo.METHODS)
    for shares in result.right.values():
        assert len(shares) == 7
        assert {share.shape for share in shares.values()} == {shape}
        assert all(((share >= 0) & (share <= 1)).all() for share in shares.values())
    every = {method: right["all together"] for method, right in result.right.items()}
    assert every["network"][1].mean() > every["one exemplar"][1].mean()
    mean = every["network"][1].mean()
    assert f"right on {mean:.1%}" in " ".join(out.split())
    difference = every["network"][-1] - every["nearest of all"][-1]
    np.testing.assert_allclose(result.lead, training.mean_interval(difference))

    assert result.records[-1].metrics["error"] <= 0.2
    assert f"{result.records[-1].loss:.3f}" in out
    lines = (result.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line).get("epoch") for line in lines] == [
        *(record.epoch for record in result.records),
        None,
    ]
    assert result.cosine > 0.999
    assert f"{result.cosine:.6f}" in out
    for seconds, errors in result.errors.values():
        assert errors[-1] < errors[0]
        assert (np.diff(seconds) > 0).all()
    assert html.count("<img") == 11

    net = models.xo_net(rngs=nnx.Rngs(7))
    steps = (result.folder / "checkpoints").iterdir()
    last = max((p for p in steps if p.name.isdecimal()), key=lambda p: int(p.name))
    checkpoint.restore(last, net)
    assert net(jnp.ones((2, 28, 28, 1))).shape == (2, 2)


@pytest.mark.full
def test_digits(tmp_path, data_dir, capsys):
    config = digits.Config(
        name="test", runs=tmp_path, data_dir=data_dir, seeds=2, epochs=3
    )
    result = digits.run(config)
    out, html = capsys.readouterr().out, whole(result)
    assert result.confusion.sum() == 2 * 450
    np.testing.assert_allclose(
        np.diag(result.confusion).sum() / 900, result.lenet.mean(), rtol=1e-6
    )
    assert result.lenet.min() > 0.7
    assert result.svm.min() > 0.97
    np.testing.assert_allclose(
        result.lead, training.mean_interval(result.lenet - result.svm)
    )
    for share in (*result.lenet, *result.svm):
        assert f"{100 * share:.2f}" in out
    wrong = 900 - np.diag(result.confusion).sum()
    assert f"{wrong} of 900 votes" in out
    assert html.count("<img") == 4


@pytest.mark.full
def test_convolution(tmp_path, capsys):
    result = convolution.run(convolution.Config(name="test", runs=tmp_path))
    out, html = capsys.readouterr().out, whole(result)
    assert result.bell_error < 1e-6
    assert f"{result.bell_error:.1e}" in out
    board = np.arange(1.0, 10.0).reshape(3, 3)
    np.testing.assert_array_equal(result.flipped[1:4, 1:4], board)
    np.testing.assert_array_equal(result.not_flipped[1:4, 1:4], board[::-1, ::-1])
    assert result.volume == (10, 10, 96)
    assert "10×10×96" in out
    first, *doubled = result.costs.values()
    assert first == 32 * 32 * 4 * 4 * 3 * 16
    assert doubled == [2 * first] * 3
    assert html.count("<img") == 3


@pytest.mark.parametrize(
    ("message", "flags"),
    [
        ("here exists already", ["--name", "here"]),
        ("no data set 'mnits'", ["--data", "mnits"]),
        ("stage|epochs", ["--epochs", "0", "--name", "other"]),
    ],
)
def test_what_a_user_can_mend_ends_in_one_line(
    tmp_path, data_dir, monkeypatch, message, flags
):
    (tmp_path / "digits" / "here").mkdir(parents=True)
    where = ["--runs", str(tmp_path), "--data-dir", str(data_dir)]
    monkeypatch.setattr(sys, "argv", ["digits", *where, *flags])
    with pytest.raises(SystemExit) as end:
        start(digits.run, digits.Config, digits.__doc__)
    assert re.match(f"error: .*({message})", str(end.value))
    assert "\n" not in str(end.value)


@pytest.mark.full
def test_networks(tmp_path, data_dir, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    monkeypatch.setattr(networks, "DEPTHS", (8, 14))
    config = networks.Config(
        name="test", runs=tmp_path, only=("lenet5", "resnet20"), seeds=2, epochs=1
    )
    result = networks.run(config)
    out, html = capsys.readouterr().out, whole(result)
    assert set(result.training) == set(result.test)
    assert len(result.training) == 4
    for errors in (*result.training.values(), *result.test.values()):
        assert errors.shape == (2,)
        assert f"{100 * errors.mean():.2f} ± " in out
    assert "0.27" in out
    assert html.count("<img") == 1
    with pytest.raises(ValueError, match=r"names \['lenet6'\], which are not there"):
        networks.Config(only=("lenet6",))


@pytest.mark.full
def test_tables_are_the_counterexample(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tabular, "RATES", (3e-3,))
    monkeypatch.setattr(tabular, "REPEATS", 1)
    line = tabular.MACHINES["logistic regression"][1:2]
    monkeypatch.setattr(tabular, "MACHINES", {"logistic regression": line})
    config = tabular.Config(
        name="t", runs=tmp_path, only=("X or O", "iris"), seeds=2, budget=2
    )
    result = tabular.run(config)
    found = result.shares["X or O"]
    assert found["CNN"].keys() == {"as they are", "shuffled", "columns", "rows"}
    lost = found["CNN"]["as they are"] - found["CNN"]["shuffled"]
    assert lost.mean() > 0.1
    assert found["CNN"]["as they are"].mean() > 0.9
    for method in "MLP", "logistic regression":
        plain, other = (found[method][o] for o in ("as they are", "shuffled"))
        assert abs(plain.mean() - other.mean()) < 0.06
    assert result.verdicts.keys() == {"iris"}
    assert result.verdicts["iris"] != "order carries what a CNN can use"
    out = capsys.readouterr().out
    assert "cost in points" in out
    assert (tmp_path / "tabular" / "t" / "report.html").exists()


@pytest.mark.full
def test_false_claims_and_power_are_counted(tmp_path, capsys, monkeypatch):
    """Few runs of the real test: labels at random, and digits in their own order."""
    null = {"table, labels random": (calibration.mislabelled(calibration.table), (1,))}
    monkeypatch.setattr(calibration, "ROWS", (300,))
    monkeypatch.setattr(calibration, "NULL", null)
    monkeypatch.setattr(calibration, "ALTERNATIVE", {"waves": (waves, (1,))})
    config = calibration.Config(name="t", runs=tmp_path)
    result = calibration.run(config)
    claims = {
        kind: (sum(found[300].values()), found[300][calibration.locality.CARRIES])
        for kind, found in result.verdicts.items()
    }
    assert claims == {"table, labels random": (1, 0), "waves": (1, 1)}
    share, low, high = result.false_claims
    assert share == 0
    assert low == 0
    assert high == pytest.approx(0.7935, abs=1e-3)  # Wilson, 0 of 1.
    assert "Wilson" in capsys.readouterr().out


def test_what_is_planted_is_there():
    rng = np.random.default_rng(0)
    x, y = calibration.table(rng, 500, strength=1.0)
    three = (x[:, :-2] + x[:, 1:-1] + x[:, 2:]).max(axis=1)
    assert three[y == 1].min() > three[y == 0].max()
    x, y = calibration.signals(rng, 400)
    ramp = np.array([-1.5, -0.5, 0.5, 1.5])
    matches = np.stack([np.correlate(row, ramp, "valid") for row in x[..., 0]])
    best = matches[np.arange(400), np.abs(matches).argmax(axis=1)]
    assert np.mean((best > 0) == y) > 0.8
    x, y = calibration.digits(rng, 100)
    assert x.shape == (100, 8, 8, 1)
    np.testing.assert_array_equal(np.bincount(y), [20] * 5)
    before, _ = calibration.digits(np.random.default_rng(1), 300)
    after, _ = calibration.shuffled(calibration.digits)(np.random.default_rng(1), 300)
    np.testing.assert_array_equal(
        np.sort(before.reshape(300, -1)), np.sort(after.reshape(300, -1))
    )
    assert (before != after).any()


@pytest.mark.full
def test_words_are_heard(tmp_path, data_dir, capsys, monkeypatch):
    read = [audio.PLAIN, audio.RIVAL, audio.BEST, audio.Arm("MFCC", "linear")]
    shuffled = [audio.Arm("log-mel", "CNN", order=o) for o in ("bands", "chunks")]
    monkeypatch.setattr(audio, "READ", read)
    monkeypatch.setattr(audio, "SHUFFLED", shuffled)
    config = audio.Config(
        name="test",
        runs=tmp_path,
        data_dir=data_dir,
        most=200,
        seeds=2,
        epochs=2,
        steps=1,
    )
    result = audio.run(config)
    assert list(result.shares) == [*read, *shuffled]
    conditions = [*audio.LEVELS, audio.OTHER]
    for shares in result.shares.values():
        assert list(shares) == conditions
        assert {share.shape for share in shares.values()} == {(2,)}
    ours, rival = (result.shares[arm] for arm in (audio.PLAIN, audio.RIVAL))
    for name in conditions:
        assert result.leads[name][0] == pytest.approx((ours[name] - rival[name]).mean())
    for arm in shuffled:
        lost = [ours[name] - result.shares[arm][name] for name in audio.LEVELS]
        assert result.costs[arm][0] == pytest.approx(np.mean(lost))
    out, html = capsys.readouterr().out, whole(result)
    for arm in read:
        shown = " +".join(audio.percent(result.shares[arm][n]) for n in conditions)
        assert re.search(rf"{arm.network}: {re.escape(str(arm))} +{shown}", out)
    assert html.count("<audio") == 3 * 10 + 4
    assert html.count("<img") == 3 + 1 + 2
    assert "Synthetic speech, not people" in out


def test_a_folder_of_sounds_is_heard_like_words(tmp_path, capsys):
    root = files.chirps(tmp_path / "chirps", per_class=12)
    config = audio.Config(
        name="test",
        runs=tmp_path,
        data=str(root),
        seconds=0.5,
        seeds=1,
        epochs=1,
        steps=1,
    )
    views = audio.pictures(config, 8000)
    parts, classes, notes = audio.load(config)
    assert classes == ("falls", "rises", "stays")
    assert any("are resampled" in note for note in notes)
    heard = audio.conditions(parts, np.random.default_rng(0))
    assert list(heard) == ["train", *audio.LEVELS]
    seen = audio.painted(views["log-mel"], heard)
    nets, votes = audio.learn(config, audio.BEST, seen, classes)
    assert {name: v[0].shape for name, v in votes.items()} == {
        name: (len(parts["test"].labels), 3) for name in audio.LEVELS
    }
    whole = audio.joined(views["log-mel"], nets[0])
    assert whole.names[:2] == ("spectrogram", "level")
    alone = training.predict(whole, heard["clean"].waves)
    np.testing.assert_allclose(alone, votes["clean"][0], atol=1e-4)


def test_a_vote_is_differentiable_to_the_waveform(rng):
    config = audio.Config(bands=6)
    view = audio.pictures(config, 1000)["log-mel"]
    with jax.enable_x64(True):
        net = audio.network(audio.PLAIN, (6, 8, 1), 3, seed=0)
        graph, state = nnx.split(audio.joined(view, net))
        whole = nnx.merge(graph, jax.tree.map(lambda w: w.astype(float), state))
        wave = np.sin(np.arange(200) ** 1.3) + 0.1 * rng.standard_normal(200)
        check_grads(jax.jit(lambda x: whole(x)), [wave], order=1, eps=1e-6, rtol=1e-3)
        slope = jax.jit(jax.grad(lambda x: whole(x)[0]))(wave)
    assert np.count_nonzero(slope) > 190


def test_noise_is_as_loud_as_it_says(rng):
    waves = np.zeros((3, 40_000), np.float32)
    waves[0, :30_000] = 0.2 * rng.standard_normal(30_000)
    waves[1, :500] = 0.5
    added = audio.noisy(rng, waves, np.array([0.0, 20.0, 10.0])) - waves
    power = (added**2).mean(axis=1)
    np.testing.assert_allclose(power, [0.04, 0.25 / 100, 0], rtol=0.03)
    np.testing.assert_array_equal(audio.noisy(rng, waves, np.inf), waves)


def test_a_sound_is_shifted_whole(rng):
    waves = np.zeros((500, 9), np.float32)
    waves[:, :4] = [1, 0, 2, 3]
    waves[0] = np.arange(1, 10)
    moved = audio.shifted(rng, waves)
    np.testing.assert_array_equal(moved[0], waves[0])
    begins = np.argmax(moved[1:] == 1, axis=1)
    assert set(begins) == set(range(6))
    for wave, begin in zip(moved[1:], begins, strict=True):
        np.testing.assert_array_equal(np.roll(wave, -begin), waves[1])


def test_an_order_is_one_for_all_sounds(rng):
    split = {"image": rng.standard_normal((5, 6, 7, 1)), "label": np.arange(5)}
    for order, axis in {"bands": 1, "chunks": 2}.items():
        arm = audio.Arm("log-mel", "CNN", order=order)
        found = audio.reordered(arm, 3, split)["image"]
        assert not np.array_equal(found, split["image"])
        first = [np.take(found, 0, axis=axis), split["image"]]
        assert any(
            np.array_equal(first[0], np.take(first[1], i, axis=axis)) for i in range(7)
        )
        rows = np.sort(found, axis=axis), np.sort(split["image"], axis=axis)
        np.testing.assert_array_equal(*rows)
        again = audio.reordered(arm, 3, split)["image"]
        np.testing.assert_array_equal(found, again)
        assert not np.array_equal(found, audio.reordered(arm, 4, split)["image"])


def test_pictures_cannot_be_heard(tmp_path):
    root = files.digits(tmp_path / "digits", per_class=6)
    with pytest.raises(ValueError, match="digits', which has no sounds"):
        audio.load(audio.Config(data=str(root)))


@pytest.mark.parametrize(
    ("says", "how"),
    [
        ("`seconds` is 1.0, which a set of pictures has no use", {"data": "digits"}),
        ("there is no data set 'wrods'", {"data": "wrods"}),
        ("`n_mels` is 300, but .* bands would have none", {"bands": 300}),
        ("`seconds` is -1.0, but must be above 0", {"seconds": -1.0}),
        ("`rate` is -8, but must be above 0", {"rate": -8}),
        ("`seeds` is 0, but must be at least 1", {"seeds": 0}),
    ],
)
def test_what_cannot_be_heard_is_refused(tmp_path, data_dir, says, how):
    with pytest.raises(ValueError, match=says):
        audio.run(audio.Config(runs=tmp_path, data_dir=data_dir, **how))
    assert not list(tmp_path.iterdir())
