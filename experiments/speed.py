"""How fast are convolution and training here, beside Flax, Keras and PyTorch?

    python -m experiments.speed            # pip install -e '.[bench]' for every rival
    python -m experiments.speed --quick --only nets
    python -m experiments.speed --backend gpu

Everything is measured side by side in one run: after warm-up the rivals take turns, and
each time is also divided by that of a matrix product in the same round, for the speed
of a machine drifts. `cnn_jax` is jit-compiled with `cnn_jax.compiler_options()`, while
"plain" is the same without, and "−YNN" is a stock rival with them. Rivals that are not
installed are left out.

Expected on 2 CPU cores: hardly an operation slower than XLA's own, train steps between
0.9 and 2.4 times PyTorch's time, and in a loop between 0.6 and 1.8 times. Half an hour;
`--quick` some minutes.
"""

import importlib.util
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.linen import max_pool as flax_max_pool
from jax import lax
from PIL import Image

import cnn_jax
import cnn_jax.functional as F
from cnn_jax import data, models, report, trained, training
from cnn_jax.data.readers import ImageReader, to_fields
from cnn_jax.training.trainer import Trainer
from experiments._rivals import (
    NETS,
    QUICK,
    batch_of,
    gpu_nets,
    images_per_second,
    jitted_step,
    ours,
    runner,
    torch_format,
)
from experiments._shared import footer, start

Part = Literal["ops", "pools", "nets", "scan", "fit", "files", "compile", "start"]
Times = dict[str, list[float]]


@dataclass(frozen=True)
class Config:
    """What to measure.

    Args:
        only: Single convolutions, max pools, train steps, the same ten to a dispatch,
            the training loop, votes on files, compile times, or from the start of a
            process to its first step with its peak of memory.
        quick: A few shapes and nets, and few rounds.
        rounds: How often the rivals take turns.
        backend: A CPU's operations and nets, or a GPU's nets.
        name: Of the folder `runs/speed/<name>`; the date and time by default.
        runs: Where runs lie.
        child: What a fresh process is started for; not for you.
    """

    only: tuple[Part, ...] = get_args(Part)
    quick: bool = False
    rounds: int = 7
    backend: Literal["cpu", "gpu"] = "cpu"
    name: str | None = None
    runs: Path = Path("runs")
    child: str | None = None

    def __post_init__(self):
        if self.rounds < 1:
            raise ValueError(f"`rounds` is {self.rounds}, but must be at least 1.")


class Op(NamedTuple):
    """One convolution; those held out were not looked at while choosing methods."""

    batch: int
    size: tuple[int, ...]
    channels: int
    features: int
    window: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    held_out: bool = False

    @property
    def name(self) -> str:
        """The convolution in a few signs."""
        maps = f"{self.batch}×{_power(self.size)} {self.channels}→{self.features}"
        extra = f" s{self.stride}" * (self.stride > 1)
        extra += f" d{self.dilation}" * (self.dilation > 1)
        extra += f" g{self.groups}" * (self.groups > 1)
        return f"{maps} {_power(self.window)}{extra}{'*' * self.held_out}"


def _power(size: tuple[int, ...]) -> str:
    """A size in short: 32² for 32 × 32."""
    if len(set(size)) > 1:
        return "×".join(map(str, size))
    return f"{size[0]}{' ²³'[len(size) - 1].strip()}"


