"""The laws of the methods that differentiate a logit."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import explain, nn
from tests.explain.networks import NETS, image_net, in_float64, sound_net
from tests.helpers import assert_close, draw, relative

METHODS = {
    "saliency": explain.saliency,
    "integrated": partial(explain.integrated_gradients, steps=3),
    "smooth": partial(explain.smooth_grad, jax.random.key(0), samples=3),
    "guided": explain.guided_backprop,
}


def linear(weights):
    return lambda x: x.reshape(*x.shape[:-3], -1) @ weights


def leaves(found):
    return jax.tree.leaves(found)[0]


@pytest.mark.parametrize("kind", ["image", "signal", "table"])
def test_saliency_is_the_quotient_of_small_differences(rng, kind):
    make, shape = NETS[kind]
    with jax.enable_x64(True):
        net = in_float64(make())
        x = jnp.asarray(rng.normal(size=(2, *shape)))
        got = jax.jit(lambda x: explain.saliency(net, x, jnp.array([2, 0])))(x)
        logits, step, want = jax.jit(net), 1e-6, np.zeros(x.shape)
        for at in np.ndindex(*shape):
            moved = np.zeros(x.shape)
            moved[(slice(None), *at)] = step
            up, down = logits(x + moved), logits(x - moved)
            slope = (up - down) / (2 * step)
            want[(slice(None), *at)] = slope[0, 2], slope[1, 0]
        assert relative(got, want) < 1e-6


def test_saliency_is_zero_outside_the_receptive_field(rng):
    conv = image_net().stages["conv1"]
    x = draw(rng, 9, 6, 2)
    scores = explain.saliency(lambda x: conv(x)[3, 2], x, 1)
    inside = np.zeros((9, 6), bool)
    inside[2:5, 1:3] = True
    assert (np.asarray(scores)[~inside] == 0).all()
    assert (np.asarray(scores)[inside] != 0).all()
    assert_close(
        explain.saliency(lambda x: conv(x)[3, 2], x, 1, absolute=True), abs(scores)
    )


def test_integrated_gradients_of_a_linear_net_are_exact_in_one_step(rng):
    weights, x, base = draw(rng, 108, 3), draw(rng, 2, 9, 6, 2), draw(rng, 9, 6, 2)
    target = jnp.array([2, 0])
    scores, error = explain.integrated_gradients(
        linear(weights), x, target, baseline=base, steps=1
    )
    assert_close(scores, (x - base[None]) * weights.T[target].reshape(x.shape), 1e-6)
    assert np.abs(error).max() < 1e-5


@pytest.mark.full
@pytest.mark.parametrize("kind", ["image", "signal", "table"])
def test_attributions_sum_to_the_difference_of_logits(rng, kind):
    make, shape = NETS[kind]
    net, x = make(), draw(rng, 3, *shape)
    base = draw(rng, *shape)
    run = jax.jit(partial(explain.integrated_gradients, net, steps=300))
    scores, error = run(x, 1, baseline=base)
    difference = net(x)[:, 1] - net(base)[1]
    total = scores.reshape(3, -1).sum(axis=1)
    assert_close(error, total - difference, 1e-2)
    assert np.abs(error).max() < 0.01 * np.abs(difference).max()


@pytest.mark.full
def test_steps_are_doubled_until_the_error_is_small(rng):
    net, x = image_net(), 3 * draw(rng, 2, 9, 6, 2)

    def run(**options):
        return jax.jit(lambda x: explain.integrated_gradients(net, x, 1, **options))(x)

    coarse, fine = run(steps=2), run(steps=2, tolerance=0.01)
    difference = net(x)[:, 1] - net(0 * x)[:, 1]
    assert (np.abs(coarse.error) > 0.01 * np.abs(difference)).any()
    assert (np.abs(fine.error) <= 0.01 * np.abs(difference)).all()
    bounded = run(steps=2, tolerance=0.0, max_steps=7)
    assert_close(bounded.attributions, run(steps=4).attributions)
    assert_close(run(steps=2, tolerance=1e9).attributions, coarse.attributions)


@pytest.mark.full
def test_noise_of_zero_is_the_method_itself(rng):
    net, x, key = image_net(), draw(rng, 2, 9, 6, 2), jax.random.key(1)
    smooth = partial(explain.smooth_grad, key, net, x, samples=3, noise=0)
    assert_close(smooth(), explain.saliency(net, x))
    both = smooth(method=partial(explain.integrated_gradients, steps=2))
    assert_close(both.attributions, explain.integrated_gradients(net, x, steps=2)[0])


def test_noise_is_a_share_of_the_range_of_each_input(rng):
    x = jnp.stack([jnp.linspace(0, 1, 900), jnp.linspace(-5, 5, 900)])
    seen = explain.smooth_grad(
        jax.random.key(0),
        lambda x: x[:, :2],
        x,
        samples=1,
        noise=0.2,
        method=lambda f, x, target: x,
    )
    deviation = (seen - x).std(axis=1)
    np.testing.assert_allclose(deviation, [0.2, 2.0], rtol=0.1)


@pytest.mark.full
def test_smooth_grad_is_the_mean_over_its_noise(rng):
    net, x, key = image_net(), draw(rng, 9, 6, 2), jax.random.key(1)
    target = int(net(x).argmax())
    noise = [jax.random.normal(k, x.shape) for k in jax.random.split(key, 4)]
    width = 0.15 * float(np.ptp(x))
    each = [explain.saliency(net, x + width * one, target) for one in noise]
    got = explain.smooth_grad(key, net, x, samples=4)
    assert_close(got, np.mean(each, axis=0))


@pytest.mark.full
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", NETS)
def test_a_batch_is_its_examples_with_and_without_jit(rng, method, kind):
    """Any number of batch axes; the largest logit is the default target."""
    make, shape = NETS[kind]
    net, call = make(), METHODS[method]
    x = 0.3 * draw(rng, 2, 2, *shape)
    if method == "smooth":  # Its noise differs from batch to batch.
        call = partial(call, noise=0.0)
    run = jax.jit(lambda x: leaves(call(net, x)))
    batch = run(x)
    assert batch.shape == x.shape
    target = np.asarray(net(x).argmax(axis=-1))
    given = jax.jit(lambda x, t: leaves(call(net, x, t)))(x, target)
    assert_close(given, batch)
    one = leaves(call(net, x[1, 0], int(target[1, 0])))
    assert_close(one, batch[1, 0], 1e-4)


def test_the_gradient_of_a_relu_is_guided(rng):
    """By the definition, layer by layer."""
    net = image_net()
    x, target = draw(rng, 2, 9, 6, 2), 1
    got = explain.guided_backprop(net, x, target)
    g = jnp.zeros((2, 3)).at[:, target].set(1.0)
    for before, after in (("relu2", None), ("relu1", "relu2"), (None, "relu1")):
        start = x if before is None else net.run(x, upto=before)
        path = None if after is None else list(net.names)[net.names.index(after) - 1]
        z, back = jax.vjp(
            lambda v, b=before, p=path: net.run(v, after=b, upto=p), start
        )
        if after is not None:
            g = jnp.where((z > 0) & (g > 0), g, 0.0)
        (g,) = back(g)
    assert_close(got, g)


def test_the_network_is_unchanged_by_guided_backprop(rng):
    net, x = image_net(), draw(rng, 9, 6, 2)
    before = explain.saliency(net, x)
    assert relative(explain.guided_backprop(net, x), before) > 0.01
    np.testing.assert_array_equal(explain.saliency(net, x), before)


@pytest.mark.full
def test_attributions_are_in_the_picture_and_down_to_the_wave(rng):
    net, wave = sound_net(), 0.3 * draw(rng, 2, 600)
    picture = net.run(wave, upto="level")
    target = net(wave).argmax(axis=-1)
    tail = partial(net.run, after="level")
    scores = explain.saliency(tail, picture, target)
    _, back = jax.vjp(partial(net.run, upto="level"), wave)
    assert_close(back(scores)[0], explain.saliency(net, wave, target), 1e-4)


@pytest.mark.full
def test_methods_can_be_differentiated(rng):
    net, x = image_net(), draw(rng, 9, 6, 2)
    cubic = nn.Chain({"tanh": jnp.tanh, "rest": net})
    for method in (explain.saliency, partial(explain.integrated_gradients, steps=2)):
        slope = jax.grad(lambda x, m=method: jnp.sum(leaves(m(cubic, x, 0)) ** 2))(x)
        assert np.isfinite(slope).all()
        assert np.abs(slope).max() > 0
