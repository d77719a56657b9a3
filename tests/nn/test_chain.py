import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from tests.helpers import assert_close, draw


def small(seed=0, last="alpha"):
    """Names that are not in alphabetical order, and every kind of stage."""
    rngs = nnx.Rngs(seed)
    return nn.Chain(
        {
            "zeta": nn.Conv(2, 4, (3, 2), padding=((1, 0), (0, 1)), rngs=rngs),
            "relu": F.relu,
            "pool": nn.MaxPool((2, 3), ceil_mode=True),
            "block": nn.Chain(
                {"wide": nn.Conv(4, 3, (2, 1), rngs=rngs), "act": F.tanh, "b": F.relu}
            ),
            "drop": nn.Dropout(0.5, rngs=rngs),
            last: nn.Dense((1, 3, 3), 5, rngs=rngs),
        }
    )


@pytest.fixture
def net():
    return nnx.view(small(), deterministic=True)


@pytest.fixture
def x(rng):
    return draw(rng, 4, 5, 8, 2)


PATHS = ["zeta", "relu", "pool", "block/wide", "block/act", "block/b", "drop", "alpha"]


def test_stages_run_in_the_order_they_were_given(net, x):
    assert [path for path, _ in net.steps()] == PATHS
    want = x
    for _, stage in net.steps():
        want = stage(want)
    assert_close(net(x), want)


@pytest.mark.parametrize("cut", [*PATHS, "block"])
def test_a_cut_and_what_follows_is_the_whole(net, x, cut):
    assert_close(net.run(net.run(x, upto=cut), after=cut), net(x))


def test_between_two_cuts(net, x):
    maps = net.run(x, upto="relu")
    want = net.run(x, upto="block/act")
    assert_close(net.run(maps, after="relu", upto="block/act"), want)
    assert net.run(maps, after="relu", upto="relu") is maps


def test_order_survives_split_merge_and_jit(x):
    net = nnx.view(small(), deterministic=True)
    graph, state = nnx.split(net)
    assert nnx.merge(graph, state).names == net.names
    assert_close(jax.jit(lambda s, x: nnx.merge(graph, s)(x))(state, x), net(x))


def test_parameter_paths():
    _, state = nnx.split(small(), nnx.Param, ...)[:2]
    paths = {"/".join(path) for path in dict(nnx.to_flat_state(state))}
    assert paths == {
        f"stages/{stage}/{name}"
        for stage in ("zeta", "block/stages/wide", "alpha")
        for name in ("kernel", "bias")
    }


def test_equal_nets_are_equal_to_jit():
    graphs = [nnx.split(small(seed))[0] for seed in (0, 1)]
    assert graphs[0] == graphs[1]
    assert hash(graphs[0]) == hash(graphs[1])
    assert nnx.split(small(last="omega"))[0] != graphs[0]


def test_heads_hang_on_cuts(net, x):
    head = nn.Dense(3, 2, rngs=nnx.Rngs(1))
    deep = nn.Chain(
        {"a": net, "b": F.softmax},
        heads={"late": ("a/block", head), "early": ("a/relu", F.global_avg_pool)},
    )
    out = deep.with_heads(x)
    assert set(out) == {"b", "late", "early"}
    assert_close(out["b"], deep(x))
    assert_close(out["late"], head(net.run(x, upto="block")))
    assert_close(out["early"], F.global_avg_pool(net.run(x, upto="relu")))


def test_values_between_stages_may_be_tuples():
    net = nn.Chain(
        {"pair": lambda x: (x, 2 * x), "sum": lambda pair: pair[0] + pair[1]}
    )
    assert net(jnp.array(2.0)) == 6


@pytest.mark.parametrize(
    ("error", "message", "stages"),
    [
        (ValueError, "`stages` is empty", {}),
        (TypeError, "stage 'a' is 3", {"a": 3}),
        (ValueError, "'a/b'", {"a/b": F.relu}),
        (ValueError, "''", {"": F.relu}),
    ],
)
def test_refusals(as_shipped, error, message, stages):
    with pytest.raises(error, match=message):
        nn.Chain(stages)


