"""Files and functions stay short enough to be read at once."""

import ast
import statistics
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "cnn_jax"
MAX_LINES = 400
MAX_BODY = 40
MAX_MEDIAN_BODY = 10
LONGER_FILES = {"functional/convolution.py", "functional/pooling.py"}


def files():
    return sorted(PACKAGE.rglob("*.py"))


def bodies(code):
    """(name, lines) of every function; its signature and docstring are not counted."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first, *rest = node.body
            if rest and ast.get_docstring(node) is not None:
                first = rest[0]
            decorators = getattr(first, "decorator_list", [])
            start = min(part.lineno for part in [first, *decorators])
            yield node.name, node.end_lineno - start + 1


def test_files_are_short():
    lengths = {
        str(path.relative_to(PACKAGE)): path.read_text("utf-8").count("\n")
        for path in files()
    }
    assert lengths.keys() >= LONGER_FILES
    long = {name: n for name, n in lengths.items() if n > MAX_LINES}
    assert long.keys() <= LONGER_FILES, f"At most {MAX_LINES} lines: {long}."


def test_functions_are_short():
    found = [
        (lines, f"{path.relative_to(PACKAGE)}:{name}")
        for path in files()
        for name, lines in bodies(path.read_text("utf-8"))
    ]
    assert len(found) > 500
    long = {name: n for n, name in found if n > MAX_BODY}
    assert long == {}, f"At most {MAX_BODY} lines of body."
    assert statistics.median(n for n, _ in found) <= MAX_MEDIAN_BODY


def test_lines_of_a_body_are_counted():
    code = (
        'def f(\n    x,\n):\n    """Two\n\n    lines."""\n    y = x\n\n    return y\n'
        "def g(): return 1\n"
        'class A:\n    def h(self):\n        """Nothing."""\n'
        "def k():\n    @cache\n    def inner():\n        return 1\n    return inner\n"
    )
    assert sorted(bodies(code)) == [
        ("f", 3),
        ("g", 1),
        ("h", 1),
        ("inner", 1),
        ("k", 4),
    ]
