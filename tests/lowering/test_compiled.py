"""Train steps as compiled by XLA: checks of the compiled text, without timing."""

import re

import jax
import jax.export
import jax.numpy as jnp
import pytest
from flax import nnx

import cnn_jax
import cnn_jax.functional as F
from cnn_jax import nn

CANONICAL = {"b0f_0io->b0f", "b01f_01io->b01f", "b012f_012io->b012f"}


def image_net():
    """Few channels and many, strides, dilation, groups, depthwise and two poolings."""
    rngs = nnx.Rngs(0)
    return nn.Chain(
        {
            "few": nn.Conv(1, 12, (3, 2), padding="same", rngs=rngs),
            "norm1": nn.BatchNorm(12),
            "relu1": F.relu,
            "pool1": nn.MaxPool((3, 2), stride=(2, 1)),
            "strided": nn.Conv(12, 10, (3, 3), stride=2, padding=1, rngs=rngs),
            "even": nn.Conv(10, 12, (4, 2), stride=(2, 1), padding=1, rngs=rngs),
            "each": nn.Conv(12, 24, (3, 3), groups=12, stride=2, padding=2, rngs=rngs),
            "grouped": nn.Conv(24, 12, (3, 3), groups=3, padding=1, rngs=rngs),
            "wide": nn.Conv(12, 10, (2, 2), dilation=2, padding=2, rngs=rngs),
            "mix": nn.Conv(10, 14, (1, 1), stride=2, rngs=rngs),
            "pool2": nn.AvgPool((2, 2)),
            "mean": nn.GlobalAvgPool(spatial=2),
            "classifier": nn.Dense(14, 3, rngs=rngs),
        }
    ), (16, 29, 30, 1)


def signal_net():
    rngs = nnx.Rngs(0)
    return nn.Chain(
        {
            "strided": nn.Conv(2, 8, (9,), stride=4, rngs=rngs),
            "pool": nn.MaxPool((3,)),
            "conv": nn.Conv(8, 12, (3,), padding=1, rngs=rngs),
            "mean": nn.GlobalAvgPool(spatial=1),
            "classifier": nn.Dense(12, 3, rngs=rngs),
        }
    ), (4, 90, 2)


def volume_net():
    rngs = nnx.Rngs(0)
    return nn.Chain(
        {
            "few": nn.Conv(1, 7, (3, 2, 2), padding=1, rngs=rngs),
            "pool": nn.MaxPool((2, 2, 2)),
            "strided": nn.Conv(7, 8, (3, 2, 3), stride=2, padding=1, rngs=rngs),
            "each": nn.Conv(8, 8, (2, 2, 2), groups=8, padding=1, rngs=rngs),
            "mean": nn.GlobalAvgPool(spatial=3),
            "classifier": nn.Dense(8, 3, rngs=rngs),
        }
    ), (4, 9, 8, 7, 1)


NETS = {"images": image_net, "signals": signal_net, "volumes": volume_net}


def train_step(make, *, steps):
    """A train step, or several in a loop, and the shapes of its arguments."""
    net, shape = make()
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    x = jnp.ones(shape)

    def step(params, _):
        def loss(params):
            return jnp.sum(nnx.merge(graph, params, rest, copy=True)(x) ** 2)

        gradient = jax.grad(loss)(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), None

    def run(params):
        if steps == 1:
            return step(params, None)[0]
        return jax.lax.scan(step, params, length=steps)[0]

    return run, params


def compiled_text(make, steps):
    run, params = train_step(make, steps=steps)
    jitted = jax.jit(run, compiler_options=cnn_jax.compiler_options())
    return jitted.lower(params).compile().as_text()


def slow_operations(text):
    """The operations in a compiled text that are slow on a CPU."""
    convolutions = re.findall(r"convolution\(.*", text)
    labels = [re.search(r"dim_labels=([\w>-]+)", line)[1] for line in convolutions]
    return {
        "not canonical": [label for label in labels if label not in CANONICAL],
        "zeros inserted": [line for line in convolutions if "lhs_dilate" in line],
        "groups": [line for line in convolutions if "group_count" in line],
        "scatter": re.findall(r" (?:select-and-)?scatter\(.*", text),
    }


@pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.full), 3])
@pytest.mark.parametrize(
    "name", ["images", "signals", pytest.param("volumes", marks=pytest.mark.full)]
)
def test_a_train_step_has_the_form_that_is_fast_on_a_cpu(name, steps):
    text = compiled_text(NETS[name], steps)
    assert "convolution(" in text
    assert ("while(" in text) == (steps > 1)
    assert not any(slow_operations(text).values()), slow_operations(text)


def test_train_steps_of_jax_have_every_slow_operation():
    # Shows that `slow_operations` finds each of them.
    def stock(x, k, each):
        numbers = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(
            x, k, (2, 2), "SAME", dimension_numbers=numbers
        )
        x = jax.lax.conv_general_dilated(
            x, each, (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=8
        )
        return nnx.max_pool(x, (2, 2), strides=(1, 1)).sum()

    def step(arrays, _):
        return jax.grad(lambda arrays: stock(*arrays))(arrays), None

    arrays = jnp.ones((4, 9, 8, 3)), jnp.ones((3, 3, 3, 8)), jnp.ones((3, 3, 1, 8))
    run = jax.jit(lambda arrays: jax.lax.scan(step, arrays, length=2)[0])
    assert all(slow_operations(run.lower(arrays).compile().as_text()).values())


@pytest.mark.parametrize("name", NETS)
def test_a_train_step_lowers_for_every_platform(name):
    run, params = train_step(NETS[name], steps=2)
    exported = jax.export.export(jax.jit(run), platforms=["tpu", "cuda"])(params)
    assert exported.platforms == ("tpu", "cuda")
    # These platforms use XLA's convolution, grouped where there are groups.
    module = exported.mlir_module()
    assert "stablehlo.convolution" in module
    if name == "images":
        assert "feature_group_count = 12" in module


def test_an_unknown_backend_has_no_options(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "METAL")
    assert cnn_jax.compiler_options() == {}
    for wrong in ("abacus", ""):
        with pytest.raises(ValueError, match=f"`backend` is '{wrong}'"):
            cnn_jax.compiler_options(wrong)
