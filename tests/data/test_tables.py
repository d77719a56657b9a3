"""Tables with text, dates, amounts, identifiers and quantities."""

import datetime
import json

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data.cells import date, number
from cnn_jax.data.columns import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    NumberColumn,
)
from cnn_jax.data.labels import strata
from cnn_jax.data.readers import from_fields, to_fields
from cnn_jax.data.recognise import decimal_of, recognise
from cnn_jax.data.table_file import read_rows


def write(path, *lines, end="\n", bom=False):
    text = end.join(lines) + end
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode())
    return path


def column(name, cells):
    """The only column that is recognised, or None, and the remark on it."""
    found = recognise({name: [str(cell) for cell in cells]})
    return (found.columns or (None,))[0], "; ".join(found.notes)


def shop(count=80):
    """Rows with a name, a city, a day, an amount, a reply and a class."""
    cities = ["Bonn"] * 5 + ["Ulm"] * 2 + [""]
    for i in range(count):
        city = "Jena" if i in (3, 40) else cities[i % 8]
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=i)
        yield [
            f"customer {i}",
            city,
            f"{day:%d.%m.%Y}",
            f"€ {i},50",
            ("ja", "nein")[i % 3 == 0],
            "ab"[i % 2],
        ]


NAMES = ["name", "city", "since", "spent", "reply", "kind"]


def shop_file(path, rows=None):
    lines = [";".join(row) for row in rows or shop()]
    return write(path, ";".join(NAMES), *lines, end="\r\n", bom=True)


@pytest.mark.parametrize(
    ("cell", "decimal", "want"),
    [
        ("1,234.50", ".", 1234.5),
        ("1.234,50", ",", 1234.5),
        ("€ 12,50", ",", 12.5),
        ("12,50 €", ",", 12.5),
        ("-$1,000", ".", -1000),
        ("$ -3", ".", -3),
        ("−4", ".", -4),
        ("12 %", ".", 12),
        ("1 234 567,8 EUR", ",", 1234567.8),
        ("1'234.5", ".", 1234.5),
        ("1e-3", ".", 0.001),
        ("1,5e3", ",", 1500),
        (".5", ".", 0.5),
    ],
)
def test_numbers_are_those_of_the_definition(cell, decimal, want):
    assert number(cell, decimal) == pytest.approx(want)


@pytest.mark.parametrize(
    ("cell", "decimal"),
    [
        ("12,50", "."),
        ("1.5", ","),
        ("0,123", "."),
        ("1,23,456", "."),
        ("12, abc", "."),
        ("3 4", "."),
        ("€", "."),
        ("1-2", "."),
        ("12 kg", ","),
    ],
)
def test_other_cells_are_no_numbers(cell, decimal):
    assert np.isnan(number(cell, decimal))


@pytest.mark.parametrize(
    ("cell", "order", "want"),
    [
        ("2024-03-05", "YMD", "2024-03-05"),
        ("2024/3/5", "YMD", "2024-03-05"),
        ("5.3.2024", "DMY", "2024-03-05"),
        ("5/3/24", "DMY", "2024-03-05"),
        ("3/5/1969", "MDY", "1969-03-05"),
        ("1/2/70", "DMY", "1970-02-01"),
        ("2024-03-05T18:00:00Z", "YMD", "2024-03-05T18:00"),
        ("2024-03-05 18:00:30", "YMD", "2024-03-05T18:00:30"),
        ("2024-03-05T18:00+02:00", "YMD", "2024-03-05T16:00"),
        ("2024-03-05T18:00-0330", "YMD", "2024-03-05T21:30"),
        ("3/5/2024 12:15 AM", "MDY", "2024-03-05T00:15"),
        ("3/5/2024 3:15 pm", "MDY", "2024-03-05T15:15"),
    ],
)
def test_dates_are_days_since_1970(cell, order, want):
    seconds = (np.datetime64(want, "s") - np.datetime64("1970-01-01", "s")).astype(int)
    assert date(cell, order) == pytest.approx(seconds / 86400, abs=1e-9)


