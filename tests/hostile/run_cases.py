"""Run folders that are damaged, in use, or not what they seem."""

import json
import os
import shutil
import socket

import psutil

from tests.hostile.case import Call, Command

TABLE, IMAGES = "runs/train/table", "runs/train/images"
FIELDS = {  # Of `config.json`, each with a value of another type.
    "data": 3,
    "model": ["mlp"],
    "options": "none",
    "classes": "benign",
    "reader": [],
    "label": 7,
    "seed": "0",
    "data_dir": 1,
    "target": [1.0],
    "checksums": [],
    "hardware": {},
    "training": 5,
    "functions": "x",
}
NEEDED = ("data", "model", "options", "classes", "reader")
COMMANDS = {
    "evaluate": ("evaluate", TABLE),
    "predict": ("predict", TABLE, "cancer.csv"),
    "summary": ("summary", TABLE),
    "resume": ("resume", TABLE),
}


def edit(run, change, file="config.json"):
    """Makes a case ready: changes what a JSON file of a run holds."""

    def prepare(folder):
        path = folder / run / file
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return prepare


def write(run, content, file="config.json"):
    return lambda folder: (folder / run / file).write_bytes(content)


def setting(**fields):
    return lambda content: content.update(fields)


def deleting(name):
    return lambda content: content.pop(name)


def in_reader(**fields):
    return lambda content: content["reader"].update(fields)


def in_column(**fields):
    return lambda content: content["reader"]["columns"][0].update(fields)


def table(name, prepare, phrase, words=COMMANDS["evaluate"], status=1):
    return Command(name, words, phrase, status, ("table",), prepare)


def images(name, prepare, phrase, words=("evaluate", IMAGES), status=1):
    return Command(name, words, phrase, status, ("images",), prepare)


