"""Images made from pictures: what may change, what must not, and by how much."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data.augment.geometry import _part_sizes
from tests.helpers import assert_close, compiled

KEY = jax.random.key(3)


@pytest.fixture
def images(rng):
    return jnp.asarray(rng.uniform(-1, 1, size=(40, 9, 12, 3)), jnp.float32)


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
    few = {"flip": 1, "grayscale": 1, "invert": 1, "permute_channels": 5}
    assert len(different) > few.get(name, 9)
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


@pytest.mark.full
def test_cutmix_by_its_formula(images):
    mixed, partner, share = compiled(data.cutmix)(KEY, images)
    assert sorted(partner.tolist()) == list(range(40))
    taken = np.asarray((mixed != images).any(axis=-1))
    taken = taken[np.asarray(partner) != np.arange(40)]
    assert (taken == taken[0]).all()  # One rectangle for the batch.
    rows, columns = np.flatnonzero(taken[0].any(1)), np.flatnonzero(taken[0].any(0))
    assert taken[0].sum() == len(rows) * len(columns)
    assert_close(1 - share, taken[0].mean())
    np.testing.assert_array_equal(
        mixed[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1],
        images[partner][:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1],
    )
    keys = jax.random.split(KEY, 60)
    shares = jax.vmap(lambda key: data.cutmix(key, images)[2])(keys)
    assert shares.min() < 0.4 < 0.9 < shares.max() <= 1


@pytest.mark.full
def test_a_resized_crop_of_everything_is_the_image(images):
    whole = compiled(data.resized_crop)(KEY, images, scale=(1.0, 1.0), ratio=(1.3, 1.4))
    np.testing.assert_allclose(whole, images, atol=1e-5)
    # No part of that ratio fits; the largest one in the middle is taken.
    column = compiled(data.resized_crop)(
        KEY, images, scale=(1.0, 1.0), ratio=(1 / 9, 1 / 9)
    )
    assert_close(column, jnp.broadcast_to(column[:, :, :1], column.shape))


def test_parts_have_the_area_and_the_ratio(images):
    keys = jax.random.split(KEY, 50)
    sizes = jax.vmap(
        lambda key: _part_sizes(key, 40, (90, 120), (0.2, 0.6), (0.5, 2.0))
    )(keys).reshape(-1, 2)
    area, ratio = sizes.prod(1) / (90 * 120), sizes[:, 1] / sizes[:, 0]
    assert 0.19 < area.min() < 0.22
    assert 0.57 < area.max() < 0.61
    assert abs(area.mean() - 0.4) < 0.02
    assert 0.49 < ratio.min() < 0.55
    assert 1.8 < ratio.max() < 2.05


def test_a_rotation_keeps_the_middle_and_turns_any_angle():
    image = jnp.zeros((200, 9, 9, 1)).at[:, 4, 4].set(1.0).at[:, 0, 4].set(2.0)
    turned = compiled(data.rotate)(KEY, image)
    np.testing.assert_allclose(turned[:, 4, 4, 0], 1, atol=1e-5)
    rows, columns = jnp.indices((9, 9)) - 4
    bright = jnp.argmax(turned.reshape(200, -1), axis=1)
    angles = jnp.arctan2(rows.ravel()[bright], columns.ravel()[bright])
    assert np.histogram(angles, 3, (-np.pi, np.pi))[0].min() > 30


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