@pytest.mark.parametrize(
    ("cell", "order"),
    [
        ("30.2.2024", "DMY"),
        ("2024-13-01", "YMD"),
        ("13/1/2024", "MDY"),
        ("1.2.2024", "MDY"),
        ("2024-01-02 25:00", "YMD"),
        ("2024-01/02", "YMD"),
        ("12", "DMY"),
        ("1.2.3", "DMY"),
        ("123-1-1", "YMD"),
    ],
)
def test_other_cells_are_no_dates(cell, order):
    assert np.isnan(date(cell, order))


@pytest.mark.parametrize(
    ("cells", "want"),
    [
        (["1", "2.5", "?"] * 5, NumberColumn("a")),
        (["1,5", "2.000,25"], NumberColumn("a", ",")),
        (["1.500", "2.25"], NumberColumn("a")),
        (["12.1.2024", "31.1.2024"], DateColumn("a", "DMY")),
        (["12/1/2024", "31/1/2024"], DateColumn("a", "DMY")),
        (["1/12/2024", "1/31/2024"], DateColumn("a", "MDY")),
        (["2024-01-12", "2024-01-31"], DateColumn("a", "YMD")),
        (["TRUE", "False"] * 2, BooleanColumn("a", "true", "false")),
        (["0", "1"] * 2, NumberColumn("a")),
        (["01069", "53111"] * 2, CategoryColumn("a", ("01069", "53111"))),
        (["12, abc", "3"] * 4, CategoryColumn("a", ("12, abc", "3"))),
        (["1", "2", "3+"] * 9, CategoryColumn("a", ("1", "2", "3+"))),
        ([f"x{i}" for i in range(30)], None),
        ([*"ab", *"ab", *"cdefgh"], CategoryColumn("a", ("a", "b"), rare=True)),
        (["", "n/a"], NumberColumn("a")),
    ],
)
def test_kinds_are_recognised(cells, want):
    assert column("a", cells)[0] == want


def test_one_comma_decides_for_the_whole_table():
    table = {"a": ["1.234", "5.678"], "b": ["0,5", "12"], "c": ["1", "2"]}
    assert decimal_of(table) == ","
    assert recognise(table).columns[0] == NumberColumn("a", ",")
    assert decimal_of({"a": ["1,234", "5"], "b": ["0.5", "1"]}) == "."


def test_a_few_other_texts_among_numbers_and_dates_count_as_missing():
    found, note = column("a", [*range(0, 60, 2), "unknown"])
    assert found == NumberColumn("a", missing=("unknown",))
    assert "column 'a' has 1 cell(s) that are no number, such as 'unknown'" in note
    np.testing.assert_array_equal(found.encode(["4", "unknown"]), [[4], [np.nan]])
    with pytest.raises(ValueError, match="column 'a' has 'other' in row 2, where a nu"):
        found.encode(["4", "other"])
    days = [f"2024-01-{day:02}" for day in range(1, 32)] + ["2024-02-30"]
    found, note = column("d", days)
    assert found == DateColumn("d", "YMD", ("2024-02-30",))
    assert "1 cell(s) that are no date, such as '2024-02-30'" in note
    with pytest.raises(ValueError, match=r"a date \(year, month, day\) is expected"):
        found.encode(["1.2.2024"])


def test_days_and_months_that_look_alike_are_said():
    found, note = column("d", ["1/2/2024", "3/4/2024"])
    assert found == DateColumn("d", "DMY")
    assert "look alike and were read as day, month, year" in note
    assert "look alike" not in column("d", ["1.2.2024", "3.4.2024"])[1]


