"""Augmentation against torchvision, with the same random draws."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from cnn_jax.data.augment import colour, geometry, trivial
from experiments.small_data.torchvision import part

tv, autoaugment = part("transforms.functional"), part("transforms.autoaugment")

WAYS = {
    "ShearX": 1, "ShearY": 2, "TranslateX": 3, "TranslateY": 4, "Rotate": 5,
    "Brightness": 6, "Color": 7, "Contrast": 8, "Sharpness": 9, "Posterize": 10,
    "Solarize": 11, "AutoContrast": 12, "Equalize": 13,
}  # fmt: skip
BILINEAR = tv.InterpolationMode.BILINEAR


@pytest.fixture
def images(rng):
    """Bytes that vary smoothly, (batch, height, width, channels)."""
    small = torch.tensor(rng.uniform(0, 255, (3, 3, 6, 7)))
    return torch.nn.functional.interpolate(small, (37, 45), mode="bilinear").byte()


def ours(images):
    return jnp.moveaxis(jnp.asarray(images.numpy()), 1, -1) / jnp.float32(255)


def theirs(images):
    return np.moveaxis(images.numpy(), 1, -1) / 255


@pytest.mark.parametrize("box", [(0, 0, 37, 45), (3, 5, 20, 17), (36, 44, 1, 1)])
def test_a_part_is_enlarged_as_torchvision_does(images, box):
    want = tv.resized_crop(images.float() / 255, *box, [37, 45], BILINEAR)
    corners, sizes = (
        jnp.tile(jnp.array([box[i : i + 2]], jnp.float32), (3, 1)) for i in (0, 2)
    )
    got = geometry.crop_and_resize(ours(images), corners, sizes)
    np.testing.assert_allclose(got, np.moveaxis(want.numpy(), 1, -1), atol=1e-5)


@pytest.mark.parametrize("angle", [-100.0, 30.0, 180.0])
def test_a_rotation_is_that_of_torchvision(images, angle):
    square = images[..., :37]
    want = tv.rotate(square.float() / 255, angle, BILINEAR)
    still = jnp.ones(3), jnp.zeros((3, 2))
    got = geometry._affine(ours(square), jnp.full(3, -angle), *still)
    inside = slice(9, 28)  # Where both read the image itself.
    np.testing.assert_allclose(
        got[:, inside, inside],
        np.moveaxis(want.numpy(), 1, -1)[:, inside, inside],
        atol=1e-4,
    )


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.9])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colours_are_scaled_as_torchvision_does(images, name, factor):
    want = getattr(tv, f"adjust_{name}")(images.float() / 255, factor)
    got = getattr(colour, f"scale_{name}")(ours(images), jnp.float32(factor))
    np.testing.assert_allclose(got, np.moveaxis(want.numpy(), 1, -1), atol=1e-5)


@pytest.mark.parametrize("turn", [-0.5, 0.1])
def test_the_hue_is_turned_as_torchvision_does(images, turn):
    want = tv.adjust_hue(images.float() / 255, turn)
    got = colour.turn_hue(ours(images), jnp.float32(turn))
    np.testing.assert_allclose(got, np.moveaxis(want.numpy(), 1, -1), atol=1e-4)


@pytest.mark.parametrize("bins", [0, 7, 30])
@pytest.mark.parametrize("name", WAYS)
def test_each_way_of_trivial_augment_is_torchvisions(images, name, bins):
    strengths, signed = autoaugment.TrivialAugmentWide()._augmentation_space(31)[name]
    strength = float(strengths[bins]) if strengths.ndim else 0.0
    for sign in (-1, 1) if signed else (1,):
        want = autoaugment._apply_op(images, name, sign * strength, BILINEAR, None)
        got = trivial.apply(
            2 * ours(images) - 1, *(jnp.full(3, n) for n in (WAYS[name], bins, sign))
        )
        difference = np.abs((np.asarray(got) + 1) / 2 - theirs(want))
        # Bytes are cut or rounded after each step; a black edge may be a pixel wide.
        assert np.quantile(difference, 0.98) < 2.01 / 255
        assert difference.mean() < 0.01
