"""The laws of class activation maps and of occlusion."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import explain, models, nn
from tests.explain.networks import NETS, evaluated, image_net, signal_net, sound_net
from tests.helpers import assert_close, draw


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_grad_cam_is_cam_over_the_positions(rng, spatial):
    size = (5, 4, 3)[:spatial]
    rngs = nnx.Rngs(0)
    net = nn.Chain(
        {
            "conv": nn.Conv(2, 6, (2,) * spatial, padding="same", rngs=rngs),
            "relu": F.relu,
            "mean": nn.GlobalAvgPool(spatial=spatial),
            "classifier": nn.Dense(6, 3, rngs=rngs),
        }
    )
    net = evaluated(net)
    x, target = draw(rng, 4, *size, 2), jnp.array([0, 2, 1, 2])
    maps, dense = net.run(x, upto="relu"), net.stages["classifier"]
    weights = dense.kernel[...].T[target].reshape(4, *(1,) * spatial, 6)
    cam = jnp.sum(maps * weights, axis=-1)
    assert_close(explain.grad_cam(net, x, target), cam / np.prod(size))
    hires = explain.hires_cam(net, x, target, resize=False)
    total = hires.reshape(4, -1).sum(axis=1) + dense.bias[...][target]
    assert_close(total, net(x)[jnp.arange(4), target])


def test_the_sum_of_hires_cam_and_the_bias_is_the_logit_behind_a_dense_layer(rng):
    net, x = signal_net(), draw(rng, 3, 11, 2)
    scores = explain.hires_cam(net, x, 1, cut="pool2", resize=False)
    bias = net.stages["classifier"].bias[1]
    assert scores.shape == (3, 3)
    assert_close(scores.sum(axis=1) + bias, net(x)[:, 1])


@pytest.mark.full
def test_maps_have_the_size_of_the_picture(rng):
    x = draw(rng, 2, 3, 9, 6, 2)
    assert explain.grad_cam(image_net(), x, cut="conv2").shape == (2, 3, 9, 6)
    small = explain.grad_cam(image_net(), x, cut="conv2", resize=False)
    assert small.shape == (2, 3, 3, 2)
    resized = F.resize(small[..., None], (9, 6), method="linear")[..., 0]
    assert_close(explain.grad_cam(image_net(), x, cut="conv2"), resized)
    assert explain.grad_cam(signal_net(), draw(rng, 11, 2)).shape == (11,)
    wave = 0.3 * draw(rng, 2, 600)
    picture = sound_net().run(wave, upto="level")
    assert explain.hires_cam(sound_net(), wave).shape == picture.shape[:-1]


@pytest.mark.full
def test_the_last_stage_with_several_positions_is_the_default(rng):
    net = evaluated(models.build("lenet5_relu", rngs=nnx.Rngs(0)))
    x = draw(rng, 32, 32, 1)
    assert net.run(x, upto="active5").shape == (1, 1, 120)
    assert_close(explain.grad_cam(net, x, 3), explain.grad_cam(net, x, 3, cut="s4"))


@pytest.mark.full
def test_a_cut_before_a_residual_block_and_none_inside(rng):
    net = evaluated(models.build("resnet20", rngs=nnx.Rngs(0)))
    x = draw(rng, 8, 8, 3)
    assert explain.grad_cam(net, x, cut="layer2/1").shape == (8, 8)
    with pytest.raises(ValueError, match="inside the block 'layer2/1'"):
        explain.grad_cam(net, x, cut="layer2/1/conv1")


@pytest.mark.full
@pytest.mark.parametrize("kind", NETS)
def test_one_occluder_over_everything_is_the_difference_of_logits(rng, kind):
    make, shape = NETS[kind]
    net, x = make(), 0.3 * draw(rng, 2, *shape)
    window = shape if kind in ("sound", "table") else shape[:-1]
    scores = explain.occlusion(net, x, jnp.array([2, 0]), window=window, value=0.5)
    difference = net(x) - net(0 * x + 0.5)
    want = [difference[0, 2], difference[1, 0]]
    assert scores.shape == (2, *window)
    assert_close(
        scores,
        np.broadcast_to(np.reshape(want, (2, *(1,) * len(window))), scores.shape),
    )


def test_one_pixel_occlusion_of_a_linear_net_is_gradient_times_input(rng):
    weights, x = draw(rng, 108, 3), draw(rng, 2, 9, 6, 2)

    def f(x):
        return x.reshape(*x.shape[:-3], 108) @ weights

    scores = explain.occlusion(f, x, 1, window=(1, 1))
    product = explain.saliency(f, x, 1) * x
    assert_close(scores, product.sum(axis=-1), 1e-4)


@pytest.mark.full
@pytest.mark.parametrize(("window", "stride"), [((3, 2), (2, 1)), ((4, 5), (3, 4))])
def test_occlusion_is_the_mean_over_the_windows_that_hold_a_position(
    rng, window, stride
):
    net, x, base = image_net(), draw(rng, 9, 6, 2), draw(rng, 9, 6, 2)
    total, count = np.zeros((9, 6)), np.zeros((9, 6))
    logits = jax.jit(net)
    ends = [max(n - k, 0) + s for n, k, s in zip((9, 6), window, stride, strict=True)]
    for i in range(0, ends[0], stride[0]):
        for j in range(0, ends[1], stride[1]):
            inside = slice(i, i + window[0]), slice(j, j + window[1])
            fall = logits(x)[2] - logits(x.at[inside].set(base[inside]))[2]
            total[inside] += fall
            count[inside] += 1
    run = partial(explain.occlusion, net, window=window, stride=stride, value=base)
    assert_close(run(x, 2), total / count)
    assert_close(run(x, 2, batch_size=3), total / count)
    assert_close(jax.jit(lambda x: run(x, 2))(x), total / count)
