"""`cnn-jax export` of runs of every kind."""

import pytest

from cnn_jax import cli
from tests import files
from tests.cli.test_cli import run_cli


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a few images."""
    root = tmp_path_factory.mktemp("export")
    files.digits(root / "digits", per_class=6)
    words = ["train", root / "digits", "--model", "lenet5_relu", "--epochs", 1]
    words += ["--runs", root / "runs", "--name", "a", "--augment"]
    with pytest.raises(SystemExit) as ended:
        cli.main(list(map(str, words)))
    assert ended.value.code == 0
    return root / "runs" / "train" / "a"


@pytest.mark.full
def test_what_cannot_be_exported_is_one_line(run, tmp_path, capsys):
    file = tmp_path / "none" / "net"
    _, text, code = run_cli(
        capsys, "export", run, "--to", "safetensors", "--file", file
    )
    assert code == 1
    assert f"{file.parent} is no folder to write" in text
    _, text, code = run_cli(capsys, "export", tmp_path, "--to", "onnx")
    assert code == 1
    assert "is no run" in text
    assert text.count("\n") == 1
