"""The examples of a run are found again in data that have changed, or it is refused."""

import csv
import random
import shutil
import warnings

import numpy as np
import pytest

from cnn_jax import data, trained, training
from cnn_jax.data.splits import with_validation
from cnn_jax.trained.find import match
from tests import files


def run_on(folder, path, model, **options):
    """A run folder without weights."""
    dataset = with_validation(data.load(path, **options))
    about = trained.make_metadata(dataset, model, str(path), label=options.get("label"))
    run = training.Run.create(folder, "train", "a", about).folder
    trained.write_splits(run, dataset)
    return run, dataset


def read(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(
            csv.reader(file, delimiter=";" if path.name == "sales.csv" else ",")
        )


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=";" if path.name == "sales.csv" else ",").writerows(
            rows
        )


def assert_same(run, dataset):
    found = trained.load_data(run)
    assert found.classes == dataset.classes
    assert found.splits().keys() == dataset.splits().keys()
    for name, split in dataset.splits().items():
        for field, array in split.items():
            np.testing.assert_array_equal(found.splits()[name][field], array)


@pytest.fixture(params=["cancer.csv", "sales.csv", "random.csv"])
def table(request, tmp_path, rng):
    path = tmp_path / request.param
    if path.name == "random.csv":  # Few different rows, with random labels.
        cells = rng.integers(0, 3, (300, 4)).tolist()
        write(path, [["a", "b", "c", "y"], *cells])
        return path, *run_on(tmp_path, path, "mlp", label="y")
    make, label = {
        "cancer.csv": (files.table, "diagnosis"),
        "sales.csv": (files.sales, "price"),
    }[path.name]
    make(path, rows=120)
    return path, *run_on(tmp_path, path, "mlp", label=label)


@pytest.mark.parametrize("seed", range(3))
def test_rows_in_any_order_are_the_same_splits(table, seed):
    path, run, dataset = table
    names, *rows = read(path)
    drawn = random.Random(seed)
    drawn.shuffle(rows)
    order = list(range(len(names)))
    drawn.shuffle(order)
    write(path, [[row[i] for i in order] for row in (names, *rows)])
    with warnings.catch_warnings(action="error"):
        assert_same(run, dataset)


def test_rows_that_were_inserted_are_not_used(table):
    path, run, dataset = table
    names, *rows = read(path)
    write(path, [names, *rows[:9], *rows[30:35], *rows[9:]])
    with pytest.warns(UserWarning, match=r"5 row\(s\) of .* are in no split"):
        assert_same(run, dataset)


def test_every_row_that_is_gone_is_named(table):
    path, run, dataset = table
    names, *rows = read(path)
    for split, own in dataset.origin.names.items():
        gone = int(own[3]) - 1
        write(path, [names, *rows[:gone], *rows[gone + 1 :]])
        with pytest.raises(ValueError, match="has changed since the tra") as raised:
            trained.load_data(run)
        if "random" not in path.name:  # There, any row of the same cells is as good.
            count = len(own)
            assert f"1 of {count} rows of the {split} split" in str(raised.value)
            assert f"the first of them row {gone + 1}." in str(raised.value)


def test_doubled_rows_are_used_once_each():
    found = match({"train": ["a", "b", "a"], "test": ["a"]}, enumerate("bcaaca"))
    assert found == {"train": [2, 0, 3], "test": [5]}
    assert match({"test": ["a", "a"]}, enumerate("a")) == {"test": [0, None]}


@pytest.fixture
def folder(tmp_path):
    root = files.digits(tmp_path / "digits", per_class=8)
    return root, *run_on(tmp_path, root, "lenet5_relu", size=32)


def test_renamed_files_are_the_same_splits(folder):
    root, run, dataset = folder
    for digit in root.iterdir():
        found = sorted(digit.iterdir())
        for file in found:
            file.rename(file.with_suffix(".old"))
        for file, new in zip(found, found[3:] + found[:3], strict=True):
            file.with_suffix(".old").rename(new)
    with warnings.catch_warnings(action="error"):
        assert_same(run, dataset)
        about = trained.read_metadata(run)
        test = trained.Trained(run, about, about.build(), dataset.reader).examples()
    np.testing.assert_array_equal(test["image"], dataset.test["image"])


def test_a_new_class_does_not_move_the_others(folder):
    root, run, dataset = folder
    shutil.copytree(root / "3", root / "!new")
    with pytest.warns(UserWarning, match=r"8 file\(s\) of"):
        assert_same(run, dataset)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_files_that_are_gone_altered_or_in_another_class_are_named(folder, split):
    root, run, dataset = folder
    first = dataset.origin.names[split][0]
    file, other = root / first, root / ("8" if first[0] == "9" else "9") / "new.png"
    content = file.read_bytes()
    expected = rf"1 of \d+ files of the {split} split are gone, .* them {first}\."
    file.rename(other)
    with pytest.raises(ValueError, match=expected):
        trained.load_data(run)
    other.unlink()
    with pytest.raises(ValueError, match=expected):
        trained.load_data(run)
    file.write_bytes(content[:-1] + b"x")
    with pytest.raises(ValueError, match=expected):
        trained.load_data(run)
    file.write_bytes(content)
    assert_same(run, dataset)


def test_a_named_data_set_that_changed_is_refused(tmp_path, data_dir, monkeypatch):
    dataset = with_validation(data.load("digits", data_dir=data_dir))
    about = trained.make_metadata(
        dataset, "lenet5_relu", "digits", data_dir=str(data_dir)
    )
    run = training.Run.create(tmp_path, "train", "a", about).folder
    with pytest.warns(UserWarning, match="has no fingerprints of digits"):
        trained.load_data(run)
    trained.write_splits(run, dataset)
    with warnings.catch_warnings(action="error"):
        assert_same(run, dataset)

    def now(**arrays):
        changed = data.Dataset(
            dataset.train, dataset.test | arrays, dataset.classes, dataset.validation
        )
        monkeypatch.setattr(data, "load", lambda *_, **__: changed)

    now(image=dataset.test["image"][::-1])
    with pytest.warns(UserWarning, match="inputs of the test split of digits are not"):
        trained.load_data(run)
    now(label=dataset.test["label"][::-1])
    with pytest.raises(ValueError, match="digits has changed .* the test split has ot"):
        trained.load_data(run)
