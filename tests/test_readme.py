import doctest
import re
from pathlib import Path

import pytest

from cnn_jax import cli
from tests import files

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)
PAGES = [
    p for p in sorted(ROOT.glob("cnn_jax/**/README.md")) if BLOCK.search(p.read_text())
]


def blocks(page):
    return BLOCK.findall(page.read_text())


OWN_FILES = [block for block in blocks(README) if '"photos"' in block]


def run(block, names, name="block"):
    """Runs a block of Python, or of Python's prompts with what they print."""
    if ">>>" not in block:
        exec(block, names)
        return
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    test = doctest.DocTestParser().get_doctest(block, names, name, None, None)
    test.globs = names
    failed, _ = doctest.DocTestRunner(optionflags=flags).run(test, clear_globs=False)
    assert failed == 0


def test_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda p: p.parent.name)
def test_all_python_is_in_a_block_that_runs(page):
    text = re.sub(r"```\w*\n.*?```", "", page.read_text(), flags=re.DOTALL)
    indented = re.findall(r"^    (.+)$", text, flags=re.MULTILINE)
    commands = r"python3? |cnn-jax |pytest"
    assert [line for line in indented if not re.search(commands, line)] == []


def test_the_code_of_the_readme_runs(data_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(README):
        if block not in OWN_FILES:
            run(block, names)
    assert names["matches"].shape == (7, 7)
    assert names["matches"].diagonal().min() == 1
    assert names["logits"].shape == (4, 2)
    error = names["training"].evaluate(names["net"], names["xo"].test)["error"]
    assert error < 0.1
    assert "conv1 Conv" in capsys.readouterr().out


SLOW = {"functional", "locality"}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.full] * (page.parent.name in SLOW))
        for page in PAGES
    ],
    ids=lambda page: page.parent.name,
)
def test_the_code_of_a_page_runs(page, data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks(page):
        run(block, names, page.parent.name)


@pytest.mark.parametrize("text", ["assert False", ">>> 1 + 1\n3\n"])
def test_a_block_that_is_wrong_is_seen(text):
    with pytest.raises(AssertionError):
        run(text, {})


def test_links_lead_somewhere():
    for page in (README, *PAGES, ROOT / "experiments" / "README.md"):
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        missing = [link for link in links if not (page.parent / link).exists()]
        assert missing == [], page


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
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()
