"""Command lines with options that cannot be meant, and files of another kind."""

import os
import zipfile
from functools import partial

from tests.hostile.case import Command

TABLE = ("cancer.csv", "--label", "diagnosis")
DATA = {"scans": ("scans",), "chirps": ("chirps",), "cancer.csv": TABLE}


def pipe(name, folder):
    os.mkfifo(folder / name)


def loop(name, folder):
    (folder / name).symlink_to(name)


def archive(name, folder):
    with zipfile.ZipFile(folder / name, "w") as file:
        file.writestr("a", "b" * 100)


def empty(name, folder):
    (folder / name).touch()


def directory(name, folder):
    (folder / name).mkdir()


def noise(name, folder):
    (folder / name).write_bytes(bytes(range(256)) * 20)


KINDS = {
    "a pipe": pipe,
    "a loop of links": loop,
    "an archive": archive,
    "an empty file": empty,
    "noise": noise,
}


def train(data, option, value, phrase, status=1):
    """A training with one wrong option."""
    return Command(
        f"train {data}: {option} is {value!r}",
        ("train", *DATA[data], option, value),
        phrase,
        status,
        needs=(data,),
    )


TRAIN = [
    train("scans", option, value, f"`{option[2:].replace('-', '_')}`")
    for option, values in {
        "--size": ("0", "-1", "-99999999999999999999"),
        "--broken": ("nan", "-1", "-0.01", "1.01", "inf"),
        "--epochs": ("0", "-3", "2147483648", "99999999999999999999", "2000000000"),
        "--minutes": ("0", "nan", "-1", "inf"),
        "--patience": ("0", "-1"),
        "--batch-size": ("0", "-1", "10000000", "99999999999999999999"),
        "--learning-rate": ("0", "nan", "-1", "inf", "-inf", "1e400"),
        "--seed": ("-1", "4294967296", "99999999999999999999999"),
        "--group": ("", "((", "(a", "(a{99999999999})", "[(", "nothing", "()"),
        "--name": ("", ".", "..", "../../evil", "/tmp/evil", "a/b", "a\\b"),
        "--model": ("sound_net",),
        "--label": ("", "a"),
        "--drop": ("", "a"),
        "--rate": ("0", "8000", "-1"),
        "--seconds": ("0", "1", "nan", "inf"),
    }.items()
    for value in values
]
TRAIN += [
    train("scans", option, value, option, status=2)
    for option, values in {
        "--size": ("nan", "1.5", "a", "1e3"),
        "--epochs": ("1.5", "many", ""),
        "--batch-size": ("nan", "0x10"),
        "--learning-rate": ("fast", ""),
        "--seed": ("0.5", "None"),
        "--broken": ("all", ""),
        "--framing": ("squash", ""),
        "--precision": ("float8", "FLOAT32"),
        "--augment": ("nothing", ""),
        "--class-weights": ("equal",),
        "--nothing": ("1",),
    }.items()
    for value in values
]
TRAIN += [
    train("scans", "--model", value, "there is no network") for value in ("", "lenet")
]
TRAIN += [
    train("scans", "--size", value, "are free: choose a smaller `size`")
    for value in ("100000", "2147483648", "99999999999999999999")
]
TRAIN += [
    train("chirps", option, value, phrase)
    for option, value, phrase in (
        ("--seconds", "1e7", "are free: choose a smaller `seconds` or `rate`"),
        ("--seconds", "1e300", "are free"),
        ("--seconds", "nan", "`seconds`"),
        ("--seconds", "-1", "`seconds`"),
        ("--rate", "2000000011", "are free"),
        ("--rate", "0", "`rate`"),
        ("--size", "32", "`size`"),
        ("--framing", "pad", "`framing`"),
        ("--model", "lenet5", "`model`"),
        ("--augment", "flip", "`augment`"),
        ("--label", "a", "`label`"),
    )
]
TRAIN += [
    train("cancer.csv", option, value, phrase)
    for option, value, phrase in (
        ("--label", "", "`label`"),
        ("--label", "nothing", "`label`"),
        ("--drop", "nothing", "`drop`"),
        ("--drop", "diagnosis", "`drop`"),
        ("--group", "nothing", "`group`"),
        ("--group", "diagnosis", "`group`"),
        ("--size", "32", "`size`"),
        ("--rate", "8000", "`rate`"),
        ("--seconds", "1", "`seconds`"),
        ("--framing", "crop", "`framing`"),
        ("--model", "small_vgg", "`model`"),
        ("--augment", "flip", "`augment`"),
        ("--batch-size", "57", "`batch_size`"),
    )
]
TRAIN += [
    Command(
        "train without a label",
        ("train", "cancer.csv"),
        "`label`",
        needs=("cancer.csv",),
    ),
    Command("train without data", ("train",), "Missing", 2),
    Command("train on an empty name", ("train", ""), "there is no data set"),
    Command("train on a name with a line break", ("train", "a\nb"), r"'a\nb'"),
    Command("train on a name with escapes", ("train", "\x1b[31mred"), r"\x1b[31mred"),
    Command("train on a name in Greek", ("train", "δεδομένα"), "δεδομένα"),
    Command("train on a very long name", ("train", "a" * 5000), "error"),
    Command("train on no variant", ("train", "xo/nothing"), "'xo/nothing'"),
    Command(
        "train on digits of 100,000 pixels",
        ("train", "digits", "--size", "100000"),
        "are free",
    ),
    Command(
        "train on digits with a label", ("train", "digits", "--label", "a"), "`label`"
    ),
    Command(
        "train on audio of a set of images",
        ("train", "digits", "--rate", "8000"),
        "`rate`",
    ),
    Command(
        "train into a file",
        ("train", *TABLE, "--runs", "file"),
        "file",
        needs=("cancer.csv",),
        prepare=partial(empty, "file"),
    ),
    Command(
        "train under a name that is taken",
        ("train", *TABLE, "--runs", "runs", "--name", "table"),
        "exists already",
        needs=("table",),
    ),
    Command(
        "train where memory is short",
        (
            "train",
            "scans",
            "--model",
            "vgg16",
            "--size",
            "1500",
            "--batch-size",
            "50",
            "--epochs",
            "1",
        ),
        "are free: choose a smaller `batch_size`",
        needs=("scans",),
    ),
    *(
        Command(
            f"train on {kind}",
            ("train", "a.csv", "--label", "b"),
            "a.csv",
            prepare=partial(make, "a.csv"),
        )
        for kind, make in KINDS.items()
    ),
    Command(
        "train on an empty folder",
        ("train", "a"),
        "a has the class(es) none",
        prepare=partial(directory, "a"),
    ),
    Command(
        "train on a folder called a table",
        ("train", "a.csv"),
        "a.csv has the class(es) none",
        prepare=partial(directory, "a.csv"),
    ),
]

