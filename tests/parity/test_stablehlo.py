"""StableHLO: programs that run without this package."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import export, models, nn
from cnn_jax.export.network import check_equal
from tests.helpers import assert_close

# A symbolic batch is no `int`, which the type checks of the suite expect.
pytestmark = pytest.mark.usefixtures("as_shipped")


@pytest.fixture(scope="module")
def net():
    """A network with batch statistics and dropout, and its outputs."""
    rngs = nnx.Rngs(0)
    norm = nn.BatchNorm(5)
    norm.mean[...] = jnp.linspace(-1.0, 1.0, 5)
    return nn.Chain(
        {
            "conv": nn.Conv(3, 5, (3, 2), padding=1, rngs=rngs),
            "norm": norm,
            "relu": F.relu,
            "pool": nn.MaxPool((2, 3), ceil_mode=True),
            "drop": nn.Dropout(0.5, rngs=rngs),
            "classifier": nn.Dense((3, 3, 5), 2, rngs=rngs),
        }
    )


def outputs(net, x):
    modes = {"deterministic": True, "use_running_average": True}
    return nnx.view(net, **modes)(jnp.asarray(x))


RUN = """
import sys
import jax, numpy
folder = sys.argv[1]
program = jax.export.deserialize(bytearray(open(f"{folder}/net", "rb").read()))
arguments = [dict(numpy.load(f"{folder}/weights.npz"))] * (len(program.in_avals) > 1)
for name in "xy":
    x = numpy.load(f"{folder}/{name}.npy")
    numpy.save(f"{folder}/{name}_out.npy", program.call(*arguments, x))
assert not any(name.startswith(("cnn_jax", "flax")) for name in sys.modules)
"""


@pytest.mark.parametrize("max_constants", [0, 10**9])
def test_a_program_runs_where_this_package_is_not_imported(
    net, max_constants, tmp_path, rng
):
    data = export.stablehlo(net, (6, 7, 3), max_constants=max_constants)
    assert export.takes_weights(data) == (max_constants == 0)
    (tmp_path / "net").write_bytes(data)
    np.savez(tmp_path / "weights.npz", **export.weights_of(net))
    batches = {"x": 1, "y": 5}
    for name, count in batches.items():
        x = rng.normal(size=(count, 6, 7, 3)).astype(np.float32)
        np.save(tmp_path / f"{name}.npy", x)
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path)
    for name in batches:
        x = np.load(tmp_path / f"{name}.npy")
        assert_close(np.load(tmp_path / f"{name}_out.npy"), outputs(net, x), 1e-5)


def test_bytes_are_normalized_inside(net, rng):
    normalize = models.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    data = export.stablehlo(net, (6, 7, 3), normalize=normalize)
    x = rng.integers(256, size=(2, 6, 7, 3), dtype=np.uint8)
    program = jax.export.deserialize(bytearray(data))
    assert set(program.platforms) == {"cpu", "cuda", "tpu"}
    wanted = (x / 255 - normalize.mean) / normalize.deviation
    got = program.call(jnp.asarray(x))
    assert_close(got, outputs(net, wanted.astype(np.float32)), 1e-5)
    assert export.check_stablehlo(data, net, (6, 7, 3), normalize=normalize) < 1e-5


def test_the_check_finds_other_weights(net):
    data = export.stablehlo(net, (6, 7, 3))
    other = nnx.clone(net)
    other.stages["classifier"].bias[...] += 0.01
    with pytest.raises(ValueError, match="differ from those of the network by"):
        export.check_stablehlo(data, other, (6, 7, 3))
    with pytest.raises(ValueError, match="not written"):
        check_equal("it", np.array([np.nan]), np.array([1.0]))


def test_a_stage_named_pixels_is_refused():
    net = nn.Chain({"pixels": F.relu})
    with pytest.raises(ValueError, match="'pixels' already: rename"):
        export.stablehlo(net, (3,), normalize=models.Normalize((0.5,), (0.5,)))