CONTENTS = {
    "empty": (b"", "config.json is not JSON"),
    "a brace": (b"{", "config.json is not JSON"),
    "a list": (b"[]", "config.json is not as it was written: list"),
    "null": (b"null", "config.json is not as it was written"),
    "a number": (b"3", "config.json is not as it was written: int"),
    "a text": (b'"x"', "config.json is not as it was written: str"),
    "an empty object": (b"{}", "is no run"),
    "of another encoding": (b'{"data": "\xff"}', "config.json is not JSON"),
    "binary": (bytes(range(256)), "config.json is not JSON"),
    "nested without end": (b"[" * 100_000, "config.json is not JSON"),
    "two objects": (b"{}{}", "config.json is not JSON"),
}
WHOLE_FILES = [
    table(
        f"{name} is given a config.json that is {kind}", write(TABLE, text), phrase, w
    )
    for name, w in COMMANDS.items()
    for kind, (text, phrase) in CONTENTS.items()
]
LACKING = [
    table(
        f"{command} without `{field}` in config.json",
        edit(TABLE, deleting(field)),
        field,
        words,
    )
    for field in FIELDS
    for command, words in COMMANDS.items()
    if field in NEEDED or (field == "training" and command == "resume")
]
RETYPED = [
    table(
        f"`{field}` of config.json is {value!r}",
        edit(TABLE, setting(**{field: value})),
        f"config.json: `{field}` is not as it was written",
    )
    for field, value in FIELDS.items()
]
CHANGED = [
    table(
        f"`{field}` of config.json was changed to {value!r}",
        edit(TABLE, setting(**{field: value})),
        f"config.json was changed after the training: `{field}`",
        words,
    )
    for field, value in {
        "classes": ["malignant", "benign"],
        "options": {"classes": 3, "shape": [30]},
        "label": "radius",
        "seed": 5,
        "target": [1.0, 2.0],
        "model": "resnet20",
    }.items()
    for words in (COMMANDS["evaluate"],)
] + [
    table(
        f"{name} after classes were exchanged",
        edit(TABLE, lambda content: content["classes"].reverse()),
        "`classes` has another checksum",
        words,
    )
    for name, words in COMMANDS.items()
]
READERS = [
    table(name, edit(TABLE, change), phrase)
    for name, change, phrase in [
        ("a reader of no kind", in_reader(kind="video"), "`reader`: `kind` is 'video'"),
        ("a reader of no text", in_reader(kind=[]), "`reader`: `kind` is []"),
        (
            "a reader of another kind",
            in_reader(kind="signal"),
            "`reader` lacks the field(s) rate, samples",
        ),
        (
            "a reader with one mean",
            in_reader(means=[0.0]),
            "`means` has 1 numbers, but there are",
        ),
        ("a reader with no means", in_reader(means=[]), "`means` has 0 numbers"),
        (
            "a reader with no deviations",
            in_reader(deviations=[]),
            "`deviations` has 0 numbers",
        ),
        (
            "a reader with other means",
            lambda c: c["reader"]["means"].reverse(),
            "`reader` has another checksum",
        ),
        ("means as text", in_reader(means="0"), "`reader`: `means` is not as"),
        ("no columns", in_reader(columns=[]), "`means` has"),
        ("columns as a number", in_reader(columns=4), "`reader`: `columns` is not as"),
        ("a column of no kind", in_column(kind="sum"), "`kind` is 'sum'"),
        (
            "a column that gives more",
            in_column(unit="m"),
            "`columns`[0] has the unknown field(s) 'unit'",
        ),
        ("a column whose name is a number", in_column(name=3), "`name` is not as"),
        (
            "a column without a name",
            lambda c: c["reader"]["columns"][0].pop("name"),
            "`columns`[0] lacks the field(s) name",
        ),
        ("a field of no reader", in_reader(zoom=2), "unknown field(s) 'zoom'"),
        ("a field of no run", setting(colour="red"), "unknown field(s) 'colour'"),
        ("a network of no name", setting(model="resnet19"), "`model` is 'resnet19'"),
    ]
] + [
    images(name, edit(IMAGES, change), phrase)
    for name, change, phrase in [
        ("images of no size", in_reader(size=[0, 0]), "`reader`: `size` is (0, 0)"),
        ("images of one size", in_reader(size=[32]), "`reader`: `size` is not as"),
        ("images of size text", in_reader(size="32"), "`reader`: `size` is not as"),
        ("images of 7 channels", in_reader(channels=7), "`channels` is 7, but must be"),
        (
            "images with no framing",
            in_reader(framing="zoom"),
            "`reader`: `framing` is not as",
        ),
        (
            "images of another framing",
            in_reader(framing="stretch"),
            "`reader` has another checksum",
        ),
        (
            "images without a size",
            lambda c: c["reader"].pop("size"),
            "`reader` lacks the field(s) size",
        ),
    ]
]
TRAINING = [
    table(
        f"resume with {field} = {value!r}",
        edit(
            TABLE,
            lambda content, field=field, value=value: content["training"].update(
                {field: value}
            ),
        ),
        f"config.json: `training`: {phrase}",
        COMMANDS["resume"],
    )
    for field, value, phrase in [
        ("epochs", "3", "it: `epochs` is not as it was written"),
        ("epochs", -1, "`epochs` is -1"),
        ("optimizer", "newton", "it: `optimizer` is not as it was written"),
        ("augment", ["flap"], "it: `augment` is not as it was written"),
        ("learning_rate", None, "it: `learning_rate` is not as it was written"),
        ("batch_size", 2.5, "it: `batch_size` is not as it was written"),
        ("momentum", 0.9, "it has the unknown field(s) 'momentum'"),
    ]
] + [
    table(
        "resume with another learning rate",
        edit(TABLE, lambda content: content["training"].update(learning_rate=0.5)),
        "learning_rate: 0.5 here",
        COMMANDS["resume"],
    ),
    table(
        "resume for more epochs without a state",
        edit(TABLE, lambda content: content["training"].update(epochs=50)),
        "epochs: 50 here, 2 there",
        COMMANDS["resume"],
    ),
    table(
        "resume of a finished run",
        lambda folder: None,
        "The training of this run is finished",
        COMMANDS["resume"],
        0,
    ),
]
SPLITS = [
    table(f"{w[0]} with splits.json {name}", write(TABLE, text, "splits.json"), said, w)
    for name, text, said in [
        ("that is empty", b"", "splits.json is not JSON"),
        ("that is a list", b"[]", "splits.json is not as it was written"),
        ("without test rows", b'{"train": ["1"]}', 'missing required key(s): "test"'),
        ("of numbers", b'{"train": ["1"], "test": [2]}', "splits.json is not as it"),
        (
            "with one more split",
            b'{"train": ["1"], "test": ["2"], "x": []}',
            'unexpected extra key(s): "x"',
        ),
        ("that is no text", b"\xff\xfe", "splits.json is not JSON"),
    ]
    for w in (COMMANDS["evaluate"], COMMANDS["resume"])
] + [
    table(
        f"{w[0]} without splits.json",
        lambda folder: (folder / TABLE / "splits.json").unlink(),
        "splits.json",
        w,
    )
    for w in (COMMANDS["evaluate"], COMMANDS["resume"])
]
VERDICTS = [
    table(f"verdict.json {name}", write(TABLE, text, "verdict.json"), said)
    for name, text, said in [
        ("that is empty", b"", "verdict.json is not JSON"),
        ("that is a list", b"[]", "verdict.json is not as it was written"),
        ("without fields", b"{}", "verdict.json lacks the field(s) correct, count"),
    ]
] + [
    table(name, edit(TABLE, change, "verdict.json"), said)
    for name, change, said in [
        ("a baseline of one", setting(baseline=["trees"]), "`baseline` is not as"),
        ("a baseline of text", setting(baseline="trees"), "`baseline` is not as"),
        ("a count of text", setting(count="16"), "`count` is not as it was written"),
        ("a verdict with more", setting(mood="good"), "unknown field(s) 'mood'"),
        (
            "a verdict without a kind",
            deleting("majority"),
            "lacks the field(s) majority",
        ),
    ]
]
METRICS = [
    table(
        f"resume with metrics.jsonl {name}",
        write(TABLE, text, "metrics.jsonl"),
        said,
        COMMANDS["resume"],
        0,
    )
    for name, text, said in [
        ("of junk", b"junk\n[]\n3\n", "metrics.jsonl has 3 line(s) that are no record"),
        ("of no text", b"\xff\x00\n", "metrics.jsonl has 1 line(s)"),
        ("with a step of text", b'{"step": "1"}\n', "line 1 lacks the field(s) epoch"),
        (
            "with a loss of text",
            b'{"epoch": 1, "step": 1, "loss": "low"}\n',
            "line 1: `loss` is not as it was written",
        ),
        (
            "with metrics of text",
            b'{"epoch": 1, "step": 1, "loss": 1.0, "metrics": {"error": "x"}}\n',
            "line 1: `metrics` is not as it was written",
        ),
        (
            "with other metrics",
            b'{"epoch": 1, "step": 1, "loss": 1.0, "metrics": {"error": 1}}\n'
            b'{"epoch": 2, "step": 2, "loss": 1.0, "metrics": {"other": 1}}\n',
            "step 1 has other metrics",
        ),
    ]
]