def test_unknown_stages_are_refused(net, x):
    with pytest.raises(ValueError, match="no stage 'conv1'.*'zeta'"):
        net.run(x, upto="conv1")
    with pytest.raises(ValueError, match="no stage 'block/nope'"):
        net.run(x, after="block/nope")
    with pytest.raises(ValueError, match="`after` is 'pool', which comes after"):
        net.run(x, after="pool", upto="relu")
    with pytest.raises(ValueError, match="no stage 'nope'"):
        nn.Chain({"a": F.relu}, heads={"aux": ("nope", F.relu)})


def test_a_cut_inside_a_block_is_the_value_of_that_stage(rng):
    x, rngs = draw(rng, 3, 6, 8, 2), nnx.Rngs(0)
    first, second = (nn.Conv(2, 2, (3, 3), padding=1, rngs=rngs) for _ in range(2))
    body = nn.Chain({"conv1": first, "relu": F.relu, "conv2": second})
    net = nn.Chain(
        {
            "stem": F.tanh,
            "layer": nn.Chain({"0": nn.Residual(body, nn.Chain({"conv": first}))}),
            "both": nn.Branches({"same": nn.identity, "conv": second}),
            "round": nn.Masked(nn.Chain({"up": lambda x: x + 1})),
        }
    )
    stem = jnp.tanh(x)
    assert_close(net.run(x, upto="layer/0/conv1"), first(stem))
    assert_close(net.run(stem, after="stem", upto="layer/0/conv2"), body(stem))
    assert_close(net.run(x, upto="layer/0/shortcut/conv"), first(stem))
    assert_close(net.run(x, upto="layer/0/shortcut"), first(stem))
    assert_close(net.run(x, upto="layer/0"), body(stem) + first(stem))
    layer = net.run(x, upto="layer")
    assert_close(layer, net.run(x, upto="layer/0"))
    assert_close(net.run(x, upto="both/conv"), second(layer))
    assert_close(net.run(x, upto="round/up"), net.run(x, upto="both") + 1)


def test_paths_in_blocks_name_one_stage(as_shipped):
    body = nn.Chain({"shortcut": F.relu})
    with pytest.raises(ValueError, match="`body` has a stage 'shortcut'.*rename"):
        nn.Residual(body, F.tanh)
    with pytest.raises(ValueError, match="'a/b'"):
        nn.Branches({"a/b": F.relu})
    with pytest.raises(ValueError, match="inside the block 'a'"):
        nn.Chain({"a": nn.Residual(body)}, heads={"aux": ("a/shortcut", F.relu)})


# Layers.


def test_conv_is_the_function(rng):
    options = dict(stride=(1, 2), padding=((1, 0), (2, 2)), dilation=(2, 1), groups=2)
    options |= dict(padding_mode="reflect")
    layer = nn.Conv(4, 6, [3, 2], rngs=nnx.Rngs(0), **options)
    x = draw(rng, 2, 7, 8, 4)
    assert_close(layer(x), F.conv(x, layer.kernel[...], layer.bias[...], **options))
    assert layer.kernel.shape == (3, 2, 2, 6)
    bare = nn.Conv(4, 6, (3,), use_bias=False, rngs=nnx.Rngs(0))
    assert bare.bias is None
    assert bare(x).shape == (2, 7, 6, 6)