OTHERS = {
    "nothing": ("nowhere", "is no run"),
    "the data": ("scans", "is no run"),
    "a file of the run": ("runs/train/images/config.json", "is no run"),
    "an empty name": ("", "is no run"),
}
RUN = [
    Command(f"{command} {kind}", (command, name, *files), phrase, needs=("images",))
    for command, files in {"resume": (), "evaluate": (), "predict": ("scans",)}.items()
    for kind, (name, phrase) in OTHERS.items()
]

ENDINGS = {"images": "png", "sounds": "wav", "table": "csv", "prices": "csv"}
PREDICT = [
    Command(
        f"predict {kind} with {run}",
        ("predict", f"runs/train/{run}", f"a.{ending}"),
        "1 of 1 files could not be read.",
        needs=(run,),
        prepare=partial(make, f"a.{ending}"),
    )
    for run, ending in ENDINGS.items()
    for kind, make in KINDS.items()
]
PREDICT += [
    Command(
        f"predict {kind} with {run}",
        ("predict", f"runs/train/{run}", *names),
        phrase,
        needs=(run,),
        prepare=partial(directory, "folder.png"),
    )
    for run, ending in ENDINGS.items()
    for kind, names, phrase in (
        ("no file", (), "`files` is empty"),
        ("a missing file", (f"b.{ending}",), f"b.{ending}"),
        ("a device", ("/dev/zero",), "/dev/zero"),
        ("an empty folder", ("folder.png",), "`files` is empty"),
        ("a file below a file", ("runs/train/config.json/b",), "could not be read"),
        ("a name of 300 letters", ("a" * 300,), "ile name too long"),
    )
]
PREDICT += [
    Command(
        f"predict {data} with {run}",
        ("predict", f"runs/train/{run}", data),
        "could not be read",
        needs=(run, data),
    )
    for run, data in (
        ("images", "chirps"),
        ("images", "cancer.csv"),
        ("sounds", "scans"),
        ("sounds", "cancer.csv"),
        ("table", "scans"),
        ("table", "sales.csv"),
        ("prices", "cancer.csv"),
    )
]
PREDICT += [
    Command(
        "predict in no format",
        ("predict", "runs/train/images", "scans", "--format", "xml"),
        "xml",
        2,
        needs=("images",),
    ),
]

