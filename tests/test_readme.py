import importlib.util
import re
from pathlib import Path

import pytest

from cnn_jax import cli
from tests import files

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
OWN_FILES = [block for block in BLOCKS if '"photos"' in block]


def test_all_python_is_in_a_block_that_runs():
    text = re.sub(r"```python\n.*?```", "", README.read_text(), flags=re.DOTALL)
    indented = re.findall(r"^    (.+)$", text, flags=re.MULTILINE)
    assert indented
    assert [
        line for line in indented if not re.search(r"python3? |cnn-jax ", line)
    ] == []
    assert (len(BLOCKS), len(OWN_FILES)) == (5, 1)


def test_the_code_of_the_readme_runs(data_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        if block not in OWN_FILES:
            exec(block, names)
    assert names["matches"].shape == (7, 7)
    assert names["matches"].diagonal().min() == 1
    assert names["votes"].shape == (4, 2)
    assert names["ear"](names["tone"]).shape == (24, 63, 1)
    error = names["training"].evaluate(names["net"], names["xo"].test)["error"]
    assert error < 0.1
    assert "conv1 Conv" in capsys.readouterr().out
    assert (tmp_path / "runs" / "xo" / "first" / "checkpoints").is_dir()


@pytest.mark.full
def test_the_code_for_your_own_files_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    files.crops(tmp_path / "photos", per_class=20)
    (tmp_path / "new").mkdir()
    next(tmp_path.glob("photos/*/*.jpg")).rename(tmp_path / "new" / "garden.jpg")
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "photos", "--name", "birds", "--epochs", "2"])
    assert ended.value.code == 0
    exec(OWN_FILES[0], {})
    assert "new/garden.jpg" in capsys.readouterr().out.splitlines()[-1]


def test_every_command_names_a_module_that_is_there():
    text = README.read_text()
    modules = set(re.findall(r"python -m (experiments\.\w+)", text))
    assert {"experiments.xo", "experiments.digits"} <= modules
    for module in modules:
        assert importlib.util.find_spec(module) is not None
