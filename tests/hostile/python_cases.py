"""Calls from Python with arguments that cannot be meant."""

from pathlib import Path

import numpy as np
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import data, models, nn, trained, training
from cnn_jax.data import Dataset
from cnn_jax.data.readers import AudioReader, ImageReader
from tests.hostile.case import Call

HUGE, LARGE = 10**10, 10**9
BROKEN = np.full((12, 4), np.nan, np.float32)
KINDS = {"a boolean": True, "a text": "3", "a list": [3], "NaN": float("nan")}


def rows(count=12, **changed):
    """A split of a small table, some arrays of which are others."""
    table = np.arange(4 * count, dtype=np.float32).reshape(count, 4) / (4 * count)
    split = {"table": table, "label": np.arange(count) % 3}
    return split | changed


def dataset(classes=("a", "b", "c"), **changed):
    return Dataset(**{"train": rows(), "test": rows(), "classes": classes} | changed)


def network(logits=3, features=4):
    return nn.Chain({"classifier": nn.Dense(features, logits, rngs=nnx.Rngs(0))})


def fit(net=None, split=None, config=None, **options):
    """A training with some arguments that are others."""
    return training.fit(
        network() if net is None else net,
        dataset() if split is None else split,
        training.Config(epochs=1, batch_size=4) if config is None else config,
        **options,
    )


def given(function, *args, **options):
    """A call that needs no folder."""
    return lambda folder: function(*args, **options)


def later(function, *args, **options):
    """The same, where arguments are made at the call."""
    return lambda folder: function(*[arg() for arg in args], **options)


def options_of(name, function, *args, error=ValueError, **values):
    """A case for each kind of value that an option cannot have."""
    return [
        Call(f"{function.__qualname__}: {name} is {kind}", call, error, f"`{name}`")
        for kind, value in values.items()
        for call in [given(function, *args, **{name: value})]
    ]


LOAD = [
    Call(f"load {kind}", given(data.load, value), TypeError, "`name`")
    for kind, value in {"nothing": None, "a number": 3, "bytes": b"digits"}.items()
]
for option in ("size", "rate", "seconds", "seed", "broken", "drop", "label", "group"):
    accepted = {"drop": [], "label": ["a text"], "group": ["a text"]}.get(option, [])
    wrong = {"a text": "3", "a set": {3}, "bytes": b"3"}
    LOAD += [
        Call(
            f"load: {option} is {kind}",
            given(data.load, "digits", **{option: value}),
            TypeError,
            f"`{option}`",
        )
        for kind, value in wrong.items()
        if kind not in accepted
    ]
for option in ("size", "rate", "seconds"):
    LOAD += [
        Call(
            f"load: {option} is {value}",
            given(data.load, "digits", **{option: value}),
            ValueError,
            f"`{option}`",
        )
        for value in (0, -1)
    ]
LOAD += [
    Call(
        "load: a framing that there is not",
        lambda folder: data.load(folder / "scans", framing="squash"),
        ValueError,
        "`framing`",
        needs=("scans",),
    ),
    Call(
        "load: data_dir is a number",
        given(data.load, "digits", data_dir=3),
        TypeError,
        "`data_dir`",
    ),
    Call(
        "load: the size of audio",
        lambda folder: data.load(folder / "chirps", size=32),
        ValueError,
        "`size`",
        needs=("chirps",),
    ),
    Call(
        "load: the rate of images",
        lambda folder: data.load(folder / "scans", rate=8000),
        ValueError,
        "`rate`",
        needs=("scans",),
    ),
    Call(
        "load: images that do not fit into memory",
        lambda folder: data.load(folder / "scans", size=100_000),
        ValueError,
        "are free: choose a smaller `size`",
        needs=("scans",),
    ),
    Call(
        "load: audio that does not fit into memory",
        lambda folder: data.load(folder / "chirps", seconds=1e7),
        ValueError,
        "are free: choose a smaller `seconds`",
        needs=("chirps",),
    ),
    Call(
        "load: a filter of a rate that does not fit into memory",
        lambda folder: data.load(folder / "chirps", rate=2_000_000_011, seconds=1e-6),
        ValueError,
        "are free",
        needs=("chirps",),
    ),
    Call(
        "load: digits that do not fit into memory",
        given(data.load, "digits", size=100_000),
        ValueError,
        "are free",
    ),
]

