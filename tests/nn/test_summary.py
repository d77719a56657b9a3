import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from rich.console import Console

import cnn_jax.functional as F
from cnn_jax import models, nn


def seen(net, shape, unit):
    """The first and last pixel of each axis that change a unit, by its gradient."""
    ones = jax.tree.map(jnp.ones_like, nnx.state(net, nnx.Param))
    nnx.update(net, ones)
    out = net(jnp.ones(shape))
    at = tuple(n // 2 if unit == "middle" else 0 for n in out.shape[:-1])
    gradient = jax.jit(jax.grad(lambda x: net(x)[(*at, 0)]))(jnp.ones(shape))
    return [
        (int(np.flatnonzero(axis)[0]), int(np.flatnonzero(axis)[-1]))
        for axis in (gradient.any(axis=(1, 2)), gradient.any(axis=(0, 2)))
    ]


@pytest.mark.full
def test_receptive_field_is_what_the_gradient_says():
    rngs = nnx.Rngs(0)
    net = nn.Chain(
        {
            "a": nn.Conv(
                1, 2, (3, 2), stride=(2, 1), padding=((2, 1), (0, 0)), rngs=rngs
            ),
            "relu": F.relu,
            "b": nn.AvgPool((2, 3), padding=1),
            "c": nn.Conv(2, 1, (2, 3), dilation=(3, 1), padding="same", rngs=rngs),
        }
    )
    shape = (60, 70, 1)
    field = nn.summary(net, shape).rows[-1].receptive_field
    out = net(jnp.ones(shape)).shape
    for axis, (first, last) in enumerate(seen(net, shape, "middle")):
        middle = field.offset[axis] + field.stride[axis] * (out[axis] // 2)
        assert last - first + 1 == field.size[axis]
        assert (first + last) / 2 == middle


def test_receptive_field_behind_a_transpose():
    rngs = nnx.Rngs(0)
    options = dict(stride=(2, 3), padding=((1, 0), (2, 1)), rngs=rngs)
    net = nn.Chain(
        {
            "a": nn.Conv(1, 2, (3, 2), stride=(2, 1), rngs=rngs),
            "b": nn.ConvTranspose(2, 1, (5, 4), **options),
            "c": nn.Conv(1, 1, (2,), rngs=rngs),
        }
    )
    shape = (21, 22, 1)
    nnx.update(net, jax.tree.map(jnp.ones_like, nnx.state(net, nnx.Param)))
    _, up, last = nn.summary(net, shape).rows
    assert up.receptive_field.stride == (1, 1 / 3)
    for row, slack in ((up, 0), (last, 1)):
        maps = jax.jacobian(lambda x, cut=row.name: net.run(x, upto=cut)[..., 0])
        seen = np.asarray(jax.jit(maps)(jnp.ones(shape))[..., 0])
        for axis in (0, 1):
            units = seen.any(axis=(1 - axis, 3 - axis))
            pixels = [np.flatnonzero(unit) for unit in units if unit.any()]
            widest = max(int(at[-1] - at[0]) + 1 for at in pixels)
            assert 0 <= row.receptive_field.size[axis] - widest <= slack
            # Away from the edges, a unit looks at the middle of its field.
            middle = len(units) // 2
            near = np.flatnonzero(units[middle - 3 : middle + 4].any(axis=0))
            want = (
                row.receptive_field.offset[axis]
                + row.receptive_field.stride[axis] * middle
            )
            assert abs((near[0] + near[-1]) / 2 - want) <= 0.5


def test_multiply_adds_of_a_transposed_layer():
    layer = nn.ConvTranspose(4, 6, (3, 2), stride=2, groups=2, rngs=nnx.Rngs(0))
    row = nn.summary(nn.Chain({"up": layer}), (5, 7, 4)).rows[0]
    assert row.volume == (11, 14, 6)
    assert row.multiply_adds == 5 * 7 * 4 * 3 * 2 * 3
    assert row.parameters == 3 * 2 * 3 * 4 + 6


def test_lenet5_has_the_papers_numbers():
    summary = nn.summary(models.lenet5(rngs=nnx.Rngs(0)), (32, 32, 1))
    rows = {row.name: row for row in summary.rows}
    # LeCun et al. 1998, II.B; C3 has full connections here: 16 · (6 · 25 + 1) = 2,416.
    sizes = {"c1": 156, "c3": 2416, "c5": 48120, "f6": 10164, "classifier": 850}
    assert {name: rows[name].parameters for name in sizes} == sizes
    assert summary.parameters == 61706
    volumes = {
        "c1": (28, 28, 6),
        "s2": (14, 14, 6),
        "c3": (10, 10, 16),
        "s4": (5, 5, 16),
    }
    assert {name: rows[name].volume for name in volumes} == volumes
    assert rows["c5"].volume == (1, 1, 120)
    # Its 122,304 connections count the bias: 28 · 28 · 6 · 26.
    assert rows["c1"].multiply_adds == 28 * 28 * 6 * 25
    assert rows["c5"].receptive_field.size == (32, 32)
    assert rows["classifier"].receptive_field is None


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_multiply_adds_of_a_grouped_layer(axes):
    window, size = (3, 2, 2)[:axes], (9, 8, 7)[:axes]
    layer = nn.Conv(4, 6, window, groups=2, rngs=nnx.Rngs(0))
    row = nn.summary(nn.Chain({"conv": layer}), (*size, 4)).rows[0]
    positions = taps = 1
    for n, k in zip(size, window, strict=True):
        positions, taps = positions * (n - k + 1), taps * k
    assert row.multiply_adds == positions * taps * 2 * 6
    assert row.parameters == taps * 2 * 6 + 6


def test_products_inside_functions_and_loops_count():
    def five_times(x):
        return jax.lax.fori_loop(0, 5, lambda _, x: x @ jnp.ones((3, 3)), x)

    net = nn.Chain({"jit": jax.jit(five_times), "mean": F.global_avg_pool})
    jitted, mean = nn.summary(net, (4, 4, 3)).rows
    assert jitted.multiply_adds == 5 * 16 * 9
    assert mean.multiply_adds == 0
    assert mean.receptive_field is None


def test_shapes_will_do():
    net = nnx.eval_shape(lambda: models.lenet5(rngs=nnx.Rngs(0)))
    assert nn.summary(net, (32, 32, 1)).multiply_adds == 416520


def test_it_reads_well():
    text = str(nn.summary(models.xo_net(size=9, rngs=nnx.Rngs(0)), (9, 9, 1)))
    assert max(map(len, text.splitlines())) <= 80
    assert "pool1 MaxPool" in text
    assert "5×5×8" in text


def test_no_name_is_cut():
    name = "_".join(["a_stage_with_a_long_name"] * 6)
    net = nn.Chain({name: nn.Chain({name: F.relu}), "[red]": F.tanh, "層": F.relu})
    found = nn.summary(net, (9, 8, 3))
    assert f"{name}/{name} relu" in str(found)
    assert "[red] tanh" in str(found)
    assert len({len(line) for line in str(found).splitlines() if "層" not in line}) == 1
    narrow = Console(width=50, file=io.StringIO())
    narrow.print(found)
    stages = "".join(line.split(" ")[0] for line in narrow.file.getvalue().splitlines())
    assert f"{name}/{name}" in stages


def test_a_stage_that_does_not_fit_is_named():
    net = models.xo_net(size=28, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="stage 'classifier', given 8×8×16: .*reads"):
        nn.summary(net, (32, 32, 1))


@pytest.mark.full
def test_models_refuse():
    with pytest.raises(ValueError, match="`size` is 28.*at least 32"):
        models.lenet5(size=28, rngs=nnx.Rngs(0))
    assert models.lenet5(size=40, channels=3, rngs=nnx.Rngs(0))(
        jnp.ones((2, 40, 40, 3))
    ).shape == (2, 10)


def resnet():
    """A residual block with a shortcut of several stages, as in ResNet-50."""
    rngs = nnx.Rngs(0)
    body = {"conv1": nn.Conv(2, 3, (3, 3), padding=1, rngs=rngs), "relu": F.relu}
    body["conv2"] = nn.Conv(3, 4, (1, 1), stride=2, rngs=rngs)
    down = nn.Chain({"conv": nn.Conv(2, 4, (1, 1), stride=2, rngs=rngs)})
    block = nn.Residual(nn.Chain(body), down, F.relu)
    same = nn.Residual(nn.Chain({"conv1": nn.Conv(4, 4, (1, 1), rngs=rngs)}))
    layer = nn.Chain({"0": block, "1": same})
    return nn.Chain({"stem": F.tanh, "layer1": layer, "mean": F.global_avg_pool})


def googlenet():
    """Branches that are a stage, a Chain and a residual block."""
    rngs = nnx.Rngs(0)
    wide = nn.Chain(
        {"reduce": nn.Conv(2, 1, (1, 1), rngs=rngs), "pool": nn.MaxPool((3, 3), **SAME)}
    )
    deep = nn.Residual(nn.Chain({"conv": nn.Conv(2, 2, (1, 1), rngs=rngs)}))
    ways = {"1x1": nn.Conv(2, 3, (1, 1), rngs=rngs), "3x3": wide, "deep": deep}
    return nn.Chain({"relu": F.relu, "inception": nn.Branches(ways), "tanh": F.tanh})


def sound_net():
    """Masked rounds, of which one has branches."""
    rngs = nnx.Rngs(0)
    body = nn.Chain({"conv": nn.Conv(2, 3, (3, 3), padding=1, rngs=rngs), "r": F.relu})
    ways = nn.Branches({"same": nn.identity, "tanh": F.tanh})
    rounds = {"round1": nn.Masked(body), "pool1": nn.MaxPool((2, 2))}
    return nn.Chain(rounds | {"round2": nn.Masked(nn.Chain({"both": ways}))})


SAME = {"stride": 1, "padding": "same"}
INSIDE = {
    resnet: ("layer1/0", "layer1/0/shortcut/conv"),
    googlenet: ("inception", "inception/deep/conv"),
    sound_net: ("round2", "round2/both/tanh"),
}


@pytest.mark.parametrize("make", INSIDE)
def test_every_printed_path_is_a_cut(make):
    net, shape = make(), (6, 8, 2)
    rows = nn.summary(net, shape).rows
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        cut = jax.eval_shape(
            lambda x, at=row.name: net.run(x, upto=at), jnp.ones(shape)
        )
        assert cut.shape == row.volume, row.name


@pytest.mark.parametrize("make", INSIDE)
def test_nothing_goes_on_from_inside_a_block(make):
    net, (block, inside) = make(), INSIDE[make]
    x = jnp.ones((6, 8, 2))
    for call in (lambda: net.run(x, after=inside), lambda: net.index_after(inside)):
        with pytest.raises(ValueError, match=f"{inside}.*inside.*after '{block}'"):
            call()
    with pytest.raises(ValueError, match=f"`after` is '{block}', which comes after"):
        net.run(x, after=block, upto=inside)
    for cut in (f"{block}/nope", f"{inside}/nope", f"{block}/", ""):
        with pytest.raises(ValueError, match=f"no stage '{cut}'"):
            net.run(x, upto=cut)


def test_blocks_are_one_row_each():
    whole = nn.summary(models.outline("small_vgg", classes=3), (64, 64, 3))
    short = whole.upto(1)
    names = [row.name for row in short.rows]
    assert names == [
        "block1", "block2", "block3", "block4", "pooled", "dropout", "classifier"
    ]  # fmt: skip
    assert short.parameters == whole.parameters
    assert short.multiply_adds == whole.multiply_adds
    assert short.rows[0].volume == (32, 32, 24)
    assert whole.upto(2) == whole
    with pytest.raises(ValueError, match="`depth` is 0, but must be at least 1"):
        whole.upto(0)
    assert whole.headline() == "421 k parameters, 104 M multiply-adds"


@pytest.mark.full
def test_summaries_fit_into_80_columns():
    for name in ("resnet152", "googlenet", "densenet121", "mobilenet_v1"):
        table = str(nn.summary(models.outline(name), (224, 224, 3)).upto(2))
        assert max(map(len, table.splitlines())) <= 80
