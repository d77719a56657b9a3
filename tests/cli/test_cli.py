"""`cnn-jax`, as it is typed."""

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from cnn_jax import cli, locality, models, trained, training
from cnn_jax.data.builders import VERSIONS
from tests import files


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def run_cli(capsys, *words):
    """What a command printed, what it complained of, and its status."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(map(str, words)))
    out = capsys.readouterr()
    code = ended.value.code
    text = out.err if isinstance(code, int) else f"{out.err}{code}"
    return out.out, text, code if isinstance(code, int) else 1


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    return files.digits(root / "digits", per_class=30)


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """A run that every command may read."""
    runs = tmp_path_factory.mktemp("runs")
    (digits / "4" / "0007.png").write_bytes(b"broken")
    words = [digits, "--epochs", 12, "--runs", runs, "--name", "a"]
    words += ["--model", "lenet5_relu", "--augment", "affine", "elastic"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", *map(str, words)])
    assert ended.value.code == 0
    return runs / "train" / "a"


def test_a_run_holds_all_that_was_found_and_chosen(run, digits):
    about = trained.read_metadata(run)
    assert about.data == str(digits)
    assert about.model == "lenet5_relu"
    assert about.classes == tuple("0123456789")
    assert about.reader == {
        "kind": "image",
        "size": [32, 32],
        "channels": 1,
        "framing": "pad",
    }
    splits = trained.read_splits(run)
    assert {n: len(names) for n, names in splits.items()}.keys() == {
        "train",
        "validation",
        "test",
    }
    assert sum(map(len, splits.values())) == 299
    assert json.loads((run / "broken.json").read_text()).keys() == {"4/0007.png"}
    page = (run / "report.html").read_text()
    for text in "lenet5_relu", "4/0007.png", "affine", "Result: ":
        assert text in page


def test_evaluate_uses_the_test_split(run, capsys, digits):
    out, _, code = run_cli(capsys, "evaluate", run)
    assert code == 0
    counts = [
        int(line.split()[1])
        for line in out.splitlines()
        if line[:2].strip().isdigit() and line[0] == " "
    ]
    kept = trained.read_splits(run)["test"]
    assert counts == list(np.bincount([int(name[0]) for name in kept]))
    share = re.search(rf"all +{len(kept)} +([\d.]+)", out)[1]
    assert float(share) > 60
    other, text, code = run_cli(capsys, "evaluate", run, digits)
    assert code == 0
    assert "1 of 300 files" in text
    assert re.search("all +299", other)


def test_predict_tells_files_and_goes_on_past_broken_ones(run, capsys, digits):
    (digits / "3" / ".DS_Store").write_bytes(b"x")
    asked = [digits / "3", digits / "4" / "0007.png", digits / "none.png"]
    out, text, code = run_cli(capsys, "predict", run, *asked, "--format", "csv")
    assert code == 1
    assert "4/0007.png: no image that can be read" in text
    assert "none.png: No such file or directory" in text
    assert "2 of 32 files could not be read" in text
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["file"] for row in rows] == sorted(
        map(str, (digits / "3").glob("*.png"))
    )
    assert sum(row["class"] == "3" for row in rows) > 20
    for row in rows:
        shares = {name: float(row[name]) for name in "0123456789"}
        assert abs(sum(shares.values()) - 1) < 1e-4
        assert max(shares, key=shares.get) == row["class"]


def test_a_folder_without_validation_is_found_again_as_it_was(digits, tmp_path):
    """Resuming needs the same training split."""
    for split, some in {"train": "0[0-9]", "test": "1[0-4]"}.items():
        for digit in "37":
            where = tmp_path / "data" / split / digit
            where.mkdir(parents=True)
            for file in (digits / digit).glob(f"00{some}.png"):
                shutil.copy(file, where)
    train = cli.Train(data=str(tmp_path / "data"), seed=3)
    found = train._load()
    assert len(found.validation["label"]) == 2
    about = trained.make_metadata(found, "lenet5_relu", train._source(), seed=3)
    run = training.Run.create(tmp_path, "train", "a", about).folder
    trained.write_splits(run, found)
    again = trained.load_data(run)
    for name, split in found.splits().items():
        for field, array in split.items():
            np.testing.assert_array_equal(again.splits()[name][field], array)


def test_formats_say_the_same(run, capsys, digits):
    some = [digits / "8" / f"{i:04}.png" for i in range(5)]
    table, text, code = run_cli(capsys, "predict", run, *some)
    assert (text, code) == ("", 0)
    counted = [line.split() for line in table.splitlines()]
    found = json.loads(run_cli(capsys, "predict", run, *some, "--format", "json")[0])
    assert [row["file"] for row in found] == [line[0] for line in counted]
    assert [row["class"] for row in found] == [line[1] for line in counted]
    for row, line in zip(found, counted, strict=True):
        assert f"{max(row['probabilities'].values()):.3f}" == line[2]


def test_summary_models_and_datasets(run, capsys):
    out, _, code = run_cli(capsys, "summary", run)
    assert code == 0
    assert "c5 Conv" in out
    assert "61,706" in out
    out = run_cli(capsys, "datasets")[0]
    for name in VERSIONS:
        assert re.search(rf"^{name} +\S", out, re.MULTILINE)
    assert ".flac" in out


def test_models_are_listed_with_their_weights(capsys, monkeypatch):
    some = {name: models.MODELS[name] for name in ("lenet5", "mlp")}
    monkeypatch.setattr(models, "MODELS", some)
    out, _, code = run_cli(capsys, "models")
    assert code == 0
    assert re.search(r"lenet5 +32×32×1 +61,706", out)
    assert re.search(r"mlp +30 +12,874", out)


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    root = tmp_path_factory.mktemp("table")
    table = files.table(root / "cancer.csv", rows=200)
    words = ["train", table, "--label", "diagnosis", "--epochs", 20, "--name", "t"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*map(str, words), "--runs", str(root)])
    assert ended.value.code == 0
    return table, root / "train" / "t"


@pytest.mark.full
def test_a_table_is_learned_tested_and_asked(table_run, capsys, tmp_path):
    table, run = table_run
    out, _, code = run_cli(capsys, "evaluate", run)
    assert code == 0
    assert float(re.search(r"all +40 +([\d.]+)", out)[1]) > 80
    _, text, code = run_cli(capsys, "evaluate", run, tmp_path)
    assert "is not a CSV file" in text
    out, _, code = run_cli(capsys, "predict", run, table, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["file"] for row in rows] == [f"{table}:{i}" for i in range(1, 201)]
    with open(table, encoding="utf-8") as file:
        truth = [row["diagnosis"] for row in csv.DictReader(file)]
    counted = [row["class"] for row in rows]
    assert np.mean([a == b for a, b in zip(counted, truth, strict=True)]) > 0.9


@pytest.mark.full
def test_a_finished_run_is_resumed_to_the_same_end(table_run, capsys):
    run = table_run[1]
    before = run_cli(capsys, "evaluate", run)[0]
    out, _, code = run_cli(capsys, "resume", run)
    assert code == 0
    assert "as before" in out
    assert run_cli(capsys, "evaluate", run)[0] == before


@pytest.mark.full
def test_random_labels_stay_random_after_the_table_is_sorted(tmp_path, capsys):
    """Sorting would move rows of the training into the test."""
    rng = np.random.default_rng(0)
    lines = [
        ",".join([*(f"{x:.4f}" for x in rng.normal(size=3)), "pq"[rng.integers(2)]])
        for _ in range(300)
    ]
    table = tmp_path / "a.csv"
    table.write_text("\n".join(["a,b,c,y", *lines]) + "\n", "utf-8")
    words = ["--label", "y", "--epochs", 40, "--runs", tmp_path, "--name", "r"]
    assert run_cli(capsys, "train", table, *words)[2] == 0
    run = tmp_path / "train" / "r"
    before = run_cli(capsys, "evaluate", run)
    table.write_text("\n".join(["a,b,c,y", *sorted(lines)]) + "\n", "utf-8")
    assert run_cli(capsys, "evaluate", run) == before
    assert run_cli(capsys, "resume", run)[2] == 0
    assert run_cli(capsys, "evaluate", run) == before
    table.write_text("\n".join(["a,b,c,y", *sorted(lines)[:150]]) + "\n", "utf-8")
    out, text, code = run_cli(capsys, "evaluate", run)
    assert (out, code) == ("", 1)
    assert re.search(r"\d+ of 60 rows of the test split are gone", text)


@pytest.fixture(scope="module")
def sales_run(tmp_path_factory):
    """A run on a quantity, and its table."""
    root = tmp_path_factory.mktemp("sales")
    table = files.sales(root / "sales.csv")
    words = ["train", table, "--label", "price", "--epochs", 25, "--name", "q"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*map(str, words), "--runs", str(root)])
    assert ended.value.code == 0
    return table, root / "train" / "q"


@pytest.mark.full
def test_a_quantity_is_learned_tested_and_asked(sales_run, capsys):
    table, run = sales_run
    page = (run / "report.html").read_text()
    for text in "Predictions of", "Predicted against true", "is an identifier":
        assert text in page
    assert "True classes (rows)" not in page
    out, _, code = run_cli(capsys, "evaluate", run)
    assert code == 0
    value, low, high = map(
        float, re.search(r"RMSE +([\d.]+) +([\d.]+) to ([\d.]+)", out).groups()
    )
    baseline = float(re.search(r"predicting the mean +([\d.]+)", out)[1])
    assert low < value < high < 0.6 * baseline
    assert float(re.search(r"RMSE of boosted trees +([\d.]+)", out)[1]) < baseline
    assert run_cli(capsys, "resume", run)[2] == 0
    assert run_cli(capsys, "evaluate", run)[0] == out
    out, _, code = run_cli(capsys, "predict", run, table, "--format", "csv")
    assert code == 0
    predicted = [float(row["price"]) for row in csv.DictReader(io.StringIO(out))]
    with open(table, encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    truth = np.array([float(row["price"].replace(",", ".")) for row in rows])
    kept = np.int64(trained.read_splits(run)["test"]) - 1
    errors = np.array(predicted)[kept] - truth[kept]
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(value, rel=1e-3)
    found = json.loads(run_cli(capsys, "predict", run, table, "--format", "json")[0])
    assert [row["price"] for row in found] == pytest.approx(predicted, rel=1e-6)


@pytest.mark.full
def test_new_rows_with_unknown_values_are_predicted(sales_run, capsys, tmp_path):
    run = sales_run[1]
    lines = ["town;size;sold", "Atlantis;12,5;1.2.2024", ";;", "Ulm;1,5;x"]
    later = tmp_path / "later.csv"
    later.write_text("\n".join(lines[:3]) + "\n", "utf-8")
    out, _, code = run_cli(capsys, "predict", run, later)
    assert code == 0
    assert np.isfinite([float(line.split()[1]) for line in out.splitlines()]).all()
    later.write_text("\n".join(lines) + "\n", "utf-8")
    _, text, code = run_cli(capsys, "predict", run, later)
    assert code == 1
    assert "later.csv: column 'sold' has 'x' in row 3, where a date" in text


@pytest.mark.full
def test_locality_prints_a_verdict_and_writes_a_page(tmp_path, capsys, digits):
    table = files.table(tmp_path / "cancer.csv", rows=120)
    lines = table.read_text().splitlines()
    lines = [f"{line},{i % 3}{'abc'[i % 3]}" for i, line in enumerate(lines[1:])]
    head = table.read_text().splitlines()[0] + ",group"
    table.write_text("\n".join([head, *lines]) + "\n")
    kwargs = ["--budget", 9, "--seeds", 3, "--runs", tmp_path]
    out, _, code = run_cli(
        capsys, "locality", table, "--label", "diagnosis", *kwargs, "--name", "t"
    )
    assert code == 0
    assert "'group' is text and became a column for each value" in out
    assert "t test" in out
    assert "boosted trees" in out
    page = (tmp_path / "locality" / "t" / "report.html").read_text()
    assert "exceeds that in other orders by" in page
    out, _, code = run_cli(
        capsys, "locality", digits, "--size", 8, *kwargs, "--name", "d"
    )
    assert code == 0
    assert any(headline in out for headline in locality.report.HEADLINES.values())
    assert "similar columns" not in out
    _, text, code = run_cli(capsys, "locality", table, "--label", "cost", *kwargs)
    assert "`label` is 'cost', which is missing" in text
    assert code == 1


@pytest.mark.full
def test_sounds_are_learned_tested_and_asked(tmp_path, capsys):
    root = files.chirps(tmp_path / "chirps")
    words = [root, "--group", "speaker", "--epochs", 25, "--name", "s"]
    words += ["--runs", tmp_path]
    out, _, code = run_cli(capsys, "train", *words)
    assert code == 0
    assert "for audio: a log-mel spectrogram" in out
    run = tmp_path / "train" / "s"
    owners = [
        {n.split("_")[0][-1] for n in s} for s in trained.read_splits(run).values()
    ]
    assert not owners[0] & owners[2]
    out = run_cli(capsys, "evaluate", run)[0]
    assert float(re.search(r"all +30 +([\d.]+)", out)[1]) > 80
    asked = [root / "rises", tmp_path / "a.png"]
    out, text, code = run_cli(capsys, "predict", run, *asked)
    assert "it is an image, but audio is expected" in text
    assert code == 1
    assert len(out.splitlines()) == 40


@pytest.mark.full
def test_photographs_are_learned_tested_and_asked(tmp_path, capsys):
    root = files.crops(tmp_path / "photos", size=32)
    words = [root, "--epochs", 6, "--runs", tmp_path, "--name", "p"]
    out, _, code = run_cli(capsys, "train", *words)
    assert code == 0
    assert "small_vgg, for " in out
    out = run_cli(capsys, "evaluate", tmp_path / "train" / "p")[0]
    assert float(re.search(r"all +24 +([\d.]+)", out)[1]) > 80
    found = trained.load(tmp_path / "train" / "p").predict(
        [root / "china" / "0000.jpg"]
    )
    ((_, logits),) = found
    assert logits.shape == (2,)


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_cut_off_can_be_tested_and_resumed(tmp_path, capsys, digits, number):
    command = [sys.executable, "-m", "cnn_jax", "train", digits, "--epochs", "12"]
    command += ["--runs", tmp_path, "--name", "c", "--broken", "0.05"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    text, sent = [], False
    with subprocess.Popen(list(map(str, command)), **options) as process:
        for line in process.stdout:
            text.append(line)
            if sum(line.startswith("epoch") for line in text) == 3 and not sent:
                sent = not process.send_signal(number)  # Once: twice means at once.
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], text
    assert not any("Traceback" in line for line in text), "".join(text)
    assert any(f"cnn-jax resume {tmp_path / 'train' / 'c'}" in line for line in text)
    run = tmp_path / "train" / "c"
    assert run_cli(capsys, "evaluate", run)[2] == 0
    out, _, code = run_cli(capsys, "resume", run)
    assert code == 0
    epochs = re.findall(r"^epoch (\d+),", out, re.MULTILINE)
    assert int(epochs[0]) in (5, 6)  # A line is printed for every tenth.
    assert epochs[-1] == "12"
    assert "On the test split" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["train", "{digits}", "--model", "resnet19"],
            "no network 'resnet19'",
        ),
        (
            ["train", "{digits}", "--model", "sound_net"],
            "reads audio, but the",
        ),
        (
            ["train", "{digits}", "--model", "lenet5", "--size", "20"],
            "at least 32",
        ),
        (
            ["train", "{digits}", "--label", "x"],
            "`label` is 'x', which a folder",
        ),
        (
            ["train", "{digits}", "--epochs", "0"],
            "`epochs` is 0, but must",
        ),
        (["train", "{digits}", "--batch-size", "999"], "`batch_size` is 999"),
        (["train", "nowhere"], "no data set 'nowhere', neither here"),
        (["train", "{table}"], "`label` is needed; .* has the columns"),
        (
            ["train", "{table}", "--label", "diagnosis", "--model", "vgg11"],
            "'vgg11', which reads images, but the data are rows of a table; 'mlp'",
        ),
        (["evaluate", "{digits}"], "is no run: .* but it has 0, 1, 2, 3, 4"),
        (["evaluate", "nowhere"], "nowhere is no run"),
        (["predict", "{run}"], "`files` is empty, but a prediction"),
        (["summary", "resnet19"], "no network 'resnet19'"),
        (
            ["evaluate", "{run}", "{other}"],
            "class.es. A, B, but .* trained on 0, 1",
        ),
        (["evaluate", "{run}", "{table}"], "is a table, but .* trained on images"),
        (["resume", "{digits}"], "is no run"),
    ],
)
def test_refusals_are_one_line(words, message, digits, run, capsys, tmp_path):
    (digits / "4" / "0007.png").unlink(missing_ok=True)
    for name in "AB":
        shutil.copytree(digits / "1", tmp_path / "other" / name)
    positions = {
        "digits": digits,
        "run": run,
        "other": tmp_path / "other",
        "table": files.table(tmp_path / "cancer.csv", rows=30),
    }
    words = [word.format(**positions) for word in words]
    if words[0] == "train":
        words += ["--runs", str(tmp_path), "--data-dir", str(tmp_path)]
    _, text, code = run_cli(capsys, *words)
    assert code != 0
    assert re.search(f"^error: .*{message}", text), text
    assert len(text.strip().splitlines()) == 1
    assert not (tmp_path / "train").exists()


@pytest.mark.full
@pytest.mark.parametrize(("weights", "remark"), [((), True), (("balanced",), False)])
def test_classes_of_unequal_size_are_noticed(tmp_path, capsys, weights, remark):
    root = files.digits(tmp_path / "digits", per_class=20)
    for label in "23456789":
        shutil.rmtree(root / label)
    for file in sorted((root / "1").iterdir())[6:]:
        file.unlink()
    words = ["--epochs", 1, "--runs", tmp_path, "--name", "a"]
    words += ["--class-weights", *weights] if weights else []
    out, _, code = run_cli(capsys, "train", root, *words)
    assert code == 0
    assert ("--class-weights balanced" in out) == remark
    written = json.loads((tmp_path / "train" / "a" / "config.json").read_text())
    assert written["training"]["class_weights"] == (weights[0] if weights else None)
