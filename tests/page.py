"""The translation page `functional/README.md`, as pairs of calls."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "cnn_jax" / "functional" / "README.md"
PROMPT, THEIRS = ">>> ", "# "


def lines():
    """The names that the page defines, and its pairs (their call, our call)."""
    text = re.sub(r"\n\.\.\. *", " ", PAGE.read_text())  # Calls of several lines.
    sources = [
        line.removeprefix(PROMPT)
        for line in text.splitlines()
        if line.startswith(PROMPT)
    ]
    names, pairs, theirs = {}, [], None
    for source in sources:
        if source.startswith(THEIRS):
            theirs = source.removeprefix(THEIRS)
        elif theirs:
            pairs.append((theirs, source.removesuffix(".shape")))
            theirs = None
        else:
            exec(source, names)
    return names, pairs


def is_torch(theirs):
    return theirs.startswith(("T.", "torch.", "x."))


def has_random_weights(theirs):
    """Whether its weights are random, so that only shapes can agree."""
    return "Conv" in theirs
