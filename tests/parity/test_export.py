"""`cnn-jax export`: other programs answer as `cnn-jax predict` does."""

import csv
import io
import json

import jax
import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from flax import nnx

from cnn_jax import cli, models, trained
from cnn_jax.data.readers import from_fields
from tests import files
from tests.cli.test_cli import run_cli


def train(root, path, *more):
    words = ["train", path, "--epochs", 2, "--runs", root, "--name", "a", *more]
    with pytest.raises(SystemExit) as ended:
        cli.main(list(map(str, words)))
    assert ended.value.code == 0
    return root / "train" / "a"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs on images, audio, a table with classes and a table with a quantity."""
    root = tmp_path_factory.mktemp("runs")
    crops = files.crops(root / "crops", per_class=8, size=40)
    chirps = files.chirps(root / "chirps", per_class=8)
    table = files.table(root / "cancer.csv", rows=80)
    sales = files.sales(root / "sales.csv", rows=60)
    small = ("--model", "resnet20", "--size", 32, "--augment")
    return {
        "images": (train(root / "1", crops, *small), sorted(crops.rglob("*.jpg"))[:5]),
        "audio": (train(root / "2", chirps), sorted(chirps.rglob("*.*"))[:5]),
        "table": (train(root / "3", table, "--label", "diagnosis"), [table]),
        "quantity": (train(root / "4", sales, "--label", "price"), [sales]),
    }


def inputs_of(run, paths):
    """What the reader of a run makes of files."""
    reader = from_fields(trained.read_metadata(run).reader)
    read = [reader.read(path) for path in paths]
    return read[0] if len(paths) == 1 else np.stack(read)


def predicted(run, paths, capsys):
    """The numbers that `cnn-jax predict` prints."""
    out, _, code = run_cli(capsys, "predict", run, *paths, "--format", "csv")
    assert code == 0
    rows = list(csv.reader(io.StringIO(out)))[1:]
    about = trained.read_metadata(run)
    return np.array([row[-len(about.classes) :] for row in rows], float)


@pytest.mark.usefixtures("as_shipped")  # A symbolic batch is no `int`.
@pytest.mark.parametrize("kind", ["images", "audio", "table", "quantity"])
def test_other_programs_answer_as_predict_does(kind, runs, capsys, tmp_path):
    run, paths = runs[kind]
    wanted = predicted(run, paths, capsys)
    x = inputs_of(run, paths)
    tolerance = 2e-6 if kind != "quantity" else 1e-4

    out, text, code = run_cli(capsys, "export", run, "--to", "onnx")
    assert code == 0, text
    assert "model.onnx: " in out
    assert "differ from those of the run by" in out
    session = onnxruntime.InferenceSession(run / "model.onnx")
    (got,) = session.run(["output"], {"input": x})
    np.testing.assert_allclose(got, wanted, atol=tolerance, rtol=1e-5)
    texts = session.get_modelmeta().custom_metadata_map
    about = trained.read_metadata(run)
    assert tuple(json.loads(texts["classes"])) == about.classes
    assert json.loads(texts["reader"]) == about.reader

    file = tmp_path / "net.bin"
    out, text, code = run_cli(
        capsys, "export", run, "--to", "stablehlo", "--file", file
    )
    assert code == 0, text
    program = jax.export.deserialize(bytearray(file.read_bytes()))
    got = program.call(x)
    np.testing.assert_allclose(got, wanted, atol=tolerance, rtol=1e-5)


def test_weights_go_to_pytorch_and_back(runs, capsys):
    run, _ = runs["images"]
    out, text, code = run_cli(capsys, "export", run, "--to", "safetensors")
    assert code == 0, text
    assert "by 0.0e+00 of the largest" in out
    state = safetensors.torch.load_file(run / "model.safetensors")
    assert isinstance(state["layer1.0.bn1.num_batches_tracked"], torch.Tensor)
    net = models.build("resnet20", classes=2, rngs=nnx.Rngs(0))
    models.from_state_dict(net, state, layout="torchvision")


def test_channels_first_and_fused(runs, capsys, tmp_path):
    run, paths = runs["images"]
    wanted, file = predicted(run, paths, capsys), tmp_path / "net.onnx"
    words = ["--to", "onnx", "--file", file, "--input", "nchw", "--fuse-batch-norm"]
    _, text, code = run_cli(capsys, "export", run, *words)
    assert code == 0, text
    x = np.moveaxis(inputs_of(run, paths), -1, 1).copy()
    (got,) = onnxruntime.InferenceSession(file).run(["output"], {"input": x})
    np.testing.assert_allclose(got, wanted, atol=1e-5)
