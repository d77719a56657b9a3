"""The experiment on the inside of networks, small; and its known truths."""

import numpy as np
import pytest

from experiments import inside
from experiments.inside import depth, networks
from experiments.inside.methods import INPUT, RANDOM
from tests.experiments.helpers import report_of


@pytest.mark.full
def test_inside(tmp_path, data_dir, capsys):
    config = inside.Config(
        name="test",
        runs=tmp_path,
        data_dir=data_dir,
        seeds=2,
        epochs=2,
        inputs=12,
        recordings=120,
        steps=30,
    )
    result = inside.run(config)
    out, html = capsys.readouterr().out, report_of(result)
    separable = result.depth.separable
    assert separable["active6"].mean() > separable["pixels"].mean()
    assert result.depth.exceeded.min() >= 0.9
    for correlations in result.sanity.values():
        assert correlations.shape == (2, 5)
        assert (np.abs(correlations) <= 1 + 1e-9).all()
    np.testing.assert_allclose(result.sanity[INPUT], 1, rtol=1e-6)
    guided, plain = (
        result.sanity[name].mean() for name in ("guided backpropagation", "saliency")
    )
    assert guided > plain
    assert result.faithful.keys() == {"X or O", "a synthetic table", "words in noise"}
    for found in result.faithful.values():
        np.testing.assert_allclose(found[RANDOM].ratio, 1)
        for one in found.values():
            assert ((one.mass > 0) & (one.mass <= 1)).all()
            assert f"{100 * one.mass.mean():.1f}" in out
    assert result.faithful["X or O"]["integrated gradients"].ratio.min() > 2
    assert html.count("<img") == 13


def test_the_mask_of_a_letter_is_its_stroke_without_the_noise():
    images, labels, masks = networks.draw_letters(6, 3)
    assert images.shape == (6, 28, 28, 1)
    assert labels.tolist() == [0, 1] * 3
    for image, mask in zip(images[..., 0], masks, strict=True):
        assert 0.03 < mask.mean() < 0.35
        assert image[mask].mean() > image[~mask].mean() + 1
    assert (np.abs(images) > 1).any()  # There is noise.


def test_the_class_of_a_row_depends_on_the_informative_columns_alone():
    rng = np.random.default_rng(0)
    x, y = networks.draw_table(rng, 500)
    other, _ = networks.draw_table(rng, 500)
    mixed = np.concatenate([x[:, :5], other[:, 5:]], axis=1)
    score = mixed[:, 0] + mixed[:, 1] - mixed[:, 2]
    score += np.abs(mixed[:, 3]) - np.abs(mixed[:, 4])
    np.testing.assert_array_equal(score > 0, y == 1)
    assert 0.4 < y.mean() < 0.6


def test_a_word_is_in_the_frames_that_overlap_it():
    waves = np.zeros((2, 100), np.float32)
    waves[0, 30:45] = 0.5
    mask = networks.spoken(waves, (4, 10))
    assert mask.shape == (2, 4, 10)
    assert mask[0, 2].tolist() == [False] * 3 + [True] * 2 + [False] * 5
    assert not mask[1].any()


def test_an_edge_matches_an_edge_and_noise_does_not():
    edge = np.tile(np.array([-1.0, -0.8, 0.0, 0.8, 1.0]), (5, 1))[None, ..., None]
    noise = np.random.default_rng(0).normal(size=(20, 5, 5, 1))
    assert depth.edge_match(edge) > 0.95
    assert depth.edge_match(noise) < 0.6


def test_options_are_checked():
    with pytest.raises(ValueError, match="`seeds` is 1, but must be at least 2"):
        inside.Config(seeds=1)
