"""Images made from pictures: what may change, what must not, and by how much."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import data
from tests.helpers import assert_close, compiled

KEY = jax.random.key(3)


@pytest.fixture
def images(rng):
    return jnp.asarray(rng.normal(size=(40, 9, 12, 2)), jnp.float32)


@pytest.mark.parametrize(
    "name",
    [
        "crop",
        "elastic",
        *(
            pytest.param(name, marks=pytest.mark.full)
            for name in sorted(data.AUGMENTS.keys() - {"crop", "elastic"})
        ),
    ],
)
def test_every_augmentation(images, name):
    augment = compiled(data.AUGMENTS[name])
    out = augment(KEY, images)
    assert out.shape == images.shape
    assert out.dtype == images.dtype
    np.testing.assert_array_equal(out, augment(KEY, images))
    assert (out != augment(jax.random.key(4), images)).any()
    # Each picture has a chance of its own: the same picture comes out in many ways.
    alike = jnp.broadcast_to(images[:1], images.shape)
    different = {np.asarray(image).tobytes() for image in augment(KEY, alike)}
    assert len(different) > (1 if name == "flip" else 9)
    assert np.isfinite(out).all()


def test_a_crop_is_a_window_of_the_reflected_picture(images):
    out = compiled(data.random_crop)(KEY, images, padding=3)
    pads = ((0, 0), (3, 3), (3, 3), (0, 0))
    padded = np.pad(np.asarray(images), pads, mode="reflect")
    corners = set()
    for image, around in zip(np.asarray(out), padded, strict=True):
        found = [
            (i, j)
            for i in range(7)
            for j in range(7)
            if (around[i : i + 9, j : j + 12] == image).all()
        ]
        assert found
        corners |= set(found)
    assert {i for i, _ in corners} == {j for _, j in corners} == set(range(7))


def test_a_flip_is_of_every_other_picture(images):
    out = np.asarray(data.random_flip(KEY, images))
    flipped = (out == np.asarray(images)[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (out == np.asarray(images)).all(axis=(1, 2, 3))
    assert (flipped ^ kept).all()
    assert 10 < flipped.sum() < 30


def test_an_elastic_picture_is_bent_as_far_as_asked():
    """A picture whose pixels say where they are tells how far they went."""
    rows, columns = np.indices((48, 64), np.float32)
    positions = np.broadcast_to(np.stack([rows, columns], -1), (30, 48, 64, 2))
    bend = compiled(data.random_elastic)
    moved = bend(KEY, jnp.asarray(positions), strength=0.02) - positions
    inner = np.asarray(moved)[:, 8:-8, 8:-8]
    for axis, size in enumerate((48, 64)):
        assert inner[..., axis].std() == pytest.approx(0.02 * size, rel=0.15)
    # Neighbours go the same way.
    steps = np.diff(inner[..., 0], axis=1)
    assert steps.std() < 0.3 * inner[..., 0].std()
    np.testing.assert_allclose(
        bend(KEY, jnp.asarray(positions), strength=0.0), positions, atol=1e-4
    )


@pytest.mark.parametrize("size", [0.25, 0.5])
def test_a_cutout_is_a_square_of_zeros(size):
    out = np.asarray(data.cutout(KEY, jnp.ones((300, 16, 20, 1)), size=size))[..., 0]
    side, areas = round(size * 16), (out == 0).sum(axis=(1, 2))
    assert areas.max() == side**2
    assert areas.min() < side**2
    for picture in out:
        rows, columns = np.nonzero(picture == 0)
        if len(rows):
            assert np.ptp(rows) < side
            assert np.ptp(columns) < side
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    covered = (out == 0).mean(axis=0)
    assert covered[8, 10] == pytest.approx(side**2 / 320, abs=0.1)


@pytest.mark.parametrize(("mask", "axis"), [("time_mask", 2), ("frequency_mask", 1)])
def test_a_mask_covers_a_stretch_with_the_mean(rng, mask, axis):
    sounds = jnp.asarray(rng.normal(size=(200, 20, 15, 2)), jnp.float32)
    out = np.asarray(getattr(data, mask)(KEY, sounds, max_fraction=0.4))
    positions = sounds.shape[axis]
    lengths = []
    for before, after in zip(np.asarray(sounds), out, strict=True):
        other = tuple({0, 1, 2} - {axis - 1})
        changed = np.flatnonzero((before != after).all(axis=other))
        lengths.append(len(changed))
        if len(changed):
            assert np.ptp(changed) == len(changed) - 1
            covered = np.take(after, changed, axis=axis - 1)
            np.testing.assert_allclose(covered, before.mean(), atol=1e-6)
        kept = np.setdiff1d(np.arange(positions), changed)
        np.testing.assert_array_equal(
            np.take(after, kept, axis=axis - 1), np.take(before, kept, axis=axis - 1)
        )
    assert set(lengths) == set(range(round(0.4 * positions) + 1))


def test_mixup_by_its_formula(images):
    mixed, partner, share = data.mixup(KEY, images, alpha=0.5)
    assert sorted(partner.tolist()) == list(range(40))
    want = share * images + (1 - share) * images[partner]
    assert_close(mixed, want)
    shares = [
        float(data.mixup(jax.random.key(i), images, alpha=0.5)[2]) for i in range(60)
    ]
    assert 0 <= min(shares) < 0.1 < 0.9 < max(shares) <= 1


def test_augmentations_in_turn(images):
    both = data.augmentation("crop", "flip")
    keys = jax.random.split(KEY, 2)
    want = data.random_flip(keys[1], data.random_crop(keys[0], images))
    np.testing.assert_array_equal(both(KEY, images), want)
    assert data.augmentation("crop", "flip") is both


def test_bytes_become_floats(rng):
    image = rng.integers(0, 256, size=(3, 4), dtype=np.uint8)
    want = image / 127.5 - 1
    assert_close(data.as_float(jnp.asarray(image)), want)
    for kept in (jnp.arange(3), jnp.ones(2), jnp.ones(2, jnp.bfloat16)):
        assert data.as_float(kept) is kept
