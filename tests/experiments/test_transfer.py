"""Transfer and published weights, in small configurations."""

import hashlib
import json

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from cnn_jax import data, models
from cnn_jax.models.published import PUBLISHED
from experiments import imagenet, transfer
from tests import torch_files
from tests.experiments.helpers import report_of


@pytest.mark.full
def test_transfer(tmp_path, data_dir, capsys):
    small = {"seeds": 2, "examples": (3, 9), "steps": 20}
    config = transfer.Config(name="test", runs=tmp_path, data_dir=data_dir, **small)
    result = transfer.run(config)
    out, html = capsys.readouterr().out, report_of(result)
    assert result.source.shape == (2,)
    assert result.source.mean() > 0.7
    assert list(result.accuracy) == [transfer.SCRATCH, transfer.FROZEN, transfer.TUNED]
    for found in result.accuracy.values():
        assert list(found) == [3, 9]
        for shares in found.values():
            assert shares.shape == (2,)
            assert f"{100 * shares.mean():.1f}±" in out
    gain = result.accuracy[transfer.TUNED][3] - result.accuracy[transfer.SCRATCH][3]
    assert f"{100 * gain.mean():+.1f}".replace("-", "−") in out
    assert html.count("<img") == 1


def test_halves_and_few_are_drawn_from_the_split():
    rng = np.random.default_rng(0)
    label = np.arange(40) % 10
    split = {"image": rng.normal(size=(40, 2, 2, 1)), "label": label}
    whole = data.Dataset(split, split, tuple("0123456789"))
    other = transfer.halved(whole, known=False)
    assert other.classes == tuple("56789")
    np.testing.assert_array_equal(other.train["label"], label[label >= 5] - 5)
    np.testing.assert_array_equal(other.train["image"], split["image"][label >= 5])
    drawn = transfer.few(other, 3, seed=1)
    np.testing.assert_array_equal(np.bincount(drawn.train["label"]), [3] * 5)
    rows = {row.tobytes() for row in other.train["image"]}
    assert len({row.tobytes() for row in drawn.train["image"]} & rows) == 15


@pytest.fixture
def folder(tmp_path):
    """Two classes of ImageNet with two images each."""
    rng = np.random.default_rng(0)
    for number in "n01440764", "n02123045":
        (tmp_path / "val" / number).mkdir(parents=True)
        for i in range(2):
            image = rng.integers(256, size=(250, 300, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "val" / number / f"{i}.JPEG")
    return tmp_path / "val"


@pytest.mark.full
def test_published_weights_are_evaluated(folder, tmp_path, monkeypatch, capsys):
    net = models.build("resnet18", rngs=nnx.Rngs(0))
    state = models.to_state_dict(net, layout="torchvision")
    state["fc.bias"][281] = 100.0  # Every image is a tabby cat, number 281.
    content = torch_files.zip_file(state)
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    checkpoints = tmp_path / "home" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / name).write_bytes(content)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    weights = "resnet18.IMAGENET1K_V1"
    published = models.find_published(weights)._replace(file=name)
    monkeypatch.setitem(PUBLISHED, weights, published)
    config = imagenet.Config(
        folder, name="test", runs=tmp_path / "runs", only=(weights,), batch_size=3
    )
    result = imagenet.run(config)
    assert result.accuracy[weights][0] == 50.0
    out = capsys.readouterr().out
    assert "4 images of 2 classes" in out
    assert "69.76" in out
    assert "50.00" in out
    line = (result.folder / "metrics.jsonl").read_text().splitlines()[0]
    assert json.loads(line)["source"] == f"torchvision, {name}"


def test_the_validation_set_is_checked(folder, tmp_path):
    files, labels = imagenet.validation_set(folder, None)
    assert labels.tolist() == [0, 0, 281, 281]
    files, labels = imagenet.validation_set(folder, 2)
    assert [file.name for file in files] == ["0.JPEG", "0.JPEG"]
    (folder / "cats").mkdir()
    with pytest.raises(ValueError, match="the subfolder cats, but needs one per class"):
        imagenet.validation_set(folder, None)
    with pytest.raises(ValueError, match="no subfolders"):
        imagenet.validation_set(folder / "cats", None)
    with pytest.raises(ValueError, match=r"no weights 'resnet18\.tv'"):
        imagenet.Config(folder, only=("resnet18.tv",))


def test_top_counts_the_largest_logits():
    logits = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]])
    assert imagenet.top(logits, np.array([2, 0]), 1) == 50.0
    assert imagenet.top(logits, np.array([2, 0]), 2) == 100.0
