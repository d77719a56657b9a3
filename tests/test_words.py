"""The names and the prose of the repository use the terms of the field."""

import ast
import functools
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


class Term(NamedTuple):
    """A term that is not used, what to write instead, and where it is right."""

    pattern: str
    instead: str
    allowed: str = r"(?!)"
    files: tuple[str, ...] = ()


# Lower case matches every case, a capital only itself. A space matches line ends, the
# `#` of a comment and `_`.
TERMS = [
    Term("votes", "logits", files=("experiments/xo/", "experiments/README.md")),
    Term("wrong votes?", "errors, error rate"),
    Term("right answers?", "accuracy"),
    Term(
        "places?",
        "position(s), spatial size, padding elements",
        r"\bin(-| )place\b|\b(takes?|taking|took) (the )?place\b|\bdecimal places?\b",
    ),
    Term("doors?", "argument checks"),
    Term("floors", "layers of the package, subpackages"),
    Term("sight", "receptive field"),
    Term("sees", "reads; has a receptive field of"),
    Term("kept aside", "the test split, held out"),
    Term("learned from", "the training split", "(cannot|could) be learned from"),
    Term("state of chance", "RNG state"),
    Term("by chance", "random, at random", "by chance alone"),
    Term("made wide|widen(ed)?", "promoted to float32"),
    Term("dropout silences|silences? (each|every)", "sets to zero"),
    Term("fillers?", "padding row"),
    Term("culprits?", "the first that is not finite"),
    Term("story", "report"),
    Term("befell|what became of|minds no", "the number affected; what happens"),
    Term("kept waiting", "delayed until …"),
    Term("brought back", "reflected into range"),
    Term("end_of", "index_after"),
    Term("Keeper", "CheckpointManager"),
    Term("Snapshot", "RunState"),
    Term("Recipe", "StepSpec"),
    Term("Watch", "EarlyStopping"),
    Term("Arm", "ModelSpec"),
]
OPTIONS = {
    "least": "minimum, or what it bounds: `min_peak_db`",
    "most": "maximum, or what it bounds: `max_fraction`",
    "outside": "padding_mode",
    "pictures": "images",
    "sounds": "audio",
}


@functools.cache
def texts():
    """The repository's code, pages and templates by path, but for this file."""
    found = [ROOT / "README.md"]
    for folder in ("cnn_jax", "experiments", "tests"):
        found += [
            path
            for path in sorted((ROOT / folder).rglob("*"))
            if path.suffix in (".py", ".md", ".j2") and path != Path(__file__)
        ]
    read = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in found}
    # The list of changes names what was renamed.
    return read | {"README.md": read["README.md"].split("## CHANGELOG")[0]}


def lines_with(term, text):
    """The numbers of the lines on which the term begins, outside allowed phrases."""
    ignore = re.IGNORECASE if term.pattern.islower() else 0
    gap = r"(?:_|\\s+(?:#\\s*)?)"
    allowed = re.compile(re.sub(" ", gap, term.allowed), re.IGNORECASE)
    text = allowed.sub(lambda found: re.sub(r"\S", " ", found[0]), text)
    word = re.sub(" ", gap, rf"(?<![^\W_])(?:{term.pattern})(?![^\W_])")
    found = re.finditer(word, text, ignore)
    return sorted({text.count("\n", 0, hit.start()) + 1 for hit in found})


def hits(term, texts):
    """`path:line: text` of every line with a term, but in the allowed files."""
    return [
        f"{path}:{line}: {text.splitlines()[line - 1].strip()}"
        for path, text in texts.items()
        if not path.startswith(term.files or ("//",))
        for line in lines_with(term, text)
    ]


def options_in(code):
    """(line, name) of every option and field of what is public in a file."""
    for node in ast.walk(ast.parse(code)):
        if getattr(node, "name", "_") is None or getattr(node, "name", "_")[0] == "_":
            continue
        if isinstance(node, ast.FunctionDef):
            for arg in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
                yield arg.lineno, arg.arg
        elif isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign):
                    yield field.lineno, field.target.id


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.pattern)
def test_the_term_of_the_field_is_used(term):
    if found := hits(term, texts()):
        pytest.fail("\n".join([f"Write {term.instead}:", *found]), pytrace=False)


def test_options_have_the_names_of_the_field():
    found = [
        f"{path}:{line}: not `{name}` but {OPTIONS[name]}"
        for path, text in texts().items()
        if path.startswith("cnn_jax/") and path.endswith(".py")
        for line, name in options_in(text)
        if name in OPTIONS
    ]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize(
    ("planted", "pattern"),
    [
        ("wrong_votes = 3", "votes"),
        ("the share of wrong\n    # votes", "wrong votes?"),
        ("Right answers, %", "right answers?"),
        ("at every place in place of it", "places?"),
        ("x.places", "places?"),
        ("def one_place():", "places?"),
        ("`x` has 5 places", "places?"),
        ("what is learned\nfrom", "learned from"),
        ("checks at the door.", "doors?"),
        ("sums are widened", "made wide|widen(ed)?"),
        ("def test_dropout_silences_maps", "dropout silences|silences? (each|every)"),
        ("class Arm:", "Arm"),
    ],
)
def test_a_planted_term_is_found(planted, pattern):
    (term,) = (term for term in TERMS if term.pattern == pattern)
    assert lines_with(term, f"first\n{planted}\n") == [2]


def test_the_failure_names_the_line_unless_the_file_is_allowed():
    votes, *_ = TERMS
    planted = dict.fromkeys(["cnn_jax/a.py", "experiments/xo/a.py"], "x\n votes\n")
    assert hits(votes, planted) == ["cnn_jax/a.py:2: votes"]


@pytest.mark.parametrize(
    "right",
    [
        "1 in place of 0, in-place, in\n    place; it takes place to 3 decimal places",
        "replace, placement, displaced, jax.device_put",
        "math.floor, outdoors, insight, unseen, `arm` of the letter",
        "a block narrows and widens; a WideResNet; Snapshots; agree by chance alone",
        "data.field, a recipe, one vote",
    ],
)
def test_ordinary_words_are_not_found(right):
    assert [term.pattern for term in TERMS if lines_with(term, right)] == []


def test_a_planted_option_is_found():
    code = (
        "def trim(x, *, least=1):\n    def _inner(most): pass\n"
        "def _trim(x, outside): pass\n"
        "class Net:\n    sounds: int\n    def call(self, most, /): pass\n"
    )
    found = [(line, name) for line, name in options_in(code) if name in OPTIONS]
    assert sorted(found) == [(1, "least"), (5, "sounds"), (6, "most")]
