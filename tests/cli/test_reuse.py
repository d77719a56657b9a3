"""`train --pretrained`: a new last stage, and fine-tuning after it."""

import re
import shutil

import numpy as np
import pytest
from flax import nnx

from cnn_jax import cli, models, trained, training
from cnn_jax.cli.reuse import Reuse, frozen_before
from tests import files, torch_files
from tests.cli.test_cli import run_cli

NAME = "resnet18.tv_in1k"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as it is published, with weights that were never trained."""
    net = models.build("resnet18", rngs=nnx.Rngs(3))
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    state = models.to_state_dict(net, layout="torchvision")
    path.write_bytes(torch_files.zip_file(state))
    return path


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return files.crops(tmp_path_factory.mktemp("files") / "crops", per_class=20)


def words(crops, weights, runs, *more):
    given = ["train", crops, "--pretrained", NAME, "--weights", weights, "--size", 32]
    return [*given, "--runs", runs, "--name", "a", "--epochs", 2, *more]


@pytest.mark.full
def test_the_last_stage_alone_is_trained(crops, weights, tmp_path, capsys):
    out, text, code = run_cli(capsys, *words(crops, weights, tmp_path))
    assert code == 0, text
    assert "resnet18, with the weights resnet18.tv_in1k" in out
    assert "Stages up to 'mean' keep their weights" in out
    run = tmp_path / "train" / "a"
    net = trained.load(run).net
    state = models.read_state_dict(weights)
    np.testing.assert_array_equal(
        net.stages["conv1"].kernel[...], state["conv1.weight"].transpose(2, 3, 1, 0)
    )
    assert net.names[0] == "normalize"
    about = trained.read_metadata(run)
    assert about.pretrained == NAME
    assert about.options["channels"] == 3
    assert about.reader["size"] == [32, 32]
    assert {path.name for path in run.iterdir()} == {
        *("config.json", "splits.json", "broken.json", "metrics.jsonl"),
        *("verdict.json", "report.html", "checkpoints", "figures"),
    }
    some = sorted(crops.rglob("*.jpg"))[:3]
    _, _, code = run_cli(capsys, "predict", run, *some)
    assert code == 0


@pytest.mark.full
def test_fine_tuning_is_resumed_from_its_start(
    crops, weights, tmp_path, capsys, monkeypatch
):
    more = ["--unfreeze", "layer4"]
    out, text, code = run_cli(capsys, *words(crops, weights, tmp_path / "whole", *more))
    assert code == 0, text
    assert "The new last stage is trained first" in out
    assert "Stages up to 'layer3' keep their weights" in out
    assert "learn at 0.1 of the rate" in out
    whole = tmp_path / "whole" / "train" / "a"
    start = models.read_state_dict(weights)
    net = trained.load(whole).net
    state = models.to_state_dict(net, layout="torchvision")
    np.testing.assert_array_equal(
        state["layer3.1.conv2.weight"], start["layer3.1.conv2.weight"]
    )
    assert (state["layer4.1.conv2.weight"] != start["layer4.1.conv2.weight"]).any()

    def stop(page, folder, records):
        next(records)
        records.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cli.fit, "_train", stop)
        _, _, code = run_cli(capsys, *words(crops, weights, tmp_path / "cut", *more))
    assert code == 130
    run = tmp_path / "cut" / "train" / "a"
    shutil.copytree(run, tmp_path / "early")
    shutil.rmtree(tmp_path / "early" / "checkpoints")  # Before the first checkpoint.
    for folder in run, tmp_path / "early":
        assert (folder / "start").is_dir()
        _, text, code = run_cli(capsys, "resume", folder)
        assert code == 0, text
        assert not (folder / "start").exists()
        again = models.to_state_dict(trained.load(folder).net, layout="torchvision")
        for name, array in state.items():
            np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["--pretrained", "resnet18.tv"], "no weights 'resnet18.tv'; there are"),
        (["--pretrained", NAME, "--model", "vgg16"], "`model` is 'vgg16', which"),
        (["--pretrained", NAME, "--unfreeze", "layer9"], "`unfreeze` is 'layer9', but"),
        (["--unfreeze", "layer4"], "`unfreeze` is 'layer4', which a training without"),
        (["--weights", "a.pth"], "`weights` is PosixPath.*a training without"),
    ],
)
def test_what_cannot_be_reused_is_refused_before_data_are_read(given, text, capsys):
    _, error, code = run_cli(capsys, "train", "nowhere", *given)
    assert code == 1
    assert error.count("\n") == 1
    assert re.search(text, error), error


def test_stages_before_the_first_that_is_tuned():
    net = models.outline("resnet18")
    assert frozen_before(net, "layer1") == "pool1"
    assert frozen_before(net, "conv1") is None


def test_configurations_of_both_trainings():
    config = training.Config(epochs=7, learning_rate=0.5)
    reuse = Reuse(NAME, None, None)
    (head,) = reuse.configs(config, epochs=None, learning_rate=None)
    assert (head.frozen, head.epochs, head.rate_below) == ("mean", 30, 1.0)
    first, fine = Reuse(NAME, None, "layer3").configs(
        config, epochs=4, learning_rate=None
    )
    assert (first.frozen, first.epochs) == ("mean", 4)
    assert (fine.frozen, fine.epochs, fine.rate_below) == ("layer2", 7, 0.1)
    assert fine.learning_rate == 1e-3
