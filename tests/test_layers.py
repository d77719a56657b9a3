"""Imports point to the layers below, never in a circle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnn_jax"

# Each subpackage or single file, and the layers directly below it.
RESTS_ON = {
    "report": set(),
    "lowering": set(),
    "functional": {"lowering"},
    "nn": {"functional"},
    "models": {"nn"},
    "data": {"functional"},
    "tasks": {"functional", "nn"},
    "explain": {"nn", "report"},
    "training": {"nn", "data", "tasks", "report"},
    "locality": {"models", "training"},
    "trained": {"models", "training"},
    "export": {"models"},
    "cli": {"explain", "export", "locality", "trained"},
    "__main__": {"cli"},
}
ONLY_IN = {"matplotlib": "report", "tensorflow_datasets": "data"}
HEAVY = [
    "matplotlib",
    "tensorflow_datasets",
    "flax",
    "optax",
    "orbax",
    "sklearn",
    "scipy",
    "chex",
]


def below(layer):
    """All layers that a layer may import."""
    direct = RESTS_ON[layer]
    return direct.union(*map(below, direct))


def layer_of(path):
    """The layer of a file of the package; "" is `cnn_jax/__init__.py`."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path):
    """Every module or name that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import of {node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def upward(path, layer):
    """The imports of a file of a layer that are not of the layers below."""
    found = set()
    for name in imports(path):
        root, *rest = name.split(".")
        inside = root == "cnn_jax" and rest[0] != layer and rest[0] in RESTS_ON
        if inside and rest[0] not in below(layer):
            found.add(name)
        if ONLY_IN.get(root, layer) != layer:
            found.add(name)
    return found


def file_of(name, root):
    """The file of the longest part of a dotted name that is a file, or None."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        path = root.joinpath(*parts[:n])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.exists():
                return file
    return None


def circles(root, package):
    """The groups of files of a package that import one another in a circle."""
    files = sorted((root / package).rglob("*.py"))
    reached = {f: {file_of(name, root) for name in imports(f)} for f in files}
    for through in files:  # Warshall's transitive closure.
        for file in files:
            if through in reached[file]:
                reached[file] |= reached[through]

    def circle(file):
        return [g for g in files if g in reached[file] and file in reached[g]]

    found = {tuple(str(g.relative_to(root)) for g in circle(file)) for file in files}
    return sorted(found - {()})


def test_every_layer_is_known():
    assert {layer_of(path) for path in PACKAGE.rglob("*.py")} - {""} <= set(RESTS_ON)


@pytest.mark.parametrize("layer", RESTS_ON)
def test_imports_point_down(layer):
    files = [path for path in PACKAGE.rglob("*.py") if layer_of(path) == layer]
    assert {str(f): found for f in files if (found := upward(f, layer))} == {}


def test_no_files_import_one_another_in_a_circle():
    assert circles(ROOT, "cnn_jax") == []


def test_an_upward_import_is_found(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text(
        "if TYPE_CHECKING:\n    from cnn_jax.nn import Chain\n"
        "def f():\n    from cnn_jax import data\n    import matplotlib.axes\n"
        "from cnn_jax import lowering, __version__\n"
    )
    expected = {"cnn_jax.nn.Chain", "cnn_jax.data", "matplotlib.axes"}
    assert upward(planted, "functional") == expected


def test_a_circle_of_files_is_found(tmp_path):
    for name, code in {
        "p/__init__.py": "from p.a import f",
        "p/a.py": "def f():\n    from p.b import g",
        "p/b.py": "if TYPE_CHECKING:\n    import p.c",
        "p/c.py": "from p import a",
        "p/d.py": "from p.a import f\nfrom p import f",
        "p/e.py": "import p.e.x",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    assert circles(tmp_path, "p") == [("p/a.py", "p/b.py", "p/c.py"), ("p/e.py",)]


def run(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_import_is_light():
    code = f"import sys, cnn_jax; print([m for m in {HEAVY} if m in sys.modules])"
    assert run(code).strip() == "[]"


def test_functional_and_nn_run_without_tfds():
    code = (
        "import sys\n"
        "sys.modules['tensorflow_datasets'] = None\n"
        "import jax.numpy as jnp, cnn_jax\n"
        "from flax import nnx\n"
        "layer = cnn_jax.nn.Conv(1, 2, (3, 3), rngs=nnx.Rngs(0))\n"
        "print(cnn_jax.functional.relu(layer(jnp.ones((5, 6, 1)))).shape)\n"
    )
    assert run(code).strip() == "(3, 4, 2)"
