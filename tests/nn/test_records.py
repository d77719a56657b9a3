import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from tests.helpers import assert_close, draw

HOW = dict(stride=[1, 2], padding=[[1, 0], [0, 1]], dilation=[2, 1])
WINDOWED = {
    nn.MaxPool: (F.max_pool, HOW | dict(ceil_mode=True)),
    nn.AvgPool: (F.avg_pool, HOW | dict(ceil_mode=True, count_include_pad=False)),
    nn.SumPool: (F.sum_pool, HOW | dict(ceil_mode=True)),
    nn.Unfold: (F.unfold, HOW),
}
OTHERS = {
    nn.LpPool(2, [2, 3]): lambda x: F.lp_pool(x, 2, (2, 3)),
    nn.AdaptiveAvgPool([2, None]): lambda x: F.adaptive_avg_pool(x, (2, 7)),
    nn.AdaptiveMaxPool([2, 3]): lambda x: F.adaptive_max_pool(x, (2, 3)),
    nn.GlobalAvgPool(spatial=1): lambda x: F.global_avg_pool(x, spatial=1),
    nn.GlobalMaxPool(): F.global_max_pool,
    nn.Pad([[1, 0], [0, 2]], mode="reflect"): lambda x: F.pad(
        x, ((1, 0), (0, 2)), mode="reflect"
    ),
}


