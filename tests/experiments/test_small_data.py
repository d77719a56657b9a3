"""Small data: the sets are what they say, and the experiment runs to its report."""

import numpy as np
import pytest

from experiments import small_data
from experiments.small_data import sets
from experiments.small_data.experiment import _ratio


@pytest.mark.parametrize("name", ["colour", "table"])
def test_sets_are_drawn_again_in_the_same_way(name):
    draw, classes, _ = sets.DRAWN[name]
    one, other = (
        np.stack([draw(np.random.default_rng([i, 1]), i % classes) for i in range(4)])
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)
    assert len({example.tobytes() for example in one}) == 4


@pytest.mark.full
def test_colours_tell_the_classes():
    draw, classes, _ = sets.DRAWN["colour"]
    for label in range(classes):
        image = draw(np.random.default_rng(label), label).astype(float)
        strongest = image - np.delete(image, label, axis=-1).max(-1, keepdims=True)
        assert strongest[..., label].max() > 60


@pytest.mark.full
def test_the_ratio_of_errors_is_a_geometric_mean():
    accuracy = {
        name: {"cnn_jax": np.array([1 - a]), "PyTorch": np.array([1 - b])}
        for name, a, b in (("table", 0.1, 0.2), ("sound", 0.3, 0.15))
    }
    half = 0.5 / 120, 0.5 / 40
    want = np.sqrt(
        (0.1 + half[0]) / (0.2 + half[0]) * (0.3 + half[1]) / (0.15 + half[1])
    )
    assert _ratio(accuracy)[0] == pytest.approx(want)
    del accuracy["table"]["PyTorch"]
    assert _ratio(accuracy) is None


@pytest.mark.full
def test_random_labels_are_not_learned(tmp_path):
    config = small_data.Config(
        runs=tmp_path, sets=("table",), seeds=3, torch=False, random_labels=True
    )
    result = small_data.run(config)
    assert result.learned["table"].sum() <= 1
    assert 0.35 < result.accuracy["table"]["cnn_jax"].mean() < 0.65
    assert (result.folder / "report.html").exists()


def test_unknown_sets_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`sets` has \['shapes'\], but there are"):
        small_data.run(small_data.Config(runs=tmp_path, sets=("shapes",)))