READERS = [
    Call(f"an image reader of {name}", given(ImageReader, *args), error, "`")
    for name, args, error in (
        ("size 0", ((0, 4), 1), ValueError),
        ("two channels", ((4, 4), 2), ValueError),
        ("no framing", ((4, 4), 1, "squash"), ValueError),
    )
]
READERS += [
    Call(f"an audio reader of {name}", given(AudioReader, *args), ValueError, "`")
    for name, args in (("rate 0", (0, 4)), ("no samples", (8000, 0)))
]

SPLITS = [
    Call(
        f"a data set {name}",
        given(dataset, **changed),
        error,
        phrase,
    )
    for name, changed, error, phrase in (
        ("without training rows", {"train": None}, TypeError, "`train`"),
        ("whose training split is a list", {"train": [1, 2]}, TypeError, "`train`"),
        ("whose test split is a number", {"test": 3}, TypeError, "`test`"),
        ("with an empty split", {"train": {}}, ValueError, "`train`"),
        ("without labels", {"test": {"table": np.ones((2, 4))}}, ValueError, "label"),
        ("of labels only", {"test": {"label": np.ones(2, int)}}, ValueError, "input"),
        ("with more inputs", {"train": rows(label=np.zeros(3, int))}, ValueError, "12"),
        (
            "with labels below 0",
            {"train": rows(label=np.arange(12) - 1)},
            ValueError,
            "-1",
        ),
        ("with labels above", {"train": rows(label=np.arange(12))}, ValueError, "11"),
        (
            "with NaN labels",
            {"train": rows(label=np.full(12, np.nan))},
            ValueError,
            "NaN",
        ),
        (
            "with labels in words",
            {"train": rows(label=np.array(["a"] * 12))},
            TypeError,
            "label",
        ),
        (
            "with labels in a list",
            {"train": rows(label=[0, 1, 2] * 4)},
            TypeError,
            "label",
        ),
        (
            "with inputs in a list",
            {"train": rows(table=[[0.0] * 4] * 12)},
            TypeError,
            "table",
        ),
        (
            "with inputs in words",
            {"train": rows(table=np.array([["a"]] * 12))},
            TypeError,
            "table",
        ),
        ("with one label", {"train": rows(label=np.array(1))}, TypeError, "label"),
        (
            "of objects",
            {"train": rows(table=np.array([None] * 12))},
            TypeError,
            "table",
        ),
        ("with classes as text", {"classes": "abc"}, TypeError, "`classes`"),
        ("with numbers as classes", {"classes": (0, 1, 2)}, TypeError, "`classes`"),
        ("without classes", {"classes": ()}, ValueError, "classes"),
        (
            "with classes of one name",
            {"classes": ("a", "a", "b")},
            ValueError,
            "`classes`",
        ),
    )
]

