"""The words of the field: names and prose that a newcomer has met before."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A pattern, and what to write instead.
WORDS = {
    r"\bvotes?\b|\bvoted\b": "logits; predictions",
    r"(?<!take )(?<!takes )(?<!in )(?<!in-)(?<!decimal )(?<!of )\bplaces?\b": "position, "
    "spatial size, padding element",
    r"\bdoors?\b": "argument checks",
    r"(?<!jnp\.)(?<!np\.)(?<!math\.)\bfloors?\b(?!\()": "layers, subpackages",
    r"\bsight\b": "receptive field",
    r"\bwrong votes\b|\bright answers\b": "error rate, accuracy",
    r"\blearned from\b|\bkept aside\b": "training, validation, test split",
    r"\bby chance\b|\bstate of chance\b|\bown chance\b": "at random, RNG state",
    r"\bKeeper\b|\bSnapshot\b|\bRecipes?\b|\bWatch\b": "CheckpointManager, RunState, "
    "StepSpec, EarlyStopping",
    r"\bculprit\b": "first_nonfinite",
    r"\bfillers?\b": "padding row",
    r"\bwiden(ed|s)?\b|\bmade wide\b": "promoted to float32",
    r"\bend_of\b": "index_after",
    r"\bArm\b": "ModelSpec",
    r"\bbefell\b|\bkept waiting\b|\bwhat became of\b": "say what happens",
    r"\bleast=|\bmost=": "minimum, maximum, or what they bound",
}
# The experiment on X and O explains the election of its source; this file lists words.
EXCEPT = {
    r"\bvotes?\b|\bvoted\b": ("experiments/xo/", "experiments/README.md"),
}
HERE = Path(__file__).relative_to(ROOT).as_posix()


def tracked():
    """The text files of the repository that people read."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "*.py", "*.md", "*.j2"]
    names = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return [name for name in names if name != HERE and (ROOT / name).exists()]


def found(pattern, text):
    """The lines in which a pattern occurs."""
    return [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


@pytest.mark.parametrize("pattern", WORDS)
def test_words_of_the_field_are_used(pattern):
    allowed = EXCEPT.get(pattern, ())
    hits = [
        f"{name}:{number}: {line}"
        for name in tracked()
        if not name.startswith(allowed)
        for number, line in found(pattern, (ROOT / name).read_text())
    ]
    assert hits == [], f"write {WORDS[pattern]!r} instead"


@pytest.mark.parametrize(
    ("line", "hits"),
    [
        ("the votes of a network", 1),
        ("one dot product per place", 1),
        ("it is checked at the door", 1),
        ("trained in place, replaced", 0),
        ("jnp.floor(x)", 0),
        ("two decimal places", 0),
        ("a widened array", 1),
        ("def f(*, least=1)", 1),
    ],
)
def test_a_planted_word_is_seen(line, hits):
    assert sum(bool(found(pattern, line)) for pattern in WORDS) == hits


def test_files_are_looked_at():
    names = tracked()
    assert {"README.md", "cnn_jax/nn/chain.py", "tests/conftest.py"} <= set(names)
