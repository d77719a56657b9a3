"""Each experiment once, in a small configuration; it prints what it returns."""

import json
import re
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnn_jax import models, training
from cnn_jax.training import checkpoint
from experiments import convolution, devices, digits, networks, tabular, xo
from experiments import locality as calibration
from experiments._shared import start
from experiments.xo.whole_images import METHODS, STRENGTHS
from tests.experiments.helpers import report_of
from tests.locality.test_locality import waves
from tests.test_mission import MAP, POOLED


@pytest.mark.full
def test_xo(tmp_path, data_dir, capsys):
    config = xo.Config(
        name="test",
        runs=tmp_path,
        data_dir=data_dir,
        seeds=2,
        examples=600,
        epochs=6,
        test_images=60,
        desired_error=0.2,
        sweeps=1,
    )
    result = xo.run(config)
    out, html = capsys.readouterr().out, report_of(result)

    np.testing.assert_allclose(9 * result.arrays["maps"][..., 0], MAP, atol=1e-5)
    np.testing.assert_allclose(9 * result.arrays["pooled"][..., 0], POOLED, atol=1e-5)
    np.testing.assert_allclose(9 * result.arrays["matches"], [9, 5, -9], atol=1e-5)
    rectified = np.maximum(result.arrays["maps"], 0)
    np.testing.assert_array_equal(result.arrays["rectified"], rectified)
    assert re.search(r"7/9 +−1/9 +1/9 +3/9 +5/9 +−1/9 +3/9", out)
    np.testing.assert_allclose(result.arrays["softmax"].sum(), 1, rtol=1e-6)

    shape = (len(STRENGTHS), 2)
    assert set(result.accuracy) == set(METHODS)
    for shares in result.accuracy.values():
        assert len(shares) == 7
        assert {share.shape for share in shares.values()} == {shape}
        assert all(((share >= 0) & (share <= 1)).all() for share in shares.values())
    every = {method: each["all together"] for method, each in result.accuracy.items()}
    assert every["network"][1].mean() > every["one template"][1].mean()
    mean = every["network"][1].mean()
    assert f"strength 0.5, the accuracy of the network is {mean:.1%}" in " ".join(
        out.split()
    )
    difference = every["network"][-1] - every["nearest neighbour"][-1]
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
    checkpoint.restore(training.best(result.folder), net)
    assert net(jnp.ones((2, 28, 28, 1))).shape == (2, 2)


@pytest.mark.full
def test_digits(tmp_path, data_dir, capsys):
    config = digits.Config(
        name="test", runs=tmp_path, data_dir=data_dir, seeds=2, epochs=3
    )
    result = digits.run(config)
    out, html = capsys.readouterr().out, report_of(result)
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
    errors = 900 - np.diag(result.confusion).sum()
    assert f"{errors} of 900 predictions" in out
    assert html.count("<img") == 4


@pytest.mark.full
def test_convolution(tmp_path, capsys):
    result = convolution.run(convolution.Config(name="test", runs=tmp_path))
    out, html = capsys.readouterr().out, report_of(result)
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
def test_user_errors_are_one_line(tmp_path, data_dir, monkeypatch, message, flags):
    (tmp_path / "digits" / "here").mkdir(parents=True)
    where = ["--runs", str(tmp_path), "--data-dir", str(data_dir)]
    monkeypatch.setattr(sys, "argv", ["digits", *where, *flags])
    with pytest.raises(SystemExit) as end:
        start("digits", digits.run, digits.Config, digits.__doc__)
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
    out, html = capsys.readouterr().out, report_of(result)
    assert set(result.training) == set(result.test)
    assert len(result.training) == 4
    for errors in (*result.training.values(), *result.test.values()):
        assert errors.shape == (2,)
        assert f"{100 * errors.mean():.2f}±" in out
    assert "0.27" in out
    assert html.count("<img") == 1
    with pytest.raises(ValueError, match=r"names \['lenet6'\], which are not there"):
        networks.Config(only=("lenet6",))


@pytest.mark.full
def test_tables_are_the_counterexample(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tabular, "RATES", (3e-3,))
    monkeypatch.setattr(tabular, "REPEATS", 1)
    line = tabular.ESTIMATORS["logistic regression"][1:2]
    monkeypatch.setattr(tabular, "ESTIMATORS", {"logistic regression": line})
    config = tabular.Config(
        name="t", runs=tmp_path, only=("X or O", "iris"), seeds=2, budget=2
    )
    result = tabular.run(config)
    accuracy = result.accuracy["X or O"]
    assert accuracy["CNN"].keys() == {"as they are", "shuffled", "columns", "rows"}
    cost = accuracy["CNN"]["as they are"] - accuracy["CNN"]["shuffled"]
    assert cost.mean() > 0.1
    assert accuracy["CNN"]["as they are"].mean() > 0.9
    for method in "MLP", "logistic regression":
        plain, other = (accuracy[method][o] for o in ("as they are", "shuffled"))
        assert abs(plain.mean() - other.mean()) < 0.06
    assert result.verdicts.keys() == {"iris"}
    assert result.verdicts["iris"] != "order carries what a CNN can use"
    out = capsys.readouterr().out
    assert "cost in points" in out
    assert (tmp_path / "tabular" / "t" / "report.html").exists()


@pytest.mark.full
def test_false_claims_and_power_are_counted(tmp_path, capsys, monkeypatch):
    """Few runs of the real test: random labels, and signals in their own order."""
    null = {"table, labels random": (calibration.mislabelled(calibration.table), (1,))}
    monkeypatch.setattr(calibration, "ROWS", (300,))
    monkeypatch.setattr(calibration, "NULL", null)
    monkeypatch.setattr(calibration, "ALTERNATIVE", {"waves": (waves, (1,))})
    config = calibration.Config(name="t", runs=tmp_path)
    result = calibration.run(config)
    claims = {
        kind: (sum(by_rows[300].values()), by_rows[300][calibration.locality.CARRIES])
        for kind, by_rows in result.verdicts.items()
    }
    assert claims == {"table, labels random": (1, 0), "waves": (1, 1)}
    share, low, high = result.false_claims
    assert share == 0
    assert low == 0
    assert high == pytest.approx(0.7935, abs=1e-3)  # Wilson, 0 of 1.
    assert "Wilson" in capsys.readouterr().out


def test_planted_signals_are_there():
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
def test_devices(tmp_path, capsys):
    """The suite has two devices; the state is split over them or repeated."""
    config = devices.Config(name="test", runs=tmp_path, rounds=1, processes=False)
    result = devices.run(config)
    assert list(result.difference) == [(1, 1), (2, 1), (2, 2)]
    assert all(difference < 1e-5 for difference in result.difference.values())
    assert result.held[2, 1] == result.held[1, 1]
    assert result.held[2, 2] <= 1.1 / 2 * result.held[1, 1]
    assert result.collectives[2, 1].keys() == {"all-reduce"}
    assert result.collectives[2, 2]["all-gather"] > 0
    out = capsys.readouterr().out
    assert f"{result.collectives[2, 1]['all-reduce']} all-reduce" in out
    report_of(result)