OPS = (
    Op(128, (32, 32), 1, 6, (5, 5)),
    Op(128, (14, 14), 6, 16, (5, 5)),
    Op(128, (5, 5), 16, 120, (5, 5)),
    Op(128, (32, 32), 3, 32, (3, 3), padding=1),
    Op(128, (32, 32), 32, 32, (3, 3), padding=1),
    Op(128, (16, 16), 64, 64, (3, 3), padding=1),
    Op(64, (32, 32), 64, 64, (3, 3), padding=1),
    Op(64, (32, 32), 64, 128, (3, 3), stride=2, padding=1),
    Op(64, (32, 32), 64, 128, (1, 1), stride=2),
    Op(64, (16, 16), 128, 128, (3, 3), padding=1),
    Op(64, (8, 8), 256, 256, (3, 3), padding=1),
    Op(64, (4, 4), 512, 512, (3, 3), padding=1),
    Op(64, (32, 32), 32, 32, (3, 3), padding=1, groups=32),
    Op(64, (32, 32), 64, 64, (3, 3), stride=2, padding=1, groups=64),
    Op(64, (16, 16), 128, 128, (3, 3), padding=1, groups=128),
    Op(64, (8, 8), 256, 256, (3, 3), padding=1, groups=256),
    Op(64, (32, 32), 32, 64, (1, 1)),
    Op(64, (8, 8), 256, 256, (1, 1)),
    Op(8, (56, 56), 64, 256, (1, 1)),
    Op(32, (8000,), 1, 64, (80,), stride=4),
    Op(32, (500,), 64, 64, (3,), padding=1),
    Op(16, (16, 16, 16), 1, 16, (3, 3, 3), padding=1),
    Op(16, (16, 16, 16), 16, 32, (3, 3, 3), padding=1),
    Op(32, (16, 16), 64, 64, (3, 3), padding=1, groups=4),
    Op(32, (16, 16), 32, 32, (3, 3), padding=2, dilation=2),
    Op(4, (224, 224), 3, 64, (7, 7), stride=2, padding=3),
    Op(8, (224, 224), 3, 96, (16, 16), stride=16),
    Op(50, (24, 20), 3, 16, (5, 5), held_out=True),
    Op(32, (28, 28), 48, 96, (3, 3), padding=1, held_out=True),
    Op(16, (40, 40), 96, 96, (3, 3), padding=1, held_out=True),
    Op(16, (28, 28), 72, 72, (5, 5), padding=2, groups=72, held_out=True),
    Op(16, (28, 28), 96, 96, (3, 3), stride=2, padding=1, groups=96, held_out=True),
    Op(16, (28, 28), 96, 24, (1, 1), held_out=True),
    Op(32, (7, 7), 320, 160, (1, 1), held_out=True),
    Op(16, (28, 28), 48, 96, (3, 3), stride=2, padding=1, held_out=True),
    Op(32, (512,), 32, 64, (9,), padding=4, held_out=True),
    Op(8, (12, 12, 12), 8, 24, (3, 3, 3), padding=1, held_out=True),
)
OPERATIONS = {"y": "forward", "dx": "input gradient", "dk": "kernel gradient"}


@dataclass(frozen=True)
class Result:
    """Where the run lies, and every time in seconds: part, row, rival, round."""

    folder: Path
    times: dict[str, dict[str, Times]]


def run(config: Config) -> Result:
    """Measures every part that is asked for."""
    if config.child:
        return _child(config)
    began = time.time()
    folder = training.Run.create(config.runs, "speed", config.name, config)
    page = report.Page("Speed")
    parts = _gpu_parts() if config.backend == "gpu" else _cpu_parts(config)
    found = {}
    for part, measure in parts.items():
        found[part] = measure(config, page)
        text = json.dumps({"hardware": training.hardware(), "times": found}, indent=1)
        (folder.folder / "times.json").write_text(text)
    page.write(folder.folder / "report.html", footer=footer(began))
    return Result(folder.folder, found)


def _cpu_parts(config: Config) -> dict[str, Callable]:
    every = {
        "ops": operations,
        "pools": pools,
        "nets": train_steps,
        "scan": ten_steps,
        "fit": training_loop,
        "files": files,
        "compile": compile_times,
        "start": starts,
    }
    return {part: every[part] for part in config.only}


def _gpu_parts() -> dict[str, Callable]:
    return {"gpu": on_a_gpu}


def take_turns(rivals: Mapping[str, Callable[[], Any]], rounds: int) -> Times:
    """The seconds of each rival in each round, with a matrix product among them."""
    matrix = jnp.ones((1024, 1024))
    product = jax.jit(jnp.matmul).lower(matrix, matrix).compile()
    every = {"product": lambda: product(matrix, matrix).block_until_ready()}
    every |= rivals
    first = {name: _seconds(call, 1) for name, call in every.items()}
    times = {name: [] for name in every}
    for _ in range(rounds):
        for name, call in every.items():
            if first[name] < 1:
                call()  # What ran before has taken the caches.
            repeats = max(1, min(10, int(0.02 / first[name])))
            times[name].append(_seconds(call, repeats))
    return times


def _seconds(call: Callable[[], Any], repeats: int) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats


def ratio(times: Times, name: str, other: str) -> float:
    """The median of one rival over another's, each by the product of its round."""
    own, others, product = (np.asarray(times[key]) for key in (name, other, "product"))
    return float(np.median(own / product) / np.median(others / product))


