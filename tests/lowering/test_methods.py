import doctest
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnn_jax
import cnn_jax.functional as F
from cnn_jax import lowering
from cnn_jax.lowering import compiler
from cnn_jax.lowering.choose import ON_CPU, choose
from cnn_jax.lowering.geometry import Geometry
from tests import oracle
from tests.helpers import assert_close, draw

# Geometries that differ on every axis.
CASES = {
    "plain": Geometry((7, 9), (3, 2), (1, 1), ((1, 2), (0, 3)), (1, 1)),
    "strided": Geometry((8, 11), (3, 5), (2, 3), ((1, 0), (2, 2)), (1, 1)),
    "wide stride": Geometry((9, 7), (1, 2), (3, 4), ((0, 0), (1, 0)), (1, 1)),
    "even phases": Geometry((12, 10), (4, 6), (2, 3), ((0, 1), (2, 0)), (1, 1)),
    "window is stride": Geometry((9, 8), (3, 2), (3, 2), ((0, 0), (0, 0)), (1, 1)),
    "dilated": Geometry((13, 12), (3, 2), (2, 4), ((2, 1), (0, 3)), (3, 2)),
    "cropped end": Geometry((10, 9), (2, 3), (4, 3), ((0, 0), (0, 0)), (1, 1)),
    "one tap": Geometry((5, 8), (1, 1), (1, 3), ((0, 0), (0, 0)), (1, 1)),
    "one position": Geometry((3, 5), (3, 5), (1, 2), ((0, 0), (0, 0)), (1, 1)),
    "signal": Geometry((21,), (5,), (3,), ((2, 1),), (1,)),
    "volume": Geometry(
        (5, 6, 4), (2, 3, 2), (2, 1, 3), ((1, 0), (0, 2), (1, 1)), (1, 2, 1)
    ),
}
# tests/functional/test_convolution.py tests these two through `F.conv`.
MARKS = {"xla": pytest.mark.full, "toeplitz": pytest.mark.full}
SUPPORTED = [
    pytest.param(
        name, case, groups, id=f"{name}-{case}-{groups}", marks=MARKS.get(name, ())
    )
    for name, method in lowering.METHODS.items()
    for case, geometry in CASES.items()
    for groups in (1, 2, 6)
    if method.can(geometry._replace(groups=groups), 6)
]


@pytest.mark.parametrize(("name", "case", "groups"), SUPPORTED)
def test_every_method_agrees_with_the_definition(rng, name, case, groups):
    geometry = CASES[case]._replace(groups=groups)
    x, y = draw(rng, 3, *geometry.size, 6), draw(rng, 3, *geometry.out_size, 12)
    kernel = draw(rng, *geometry.window, 6 // groups, 12)
    run = lowering.METHODS[name]

    @jax.jit
    def all_three():
        return (
            run.conv(x, kernel, geometry=geometry),
            run.input_gradient(y, kernel, geometry=geometry),
            run.kernel_gradient(x, y, geometry=geometry),
        )

    want = oracle.conv_and_transposes(
        *map(np.float64, (x, kernel, y)),
        stride=geometry.stride,
        padding=geometry.pads,
        dilation=geometry.dilation,
        groups=groups,
    )
    for got, definition in zip(all_three(), want, strict=True):
        assert_close(got, definition)


def test_every_method_is_tried():
    assert {param.values[0] for param in SUPPORTED} == lowering.METHODS.keys()


@pytest.mark.parametrize("batch", [0, 1, 5, 11, 16])
def test_depthwise_sums_any_batch(rng, batch):
    geometry = CASES["strided"]._replace(groups=3)
    x, y = draw(rng, batch, *geometry.size, 3), draw(rng, batch, *geometry.out_size, 6)
    run = functools.partial(
        lowering.METHODS["depthwise"].kernel_gradient, geometry=geometry
    )
    want = lowering.METHODS["xla"].kernel_gradient(x, y, geometry=geometry)
    if batch:
        assert_close(jax.jit(run)(x, y), want)
    else:
        assert not np.any(jax.jit(run)(x, y))


def test_the_table_names_supported_methods(rng):
    for geometry in CASES.values():
        for groups in (1, 2, 6):
            for channels in (6, 12, 60):
                one = geometry._replace(groups=groups)
                for operation in ("conv", "input_gradient", "kernel_gradient"):
                    chosen = choose(operation, "cpu", one, channels)
                    assert chosen in lowering.can(one, channels)
                    assert choose(operation, "cuda", one, channels) == "xla"


def test_every_row_of_the_table_is_reached():
    wide = Geometry((4, 5), (5, 6), (1, 1), ((3, 3), (3, 3)), (1, 1))
    small = Geometry((8, 9), (5, 6), (1, 1), ((0, 0), (0, 0)), (1, 1))
    long = Geometry((90,), (40,), (4,), ((0, 0),), (1,))
    geometries = [
        (one._replace(groups=groups), channels)
        for one in (*CASES.values(), wide, small, long)
        for groups, channels in ((1, 1), (1, 3), (1, 12), (2, 6), (6, 6))
    ]
    reached = {
        next(i for i, row in enumerate(ON_CPU) if row.when(*each) and row._asdict()[op])
        for each in geometries
        for op in ("conv", "input_gradient", "kernel_gradient")
    }
    assert reached == set(range(len(ON_CPU)))


@pytest.mark.parametrize(
    ("method", "change", "supported"),
    [
        ("depthwise", {}, "'direct'"),
        ("grouped", {}, "'direct'"),
        ("dense", {}, "'toeplitz'"),
        ("volume", {}, "'xla'"),
        ("direct", {"groups": 4}, "'depthwise'"),
    ],
)
def test_an_unsupported_method_is_refused(method, change, supported):
    inside = 4 // change.get("groups", 1)
    x, kernel = jnp.ones((2, 7, 8, 4)), jnp.ones((3, 2, inside, 4))
    with pytest.raises(ValueError, match=f"`method` is {method!r}.*{supported}"):
        F.conv(x, kernel, **change, method=method)


def test_the_examples_of_the_readme_run():
    page = Path(lowering.__file__).parent / "README.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.failed == 0
    assert result.attempted >= 7


def test_compiler_options_are_for_a_cpu_only():
    assert cnn_jax.compiler_options() == cnn_jax.compiler_options("cpu") != {}
    assert cnn_jax.compiler_options("gpu") == cnn_jax.compiler_options("tpu") == {}
    with pytest.raises(ValueError, match="`backend` is 'abacus'.*cpu"):
        cnn_jax.compiler_options("abacus")


def test_an_unsupported_option_is_left_out(monkeypatch):
    monkeypatch.setitem(compiler._ON_CPU, "xla_cpu_not_yet", "true")
    assert "xla_cpu_not_yet" in compiler._ON_CPU
    assert "xla_cpu_not_yet" not in cnn_jax.compiler_options("cpu")
