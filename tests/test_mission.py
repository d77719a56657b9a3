"""The numbers of the worked example, as exact ninths."""

import jax.numpy as jnp
import numpy as np
import pytest

import cnn_jax.functional as F
from experiments.xo.letters import FALLING, letters

MAP = [
    [7, -1, 1, 3, 5, -1, 3],
    [-1, 9, -1, 3, -1, 1, -1],
    [1, -1, 9, -3, 1, -1, 5],
    [3, 3, -3, 5, -3, 3, 3],
    [5, -1, 1, -3, 9, -1, 1],
    [-1, 1, -1, 3, -1, 9, -1],
    [3, -1, 5, 3, 1, -1, 7],
]
POOLED = [[9, 3, 5, 3], [3, 9, 3, 5], [5, 3, 9, 1], [3, 5, 1, 7]]


@pytest.fixture
def nine_by_nine():
    return jnp.asarray(letters()[0])


def test_matches():
    feature = jnp.asarray(FALLING)
    cross = jnp.maximum(feature, feature[:, ::-1])
    assert F.match_feature(feature, feature)[0, 0] == 1
    np.testing.assert_allclose(F.match_feature(cross, feature)[0, 0], 5 / 9, rtol=1e-6)
    assert F.match_feature(-feature, feature)[0, 0] == -1


def test_the_map_in_ninths(nine_by_nine):
    got = F.match_feature(nine_by_nine, jnp.asarray(FALLING))
    np.testing.assert_allclose(9 * got, MAP, atol=1e-5)


def test_the_pooled_map_in_ninths(nine_by_nine):
    maps = F.match_feature(nine_by_nine, jnp.asarray(FALLING))[..., None]
    pooled = F.max_pool(maps, (2, 2), ceil_mode=True)
    np.testing.assert_allclose(9 * pooled[..., 0], POOLED, atol=1e-5)


def test_a_picture_of_30_by_30_at_stride_3():
    out = F.conv(jnp.ones((30, 30, 3)), jnp.ones((3, 3, 3, 96)), stride=3)
    assert out.shape == (10, 10, 96)
    np.testing.assert_array_equal(out, 27.0)


def test_eight_megapixels_pool_to_two():
    maps = jnp.zeros((2000, 4000, 1))
    assert F.max_pool(maps, (2, 2)).shape == (1000, 2000, 1)
