"""What is a convolution, to a mathematician, to a photographer and to a network?

    python -m experiments.convolution

Two bell curves rolled over each other, against the closed form; a kernel flipped and
not flipped; tensors and the volume after a layer; strides and padding; three colour
channels into 96 maps; image kernels on a real photograph; and what a layer costs when
pixels, the pixels of a feature or the features are doubled.

Expected: the rolled curves meet the closed form to 1e-6, a 30 × 30 picture at stride 3
becomes 10 × 10 × 96, and each doubling doubles the cost. Under 20 seconds on 2 CPU
cores.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np
from flax import nnx
from sklearn.datasets import load_sample_image

import cnn_jax.functional as F
from cnn_jax import nn, report, training
from experiments._shared import footer, start


@dataclass(frozen=True)
class Config:
    """What to run.

    Args:
        name: Of the folder `runs/convolution/<name>`; the date and time by default.
        runs: Where runs lie.
        photograph: One of the two that scikit-learn ships.
    """

    name: str | None = None
    runs: Path = Path("runs")
    photograph: Literal["china.jpg", "flower.jpg"] = "china.jpg"


@dataclass(frozen=True)
class Result:
    """Everything that was reported; costs are multiply-adds."""

    folder: Path
    bell_error: float
    flipped: np.ndarray
    not_flipped: np.ndarray
    volume: tuple[int, ...]
    costs: dict[str, int]


def run(config: Config) -> Result:
    """Runs the experiment from the bell curves to the cost."""
    began = time.time()
    folder = training.Run.create(config.runs, "convolution", config.name, config)
    page = report.Page("What is a convolution?")
    bell_error = bell_curves(page)
    flipped, not_flipped = flipping(page)
    volume = volumes(page)
    image_kernels(page, config)
    costs = cost_law(page)
    page.write(folder.folder / "report.html", footer=footer(began))
    page.console.print(f"\n{footer(began)}\nreport: {folder.folder / 'report.html'}")
    return Result(folder.folder, bell_error, flipped, not_flipped, volume, costs)


def bell_curves(page: report.Page) -> float:
    """Rolls a narrow bell curve over a wide one, and compares with the closed form."""
    page.section("Two functions rolled together")
    step = 0.01
    at = np.arange(-6, 6 + step / 2, step)

    def bell(x: np.ndarray, centre: float, width: float) -> np.ndarray:
        scaled = (x - centre) / width
        return np.exp(-0.5 * scaled**2) / (width * np.sqrt(2 * np.pi))

    narrow, wide = bell(at, -1.0, 0.3), bell(at, 1.5, 0.8)
    signals = jnp.asarray(narrow, jnp.float32), jnp.asarray(wide, jnp.float32)
    rolled = F.convolve(signals[0][:, None], signals[1][:, None, None], mode="same")
    rolled = step * np.asarray(rolled[:, 0])
    closed = bell(at, -1.0 + 1.5, np.hypot(0.3, 0.8))
    error = float(np.abs(rolled - closed).max() / closed.max())
    page.text(
        "The convolution of two functions is the integral of one times the other, "
        "which is flipped and moved along: (f ∗ g)(t) = ∫ f(τ) g(t − τ) dτ. Two bell "
        "curves make another, whose centre is the sum of theirs and whose squared "
        f"width is the sum of theirs. Added up in steps of {step}, it meets "
        f"this closed form to {error:.1e} of its height."
    )
    none = np.zeros_like(at)
    lines = {
        "narrow: centre −1, width 0.3": (at, narrow, none),
        "wide: centre 1.5, width 0.8": (at, wide, none),
        "convolved: centre 0.5, width 0.85": (at, rolled, none),
    }
    figure = report.curves({"two bell curves, rolled": lines}, x="t", y="", columns=1)
    page.figure(
        figure, "The third curve is lower and wider than both: it is both, mixed."
    )
    return error


def flipping(page: report.Page) -> tuple[np.ndarray, np.ndarray]:
    """The mathematician's convolution beside the network's."""
    page.section("Flipped, and not flipped")
    impulse = jnp.zeros((5, 5, 1)).at[2, 2].set(1.0)
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    flipped = np.asarray(F.convolve(impulse, kernel, mode="same")[..., 0])
    not_flipped = np.asarray(F.conv(impulse, kernel, padding="same")[..., 0])
    page.text(
        "Mathematics flips the kernel, so that a single bright pixel is answered by "
        "the kernel as it is. A network learns its kernels anyway, so it saves the "
        "flip, and the same pixel is answered by the kernel turned round."
    )
    panels = {"kernel": np.asarray(kernel[..., 0, 0]), "convolve": flipped}
    panels |= {"conv": not_flipped}
    board = [f"{value:g}" for value in flipped[1:4, 1:4].flat]
    turned = [f"{value:g}" for value in not_flipped[1:4, 1:4].flat]
    rows = [["kernel", "1 2 3 4 5 6 7 8 9"], ["convolve", " ".join(board)]]
    page.table(
        ["answer to one pixel", "row by row"], [*rows, ["conv", " ".join(turned)]]
    )
    shown = {name: values / 9 for name, values in panels.items()}
    page.figure(report.numbers(shown), "The kernel's ninths, and the two answers.")
    return flipped, not_flipped


def volumes(page: report.Page) -> tuple[int, ...]:
    """Tensors of every order, and the size of the volume after a layer."""
    page.section("Tensors, and the volume after a layer")
    page.text(
        "A picture is a volume: height × width × channels, three of them for red, "
        "green and blue, each a number from 0 to 255. A convolution sums over the "
        "channels, and gives one map per kernel."
    )
    tensors = {
        "scalar: 7": jnp.array(7),
        "vector: (7, 8, 9)": jnp.array([7, 8, 9]),
        "matrix: ((1, 2), (5, 8))": jnp.array([[1, 2], [5, 8]]),
        "2 × 3 × 2": jnp.array([[[2, 3], [3, 5], [4, 7]], [[3, 4], [4, 6], [5, 8]]]),
        "32 pictures in colour": jnp.zeros((32, 30, 30, 3)),
    }
    rows = [
        [n, str(t.ndim), "×".join(map(str, t.shape)) or "1"] for n, t in tensors.items()
    ]
    page.table(["tensor", "order", "shape"], rows)

    colours = np.random.default_rng(0).integers(0, 256, (30, 30, 3))
    picture = jnp.asarray(colours, jnp.float32) / 255
    kernels = jnp.ones((3, 3, 3, 96)) / 27
    layers = {
        "stride 3": {"stride": 3},
        "stride 1": {},
        "stride 2": {"stride": 2},
        "stride 1, zeros around": {"padding": "same"},
    }
    maps = {name: F.conv(picture, kernels, **how) for name, how in layers.items()}
    rows = [[name, "30×30×3", "×".join(map(str, m.shape))] for name, m in maps.items()]
    page.table(["96 kernels of 3×3×3, with", "from", "to"], rows)
    page.text(
        "A larger stride takes fewer steps and leaves a smaller map. Without padding a "
        "3 × 3 kernel loses a pixel on every side; zeros around the picture keep the "
        "edges."
    )
    separate = sum(
        F.conv(picture[..., c : c + 1], kernels[:, :, c : c + 1], stride=3)
        for c in range(3)
    )
    apart = float(jnp.abs(separate - maps["stride 3"]).max())
    page.text(
        "Each channel filtered by itself, and the three maps added, is the same as "
        f"filtering the volume at once: they differ by {apart:.0e} at most."
    )
    return maps["stride 3"].shape


def image_kernels(page: report.Page, config: Config) -> None:
    """Every image kernel on a real photograph."""
    page.section("Kernels that people chose")
    photograph = load_sample_image(config.photograph)
    colour = jnp.asarray(photograph[::2, ::2], jnp.float32) / 255
    grey = F.rgb_to_gray(colour)
    pictures, rows = [np.asarray(colour)], []
    for name in F.IMAGE_KERNELS:
        kernel = F.image_kernel(name)
        answer = F.conv(grey, kernel, padding="same", padding_mode="replicate")[..., 0]
        sums = float(kernel.sum())
        keeps = sums == 1 and name != "emboss"
        seen = answer if keeps else jnp.abs(answer)
        pictures.append(np.asarray(jnp.clip(seen / (1 if keeps else seen.max()), 0, 1)))
        taps = " ".join(f"{tap:g}" for tap in 16 * kernel.ravel())
        taps = (
            taps if name == "blur" else " ".join(f"{tap:g}" for tap in kernel.ravel())
        )
        rows.append([name, taps + (" /16" if name == "blur" else ""), f"{sums:g}"])
    page.table(["kernel", "taps, row by row", "sum"], rows)
    page.figure(
        report.images(pictures, titles=["photograph", *F.IMAGE_KERNELS], columns=3),
        f"{config.photograph} of scikit-learn, {photograph.shape[0]} × "
        f"{photograph.shape[1]} pixels with values from {photograph.min()} to "
        f"{photograph.max()}, at half size. Answers to change are shown by size.",
    )


def cost_law(page: report.Page) -> dict[str, int]:
    """Doubles the pixels, the pixels of a feature, and the features."""
    page.section("What it costs")

    def cost(height: int, width_of_feature: int, features: int) -> int:
        window = (4, width_of_feature)
        layer = nn.Conv(3, features, window, padding="same", rngs=nnx.Rngs(0))
        return nn.summary(nn.Chain({"conv": layer}), (height, 32, 3)).multiply_adds

    costs = {
        "32 × 32 pixels, 16 features of 4 × 4": cost(32, 4, 16),
        "twice the pixels: 64 × 32": cost(64, 4, 16),
        "twice the pixels in a feature: 4 × 8": cost(32, 8, 16),
        "twice the features: 32": cost(32, 4, 32),
    }
    first = next(iter(costs.values()))
    page.table(
        ["", "multiply-adds", "times"],
        [[name, f"{value:,}", f"{value / first:g}"] for name, value in costs.items()],
    )
    page.text(
        "Cost grows in step with the pixels of the picture, with the pixels of a "
        "feature and with the number of features, so all three together make it eight "
        "times as much."
    )
    return costs


if __name__ == "__main__":
    start(run, Config, __doc__)
