import base64
import io
import re

import numpy as np
import pytest
import soundfile
from PIL import Image
from rich.console import Console

from cnn_jax import report


@pytest.fixture
def page():
    return report.Page("A <title>", console=Console(width=80, file=io.StringIO()))


def printed(page):
    return page.console.file.getvalue()


def test_a_page_plays_audio(page, tmp_path):
    loud = np.float32([0.0, 0.5, -2.0, 1.0])
    page.audio({"one & two": loud, "soft": loud / 10}, rate=8000)
    page.write(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert html.count("one &amp; two") == 2
    coded = re.findall('src="data:audio/wav;base64,([^"]+)"', html)
    for text, want in zip(coded, (loud / 2, loud / 10), strict=True):
        wave, rate = soundfile.read(io.BytesIO(base64.b64decode(text)))
        assert rate == 8000
        np.testing.assert_allclose(wave, want, atol=1e-4)
    assert printed(page) == ""


def test_a_page_is_printed_and_written(page, tmp_path):
    page.section("One & two")
    page.text("Text with [brackets] and <tags>.")
    page.table(["name", "n"], [["a [b]", "1"]], caption="A table")
    page.table(["", ""], [["1", "2"]])
    page.section("Three")
    figure = report.images([np.eye(3), None, np.ones((3, 3, 3))], titles=["a", "", "c"])
    page.figure(figure, "Images")
    page.write(tmp_path / "report.html", footer="the end")
    html = (tmp_path / "report.html").read_text()
    for text in ("One &amp; two", "Text with [brackets] and &lt;tags&gt;.", "a [b]"):
        assert text in html
    for text in ("One & two", "Text with [brackets]", "a [b]", "A table"):
        assert text in printed(page)
    assert "<title>A &lt;title&gt;</title>" in html
    assert html.count("<thead>") == 1
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["01.png"]
    png = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])
    image = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    assert image.min() < 50
    assert image.max() == 255


def test_text_before_the_first_section_has_the_title_of_the_page(page, tmp_path):
    page.text("First.")
    page.write(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "<h2" in html
    assert "First." in html


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_boards_show_every_number():
    boards = {"a": np.array([[1.0, -1 / 3], [0.0, 5 / 9]]), "b": np.eye(3)}
    figure = report.numbers(boards, framed=[(1, 0, 2)])
    assert texts(figure)[:4] == ["1", "−0.33", "0", "0.56"]
    assert len(texts(figure)) == 4 + 9
    assert [len(ax.patches) for ax in figure.axes] == [0, 1]


def test_curves_have_a_line_and_a_band_each():
    lines = {
        "up": (np.arange(3), np.arange(3.0), np.ones(3)),
        "flat": (np.arange(3), np.zeros(3), np.zeros(3)),
    }
    figure = report.curves({"one": lines, "two": lines}, x="time, s", y="error")
    assert [len(ax.lines) for ax in figure.axes] == [2, 2]
    band = figure.axes[0].collections[0].get_paths()[0].get_extents()
    assert (band.ymin, band.ymax) == (-1, 3)


def test_confusion_shows_counts():
    figure = report.confusion(np.array([[5, 1, 0], [0, 7, 0], [2, 0, 9]]), list("abc"))
    assert texts(figure) == ["5", "1", "7", "2", "9"]
    assert figure.axes[0].get_ylabel() == "true"
    assert figure.axes[0].get_xlabel() == "predicted"


def test_calibration_has_a_dot_for_each_example():
    true, predicted = np.array([1.0, 4.0, 2.0]), np.array([2.0, 3.0, 7.0])
    (ax,) = report.calibration(true, predicted, label="price, €").axes
    line, dots = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 1], [7, 7]])
    np.testing.assert_array_equal(dots.get_xydata(), np.stack([true, predicted], 1))
    assert ax.get_xlabel() == "true price, €"


def test_a_long_label_is_wrapped_and_numbers_are_not_cut():
    page = report.Page("", console=Console(width=30, file=io.StringIO()))
    page.table(
        ["", "accuracy"], [["a label that is wider than the rest", "123456789012"]]
    )
    lines = printed(page).splitlines()
    assert "123456789012" in printed(page)
    assert "…" not in printed(page)
    assert max(map(len, lines)) <= 30
