"""Data that are broken, that have changed since a training, or that fool."""

import csv
import json
import shutil

import numpy as np
from PIL import Image

from cnn_jax import data, trained
from tests.hostile.case import Call, Command

RUN = {name: f"runs/train/{name}" for name in ("table", "prices", "images", "sounds")}


def lines(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(
            csv.reader(file, delimiter=";" if path.name == "sales.csv" else ",")
        )


def write(path, rows, delimiter=None):
    own = ";" if path.name == "sales.csv" else ","
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter or own).writerows(rows)


def changed(name, change, delimiter=None):
    """Replaces the rows of a table; `change` gets its names and its rows."""

    def prepare(folder):
        names, *rows = lines(folder / name)
        write(folder / name, change(names, rows), delimiter)

    return prepare


def split_of(folder, run, split):
    return json.loads((folder / RUN[run] / "splits.json").read_text())[split]


def at_row(split, change, run="table", name="cancer.csv"):
    """Changes the rows of a table; `change` gets them and the first one of a split."""

    def prepare(folder):
        names, *rows = lines(folder / name)
        change(rows, int(split_of(folder, run, split)[0]) - 1)
        write(folder / name, [names, *rows])

    return prepare


def setting(column, cell):
    def change(rows, at):
        rows[at][column] = cell

    return change


def removed(rows, at):
    del rows[at]


def exchanged(names, rows):
    other = {"benign": "malignant", "malignant": "benign"}
    return [names, *([*row[:-1], other[row[-1]]] for row in rows)]


def reformatted(names, rows):
    def cell(text):
        try:
            return f"{float(text):.6e}"
        except ValueError:
            return text

    return [names, *([cell(text) for text in row] for row in rows)]


def moved(name, kind, change, said, status=0, **options):
    """`evaluate` on a table that has changed."""
    run = "prices" if name == "sales.csv" else "table"
    return Command(
        f"{name}: {kind} before evaluate",
        ("evaluate", RUN[run]),
        said,
        status,
        (run,),
        changed(name, change, **options),
    )


SAME = {
    "rows are sorted": lambda names, rows: [names, *sorted(rows)],
    "rows are reversed": lambda names, rows: [names, *rows[::-1]],
    "rows are sorted by the label": lambda names, rows: [
        names,
        *sorted(rows, key=lambda row: row[-1]),
    ],
    "columns are reversed": lambda names, rows: [row[::-1] for row in (names, *rows)],
    "outer spaces are added": lambda names, rows: [
        names,
        *([f" {cell} " for cell in row] for row in rows),
    ],
}
MORE = {
    "a row is doubled": lambda names, rows: [names, rows[0], *rows],
    "every row is doubled": lambda names, rows: [names, *rows, *rows],
}
MOVED = [
    moved(name, kind, change, said)
    for name, said in (("cancer.csv", "16 test examples"), ("sales.csv", "on 16 exam"))
    for kind, change in SAME.items()
]
MOVED += [
    moved(name, kind, change, "row(s) of")
    for name in ("cancer.csv", "sales.csv")
    for kind, change in MORE.items()
]
MOVED += [
    moved("cancer.csv", "the delimiter is changed", lambda n, r: [n, *r], "16 test "
          "examples", delimiter="|"),
    moved("cancer.csv", "numbers are reformatted", reformatted, "16 test examples"),
    moved("cancer.csv", "classes are exchanged", exchanged, "16 of 16 rows of the test "
          "split are gone, altered", 1),
    moved("cancer.csv", "all rows are gone", lambda n, r: [n], "has 1 line(s)", 1),
    moved("cancer.csv", "one row is left", lambda n, r: [n, r[0]], "of the test", 1),
    moved("cancer.csv", "the label is gone", lambda n, r: [row[:-1] for row in (n, *r)],
          "`label` is 'diagnosis', which is missing", 1),
    moved("cancer.csv", "a column is gone", lambda n, r: [row[1:] for row in (n, *r)],
          "cancer.csv: its columns differ", 1),
    moved("cancer.csv", "a column is added", lambda n, r: [[*x, "1"] for x in (n, *r)],
          "cancer.csv: its columns differ: missing none, unexpected '1'", 1),
    moved("sales.csv", "all rows are gone", lambda n, r: [n], "has 1 line(s)", 1),
]  # fmt: skip
ROWS = [
    Command(
        f"{words} after {kind}",
        (words, RUN["table"]),
        said,
        status,
        ("table",),
        at_row(split, change),
    )
    for kind, split, change, evaluated in (
        ("a test row is gone", "test", removed, False),
        ("a training row is gone", "train", removed, True),
        ("a validation row is gone", "validation", removed, True),
        ("a cell of a test row is altered", "test", setting(0, "3"), False),
        ("a cell of a training row is altered", "train", setting(0, "3"), True),
        ("a cell of a test row is emptied", "test", setting(2, ""), False),
        ("the label of a test row is new", "test", setting(-1, "odd"), False),
        ("the label of a training row is new", "train", setting(-1, "odd"), True),
    )
    for words, status, said in (
        ("evaluate", 0 if evaluated else 1, "16 test" if evaluated else "1 of 16 rows"),
        ("resume", 1, f"rows of the {split} split are gone, altered"),
    )
]
ROWS += [
    Command(
        f"evaluate after {kind}",
        ("evaluate", RUN[run]),
        said,
        1,
        (run,),
        at_row("test", change, run, name),
    )
    for kind, change, said, run, name in (
        ("a test cell is no number", setting(0, "x"), "has 'x' in row", "table",
         "cancer.csv"),
        ("a test cell is 1e300", setting(0, "1e300"), "a number up to 3.4e+38", "table",
         "cancer.csv"),
        ("a test cell is 1e38", setting(0, "1e38"), "1 of 16 rows", "table",
         "cancer.csv"),
        ("a price is altered", setting(-1, "7,5"), "1 of 16 rows of the test", "prices",
         "sales.csv"),
        ("a price is no number", setting(-1, "x"), "has cells that are no numbers",
         "prices", "sales.csv"),
        ("a price is 1e300", setting(-1, "1e300"), "is beyond ±3.4e+38", "prices",
         "sales.csv"),
    )
]  # fmt: skip