FIT = [
    Call(f"fit {name}", call, error, phrase)
    for name, call, error, phrase in (
        ("no networks", given(fit, []), ValueError, "`net`"),
        ("None", given(training.fit, None, None, None), TypeError, "`net`"),
        ("the name of a network", given(fit, "lenet5"), TypeError, "`net`"),
        ("a list of names", given(fit, ["lenet5"]), TypeError, "`net`"),
        (
            "a layer",
            later(lambda: fit(nn.Dense(4, 3, rngs=nnx.Rngs(0)))),
            TypeError,
            "`net`",
        ),
        ("on a name", later(lambda: fit(split="digits")), TypeError, "`data`"),
        ("on a dictionary", later(lambda: fit(split=rows())), TypeError, "`data`"),
        ("on no data sets", later(lambda: fit([network()], [])), ValueError, "`data`"),
        (
            "with a dictionary as options",
            later(lambda: fit(config={"epochs": 1})),
            TypeError,
            "`config`",
        ),
        (
            "with more logits than classes",
            later(lambda: fit(network(5))),
            ValueError,
            "5",
        ),
        (
            "with fewer logits than classes",
            later(lambda: fit(network(2))),
            ValueError,
            "2",
        ),
        ("with other features", later(lambda: fit(network(3, 7))), ValueError, "7"),
        (
            "on NaN inputs",
            later(lambda: list(fit(split=dataset(train=rows(table=BROKEN))))),
            training.NotFiniteError,
            "check the data",
        ),
        (
            "on NaN validation inputs",
            later(lambda: fit(split=dataset(validation=rows(table=BROKEN)))),
            ValueError,
            "`validation`",
        ),
        (
            "with larger batches than data",
            later(lambda: fit(config=training.Config(batch_size=13))),
            ValueError,
            "13",
        ),
        (
            "for too many steps",
            later(lambda: fit(config=training.Config(epochs=2**31 - 1, batch_size=4))),
            ValueError,
            "`epochs`",
        ),
        (
            "with too few class weights",
            later(
                lambda: fit(config=training.Config(batch_size=4, class_weights=(1.0,)))
            ),
            ValueError,
            "`class_weights`",
        ),
        (
            "up to no stage",
            later(lambda: fit(config=training.Config(batch_size=4, frozen="zz"))),
            ValueError,
            "zz",
        ),
        (
            "with augmentation of a table",
            later(lambda: fit(config=training.Config(batch_size=4, augment=("flip",)))),
            ValueError,
            "`augment`",
        ),
        ("and resume nothing", later(lambda: fit(resume=True)), ValueError, "`resume`"),
        ("into a number", later(lambda: fit(folder=3)), TypeError, "`folder`"),
    )
]

CONFIG = []
for option in (
    "epochs",
    "batch_size",
    "accumulate",
    "patience",
    "record_every",
    "workers",
    "keep",
):
    CONFIG += options_of(
        option, training.Config, **KINDS, one_half=1.5, negative=-1, huge=2**31
    )
for option in (
    "learning_rate",
    "warmup",
    "weight_decay",
    "label_smoothing",
    "mixup",
    "cutmix",
    "clip",
    "ema",
    "desired_error",
    "save_every",
):
    CONFIG += options_of(
        option, training.Config, **KINDS, negative=-0.5, infinite=float("inf")
    )
for option in ("optimizer", "schedule", "loss", "precision", "feed"):
    CONFIG += options_of(
        option, training.Config, number=3, unknown="nothing", empty="", list=["adam"]
    )
for option in ("keep_best", "profile"):
    CONFIG += options_of(option, training.Config, number=1, text="yes", none=None)
CONFIG += options_of("seed", training.Config, negative=-1, huge=2**32)
CONFIG += options_of(
    "seed", training.Config, error=TypeError, text="3", boolean=True, half=0.5
)
CONFIG += options_of(
    "class_weights",
    training.Config,
    zeros=(0.0, 0.0),
    negative=(1.0, -1.0),
    text="equal",
    number=3,
    words=("a",),
    empty=(),
)
CONFIG += options_of(
    "augment",
    training.Config,
    text="flip",
    unknown=("nothing",),
    number=3,
    numbers=(3,),
)
CONFIG += options_of(
    "drops", training.Config, above=(2.0,), number=0.5, text="half", words=("a",)
)
CONFIG += options_of(
    "head_weights",
    training.Config,
    negative=(("aux", -1.0),),
    text="aux",
    names=("aux",),
    number=3,
)
CONFIG += options_of("frozen", training.Config, number=3, boolean=True)

