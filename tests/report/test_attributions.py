import numpy as np
import pytest

from cnn_jax import report


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def test_a_map_has_a_symmetric_scale_and_its_range_at_the_bar(rng):
    scores = np.array([[-0.5, 0.0, 2.0], [0.25, 1.0, -1.0]])
    figure = report.signed_maps([scores, 0 * scores], titles=["a", "b"], columns=2)
    first, second = (ax for ax in figure.axes if ax.images and ax.get_title())
    assert first.images[0].get_clim() == (-2, 2)
    bars = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    labels = [[t.get_text() for t in bar.get_yticklabels()] for bar in bars]
    assert sorted(labels[0]) == ["0", "2", "−1"]
    assert titles(figure) == ["a", "b\nzero everywhere"]
    assert second.images[0].get_cmap().name == "RdBu_r"


def test_over_an_image_large_scores_are_opaque(rng):
    scores = np.array([[0.0, 1.0], [-4.0, 0.0]])
    image = rng.random((2, 2, 3))
    figure = report.signed_maps([scores, scores], images=[image, None], columns=2)
    over, alone = (ax for ax in figure.axes if ax.get_label() != "<colorbar>")
    behind, drawn = over.images
    np.testing.assert_allclose(drawn.get_alpha(), [[0, 0.5], [1, 0]])
    assert behind.get_array().shape == (2, 2, 3)
    assert len(alone.images) == 1
    with pytest.raises(ValueError, match="`maps` has 2 entries and `images` 1"):
        report.signed_maps([scores, scores], images=[image])
    with pytest.raises(ValueError, match="`maps` has 0"):
        report.signed_maps([])


def test_low_bands_of_a_spectrogram_are_below(rng):
    scores = rng.normal(size=(3, 9))
    (ax, _) = report.signed_maps([scores], picture=False).axes
    assert ax.images[0].origin == "lower"


def test_a_signal_lies_over_its_scores(rng):
    values, scores = rng.normal(size=40), rng.normal(size=40)
    panels = {"a": (values, scores), "b": (values, 0 * scores)}
    figure = report.signed_signal(panels, xlabel="time, s", step=0.1)
    assert titles(figure) == ["a", "b (zero everywhere)"]
    ax = next(ax for ax in figure.axes if ax.lines)
    np.testing.assert_allclose(ax.lines[0].get_xdata()[-1], 3.9)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), values)
    np.testing.assert_allclose(ax.images[0].get_array()[0], scores)


def test_bars_have_the_colour_of_their_sign():
    (ax,) = report.signed_bars({"up": 2.0, "down": -1.0}, xlabel="score").axes
    up, down = ax.patches
    assert up.get_width() == 2
    assert down.get_width() == -1
    assert up.get_facecolor()[0] > up.get_facecolor()[2]
    assert down.get_facecolor()[0] < down.get_facecolor()[2]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["up", "down"]


def test_units_are_rows_of_images_and_signals(rng):
    rows = {
        "unit 1": [rng.random((4, 3)), rng.random((4, 3, 3)), rng.normal(size=20)],
        "unit 2": [rng.random((4, 3))],
    }
    figure = report.units(rows, titles=["best", "second"], limits=(0.0, 1.0))
    drawn = np.array([len(ax.images) + len(ax.lines) for ax in figure.axes])
    assert drawn.tolist() == [1, 1, 1, 1, 0, 0]
    assert figure.axes[0].get_ylabel() == "unit 1"
    assert titles(figure) == ["best", "second"]
    with pytest.raises(ValueError, match="`rows` is empty"):
        report.units({})
