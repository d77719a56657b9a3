"""`cnn-jax explain`, on runs of images, sounds, a table and a quantity."""

import json
import re

import numpy as np
import pytest

from cnn_jax import cli
from cnn_jax.cli.methods import METHODS, WARNING
from tests.hostile import runs
from tests.hostile.case import inside

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of every kind, and their data."""
    where = tmp_path_factory.mktemp("explained")
    for name in runs.RUNS:
        runs.make(where, name)
    return where


@pytest.fixture
def explain(folder, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "150")
    count = iter(range(1000))

    def call(*words):
        name = f"{next(count)}-{abs(hash(words))}"
        with inside(folder), pytest.raises(SystemExit) as ended:
            cli.main(["explain", *map(str, words), "--name", name])
        out = capsys.readouterr()
        code = ended.value.code
        where = folder / "runs" / "explain" / name
        pages = sorted(where.glob("*/report.html"))
        text = out.err if isinstance(code, int) else f"{out.err}{code}"
        return out.out, text, code, [page.read_text() for page in pages]

    return call


def test_a_page_for_each_image(explain):
    files = ["scans/3/0001.png", "scans/8/0002.png"]
    out, _, code, pages = explain("runs/train/images", *files)
    assert code == 0
    assert len(pages) == 2
    for file, html in zip(files, pages, strict=True):
        assert file in html
        assert html.count("<img") == 4  # Image, maps, nearest examples, a unit.
        for part in ("probability", "% of the mass", "The arithmetic of the logit"):
            assert part in html
        assert "the scores sum to that with an error of" in html
    mass = re.findall(r"(?:top|middle|bottom) +([\d.]+) +([\d.]+) +([\d.]+)", out)
    assert len(mass) == 6
    shares = np.array(mass, float).reshape(2, 9).sum(axis=1)
    np.testing.assert_allclose(shares, 100, atol=0.5)


def test_the_products_and_the_bias_are_the_logit(explain):
    out, *_ = explain("runs/train/images", "scans/3/0001.png", "--target", "5")
    logit = float(re.search(r"^ 5 +[\d.]+ +(-?[\d.]+) *$", out, re.M)[1])
    part = out.split("The arithmetic of the logit")[1].split("From the logit")[0]
    *terms, total = [
        float(line.split()[-1]) for line in part.splitlines()[2:] if line.strip()
    ]
    assert abs(sum(terms) - total) < 1e-3
    assert abs(total - logit) < 1e-3
    assert "Why '5'?" in out


@pytest.mark.parametrize("method", METHODS)
def test_every_method_explains_images_and_sounds(explain, method):
    for run, file in (
        ("images", "scans/3/0001.png"),
        ("sounds", "chirps/rises/speaker-1_001.flac"),
    ):
        _, _, code, (html,) = explain(f"runs/train/{run}", file, "--method", method)
        assert code == 0
        assert (WARNING in html) == (method == "guided_backprop")
        assert f"({method})" in html


def test_a_sound_is_explained_in_the_picture_and_down_to_the_wave(explain):
    file = "chirps/falls/speaker-0_000.wav"
    out, _, code, (html,) = explain("runs/train/sounds", file)
    assert code == 0
    assert html.count("<audio") == 1 + 5 + 8
    assert "Scores over the spectrogram" in html
    assert "the fall of the logit where a part is silenced" in html
    assert "From silence to this input" in out


def test_rows_of_a_table_have_scores_for_columns(explain):
    out, _, code, (html,) = explain("runs/train/table", "cancer.csv", "--rows", 2)
    assert code == 0
    assert "cancer.csv:2" in out
    assert "cancer.csv:3" not in out
    assert "78 more rows are left out" in html
    assert "Scores of the columns" in html
    out, text, code, _ = explain(
        "runs/train/table", "cancer.csv", "--method", "grad_cam"
    )
    assert code == 1
    assert "no stage with spatial axes" in text


def test_a_quantity_is_explained_in_its_own_unit(explain):
    out, _, code, _ = explain("runs/train/prices", "sales.csv", "--rows", 1)
    assert code == 0
    change = re.search(r"the predicted price changes by (-?[\d.]+)", out)[1]
    assert abs(float(change)) > 1.5  # Euros, not standard deviations.
    assert "Red raises the predicted price" in " ".join(out.split())
    _, text, code, _ = explain("runs/train/prices", "sales.csv", "--target", "high")
    assert code == 1
    assert "predicts a quantity, 'price'" in text


def test_files_that_cannot_be_read_are_reported(explain, folder):
    (folder / "broken.png").write_bytes(b"broken")
    files = ["broken.png", "scans/3/0001.png", "none.png"]
    _, text, code, pages = explain("runs/train/images", *files)
    assert code == 1
    assert len(pages) == 1
    assert "2 of 3 files could not be read" in text
    assert re.search("none.png: No such file", text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", "eleven"], "`target` is 'eleven', but the classes of"),
        (["--rows", "0"], "`rows` is 0"),
    ],
)
def test_wrong_options_are_one_line(explain, words, said):
    _, text, code, pages = explain("runs/train/images", "scans/3/0001.png", *words)
    assert code == 1
    assert said in text
    assert pages == []


def test_without_the_training_data_the_rest_is_explained(explain, folder):
    run = folder / "runs" / "train" / "images" / "config.json"
    before = run.read_text()
    fields = json.loads(before)
    fields["data"] = str(folder / "moved")
    run.write_text(json.dumps(fields))
    try:
        out, _, code, (html,) = explain("runs/train/images", "scans/3/0001.png")
    finally:
        run.write_text(before)
    assert code == 0
    assert "The training data cannot be read" in out
    assert html.count("<img") == 2


def test_reports_of_trainings_explain_their_worst_errors(folder):
    images, sounds, table = (
        (folder / "runs" / "train" / name / "report.html").read_text()
        for name in ("images", "sounds", "table")
    )
    for html in (images, sounds):
        assert "Why the worst errors?" in html
        assert "Integrated gradients of the predicted class" in html
    assert (
        "Why the worst errors?"
        not in (folder / "runs" / "train" / "prices" / "report.html").read_text()
    )
    assert ("Why the worst errors?" in table) == ("largest score" in table)