def in_splits(change, old=False):
    """Changes `splits.json`, perhaps into that of an earlier version."""

    def prepare(folder):
        file = folder / RUN["table"] / "splits.json"
        content = json.loads(file.read_text())
        if old:
            del content["fingerprints"], content["checksum"]
        change(content)
        file.write_text(json.dumps(content))

    return prepare


def first(split, value):
    def change(content):
        content[split][0] = value

    return change


SPLITS = [
    Command(
        f"{word} with splits.json of an earlier version with test row {row!r}",
        (word, RUN["table"]),
        f"splits.json: `test` has row {row!r}, but",
        1,
        ("table",),
        in_splits(first("test", row), old=True),
    )
    for word in ("evaluate", "resume")
    for row in ("81", "999999999999", "0", "-1", "x", "1.0", "")
]
SPLITS += [
    Command(
        f"{word} with splits.json {kind}",
        (word, RUN["table"]),
        "splits.json was changed after the training: it has another `checksum`",
        1,
        ("table",),
        in_splits(change),
    )
    for word in ("evaluate", "resume")
    for kind, change in {
        "with another test row": first("test", "99"),
        "without its last test row": lambda content: content["test"].pop(),
        "without a fingerprint": lambda content: content["fingerprints"]["test"].pop(),
        "without fingerprints": lambda content: content.pop("fingerprints"),
        "without a checksum": lambda content: content.pop("checksum"),
        "with fingerprints in another order": lambda content: content["fingerprints"][
            "test"
        ].reverse(),
    }.items()
]
SPLITS += [
    Command(
        f"{word} on a run of an earlier version",
        (word, RUN["table"]),
        "has no fingerprints, as in runs of earlier versions",
        0,
        ("table",),
        in_splits(lambda content: None, old=True),
    )
    for word in ("evaluate", "resume")
]


def in_folder(run, data, change):
    """Changes files; `change` gets the folder and the first test file, and its name."""

    def prepare(folder):
        name = split_of(folder, run, "test")[0]
        change(folder / data, folder / data / name)

    return prepare


def rename_all(root, file):
    for path in sorted(root.rglob("*.*")):
        path.rename(path.with_name(f"new-{path.name}"))


def into_other_class(root, file):
    other = next(path for path in sorted(root.iterdir()) if path != file.parent)
    file.rename(other / f"moved{file.suffix}")


def names_exchanged(root, file):
    other = next(path for path in sorted(file.parent.iterdir()) if path != file)
    for old, new in ((file, "a"), (other, file), (root / "a", other)):
        old.rename(root / "a" if new == "a" else new)