TRAINED = [
    Call(f"trained: {name}", call, error, phrase, needs=needs)
    for name, call, error, phrase, needs in (
        ("load None", given(trained.load, None), TypeError, "`folder`", ()),
        ("load a number", given(trained.load, 3), TypeError, "`folder`", ()),
        (
            "load a folder that is not there",
            given(trained.load, "nowhere"),
            ValueError,
            "is no run",
            (),
        ),
        (
            "load a folder without a run",
            lambda folder: trained.load(folder / "scans"),
            ValueError,
            "is no run",
            ("scans",),
        ),
        *(
            (
                f"predict {kind}",
                lambda folder, value=value: trained.load(
                    folder / "runs/train/table"
                ).predict(value),
                TypeError,
                "`files`",
                ("table",),
            )
            for kind, value in {
                "a text": "ok.csv",
                "a path": Path("ok.csv"),
                "nothing": None,
                "a number": 3,
            }.items()
        ),
        (
            "evaluate an empty name",
            lambda folder: trained.load(folder / "runs/train/table").examples(""),
            ValueError,
            "",
            ("table",),
        ),
        (
            "evaluate a number",
            lambda folder: trained.load(folder / "runs/train/table").examples(3),
            TypeError,
            "`data`",
            ("table",),
        ),
    )
]

RUNS = [
    Call(
        f"a run called {name!r}",
        lambda folder, name=name: training.Run.create(folder, "train", name, None),
        ValueError,
        "`name`",
    )
    for name in ("", ".", "..", "../evil", "../../evil", "/evil", "a/b", "a\\b", "a\0b")
]

X, KERNEL = np.ones((8, 8, 1), np.float32), np.ones((3, 3, 1, 1), np.float32)
SIZES = [
    Call(f"F.{name} of {size}", given(call, size), ValueError, phrase)
    for size in (LARGE, HUGE)
    for name, call, phrase in (
        ("conv: padding", lambda n: F.conv(X, KERNEL, padding=n), "`padding`"),
        (
            "conv: reflecting",
            lambda n: F.conv(X, KERNEL, padding=n, padding_mode="circular"),
            "`padding`",
        ),
        ("conv: dilation", lambda n: F.conv(X, KERNEL, dilation=n), ""),
        (
            "conv_transpose: stride",
            lambda n: F.conv_transpose(X, KERNEL, stride=n),
            "`stride`",
        ),
        (
            "conv_transpose: dilation",
            lambda n: F.conv_transpose(X, KERNEL, dilation=n),
            "`dilation`",
        ),
        ("pad", lambda n: F.pad(X, (n, n)), "`padding`"),
        ("resize nearest", lambda n: F.resize(X, (n, n), method="nearest"), "`size`"),
        ("resize linear", lambda n: F.resize(X, (n, n), method="linear"), "`size`"),
        (
            "max_pool: window",
            lambda n: F.max_pool(X, (n, n), padding=n // 2),
            "`window`",
        ),
        (
            "avg_pool: window",
            lambda n: F.avg_pool(X, (n, n), padding=n // 2),
            "`window`",
        ),
        ("adaptive_avg_pool", lambda n: F.adaptive_avg_pool(X, (n, n)), "`size`"),
        ("adaptive_max_pool", lambda n: F.adaptive_max_pool(X, (n, n)), "`size`"),
        (
            "max_unpool: stride",
            lambda n: F.max_unpool(X, np.zeros_like(X, int), (2, 2), stride=n),
            "`stride`",
        ),
        ("unfold: padding", lambda n: F.unfold(X, (3, 3), padding=n), "`padding`"),
        (
            "fold: size",
            lambda n: F.fold(np.ones((1, 1, 3, 3, 1), np.float32), (n, n)),
            "`size`",
        ),
        (
            "affine_grid: size",
            lambda n: F.affine_grid(np.ones((2, 3), np.float32), (n, n)),
            "`size`",
        ),
        ("pixel_shuffle: factor", lambda n: F.pixel_shuffle(X, n), "`"),
        (
            "frame: length",
            lambda n: F.frame(np.ones(9, np.float32), n, hop_length=1),
            "`frame_length`",
        ),
    )
]

MODELS = [
    Call(
        f"a network {name}",
        later(lambda args=args: models.build(args[0], rngs=nnx.Rngs(0), **args[1])),
        error,
        phrase,
    )
    for name, args, error, phrase in (
        ("without a name", ("", {}), ValueError, "there is no network"),
        ("that there is not", ("lenet", {}), ValueError, "lenet5"),
    )
]

CASES: list = [
    *LOAD,
    *READERS,
    *SPLITS,
    *FIT,
    *CONFIG,
    *TRAINED,
    *RUNS,
    *SIZES,
    *MODELS,
]