def _spread(series: list[float]) -> float:
    """Half the range between the quartiles, over the median."""
    low, middle, high = np.quantile(series, [0.25, 0.5, 0.75])
    return float((high - low) / 2 / middle)


def geometric_mean(ratios: list[float]) -> float:
    """The mean of ratios."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def installed(rival: str) -> bool:
    """Whether a library that is measured beside this one is there."""
    needs = {"PyTorch": "torch", "Keras": "keras"}
    return rival not in needs or importlib.util.find_spec(needs[rival]) is not None


# (a) Single operations.


def _xla(x: jax.Array, kernel: jax.Array, op: Op) -> jax.Array:
    axes = len(op.window)
    places = "DHW"[-axes:]
    return lax.conv_general_dilated(
        x,
        kernel,
        (op.stride,) * axes,
        [(op.padding, op.padding)] * axes,
        rhs_dilation=(op.dilation,) * axes,
        dimension_numbers=(f"N{places}C", f"{places}IO", f"N{places}C"),
        feature_group_count=op.groups,
    )


def _ours(x: jax.Array, kernel: jax.Array, op: Op) -> jax.Array:
    return F.conv(
        x,
        kernel,
        stride=op.stride,
        padding=op.padding,
        dilation=op.dilation,
        groups=op.groups,
    )


def _jax_calls(conv: Callable, op: Op, options: dict[str, str]) -> list[Callable]:
    x, kernel, y = map(jnp.asarray, _arrays(op))

    def input_gradient(y: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda x: conv(x, kernel, op), x)(y)[0]

    def kernel_gradient(x: jax.Array, y: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda kernel: conv(x, kernel, op), kernel)(y)[0]

    pairs = (
        (lambda x, kernel: conv(x, kernel, op), (x, kernel)),
        (input_gradient, (y, kernel)),
        (kernel_gradient, (x, y)),
    )
    calls = []
    for function, arrays in pairs:
        compiled = jax.jit(function, compiler_options=options).lower(*arrays).compile()
        calls.append(lambda f=compiled, a=arrays: f(*a).block_until_ready())
    return calls


def _torch_calls(op: Op) -> list[Callable]:
    torch: Any = importlib.import_module("torch")
    layout, axes = torch_format(torch, len(op.window)), len(op.window)
    x, kernel, y = _arrays(op)
    x, y = (np.moveaxis(array, -1, 1) for array in (x, y))
    kernel = np.moveaxis(kernel, (-1, -2), (0, 1))
    x, kernel, y = (
        torch.from_numpy(array.copy()).contiguous(memory_format=layout)
        for array in (x, kernel, y)
    )
    how = [op.stride] * axes, [op.padding] * axes, [op.dilation] * axes
    backward = torch.ops.aten.convolution_backward

    def gradient(*wanted: bool) -> Callable:
        more = (False, [0] * axes, op.groups, [*wanted, False])
        return lambda: backward(y, x, kernel, None, *how, *more)

    def forward() -> Any:
        with torch.no_grad():
            conv = getattr(torch.nn.functional, f"conv{axes}d")
            return conv(x, kernel, None, *how, op.groups)

    return [forward, gradient(True, False), gradient(False, True)]


def _arrays(op: Op) -> list[np.ndarray]:
    places = [
        (n + 2 * op.padding - op.dilation * (k - 1) - 1) // op.stride + 1
        for n, k in zip(op.size, op.window, strict=True)
    ]
    rng = np.random.default_rng(0)
    shapes = (
        (op.batch, *op.size, op.channels),
        (*op.window, op.channels // op.groups, op.features),
        (op.batch, *places, op.features),
    )
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def operations(config: Config, page: report.Page) -> dict[str, Times]:
    """Forward and both gradients of every shape, here, by XLA itself and in PyTorch."""
    fast, found = cnn_jax.compiler_options(), {}
    for op in OPS[:: 9 if config.quick else 1]:
        calls = {
            "cnn_jax": _jax_calls(_ours, op, fast),
            "plain": _jax_calls(_ours, op, {}),
            "XLA": _jax_calls(_xla, op, {}),
            "XLA−YNN": _jax_calls(_xla, op, fast),
        }
        if installed("PyTorch"):
            calls["PyTorch"] = _torch_calls(op)
        for i, operation in enumerate(OPERATIONS):
            rivals = {name: each[i] for name, each in calls.items()}
            found[f"{op.name} {operation}"] = take_turns(rivals, config.rounds)
    _show(page, "Single operations", found)
    _show_means(page, found)
    return found


def _show_means(page: report.Page, found: dict[str, Times]) -> None:
    """Geometric means of the ratios, held-out shapes apart, and the slowest."""
    others = [name for name in next(iter(found.values())) if name != "product"][1:]
    rows = []
    for operation, label in OPERATIONS.items():
        for held in (False, True):
            some = [
                times
                for name, times in found.items()
                if name.endswith(f" {operation}") and ("*" in name) == held
            ]
            if some:
                means = [
                    geometric_mean([ratio(times, "cnn_jax", other) for times in some])
                    for other in others
                ]
                what = f"{label}{', held out' * held}"
                row = [what, str(len(some)), *(f"{mean:.2f}" for mean in means)]
                rows.append(row)
    page.table(["cnn_jax's time over", "shapes", *others], rows)
    slower = {
        name: min(ratio(times, other, "cnn_jax") for other in others[1:3]) ** -1
        for name, times in found.items()
    }
    slower = {name: r for name, r in slower.items() if r > 1.1}
    page.text(
        "Slower than the quicker of the two by XLA itself, by more than a tenth: "
        + ("; ".join(f"{name} ({r:.2f} times)" for name, r in slower.items()) or "none")
        + "."
    )


def pools(config: Config, page: report.Page) -> dict[str, Times]:
    """Max pooling of 128 maps of 32 × 32 places, 32 channels: forward, and with dx."""
    x = jnp.asarray(_arrays(Op(128, (32, 32), 32, 1, (1, 1)))[0])
    found = {}
    for window, stride in ((2, 2), (3, 2), (3, 1)):
        size = (window, window)
        calls: dict[str, Any] = {
            "cnn_jax": partial(F.max_pool, window=size, stride=stride),
            "Flax": partial(flax_max_pool, window_shape=size, strides=(stride,) * 2),
        }
        forward, both = {}, {}
        for name, pool in calls.items():
            forward[name] = _ready(pool, x)
            both[name] = _ready(jax.grad(lambda x, f=pool: f(x).sum()), x)
        if installed("PyTorch"):
            forward["PyTorch"], both["PyTorch"] = _torch_pools(x, window, stride)
        label = f"{window}² s{stride}"
        found[f"{label} y"] = take_turns(forward, config.rounds)
        found[f"{label} dx"] = take_turns(both, config.rounds)
    _show(page, "Max pooling", found)
    return found


def _ready(function: Callable, x: jax.Array) -> Callable[[], Any]:
    compiled = jax.jit(function, compiler_options=cnn_jax.compiler_options())
    compiled = compiled.lower(x).compile()
    return lambda: compiled(x).block_until_ready()


def _torch_pools(x: jax.Array, window: int, stride: int) -> list[Callable[[], Any]]:
    torch: Any = importlib.import_module("torch")
    there = torch.from_numpy(np.moveaxis(np.asarray(x), -1, 1).copy())
    there = there.contiguous(memory_format=torch_format(torch, 2)).requires_grad_()
    pool = partial(torch.nn.functional.max_pool2d, there, window, stride)

    def forward() -> Any:
        with torch.no_grad():
            return pool()

    return [forward, lambda: torch.autograd.grad(pool().sum(), there)]


# (b) and (c) Train steps.


def _rivals(config: Config, *, scan: bool = False) -> list[str]:
    every = ["cnn_jax", "Flax−YNN", "Flax", "plain", "Keras"]
    if scan:
        return every[:2]
    return [rival for rival in [*every, "PyTorch"] if installed(rival)]


def train_steps(config: Config, page: report.Page) -> dict[str, Times]:
    """One whole train step: forward, both gradients, the optimizer."""
    found = {}
    for name in QUICK if config.quick else NETS:
        rivals = {rival: runner(rival, NETS[name]) for rival in _rivals(config)}
        found[name] = take_turns(rivals, config.rounds)
    _show(page, "One train step", found)
    return found


def ten_steps(config: Config, page: report.Page) -> dict[str, Times]:
    """The same with ten steps to a dispatch, beside one and beside PyTorch."""
    found = {}
    for name in QUICK if config.quick else NETS:
        net = NETS[name]
        rivals = {"cnn_jax, ten": runner("cnn_jax", net, steps=10)}
        rivals["cnn_jax, one"] = _ten_times(runner("cnn_jax", net))
        if installed("PyTorch"):
            rivals["PyTorch"] = _ten_times(runner("PyTorch", net))
        found[name] = take_turns(rivals, max(3, config.rounds // 2))
    _show(page, "Ten train steps in one dispatch", found)
    return found


def _ten_times(call: Callable[[], Any]) -> Callable[[], None]:
    def ten() -> None:
        for _ in range(10):
            call()

    return ten


def _show(page: report.Page, title: str, found: dict[str, Times]) -> None:
    """A table of milliseconds, and of the first rival's time over each other's."""
    page.section(title)
    names = [name for name in next(iter(found.values())) if name != "product"]
    first, *others = names
    rows = [
        [
            row,
            f"{np.median(times[first]) * 1e3:.1f}",
            f"{_spread(times[first]):.0%}",
            *(f"{ratio(times, first, other):.2f}" for other in others),
        ]
        for row, times in found.items()
    ]
    page.table(["", "ms", "±", *others], rows)
    page.text(
        f"Milliseconds of {first}, the median, and half the range of quartiles; under "
        f"each rival, the time of {first} over its own, both by the matrix product of "
        "the same round: below 1, this library is quicker."
        + " y, dx and dk are forward, input and kernel gradient; * was held out."
        * (title == "Single operations")
        + " y is forward, dx forward and back." * (title == "Max pooling")
    )
    if title.endswith(("step", "dispatch")):
        ratios = {
            other: [ratio(times, first, other) for times in found.values()]
            for other in others
        }
        labels = list(found)
        page.figure(
            report.bars(labels, ratios, xlabel=f"time of {first} / time of the other"),
            f"{title}: left of the line at 1, {first} is quicker.",
        )


def training_loop(config: Config, page: report.Page) -> dict[str, Times]:
    """`training.fit` as on the digits: its share of an epoch; five nets at once."""
    page.section("The training loop")
    net, epochs = NETS["LeNet-5"], 10
    x, labels = batch_of(net._replace(batch=1347))
    split = {"image": x, "label": labels}
    examples = data.Dataset(split, split, tuple("0123456789"))
    how = training.Config(epochs + 1, batch_size=64, augment=("affine",))
    nets = [ours(net.layers, net.shape, nnx.Rngs(seed)) for seed in range(5)]

    def epoch(one: Any) -> float:
        records = training.fit(one, examples, how)
        next(records)  # Compiled by then.
        began = time.perf_counter()
        for _ in records:
            pass
        return (time.perf_counter() - began) / epochs

    alone = _epoch_of_steps(nets[0], examples, how)
    times: Times = {"one": [], "steps alone": [], "five at once": []}
    for _ in range(config.rounds):
        times["one"].append(epoch(nets[0]))
        times["steps alone"].append(_seconds(alone, epochs))
        times["five at once"].append(epoch(nets))
    fit, steps, five = (np.median(series) for series in times.values())
    page.text(
        f"LeNet-5 on {len(labels):,} pictures in batches of 64, deformed: an epoch "
        f"takes {fit * 1e3:.0f} ms, of which {max(0, 1 - steps / fit):.1%} are not its "
        f"compiled steps. Five nets at once take {five / (5 * fit):.2f} times as long "
        "as one after another."
    )
    return {"LeNet-5": times}


def _epoch_of_steps(net: Any, examples: data.Dataset, config: training.Config):
    """The compiled steps of one epoch, without the loop around them."""
    trainer = Trainer(net, examples, config, loss=None, optimizer=None, augment=None)
    trainer.start()
    (feed,), (state,) = trainer.feeds, trainer.states
    feed.start(*trainer.order(state), 0)
    chunk, count = feed.take(trainer.batches), jnp.int32(trainer.batches)

    def epoch() -> None:
        nonlocal state
        first = chunk._replace(begin=jnp.copy(state.step))
        state, halted = trainer.run.train_steps(state, *first, count)
        jax.block_until_ready(halted)

    return epoch


def files(config: Config, page: report.Page) -> dict[str, Times]:
    """Votes on photographs in files, beside a plain loop that reads them."""
    page.section("Votes on files")
    count, reader = 500 if config.quick else 5000, ImageReader((32, 32), 3)
    net = models.build("resnet20", classes=10, rngs=nnx.Rngs(0))
    about = trained.About("", "resnet20", {}, tuple("0123456789"), to_fields(reader))
    asked = trained.Trained(Path(), about, net, reader)
    with tempfile.TemporaryDirectory() as folder:
        paths = _photographs(Path(folder), count)
        some = paths[:500]
        rivals = {
            "predict": lambda: list(asked.predict(some)),
            "Pillow": lambda: [_plainly_read(path) for path in some],
        }
        times = take_turns(rivals, config.rounds)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = _seconds(lambda: deque(asked.predict(paths), maxlen=0), 1)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    rates = {n: len(some) / np.median(times[n]) for n in rivals}
    page.text(
        f"{rates['predict']:,.0f} photographs of 480 × 360 a second are read and voted "
        f"on by ResNet-20 at 32 × 32; a plain loop over Pillow reads "
        f"{rates['Pillow']:,.0f} without a vote. {count:,} files took {seconds:.1f} s, "
        f"and the peak of memory rose by {grown:.1f} MB after the first 500."
    )
    return {"500 files": times}


def _photographs(folder: Path, count: int) -> list[Path]:
    """Clouds of colour as JPEG."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (45, 60, 3), np.uint8))
        coarse.resize((480, 360)).save(folder / f"{i:05}.jpg", quality=90)
    return sorted(folder.iterdir())


