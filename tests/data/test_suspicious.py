"""What is said about data before a training: identical examples, copies, labels."""

import itertools
import re

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data import fingerprint
from cnn_jax.data.csv_file import read_csv
from cnn_jax.data.identical import identities, remarks_on_identical
from cnn_jax.data.labels import known_labels, read_labels, remarks_on_labels
from cnn_jax.data.spelling import alike, appearance, joined
from cnn_jax.data.splits import split_rows
from cnn_jax.data.suspicious import copies_of_classes, copies_of_quantity, far_cells


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_rows_have_equal_fingerprints_if_and_only_if_they_are_equal(rng):
    x = rng.integers(0, 3, (200, 3)).astype(np.float32)
    y = rng.integers(0, 2, 200)
    found = fingerprint.of_rows(x, y)
    rows = [(*row.tolist(), label) for row, label in zip(x, y.tolist(), strict=True)]
    for (i, a), (j, b) in itertools.combinations(enumerate(rows), 2):
        assert (a == b) == (found[i] == found[j])
    turned = fingerprint.of_rows(np.asfortranarray(x), y)
    assert turned == found


def test_files_have_the_fingerprint_of_their_content(tmp_path):
    for name, content in {"a": b"x" * 9, "b": b"x" * 9, "c": b"x" * 8 + b"y"}.items():
        (tmp_path / name).write_bytes(content)
    found = fingerprint.of_files(tmp_path, ["a", "b", "c", "none"])
    assert found["a"] == found["b"] != found["c"]
    assert [text.split(":")[0] for text in found.values()] == ["9", "9", "9", ""]


@pytest.mark.parametrize("seed", range(5))
def test_identical_rows_are_in_one_split_and_others_as_without(rng, seed):
    labels = rng.integers(0, 3, 200)
    same = np.arange(200)
    alone = split_rows(labels, seed=seed)
    for name, rows in split_rows(labels, same=same, seed=seed).items():
        np.testing.assert_array_equal(rows, alone[name])
    same[100:] = rng.integers(0, 100, 100)
    parts = split_rows(labels, same=same, seed=seed)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(200))
    for one, two in itertools.combinations(parts.values(), 2):
        assert not set(same[one]) & set(same[two])
    assert 20 <= len(parts["test"]) <= 80
    assert set(labels[parts["train"]]) == {0, 1, 2}


def test_too_few_different_rows_are_split_as_they_are():
    labels, same = np.arange(60) % 2, np.arange(60) % 4
    parts = split_rows(labels, same=same)
    np.testing.assert_array_equal(parts["test"], split_rows(labels)["test"])
    many = np.where(np.arange(60) < 40, 0, np.arange(60))  # One example, 40 times.
    assert len(split_rows(labels, same=many)["test"]) <= 24


def test_leaks_and_contradictions_are_counted(rng):
    """Against loops over all pairs."""
    same, labels = rng.integers(0, 40, 60), rng.integers(0, 2, 60)
    parts = {"train": np.arange(40), "validation": np.arange(40, 48)}
    parts |= {"test": np.arange(48, 60)}
    names = [f"n{i}" for i in range(60)]
    found = "\n".join(
        remarks_on_identical(
            same, parts, names, kind="rows", cause="why", classes=list(map(str, labels))
        )
    )
    for split, others in (("test", range(48)), ("validation", range(40))):
        leaks = [i for i in parts[split] if any(same[i] == same[j] for j in others)]
        assert f"{len(leaks)} of {len(parts[split])} rows of the {split} split" in found
        one, two = map(
            int, re.search(rf"{split} split .*? n(\d+) to n(\d+)", found).groups()
        )
        assert one == leaks[0]
        assert same[one] == same[two]
        assert two in others
    odd = [
        i
        for i in range(60)
        if any(same[i] == same[j] and labels[i] != labels[j] for j in range(60))
    ]
    assert f"{len(odd)} rows are identical to one of another class" in found
    one, two = map(int, re.search(r"n(\d+) \('.'\) and n(\d+)", found).groups())
    assert one == odd[0]
    assert same[one] == same[two]
    assert labels[one] != labels[two]
    nothing = remarks_on_identical(
        np.arange(60), parts, names, kind="rows", cause="", classes=list("ab" * 30)
    )
    assert nothing == []