@pytest.mark.parametrize(
    ("name", "cells", "unused"),
    [
        ("PassengerId", range(100, 400, 7), True),
        ("customer_no", range(100, 400, 7), True),
        ("Kundennummer", range(100, 400, 7), True),
        ("area", range(100, 400, 7), False),
        ("area", range(100, 250), True),  # Without gaps.
        ("area", range(100, 190), False),  # Too few to say.
        ("id", np.arange(60) % 7, False),
        ("id", np.linspace(0, 1, 60), False),
        ("amount", [f"€ {i},00" for i in range(300)], False),
        ("casino", range(0, 900, 3), False),
    ],
)
def test_identifiers_are_not_used(name, cells, unused):
    found, note = column(name, cells)
    assert (found is None) == unused
    assert ("is an identifier" in note) == unused


def test_the_table_is_that_of_the_definition(tmp_path):
    found = data.load(shop_file(tmp_path / "a.csv"), label="kind")
    reader = found.origin.reader
    assert reader.names == ("city=Bonn", "city=Ulm", "since", "spent", "reply")
    assert reader.sides == ("kind", "name")
    rows = list(shop())
    train = [int(row) - 1 for row in found.origin.names["train"]]
    for split, table in found.splits().items():
        at = [int(row) - 1 for row in found.origin.names[split]]
        for j, name in enumerate(("Bonn", "Ulm")):
            want = [rows[i][1] == name for i in at]
            np.testing.assert_array_equal(table["table"][:, j], want)
        np.testing.assert_allclose(
            table["table"][:, 2:4],
            np.tile((at - np.mean(train)) / np.std(train), (2, 1)).T,
            atol=1e-5,
        )
        replies = np.array([row[4] == "ja" for row in rows], float)
        want = (replies - replies[train].mean()) / replies[train].std()
        np.testing.assert_allclose(table["table"][:, 4], want[at], atol=1e-5)
    text = "\n".join(found.origin.notes)
    for part in (
        "'name' is an identifier, with 80 different texts in 80 rows",
        "'city' is text and became a column for each of 2 values in at least 2 train",
        "and zeros for the others (1 values)",
        "'since' has dates, which became days",
        "'spent' has amounts such as '€ 0,50', which became numbers",
        "'reply' became 1 for 'ja' and 0 for 'nein'",
    ):
        assert part in text


def test_values_are_counted_in_training_rows_only(tmp_path):
    """A value that is in other rows alone has no column."""
    rows = list(shop())
    first = data.load(shop_file(tmp_path / "a.csv", rows), label="kind")
    for split, wanted in (("test", False), ("train", True)):
        for i in first.origin.names[split][:4]:
            rows[int(i) - 1][1] = split
        found = data.load(shop_file(tmp_path / "b.csv", rows), label="kind")
        assert (f"city={split}" in found.origin.reader.names) == wanted