def _plainly_read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((32, 32)))


# (d), (e) and (f) Compiling, starting and memory.


def compile_times(config: Config, page: report.Page) -> dict[str, Times]:
    """Seconds to compile a train step."""
    page.section("Compile time")
    found, rows = {}, []
    for name in QUICK if config.quick else NETS:
        found[name] = {}
        for rival in ("cnn_jax", "Flax", "Flax−YNN"):
            jitted, arguments = jitted_step(rival, NETS[name])
            began = time.perf_counter()
            jitted.lower(*arguments).compile()
            found[name][rival] = [time.perf_counter() - began]
            jax.clear_caches()
        own, *others = (seconds for (seconds,) in found[name].values())
        ratios = (f"{own / other:.2f}" for other in others)
        rows.append([name, f"{own:.1f}", *ratios])
    page.table(["", "cnn_jax, s", "over Flax", "over Flax−YNN"], rows)
    page.text("With tracing the step; nothing cached.")
    return found


def starts(config: Config, page: report.Page) -> dict[str, Times]:
    """From the start of a process to its first step, twice, and its peak of memory."""
    page.section("Start and memory")
    found, rows = {}, []
    for name in QUICK if config.quick else [*QUICK, "ResNet-18"]:
        for rival in filter(installed, ("cnn_jax", "Flax", "PyTorch")):
            with tempfile.TemporaryDirectory() as cache:
                cold, warm = (_fresh_process(name, rival, cache) for _ in range(2))
            found[f"{name}, {rival}"] = {
                "cold": [cold["seconds"]],
                "warm": [warm["seconds"]],
                "megabytes": [cold["megabytes"]],
            }
            seconds = f"{cold['seconds']:.1f}", f"{warm['seconds']:.1f}"
            rows.append([name, rival, *seconds, f"{cold['megabytes']:.0f}"])
    page.table(["", "", "cold, s", "with cache, s", "peak, MB"], rows)
    return found


