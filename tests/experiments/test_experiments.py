"""Each experiment once, in a small configuration; what it prints is what it returns."""

import json
import re
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnn_jax import models, training
from cnn_jax.training import checkpoint
from experiments import convolution, digits, networks, xo
from experiments._shared import start
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
    checkpoint.restore(last / "net0", net)
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
