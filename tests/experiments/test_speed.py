import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments import speed
from experiments.speed import operations, timing
from experiments.speed.gpu import images_per_second
from experiments.speed.libraries import flax_nnx, networks, ours
from experiments.speed.libraries.networks import (
    Conv,
    Dense,
    MaxPool,
    Mean,
    Net,
    Norm,
    Relu,
    Residual,
)
from experiments.speed.libraries.nnx_step import nnx_step
from experiments.speed.shapes import Op

SMALL = Net(
    (
        *(Conv(6, (3, 3), padding=1), Norm(), Relu(), MaxPool((2, 2))),
        Residual(
            (Conv(None, (3, 3), 2, 1), Norm(), Conv(8, (1, 1))),
            (Conv(8, (1, 1), 2),),
        ),
        *(Residual((Conv(8, (3, 3), padding=1),)), Mean(), Dense(10)),
    ),
    (12, 10, 3),
    4,
)


@pytest.mark.full
def test_all_libraries_train_the_same_network():
    # Equal weights must give equal losses, so that equal work is timed.
    shapes, losses = [], []
    nets = [
        build(SMALL.layers, SMALL.shape, nnx.Rngs(0))
        for build in (ours.build, flax_nnx.build)
    ]
    flat = jax.tree.leaves(nnx.state(nets[0], nnx.Param))
    for net in nets:
        state = nnx.state(net, nnx.Param)
        shapes.append(sorted(leaf.shape for leaf in jax.tree.leaves(state)))
        rng = np.random.default_rng(0)
        by_shape = {leaf.shape: rng.normal(size=leaf.shape) for leaf in flat}
        values = [by_shape[leaf.shape] for leaf in jax.tree.leaves(state)]
        nnx.update(net, jax.tree.unflatten(jax.tree.structure(state), values))
        step, first = nnx_step(net)
        losses.append(jax.jit(step)(first, *networks.batch_of(SMALL))[1])
    assert shapes[0] == shapes[1]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("name", networks.NETS)
def test_shapes_end_in_ten_classes(name):
    net = networks.NETS[name]
    assert networks.shape_after(net.layers, net.shape) == (10,)


@pytest.mark.full
def test_a_scan_equals_single_steps():
    step, state = nnx_step(ours.build(SMALL.layers, SMALL.shape, nnx.Rngs(0)))
    batch = [jnp.asarray(array) for array in networks.batch_of(SMALL)]
    losses = jax.jit(
        lambda state: jax.lax.scan(lambda s, _: step(s, *batch), state, length=3)
    )(state)[1]
    for loss in losses:
        state, one = jax.jit(step)(state, *batch)
        np.testing.assert_allclose(one, loss, rtol=1e-4)


def test_ratios_do_not_depend_on_drift():
    times = {"product": [1.0, 2.0, 4.0], "a": [3.0, 6.0, 12.0], "b": [6.0, 12.0, 24.0]}
    assert timing.ratio(times, "a", "b") == 0.5
    times["b"] = [6.0, 6.0, 6.0]  # Three, one and a half, three quarters as long.
    assert timing.ratio(times, "a", "b") == 1.0


def test_libraries_take_turns(monkeypatch):
    turns = []
    calls = {name: lambda name=name: turns.append(name) for name in "ab"}
    monkeypatch.setattr(
        timing, "seconds_per_call", lambda call, repeats: [call(), 0.5][1]
    )
    times = timing.take_turns(calls, 2)
    assert turns == list("ab") + 2 * list("aabb")
    assert {name: len(series) for name, series in times.items()} == dict(
        product=2, a=2, b=2
    )


@pytest.mark.full
@pytest.mark.parametrize("library", ["cnn_jax", "Flax"])
def test_the_gpu_part_runs_on_any_device(library):
    rates = images_per_second(library, SMALL, steps=2, rounds=3)
    assert len(rates) == 3
    assert min(rates) > 0


@pytest.mark.full
def test_the_benchmark_ends_in_a_page(tmp_path, monkeypatch):
    small = Op(2, (5, 6), 3, 4, (3, 2), stride=2, padding=1)
    ops = small, small._replace(channels=4, groups=4, held_out=True)
    monkeypatch.setattr(operations, "OPS", ops)
    config = speed.Config(only=("ops",), rounds=1, name="t", runs=tmp_path)
    result = speed.run(config)
    assert set(result.times["ops"]) == {
        f"{op.name} {name}" for op in ops for name in operations.OPERATIONS
    }
    text = (result.folder / "report.html").read_text()
    assert "2×5×6 3→4 3×2 s2 dk" in text
    assert (result.folder / "times.json").exists()


def test_rounds_are_refused():
    with pytest.raises(ValueError, match="`rounds` is 0"):
        speed.Config(rounds=0)