def test_kernels_start_as_he_drew_them():
    layer = nn.Conv(32, 64, (3, 5), groups=2, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(np.std(layer.kernel), np.sqrt(2 / (15 * 16)), rtol=0.02)
    dense = nn.Dense((3, 4, 10), 500, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(np.std(dense.kernel), np.sqrt(2 / 120), rtol=0.02)
    assert not np.any(layer.bias)
    assert not np.any(dense.bias)


def test_dense_reads_maps_as_a_list(rng):
    layer, x = nn.Dense((2, 3, 4), 5, rngs=nnx.Rngs(0)), draw(rng, 6, 2, 3, 4)
    layer.bias[...] = draw(rng, 5)
    want = np.einsum(
        "nhwc,hwco->no", np.float64(x), np.float64(layer.kernel).reshape(2, 3, 4, 5)
    )
    assert_close(layer(x), want + np.float64(layer.bias))
    assert nn.Dense(4, 5, use_bias=False, rngs=nnx.Rngs(0))(x).shape == (6, 2, 3, 5)


@pytest.mark.parametrize("dtype", ["bfloat16", "int32"])
def test_dense_and_conv_refuse_the_same_dtypes(as_shipped, dtype):
    rngs, x = nnx.Rngs(0), jnp.ones((2, 5, 3), dtype)
    layers = nn.Dense(3, 4, rngs=rngs), nn.Conv(3, 4, (1,), rngs=rngs)
    messages = []
    for layer in layers:
        with pytest.raises(TypeError, match=dtype) as refusal:
            layer(x)
        messages.append(str(refusal.value))
    assert messages[0] == messages[1]


def test_dropout_acts_in_training_only(rng):
    layer, x = nn.Dropout(0.5, rngs=nnx.Rngs(0)), draw(rng, 100)
    first, second = layer(x), layer(x)
    assert (first == 0).sum() > 20
    assert (first != second).any()
    assert_close(nnx.view(layer, deterministic=True)(x), x)


def test_layers_refuse(as_shipped):
    rngs = nnx.Rngs(0)
    with pytest.raises(TypeError, match="`window` is 3, but must be a tuple"):
        nn.Conv(1, 2, 3, rngs=rngs)
    with pytest.raises(
        ValueError, match="`in_channels` is 3, which is not divisible by 2 groups"
    ):
        nn.Conv(3, 4, (3,), groups=2, rngs=rngs)
    with pytest.raises(ValueError, match="`out_channels` is 0"):
        nn.Conv(3, 0, (3,), rngs=rngs)
    with pytest.raises(ValueError, match=r"ends in \(3, 3, 2\).*reads \(4, 4, 2\)"):
        nn.Dense((4, 4, 2), 3, rngs=rngs)(jnp.ones((5, 3, 3, 2)))
    with pytest.raises(ValueError, match="`rate` is 1.5"):
        nn.Dropout(1.5, rngs=rngs)
    with pytest.raises(TypeError, match="`window` is 2"):
        nn.MaxPool(2)


def masked(x):
    body = nn.Chain({"conv": nn.Conv(2, 3, (3, 3), padding=1, rngs=nnx.Rngs(0))})
    return nn.Masked(body)(x), body(x)


def test_a_mask_keeps_what_follows_a_sound_at_zero(rng):
    x = np.asarray(draw(rng, 3, 4, 9, 2)).copy()
    ends = 9, 6, 0
    for row, end in enumerate(ends):
        x[row, :, end:] = 0
    x[1, :, 2:4] = 0  # A pause is no end.
    x[1, :-1, 5] = 0  # One band is enough to be heard.
    got, want = masked(jnp.asarray(x))
    for row, end in enumerate(ends):
        np.testing.assert_array_equal(got[row, :, :end], want[row, :, :end])
        assert not got[row, :, end:].any()
    alone, _ = masked(jnp.asarray(x[1, :, :6]))
    np.testing.assert_allclose(got[1, :, :6], alone, atol=1e-6)


def test_a_mask_refuses_a_body_that_changes_the_length():
    stage = nn.Masked(nn.Chain({"pool": nn.MaxPool((2, 2))}))
    with pytest.raises(
        ValueError, match="returns 4 frames for 9, but must preserve them"
    ):
        stage(jnp.ones((4, 9, 2)))