def best(folder):
    return folder / TABLE / "checkpoints" / "best"


def largest(folder):
    files = [path for path in (best(folder) / "state").rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def turn(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def empty(file):
    file.write_bytes(b"")


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def replace_by_file(path):
    remove(path)
    path.write_text("x")


def no_checkpoints(folder):
    shutil.rmtree(best(folder).parent)


DAMAGE = {
    "a bit of the weights turned": lambda folder: turn(largest(folder)),
    "the weights emptied": lambda folder: empty(largest(folder)),
    "the weights removed": lambda folder: remove(largest(folder)),
    "no state": lambda folder: remove(best(folder) / "state"),
    "no notes": lambda folder: remove(best(folder) / "notes"),
    "the notes emptied": lambda folder: empty(best(folder) / "notes" / "metadata"),
    "a bit of the notes turned": lambda f: turn(best(f) / "notes" / "metadata"),
    "the notes removed": lambda folder: remove(best(folder) / "notes" / "metadata"),
    "the manifest removed": lambda f: remove(best(f) / "state" / "manifest.ocdbt"),
    "the manifest turned": lambda f: turn(best(f) / "state" / "manifest.ocdbt"),
    "a file in place of the state": lambda f: replace_by_file(best(f) / "state"),
    "a file in place of the notes": lambda f: replace_by_file(best(f) / "notes"),
}
CHECKPOINTS = [
    table(f"{words[0]} with {name}", prepare, "checkpoints", words)
    for name, prepare in DAMAGE.items()
    for words in (COMMANDS["evaluate"], COMMANDS["predict"])
] + [
    table(f"{words[0]} {name}", prepare, "has no checkpoint that can be read", words)
    for name, prepare in {
        "without checkpoints": no_checkpoints,
        "with an empty folder of checkpoints": lambda folder: remove(best(folder)),
        "with a file in place of the best": lambda f: replace_by_file(best(f)),
        "with a file in place of checkpoints": lambda f: replace_by_file(
            best(f).parent
        ),
    }.items()
    for words in (COMMANDS["evaluate"], COMMANDS["predict"])
]


def lock(**owner):
    """Writes the lock of a process, by default of this one."""
    this = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "began": "2020-01-01 00:00:00",
    }

    def prepare(folder):
        (folder / TABLE / ".lock").write_text(json.dumps(this | owner))

    return prepare


LOCKS = [
    table(
        "resume in use here", lock(), f"process {os.getpid()} on", COMMANDS["resume"]
    ),
    table(
        "resume in use elsewhere",
        lock(host="node7.example", pid=31),
        "is written to by process 31 on node7.example, started 2020",
        COMMANDS["resume"],
    ),
    table(
        "evaluate in use here", lock(), "of 16 test examples", COMMANDS["evaluate"], 0
    ),
    table("predict in use here", lock(), "benign", COMMANDS["predict"], 0),
    *(
        table(
            f"resume with a lock of {name}",
            prepare,
            "The training of this run is finished",
            COMMANDS["resume"],
            0,
        )
        for name, prepare in {
            "a process that is gone": lock(pid=2**22 - 1),
            "a process of another start": lock(started=1.0),
            "no process": lock(pid="x"),
            "a negative number": lock(pid=-4),
            "junk": write(TABLE, b"\xff{", ".lock"),
        }.items()
    ),
]
CASES: list[Call | Command] = [
    *WHOLE_FILES,
    *LACKING,
    *RETYPED,
    *CHANGED,
    *READERS,
    *TRAINING,
    *SPLITS,
    *VERDICTS,
    *METRICS,
    *CHECKPOINTS,
    *LOCKS,
    table(
        "a run without config.json",
        lambda folder: (folder / TABLE / "config.json").unlink(),
        "is no run",
    ),
]