def replaced(root, file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def copied(root, file):
    shutil.copy(file, file.with_name(f"copy{file.suffix}"))


def new_class(root, file):
    (root / "new").mkdir()
    shutil.copy(file, root / "new" / file.name)


FILES = [
    Command(
        f"{word} on {run} after {kind}",
        (word, RUN[run]),
        said,
        status,
        (run,),
        in_folder(run, name, change),
    )
    for run, name, count in (("images", "scans", 20), ("sounds", "chirps", 6))
    for kind, change, status, said in (
        ("all files are renamed", rename_all, 0, "test examples"),
        ("two files exchange their names", names_exchanged, 0, "test examples"),
        ("a file is in another class", into_other_class, 1, "or in another class"),
        ("a file is gone", lambda root, file: file.unlink(), 1, "files of the test"),
        ("a byte is replaced", replaced, 1, "files of the test split are gone"),
        ("a file is emptied", lambda root, file: file.write_bytes(b""), 1, "gone, alt"),
        ("a file is copied", copied, 0, "1 file(s) of"),
        ("a class is added", new_class, 0, "1 file(s) of"),
        ("the folder is gone", lambda root, file: shutil.rmtree(root), 1, name),
    )
    for word in ("evaluate", "resume")
    if not (word == "resume" and status == 0)
]


def rows_of(count, cell):
    """A table of two columns of numbers, and a third one with the label."""
    rng = np.random.default_rng(0)
    cells = [[f"{x:.4f}" for x in row] for row in rng.normal(size=(count, 2))]
    return [["a", "b", "y"], *([*row, cell(i)] for i, row in enumerate(cells))]


def made(change, *, count=60, cell=lambda i: "pq"[i % 2]):
    """Makes `table.csv`; `change` gets its rows and may change them."""

    def prepare(folder):
        names, *rows = rows_of(count, cell)
        write(folder / "table.csv", change(names, rows) or [names, *rows])

    return prepare


def doubled(names, rows):
    rows[3] = rows[1][:]


def contradicting(names, rows):
    rows[2][:2] = rows[1][:2]


def far(value):
    def change(names, rows):
        rows[6][0] = value

    return change


def with_column(cell):
    def change(names, rows):
        return [["code", *names], *([cell(row[-1]), *row] for row in rows)]

    return change


def joined(names, rows):
    rows[1][2], rows[3][2] = "1.0", "01"


def spaced(names, rows):
    rows[1][2] = f" {rows[1][2]} "


def in_case(names, rows):
    for i in (1, 3, 5, 7):
        rows[i][2] = rows[i][2].upper()


def priced(i):
    return f"{1.5 * i + 0.25:.2f}"


TOLD = [
    Command(
        f"a training on {kind}",
        ("train", "table.csv", "--label", "y", "--epochs", "1"),
        said,
        0,
        (),
        prepare,
    )
    for kind, said, prepare in (
        ("a table with a row twice", "1 rows are identical to an earlier one, such as "
         "row 4 to row 2; identical ones are in one split", made(doubled)),
        ("a table that contradicts itself", "2 rows are identical to one of another "
         "class, such as row 2 ('q') and row 3 ('p')", made(contradicting)),
        ("a table of few different rows", "there are too few different ones to keep",
         made(lambda n, rows: [n, *([i % 3, 0, "pq"[i % 2]] for i in range(60))])),
        ("a column of codes for the label", "olumn 'code' has one value for each "
         "class", made(with_column({"p": "x1", "q": "x2"}.get))),
        ("a column of numbers for the label", "leave it out (`--drop code`)",
         made(with_column({"p": 7, "q": -3}.get))),
        ("a copy of the label", "olumn 'code' has one value for each",
         made(with_column(str))),
        ("a price in cents", "olumn 'code' is the label in another unit",
         made(with_column(lambda price: 100 * float(price)), cell=priced)),
        ("labels in several formats", "2 label(s) '01', '1.0' were joined with '1'",
         made(joined, cell=lambda i: "01"[i % 2])),
        ("labels with spaces", "1 label(s) with outer spaces, which were removed",
         made(spaced)),
        ("labels in two cases", "differ in case or spaces only: 'Q' (4), 'q' (26)",
         made(in_case)),
        ("a class of 12 beside one of 200", "'p' has 140 training examples, 'q' has",
         made(lambda n, r: None, count=212, cell=lambda i: "pq"[i >= 200])),
        ("a cell far from the others", "olumn 'a' has 1e+30 in row 7, so far from the "
         "others", made(far("1e30"))),
    )
]  # fmt: skip
TOLD += [
    Command(
        f"a training on a table with a cell of {value}",
        ("train", "table.csv", "--label", "y"),
        f"column 'a' has '{value}' in row 7, where a number",
        1,
        (),
        made(far(value)),
    )
    for value in ("1e300", "-1e300", "4e38", "1e309", "-inf", "infinity")
]


def set_all(cell):
    def change(rows, at):
        rows[0][:-1] = [cell] * len(rows[0][:-1])

    return change


def enormous(folder):
    """The first row has the largest numbers that can be standardised."""
    names, *rows = lines(folder / "cancer.csv")
    reader = json.loads((folder / RUN["table"] / "config.json").read_text())["reader"]
    pairs = zip(reader["columns"], reader["deviations"], strict=True)
    for column, deviation in pairs:
        at = names.index(column["name"])
        rows[0][at] = f"{3e38 * min(1, deviation):g}"
    write(folder / "cancer.csv", [names, *rows])


TOLD += [
    Command(
        f"predict for a cell of {value}, as {form}",
        ("predict", RUN["table"], "cancer.csv", "--format", form),
        said,
        1,
        ("table",),
        prepare,
    )
    for value, said, prepare in (
        (
            "1e300",
            "has '1e300' in row 1, where a number up to 3.4e+38",
            at_row("train", lambda rows, at: rows[0].__setitem__(0, "1e300")),
        ),
        ("1e38", "too far from the mean", at_row("train", set_all("1e38"))),
        ("3e38 deviations", "cancer.csv:1: its prediction is NaN or inf", enormous),
    )
    for form in ("table", "json", "csv")
]


def noise(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(path)


def photos(*twins, parts=("",)):
    """Images of noise in two classes; each of `twins` names two that are the same."""

    def prepare(folder):
        for part in parts:
            for kind in "ab":
                for i in range(10):
                    name = f"{part}{kind}{i}"
                    noise(
                        folder / "photos" / part / kind / f"{i}.png",
                        sum(name.encode()) + 1000 * i,
                    )
        for one, two in twins:
            with Image.open(folder / "photos" / one) as image:
                image.save(folder / "photos" / two)

    return prepare


TOLD += [
    Command(
        f"a training on {kind}",
        ("train", "photos", "--epochs", "1", "--model", "lenet5_relu", *more),
        said,
        0,
        (),
        prepare,
    )
    for kind, said, prepare, more in (
        ("an image twice", "1 files are identical to an earlier one, such as a/7.png "
         "to a/1.png", photos(("a/1.png", "a/7.png")), ()),
        ("an image in another format twice", "such as a/8.bmp to a/1.png",
         photos(("a/1.png", "a/8.bmp")), ()),
        ("an image in two classes", "such as a/1.png ('a') and b/7.png ('b')",
         photos(("a/1.png", "b/7.png")), ()),
        ("an image on two sides", "1 of 20 files of the test split are identical to "
         "files of the training split, such as test/a/7.png to train/a/1.png",
         photos(("train/a/1.png", "test/a/7.png"), parts=("train", "test")), ()),
        ("an image on two sides of a group", "`group` decides",
         photos(*((f"a/{i}.png", f"a/{i + 1}.png") for i in range(9))),
         ("--group", r"(\d)")),
    )
]  # fmt: skip


def classes(*names):
    def call(folder):
        for name in names:
            for i in range(4):
                noise(folder / "photos" / name / f"{i}.png", i)
        return data.load(folder / "photos")

    return call


def loaded(prepare, **options):
    def call(folder):
        prepare(folder)
        return data.load(folder / "table.csv", **options)

    return call


CALLS = [
    Call(
        f"a folder with the classes {names}",
        classes(*names),
        ValueError,
        "classes that differ in case, spaces or the format of a number only",
    )
    for names in (("a", "A"), ("1", "1.0"), ("01", "1"), ("a b", "a  b"), ("a", "a "))
] + [
    Call(
        "labels of one number in two formats are one class",
        loaded(made(lambda n, rows: None, cell=lambda i: f"{'0' * (i % 2)}1"),
               label="y"),
        ValueError,
        "is constant: '1'",
    ),
    Call(
        "a quantity beyond float32",
        loaded(made(lambda n, rows: rows[4].__setitem__(2, "1e39"), cell=priced),
               label="y"),
        ValueError,
        "has '1e39' in row 5, which is beyond",
    ),
    Call(
        "load_data of a run whose table is gone",
        lambda folder: [
            (folder / "cancer.csv").unlink(),
            trained.load_data(folder / RUN["table"]),
        ],
        FileNotFoundError,
        "cancer.csv is not a CSV file",
        ("table",),
    ),
]  # fmt: skip

CASES: list[Call | Command] = [
    Command("a folder that is not there", ("train", "nowhere"), "nowhere"),
    *MOVED,
    *ROWS,
    *SPLITS,
    *FILES,
    *TOLD,
    *CALLS,
]