def frozen(value):
    return tuple(map(frozen, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("stage", WINDOWED)
def test_lists_and_tuples_make_the_same_record(rng, stage):
    function, options = WINDOWED[stage]
    listed = stage([2, 3], **options)
    tuples = stage((2, 3), **{name: frozen(value) for name, value in options.items()})
    assert listed == tuples
    assert hash(listed) == hash(tuples)
    assert stage((2, 3)) != tuples
    x = draw(rng, 5, 7, 2)
    assert_close(listed(x), function(x, (2, 3), **options))


@pytest.mark.parametrize("stage", OTHERS, ids=lambda stage: type(stage).__name__)
def test_records_are_the_functions(rng, stage):
    x = draw(rng, 2, 5, 7, 3)
    assert_close(stage(x), OTHERS[stage](x))


@pytest.mark.full
def test_pictures_of_sounds_have_a_channel(rng):
    x, options = draw(rng, 2, 900), dict(n_fft=128, hop_length=64)
    mel = options | dict(sr=8000, n_mels=12)
    found = {
        nn.Spectrogram(power=1, **options): F.spectrogram(x, power=1, **options),
        nn.LogMel(htk=True, **mel): F.log_mel(x, htk=True, **mel),
        nn.MFCC(n_mfcc=5, **mel): F.mfcc(x, n_mfcc=5, **mel),
    }
    for stage, want in found.items():
        assert_close(stage(x), want[..., None])
        level = nn.PeakNorm(top_db=40, min_peak_db=0.0)
        level_wanted = F.peak_norm(want, top_db=40, min_peak_db=0.0)
        assert_close(level(stage(x)), level_wanted[..., None])


@pytest.mark.full
def test_indices_pass_from_stage_to_stage(rng):
    x = draw(rng, 2, 6, 9, 3)
    net = nn.Chain(
        {
            "pool": nn.MaxPool((2, 3), return_indices=True),
            "unpool": nn.MaxUnpool((2, 3)),
            "patches": nn.Unfold((2, 2)),
            "whole": nn.Fold((6, 9)),
        }
    )
    kept = F.max_unpool(*F.max_pool(x, (2, 3), return_indices=True), (2, 3))
    assert_close(net.run(x, upto="unpool"), kept)
    assert_close(net.run(x, upto="patches"), F.unfold(kept, (2, 2)))
    assert_close(net(x), F.fold(F.unfold(kept, (2, 2)), (6, 9)))
    assert nn.summary(net, (6, 9, 3)).rows[0].volume == ((2 + 1, 3, 3),) * 2


def test_conv_transpose_is_the_function(rng):
    options = dict(stride=(1, 2), padding=((1, 0), (2, 2)), dilation=(2, 1), groups=2)
    options |= dict(output_padding=(0, 1))
    layer = nn.ConvTranspose(6, 4, [3, 2], rngs=nnx.Rngs(0), **options)
    layer.bias[...] = draw(rng, 4)
    x = draw(rng, 2, 5, 4, 6)
    assert layer.kernel.shape == (3, 2, 2, 6)
    want = F.conv_transpose(x, layer.kernel[...], layer.bias[...], **options)
    assert_close(layer(x), want)
    bare = nn.ConvTranspose(6, 4, (3,), use_bias=False, rngs=nnx.Rngs(0))
    assert bare(x).shape == (2, 5, 6, 4)


def test_separable_conv_is_the_function(rng):
    options = dict(stride=(1, 2), padding=((1, 0), (2, 2)), dilation=(2, 1))
    options |= dict(padding_mode="circular")
    layer = nn.SeparableConv(3, 5, [3, 2], multiplier=2, rngs=nnx.Rngs(0), **options)
    layer.bias[...] = draw(rng, 5)
    kernels = layer.depthwise_kernel[...], layer.pointwise_kernel[...]
    assert [kernel.shape for kernel in kernels] == [(3, 2, 1, 6), (1, 1, 6, 5)]
    x = draw(rng, 2, 7, 8, 3)
    assert_close(layer(x), F.separable_conv(x, *kernels, layer.bias[...], **options))
    bare = nn.SeparableConv(3, 4, (3,), use_bias=False, rngs=nnx.Rngs(0))
    assert bare(x).shape == (2, 7, 6, 4)


@pytest.mark.parametrize("groups", [1, 4])
def test_the_transpose_starts_as_he_drew_it(groups):
    layer = nn.ConvTranspose(32, 64, (3, 5), groups=groups, rngs=nnx.Rngs(0))
    fan_in = 15 * 32 // groups
    assert abs(jnp.std(layer.kernel[...]) / (2 / fan_in) ** 0.5 - 1) < 0.02
    one = layer.kernel[..., : 32 // groups]
    assert not jnp.array_equal(one, layer.kernel[..., -32 // groups :]) or groups == 1


@pytest.mark.full
def test_a_chain_of_them_learns_in_jit(rng):
    rngs = nnx.Rngs(0)
    net = nn.Chain(
        {
            "thin": nn.SeparableConv(2, 4, (3, 3), padding="same", rngs=rngs),
            "pool": nn.LpPool(2, (2, 2)),
            "up": nn.ConvTranspose(4, 2, (2, 2), stride=2, rngs=rngs),
            "fit": nn.AdaptiveMaxPool((3, 5)),
        }
    )
    graph, params = nnx.split(net)
    x = jnp.abs(draw(rng, 3, 8, 6, 2))

    @jax.jit
    def gradient(params):
        return jax.grad(lambda p: jnp.sum(nnx.merge(graph, p)(x) ** 2))(params)

    sizes = [float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(gradient(params))]
    assert len(sizes) == 5
    assert all(0 < size < float("inf") for size in sizes)


def test_records_refuse_when_they_are_made(as_shipped):
    for stage in (nn.MaxPool, nn.Unfold, nn.MaxUnpool, lambda w: nn.LpPool(2, w)):
        with pytest.raises(TypeError, match="`window` is 2, but must be a tuple"):
            stage(2)
    for stage in (nn.AdaptiveAvgPool, nn.AdaptiveMaxPool, nn.Fold):
        with pytest.raises(TypeError, match="`size` is 2, but must be a tuple"):
            stage(2)


def test_pads_refuse_when_they_are_made(as_shipped):
    with pytest.raises(TypeError, match="`padding` is 1, but must be a tuple"):
        nn.Pad(1)
    with pytest.raises(TypeError, match="`padding` has 0 axes"):
        nn.Pad(())


def test_layers_refuse(as_shipped):
    rngs = nnx.Rngs(0)
    with pytest.raises(
        ValueError, match="`out_channels` is 3, which is not divisible by 2 groups"
    ):
        nn.ConvTranspose(4, 3, (3,), groups=2, rngs=rngs)
    with pytest.raises(TypeError, match="`window` is 3, but must be a tuple"):
        nn.ConvTranspose(4, 2, 3, rngs=rngs)
    with pytest.raises(ValueError, match="`multiplier` is 0"):
        nn.SeparableConv(4, 2, (3,), multiplier=0, rngs=rngs)
    with pytest.raises(ValueError, match="`in_channels` is 0"):
        nn.SeparableConv(0, 2, (3,), rngs=rngs)
