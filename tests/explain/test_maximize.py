"""Images that excite a unit most."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import explain, nn
from cnn_jax.explain import parameters as P
from tests.explain.networks import (
    evaluated,
    image_net,
    signal_net,
    sound_net,
    table_net,
)
from tests.helpers import assert_close, draw

KEY = jax.random.key(0)
run = partial(explain.maximize, KEY, steps=60)


def correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


def filter_net(kernel):
    """A ReLU behind one filter, in the middle of the image."""
    taps = jnp.asarray(kernel)[..., None]
    return nn.Chain({"conv": lambda x: F.conv(x, taps), "relu": F.relu})


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_image_of_a_linear_unit_has_the_signs_of_its_weights(rng, channels):
    kernel = rng.normal(size=(4, 3, channels)).astype(np.float32)
    kernel -= kernel.mean(axis=(0, 1))
    found = run(
        filter_net(kernel), "relu", 0, shape=(4, 3, channels), jitter=0, steps=200
    )
    assert found.images.shape == (4, 3, channels)
    assert np.abs(found.images).max() <= 1
    assert correlation(np.sign(kernel), found.images) > 0.5
    assert found.activations > 0.6 * np.abs(kernel).sum()
    at = np.asarray(filter_net(kernel)(found.images)).max()
    assert_close(found.activations, at)


@pytest.mark.full
def test_the_same_key_gives_the_same_images_alone_or_together():
    net = image_net()
    two = run(net, "conv2", [3, 1], shape=(9, 6, 2))
    again = run(net, "conv2", [3, 1], shape=(9, 6, 2))
    other = explain.maximize(
        jax.random.key(1), net, "conv2", [3, 1], shape=(9, 6, 2), steps=60
    )
    np.testing.assert_array_equal(two.images, again.images)
    assert np.abs(two.images - other.images).max() > 0.1
    assert two.images.shape == (2, 9, 6, 2)
    assert_close(two.activations, again.activations)


@pytest.mark.full
def test_it_exceeds_every_random_image(rng):
    net = image_net()
    found = run(net, "conv2", list(range(5)), shape=(9, 6, 2), steps=256)
    noise = jnp.asarray(rng.uniform(-1, 1, size=(500, 9, 6, 2)), jnp.float32)
    best = net.run(noise, upto="conv2").max(axis=(0, 1, 2))
    assert (np.asarray(found.activations) > np.asarray(best)).all()


def test_a_unit_behind_a_relu_that_is_off_at_first_is_switched_on():
    kernel = np.ones((4, 4, 1), np.float32)
    net = nn.Chain(
        {
            "conv": lambda x: F.conv(x, jnp.asarray(kernel)[..., None]) - 8.0,
            "relu": F.relu,
        }
    )
    assert float(net(jnp.zeros((4, 4, 1)))[0, 0, 0]) == 0
    assert run(net, "relu", 0, shape=(4, 4, 1), steps=256).activations > 5


@pytest.mark.full
def test_the_mean_of_all_positions_can_be_maximized(rng):
    net, kinds = image_net(), {}
    for over in "max", "mean":
        found = run(net, "conv1", 1, shape=(9, 6, 2), over=over, steps=150)
        maps = np.asarray(net.run(found.images, upto="conv1"))[..., 1]
        kinds[over] = maps.mean(), maps.max()
        assert_close(found.activations, kinds[over][over == "max"])
    assert kinds["mean"][0] > kinds["max"][0]
    assert kinds["max"][1] > kinds["mean"][1]


@pytest.mark.full
@pytest.mark.parametrize(
    ("make", "cut", "shape"),
    [
        (signal_net, "conv1", (11, 2)),
        (table_net, "hidden1", (6,)),
        (sound_net, "round1/conv", (600,)),
    ],
)
def test_signals_tables_and_waves(make, cut, shape):
    found = explain.maximize(
        KEY, make(), cut, 1, shape=shape, steps=20, low=-0.5, high=0.5
    )
    assert found.images.shape == shape
    maps = make().run(found.images, upto=cut)
    assert_close(found.activations, maps[..., 1].max())
    assert np.abs(found.images).max() <= 0.5


def test_coefficients_and_phases_have_the_spectrum_that_is_asked_for():
    np.testing.assert_allclose(
        P.frequencies((6, 5))[4, 1], np.hypot(2 / 6, 1 / 5), rtol=1e-12
    )
    size = (8, 10)
    power = jnp.asarray(P.spectrum_of(size, 1.0)[..., None])
    image = P.from_phases(P.draw_phases(KEY, (), (*size, 1)), (*size, 1), power)
    found = np.abs(np.fft.rfft2(np.asarray(image)[..., 0]))
    inner = (slice(1, 4), slice(1, 5))  # Coefficients that have no real partner.
    ratio = found[inner] / power[(*inner, 0)]
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-3)
    np.testing.assert_allclose(image.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(image.std(), 1, rtol=1e-3)


def test_magnitudes_are_those_of_the_coefficients(rng):
    images = rng.normal(size=(5, 6, 8, 1)).astype(np.float32)
    want = np.abs(np.fft.rfft2(images, axes=(1, 2))).mean(axis=0)
    assert_close(explain.magnitudes(images), want)
    colours = rng.normal(size=(5, 6, 8, 3)).astype(np.float32)
    mixed = colours @ np.float32(P.COLOURS.T / P.LARGEST)
    want = np.abs(np.fft.rfft2(colours, axes=(1, 2))).mean(axis=0)
    assert_close(explain.magnitudes(mixed), want, 1e-4)


@pytest.mark.full
@pytest.mark.parametrize("channels", [1, 3])
def test_phases_alone_excite_a_unit(rng, channels):
    net = nn.Chain(
        {"conv": nn.Conv(channels, 2, (5, 5), rngs=nnx.Rngs(0)), "relu": F.relu}
    )
    net = evaluated(net)
    shape = (16, 12, channels)
    climb = partial(explain.maco, KEY, net, "relu", [0, 1], shape=shape)
    found = climb(steps=60, crops=4)
    start = climb(steps=1, crops=4)
    assert found.images.shape == (2, *shape)
    assert (found.activations > 1.1 * start.activations).all()
    np.testing.assert_array_equal(climb(steps=60, crops=4).images, found.images)
    plain = climb(
        steps=60, crops=0, noise=0.0, magnitude=explain.magnitudes(draw(rng, 3, *shape))
    )
    assert np.isfinite(plain.images).all()


def test_a_unit_that_nothing_excites_is_refused():
    net = image_net()
    net.stages["conv2"].bias[...] = jnp.array([0.0, -1e6, 0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="unit 1 of 'relu2' is 0 for every image"):
        run(net, "relu2", [0, 1], shape=(9, 6, 2), steps=3)