def test_identical_rows_of_a_table_are_kept_together(tmp_path, rng):
    cells = [f"{x:.3f},{k}" for k, x in enumerate(rng.normal(size=60))]
    lines = [f"{cell.split(',')[0]},n{i},{'ab'[i % 2]}" for i, cell in enumerate(cells)]
    doubled = [line.replace(",n", ",m") for line in lines]
    path = write(tmp_path / "a.csv", "x,name,y", *lines, *doubled)
    found = data.load(path, label="y")
    row = {n: split for split, own in found.origin.names.items() for n in own}
    assert all(row[str(i)] == row[str(i + 60)] for i in range(1, 61))
    assert any("60 rows are identical to an earlier" in n for n in found.origin.notes)
    grouped = data.load(path, label="y", group="name")
    assert any(n.endswith("`group` decides") for n in grouped.origin.notes)


def test_labels_of_one_number_are_one_class(tmp_path):
    labels = ["1", "1.0", "01", "2", "2", "+2"] * 4
    path = write(tmp_path / "a.csv", "a,y", *(f"{i},{y}" for i, y in enumerate(labels)))
    rows = read_csv(path)
    classes, found = read_labels(path, rows, "y")
    assert classes == ("1", "2")
    np.testing.assert_array_equal(found, np.array([0, 0, 0, 1, 1, 1] * 4))
    (note,) = remarks_on_labels(rows, "y")
    assert "12 label(s) '+2', '01', '1.0' were joined with '1', '2'" in note
    assert known_labels(["2.00", "3"], classes).tolist() == [1, -1]


def test_labels_are_joined_without_rounding():
    long = ["12345678901234567890", "12345678901234567891"]
    assert joined(long) == dict(zip(long, long, strict=True))
    assert joined(["1_0", "10", "0x1", "nan"])["1_0"] == "1_0"
    assert joined(["1e999999999", "1"])["1e999999999"] == "1e999999999"


def test_labels_that_look_alike():
    assert alike(["Yes", "no", "yes", "new  york", "New York"]) == [
        ["Yes", "yes"],
        ["new  york", "New York"],
    ]
    assert appearance("caf\u00e9") == appearance("cafe\u0301")
    assert alike(["1", "-1", "10", "1e1x"]) == []


def test_copies_of_the_label_are_found_and_nothing_else(rng):
    y = rng.integers(0, 3, 300)
    y[0] = 0
    table = {
        "code": [f"c{label}" for label in y],
        "number": [str(7 - label) for label in y],
        "mostly": [f"c{label}" if i % 5 else "" for i, label in enumerate(y)],
        "rarely": [f"c{label}" if i % 5 == 0 else "" for i, label in enumerate(y)],
        "two values": [str(label > 0) for label in y],
        "four values": [f"{label}{i % 2 if label == 1 else 0}" for i, label in
                        enumerate(y)],
        "one error": ["c1" if i == 0 else f"c{label}" for i, label in enumerate(y)],
        "noise": [str(x) for x in rng.normal(size=300)],
    }  # fmt: skip
    notes = copies_of_classes(table, y)
    assert [note.split("'")[1] for note in notes] == ["code", "number", "mostly"]


def test_copies_of_a_quantity_are_found_and_nothing_else(rng):
    price = rng.normal(1000, 300, 200)
    cents = np.round(100 * price)
    cents[:20] = np.nan
    near = price + rng.normal(0, 10, 200)
    columns = np.stack([cents, -3 * price + 5, near, np.zeros(200)], axis=1)
    notes = copies_of_quantity(["cents", "turned", "near", "none"], columns, price)
    assert [note.split("'")[1] for note in notes] == ["cents", "turned"]


def test_far_cells_are_found_and_heavy_tails_are_not(rng):
    x = rng.lognormal(0, 2, (500, 1))
    assert far_cells(["income"], x) == []
    assert far_cells(["rare"], np.eye(500)[:, :1]) == []
    assert far_cells(["empty"], np.full((9, 1), np.nan)) == []
    x[77] = -1e12
    (note,) = far_cells(["income"], x)
    assert "'income' has -1e+12 in row 78" in note


def test_a_number_too_far_for_a_column_is_refused(tmp_path, rng):
    lines = [f"{x:.3f},{i % 2}" for i, x in enumerate(rng.normal(size=60) / 100)]
    reader = data.load(
        write(tmp_path / "a.csv", "a,y", *lines), label="y"
    ).origin.reader
    assert np.isfinite(reader.read(write(tmp_path / "b.csv", "a", "1e30"))).all()
    with pytest.raises(ValueError, match=r"'a' has 3e\+38 in row 2, too far from the"):
        reader.read(write(tmp_path / "b.csv", "a", "1", "3e38"))
    with pytest.raises(ValueError, match=r"'4e38' in row 1, where a number up to 3.4e"):
        reader.read(write(tmp_path / "b.csv", "a", "4e38"))


def test_examples_get_one_number_per_content():
    assert identities([(1, "a"), (1, "b"), (1, "a")]).tolist() == [0, 1, 0]