def _fresh_process(name: str, rival: str, cache: str) -> dict[str, float]:
    command = [sys.executable, "-m", "experiments.speed", "--child", f"{name}|{rival}"]
    settings = {
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    began = time.time()
    done = subprocess.run(
        command,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    ended, megabytes = map(float, done.stdout.splitlines()[-1].split())
    return {"seconds": ended - began, "megabytes": megabytes}


def _child(config: Config) -> Result:
    """In a fresh process: one step, and prints when it was done and the peak so far."""
    name, rival = str(config.child).split("|")
    runner(rival, NETS[name])()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(time.time(), peak)
    return Result(config.runs, {})


# On a GPU.


def on_a_gpu(config: Config, page: report.Page) -> dict[str, Times]:
    """Images per second in bfloat16, against the roof and PyTorch on the card."""
    page.section("On a GPU")
    found, rows = {}, []
    for name, (net, roof, steps) in gpu_nets().items():
        for rival in ("cnn_jax", "cnn_jax, deterministic", "Flax", "PyTorch"):
            if not installed(rival):
                continue
            rates = images_per_second(rival, net, steps=steps, rounds=config.rounds)
            found[f"{name}, {rival}"] = {"images per second": rates}
            middle = float(np.median(rates))
            share = f"{middle / roof:.0%}"
            rows.append([name, rival, f"{middle:,.0f}", f"{max(rates):,.0f}", share])
    page.table(["", "", "images/s", "best", "of the roof"], rows)
    return found


if __name__ == "__main__":
    start(run, Config, __doc__)