EVALUATE = [
    Command(
        f"evaluate {run} on {name}",
        ("evaluate", f"runs/train/{run}", name),
        phrase,
        needs=(run, *needs),
    )
    for run, name, phrase, needs in (
        ("images", "nowhere", "nowhere", ()),
        ("images", "", "`data` is empty", ()),
        ("images", "cancer.csv", "is a table", ("cancer.csv",)),
        ("images", "chirps", "class(es) falls", ("chirps",)),
        ("images", "runs", "error", ()),
        ("images", "/dev/zero", "/dev/zero", ()),
        ("sounds", "scans", "class(es) 0", ("scans",)),
        ("sounds", "nowhere.wav", "nowhere.wav", ()),
        ("table", "scans", "scans is not a CSV file", ("scans",)),
        ("table", "nowhere.csv", "nowhere.csv is not a CSV file", ()),
        ("table", "/dev/zero", "/dev/zero is not a CSV file", ()),
        ("table", "sales.csv", "`label`", ("sales.csv",)),
        ("prices", "cancer.csv", "`label`", ("cancer.csv",)),
    )
]

LOCALITY = [
    Command(
        f"locality: {option} is {value!r}",
        ("locality", *TABLE, option, value),
        phrase,
        needs=("cancer.csv",),
    )
    for option, value, phrase in (
        ("--seeds", "0", "`seeds`"),
        ("--seeds", "-1", "`seeds`"),
        ("--seeds", "1", "`seeds`"),
        ("--budget", "0", "`budget`"),
        ("--budget", "-5", "`budget`"),
        ("--seed", "-1", "`seed`"),
        ("--seed", "4294967296", "`seed`"),
        ("--name", "../x", "`name`"),
        ("--name", "", "`name`"),
        ("--size", "4", "`size`"),
        ("--label", "nothing", "`label`"),
        ("--drop", "nothing", "`drop`"),
    )
]
LOCALITY += [
    Command(f"locality of {name!r}", ("locality", name, *options), phrase, needs=needs)
    for name, options, phrase, needs in (
        ("nowhere", (), "nowhere", ()),
        ("", (), "there is no data set", ()),
        ("cancer.csv", (), "`label`", ("cancer.csv",)),
        ("sales.csv", ("--label", "price"), "quantity", ("sales.csv",)),
        ("scans", ("--size", "100000"), "are free", ("scans",)),
    )
]

REST = [
    Command(
        f"summary of {name!r}", ("summary", name, *options), phrase, needs=("scans",)
    )
    for name, options, phrase in (
        ("nothing", (), "there is no network"),
        ("", (), "there is no network"),
        ("scans", (), "is no run"),
        ("/dev/null", (), "there is no network"),
        ("lenet5", ("--depth", "0"), "`depth`"),
        ("vgg16", ("--depth", "-1"), "`depth`"),
    )
]
REST += [
    Command(
        "list data sets of a file",
        ("datasets", "--data-dir", "file"),
        "`data_dir`",
        prepare=partial(empty, "file"),
    ),
    Command(
        "list data sets of a device",
        ("datasets", "--data-dir", "/dev/null"),
        "`data_dir`",
    ),
    Command("list data sets with a word more", ("datasets", "more"), "more", 2),
    Command("list networks with a word more", ("models", "more"), "more", 2),
    Command("no command", (), "Missing subcommand", 2),
    Command("an unknown command", ("nothing",), "nothing", 2),
    Command("an empty command", ("",), "Available", 2),
]

CASES: list = [*TRAIN, *RUN, *PREDICT, *EVALUATE, *LOCALITY, *REST]