def test_later_rows_have_the_same_columns(tmp_path):
    rows = list(shop())
    for row, city in zip(rows[10:40], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcd", strict=True):
        row[1] = f"city {city}"
    found = data.load(shop_file(tmp_path / "a.csv", rows), label="kind").origin.reader
    assert found.names[:3] == ("city=Bonn", "city=Ulm", "city=(rare)")
    reader = from_fields(json.loads(json.dumps(to_fields(found))))
    assert reader == found
    later = write(
        tmp_path / "b.tsv",
        "spent\tcity\tsince\treply",
        "7,00 €\tUlm\t3.2.2024\tNEIN",
        "1.000\tParis\t\t",
        "?\t\t1.1.2024\tperhaps",
    )
    got = reader.read(later)
    np.testing.assert_array_equal(got[:, :3], [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert got[1, 3] == got[1, 5] == got[2, 4] == got[2, 5] == 0
    raw = got * np.array(reader.deviations) + np.array(reader.means)
    np.testing.assert_allclose(raw[:2, 4], [7, 1000], rtol=1e-5)
    np.testing.assert_allclose(raw[0, 3] - raw[2, 3], 33, rtol=1e-3)
    with pytest.raises(
        ValueError, match="'spent' has '1.5' in row 1, where a number w"
    ):
        reader.read(
            write(tmp_path / "c.tsv", "spent\tcity\tsince\treply", "1.5\tUlm\t\t")
        )


def test_an_unknown_value_gives_zeros_where_no_value_is_rare():
    found = CategoryColumn("a", ("x", "y"))
    np.testing.assert_array_equal(
        found.encode(["z", "y", ""]), [[0, 0], [0, 1], [0, 0]]
    )


def test_only_the_most_frequent_values_have_a_column():
    cells = [f"v{i:02}" for i in range(70) for _ in range(70 - i)]
    found, _ = column("a", cells)
    assert found.values == tuple(f"v{i:02}" for i in range(50))
    assert found.rare
    assert found.encode(cells).sum(axis=1).all()


def test_runs_of_earlier_versions_are_read():
    fields = {"kind": "table", "columns": ["a", "b"], "means": [0.0, 1.0]}
    reader = from_fields(fields | {"deviations": [1.0, 2.0], "sides": ["y"]})
    assert reader.columns == (NumberColumn("a"), NumberColumn("b"))
    assert reader.shape == (2,)


# Labels


def priced(count=60):
    return ["size;price", *(f"{i % 9};{i * 1000}.{i:03}" for i in range(count))]


def test_a_quantity_as_label(tmp_path):
    found = data.load(write(tmp_path / "a.csv", *priced()), label="price", seed=2)
    assert found.classes == ("price",)
    rows = np.concatenate([np.int64(n) for n in found.origin.names.values()])
    assert sorted(rows) == list(range(1, 61))
    for name, split in found.splits().items():
        at = np.int64(found.origin.names[name]) - 1
        assert split["label"].dtype == np.float32
        np.testing.assert_allclose(split["label"], 1000.001 * at[:, None], rtol=1e-6)
    assert "'price' is a quantity from" in found.origin.notes[-1]
    again = data.load(tmp_path / "a.csv", label="price", seed=2)
    np.testing.assert_array_equal(again.test["label"], found.test["label"])


def test_quantities_are_split_by_their_size(rng):
    values = rng.permutation(87).astype(np.float32)[:, None]
    groups = strata(values)
    assert set(np.bincount(groups)) <= {10, 11}
    np.testing.assert_array_equal(np.sort(groups), groups[np.argsort(values[:, 0])])


def test_quantities_in_groups(tmp_path):
    lines = ["size,shop,price", *(f"{i % 9},{i % 7},{i + 0.5}" for i in range(70))]
    path = write(tmp_path / "a.csv", *lines)
    found = data.load(path, label="price", group="shop")
    shops = [{(int(r) - 1) % 7 for r in s} for s in found.origin.names.values()]
    assert sum(map(len, shops)) == 7


@pytest.mark.parametrize(
    ("lines", "label", "message"),
    [
        (
            ["a,a,y", "1,2,0"],
            "y",
            "a.csv has two columns called 'a'; rename one",
        ),
        (
            ["id,a", *(f"{i},{i % 3}" for i in range(0, 900, 3))],
            "id",
            "'id' of .*a.csv is an identifier, .*choose another column",
        ),
        (
            ["name,a", *(f"n{i},{i % 3}" for i in range(40))],
            "name",
            "'name' of .*a.csv has 40 different values in 40 rows, some of .*choose an",
        ),
        (["a,y", *(f"1,{i}.5" for i in range(6))], "y", "a.csv has 6 rows, but a quan"),
        (
            ["a,y", *(f"?,{i % 2}" for i in range(40))],
            "y",
            "a.csv: it has no .* used: column 'a' is constant or empty in the tr",
        ),
        (
            ["a,y", *(f"n{i},{i % 2}" for i in range(40))],
            "y",
            "a.csv: it has no column besides 'y' that can be used: column 'a' is an id",
        ),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, lines, label, message):
    with pytest.raises(ValueError, match=message):
        data.load(write(tmp_path / "a.csv", *lines), label=label)


def test_a_table_that_lost_a_column_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", *priced())
    found = data.load(path, label="price")
    write(path, *(line.split(";")[1] for line in priced()))
    with pytest.raises(ValueError, match=r"a.csv: its columns differ: missing 'size'"):
        read_rows(path, reader=found.origin.reader, label="price", classes=None)
