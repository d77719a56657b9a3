import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cnn_jax"

# Each subpackage or single file, and those that it may import.
BELOW = {
    "nn", "functional", "lowering", "data", "report", "models", "tasks", "training"
}  # fmt: skip
MAY_IMPORT = {
    "report": set(),
    "lowering": set(),
    "functional": {"lowering"},
    "nn": {"functional", "lowering"},
    "models": {"nn", "functional", "lowering"},
    "data": {"functional", "lowering"},
    "tasks": {"nn", "functional", "lowering"},
    "training": {"nn", "functional", "lowering", "data", "report", "tasks"},
    "locality": BELOW,
    "trained": BELOW,
    "cli": {*BELOW, "locality", "trained"},
    "__main__": {"cli"},
}
ONLY_IN = {"matplotlib": "report", "tensorflow_datasets": "data"}


def imports(path):
    """Every module that a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module
            if node.module == "cnn_jax":
                yield from (f"cnn_jax.{alias.name}" for alias in node.names)


def looks_up(path, layer):
    """The imports of a file of a layer that point up, or aside."""
    found = []
    for name in imports(path):
        root, *rest = name.split(".")
        inside = root == "cnn_jax" and rest and rest[0] != layer
        if inside and rest[0] not in MAY_IMPORT[layer]:
            found.append(name)
        if ONLY_IN.get(root, layer) != layer:
            found.append(name)
    return found


def files(layer):
    """The files of a subpackage, or the single file of that name."""
    single = PACKAGE / f"{layer}.py"
    return [single] if single.exists() else sorted((PACKAGE / layer).rglob("*.py"))


def test_every_layer_is_known():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    single = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert folders | single == set(MAY_IMPORT)


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_imports_point_down(layer):
    assert files(layer)
    found = {str(f): up for f in files(layer) if (up := looks_up(f, layer))}
    assert found == {}


def test_an_upward_import_is_seen(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text(
        "if TYPE_CHECKING:\n    from cnn_jax.nn import Chain\n"
        "def f():\n    from cnn_jax import nn\n    import matplotlib.axes\n"
    )
    found = set(looks_up(planted, "functional"))
    assert found == {"cnn_jax.nn", "matplotlib.axes"}
    assert len(looks_up(planted, "functional")) == 3


def run(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_import_is_light():
    heavy = ["matplotlib", "tensorflow_datasets", "flax", "optax", "orbax", "sklearn"]
    code = f"import sys, cnn_jax; print([m for m in {heavy} if m in sys.modules])"
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
