import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_code_of_the_readme_runs(data_dir, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["matches"].shape == (7, 7)
    assert names["matches"].diagonal().min() == 1
    assert names["votes"].shape == (4, 2)
    error = names["training"].evaluate(names["net"], names["xo"].test)["error"]
    assert error < 0.1
    assert "conv1 Conv" in capsys.readouterr().out


def test_every_command_names_a_module_that_is_there():
    text = README.read_text()
    modules = set(re.findall(r"python -m (experiments\.\w+)", text))
    assert {"experiments.xo", "experiments.digits"} <= modules
    for module in modules:
        assert (README.parent / f"{module.replace('.', '/')}.py").exists()
