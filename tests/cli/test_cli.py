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
from cnn_jax.data.readers import ImageReader
from tests import files


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def typed(capsys, *words):
    """What a command printed, what it complained of, and its status."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(map(str, words)))
    out = capsys.readouterr()
    code = ended.value.code
    said = out.err if isinstance(code, int) else f"{out.err}{code}"
    return out.out, said, code if isinstance(code, int) else 1


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
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", *map(str, words)])
    assert ended.value.code == 0
    return runs / "train" / "a"


def test_a_run_holds_all_that_was_found_and_chosen(run, digits):
    about = trained.read_metadata(run)
    assert about.data == str(digits)
    assert about.model == "lenet5_relu"
    assert about.classes == tuple("0123456789")
    assert about.reader == {"kind": "image", "size": [32, 32], "channels": 1}
    splits = trained.read_splits(run)
    assert {n: len(names) for n, names in splits.items()}.keys() == {
        "train",
        "validation",
        "test",
    }
    assert sum(map(len, splits.values())) == 299
    assert json.loads((run / "broken.json").read_text()).keys() == {"4/0007.png"}
    page = (run / "report.html").read_text()
    for said in "lenet5_relu", "small grey", "4/0007.png", "affine", "validation":
        assert said in page


def test_evaluate_uses_the_test_split(run, capsys, digits):
    out, _, code = typed(capsys, "evaluate", run)
    assert code == 0
    counts = [int(line.split()[1]) for line in out.splitlines() if line[1:2].isdigit()]
    kept = trained.read_splits(run)["test"]
    assert counts == list(np.bincount([int(name[0]) for name in kept]))
    share = re.search(rf"all +{len(kept)} +([\d.]+)", out)[1]
    assert float(share) > 60
    other, said, code = typed(capsys, "evaluate", run, digits)
    assert code == 0
    assert "1 of 300 files" in said
    assert re.search("all +299", other)


def test_predict_tells_files_and_goes_on_past_broken_ones(run, capsys, digits):
    (digits / "3" / ".DS_Store").write_bytes(b"x")
    asked = [digits / "3", digits / "4" / "0007.png", digits / "none.png"]
    out, said, code = typed(capsys, "predict", run, *asked, "--format", "csv")
    assert code == 1
    assert "4/0007.png: no image that can be read" in said
    assert "none.png: No such file or directory" in said
    assert "2 of 32 files could not be read" in said
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
    table, said, code = typed(capsys, "predict", run, *some)
    assert (said, code) == ("", 0)
    told = [line.split() for line in table.splitlines()]
    found = json.loads(typed(capsys, "predict", run, *some, "--format", "json")[0])
    assert [row["file"] for row in found] == [line[0] for line in told]
    assert [row["class"] for row in found] == [line[1] for line in told]
    for row, line in zip(found, told, strict=True):
        assert f"{max(row['probabilities'].values()):.3f}" == line[2]


def test_one_compilation_serves_any_number_of_files(run, digits, monkeypatch):
    asked = []

    def logits(net, inputs, *, batch_size):
        asked.append((inputs.shape, batch_size))
        return np.zeros((len(inputs), 10), np.float32)

    monkeypatch.setattr(training, "predict", logits)
    every = sorted(digits.rglob("*.png"))
    found = list(trained.load(run).predict(every))
    assert [name for name, _ in found] == list(map(str, every))
    assert set(asked) == {((64, 32, 32, 1), 64)}
    assert len(asked) == 5


def test_only_some_files_are_held_at_a_time(run, monkeypatch):
    """What was read stays within a window of what was told."""
    read, most = [], 0

    def blank(reader, path):
        read.append(path)
        return np.zeros(reader.shape, np.uint8)

    monkeypatch.setattr(ImageReader, "read", blank)
    names = [f"{i}.png" for i in range(1000)]
    for told, _ in enumerate(trained.load(run).predict(names), 1):
        most = max(most, len(read) - told)
    assert len(read) == 1000
    assert most <= 64 + 64 + 1


def test_summary_models_and_datasets(run, capsys):
    out, _, code = typed(capsys, "summary", run)
    assert code == 0
    assert "c5 Conv" in out
    assert "61,706" in out
    out = typed(capsys, "datasets")[0]
    for name in VERSIONS:
        assert re.search(rf"^{name} +\S", out, re.MULTILINE)
    assert ".flac" in out


def test_models_are_listed_with_their_weights(capsys, monkeypatch):
    some = {name: models.MODELS[name] for name in ("lenet5", "mlp")}
    monkeypatch.setattr(models, "MODELS", some)
    out, _, code = typed(capsys, "models")
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
    out, _, code = typed(capsys, "evaluate", run)
    assert code == 0
    assert float(re.search(r"all +40 +([\d.]+)", out)[1]) > 80
    _, said, code = typed(capsys, "evaluate", run, tmp_path)
    assert "is not a CSV file" in said
    out, _, code = typed(capsys, "predict", run, table, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["file"] for row in rows] == [f"{table}:{i}" for i in range(1, 201)]
    with open(table, encoding="utf-8") as file:
        truth = [row["diagnosis"] for row in csv.DictReader(file)]
    told = [row["class"] for row in rows]
    assert np.mean([a == b for a, b in zip(told, truth, strict=True)]) > 0.9


@pytest.mark.full
def test_a_finished_run_is_resumed_to_the_same_end(table_run, capsys):
    run = table_run[1]
    before = typed(capsys, "evaluate", run)[0]
    out, _, code = typed(capsys, "resume", run)
    assert code == 0
    assert "as before" in out
    assert typed(capsys, "evaluate", run)[0] == before


@pytest.mark.full
def test_locality_prints_a_verdict_and_writes_a_page(tmp_path, capsys, digits):
    table = files.table(tmp_path / "cancer.csv", rows=120)
    lines = table.read_text().splitlines()
    lines = [f"{line},{i % 3}{'abc'[i % 3]}" for i, line in enumerate(lines[1:])]
    head = table.read_text().splitlines()[0] + ",group"
    table.write_text("\n".join([head, *lines]) + "\n")
    how = ["--budget", 9, "--seeds", 3, "--runs", tmp_path]
    out, _, code = typed(
        capsys, "locality", table, "--label", "diagnosis", *how, "--name", "t"
    )
    assert code == 0
    assert "'group' is text and became a column for each value" in out
    assert "t test" in out
    assert "boosted trees" in out
    page = (tmp_path / "locality" / "t" / "report.html").read_text()
    assert "exceeds that in other orders by" in page
    out, _, code = typed(capsys, "locality", digits, "--size", 8, *how, "--name", "d")
    assert code == 0
    assert any(headline in out for headline in locality.report.HEADLINES.values())
    assert "similar columns" not in out
    _, said, code = typed(capsys, "locality", table, "--label", "cost", *how)
    assert "`label` is 'cost', which is missing" in said
    assert code == 1


@pytest.mark.full
def test_sounds_are_learned_tested_and_asked(tmp_path, capsys):
    root = files.chirps(tmp_path / "chirps")
    words = [root, "--group", "speaker", "--epochs", 25, "--name", "s"]
    words += ["--runs", tmp_path]
    out, _, code = typed(capsys, "train", *words)
    assert code == 0
    assert "for audio: a log-mel spectrogram" in out
    run = tmp_path / "train" / "s"
    owners = [
        {n.split("_")[0][-1] for n in s} for s in trained.read_splits(run).values()
    ]
    assert not owners[0] & owners[2]
    out = typed(capsys, "evaluate", run)[0]
    assert float(re.search(r"all +30 +([\d.]+)", out)[1]) > 80
    asked = [root / "rises", tmp_path / "a.png"]
    out, said, code = typed(capsys, "predict", run, *asked)
    assert "it is an image, but audio is expected" in said
    assert code == 1
    assert len(out.splitlines()) == 40


@pytest.mark.full
def test_photographs_are_learned_tested_and_asked(tmp_path, capsys):
    root = files.crops(tmp_path / "photos", size=32)
    words = [root, "--epochs", 6, "--runs", tmp_path, "--name", "p"]
    out, _, code = typed(capsys, "train", *words)
    assert code == 0
    assert "resnet20, for images of 32 pixels" in out
    out = typed(capsys, "evaluate", tmp_path / "train" / "p")[0]
    assert float(re.search(r"all +24 +([\d.]+)", out)[1]) > 80
    found = trained.load(tmp_path / "train" / "p").predict(
        [root / "china" / "0000.jpg"]
    )
    ((_, logits),) = found
    assert logits.shape == (2,)


@pytest.mark.full
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_what_was_cut_off_can_be_tested_and_resumed(tmp_path, capsys, digits, how):
    command = [sys.executable, "-m", "cnn_jax", "train", digits, "--epochs", "12"]
    command += ["--runs", tmp_path, "--name", "c", "--broken", "0.05"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    said, sent = [], False
    with subprocess.Popen(list(map(str, command)), **options) as process:
        for line in process.stdout:
            said.append(line)
            if sum(line.startswith("epoch") for line in said) == 3 and not sent:
                sent = not process.send_signal(how)  # Once: twice means at once.
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[how], said
    assert not any("Traceback" in line for line in said), "".join(said)
    assert any(f"cnn-jax resume {tmp_path / 'train' / 'c'}" in line for line in said)
    run = tmp_path / "train" / "c"
    assert typed(capsys, "evaluate", run)[2] == 0
    out, _, code = typed(capsys, "resume", run)
    assert code == 0
    epochs = re.findall(r"^epoch (\d+),", out, re.MULTILINE)
    assert int(epochs[0]) in (4, 5)
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
    _, said, code = typed(capsys, *words)
    assert code != 0
    assert re.search(f"^error: .*{message}", said), said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "train").exists()


@pytest.mark.parametrize(("weights", "remark"), [((), True), (("balanced",), False)])
def test_classes_of_unequal_size_are_noticed(tmp_path, capsys, weights, remark):
    root = files.digits(tmp_path / "digits", per_class=20)
    for label in "23456789":
        shutil.rmtree(root / label)
    for file in sorted((root / "1").iterdir())[6:]:
        file.unlink()
    words = ["--epochs", 1, "--runs", tmp_path, "--name", "a"]
    words += ["--class-weights", *weights] if weights else []
    out, _, code = typed(capsys, "train", root, *words)
    assert code == 0
    assert ("--class-weights balanced" in out) == remark
    written = json.loads((tmp_path / "train" / "a" / "config.json").read_text())
    assert written["training"]["class_weights"] == (weights[0] if weights else None)
