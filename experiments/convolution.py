"""What is a convolution in mathematics, in image processing and in a network?

    python -m experiments.convolution

The convolution of two bell curves, against the closed form; a kernel flipped and not
flipped; tensors, and the volume after a layer; strides and padding; three colour
channels and 96 feature maps; image kernels on a real photograph; and the cost of a
layer when the pixels, the kernel or the number of features is doubled.

Expected: the convolved curves agree with the closed form to 1e-6, an image of 30 × 30
pixels at stride 3 becomes 10 × 10 × 96, and each doubling doubles the cost. Under 20
seconds on 2 CPU cores.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from sklearn.datasets import load_sample_image

import cnn_jax.functional as F
from cnn_jax import nn, report, training
from experiments._shared import finish, start


@dataclass(frozen=True)
class Config:
    """Options of the experiment.

    Args:
        name: Folder name under `runs/convolution`; the date and time by default.
        runs: Root folder of all runs.
        photograph: One of the two that scikit-learn ships.
    """

    name: str | None = None
    runs: Path = Path("runs")
    photograph: Literal["china.jpg", "flower.jpg"] = "china.jpg"


@dataclass(frozen=True)
class Result:
    """Every reported figure.

    Args:
        folder: The folder of the run.
        bell_error: Largest error of the convolved curves, relative to the maximum.
        flipped: Response of `F.convolve` to an impulse.
        not_flipped: Response of `F.conv` to an impulse.
        volume: Shape after 96 kernels at stride 3.
        costs: Multiply-adds of each layer.
    """

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
    tensors(page)
    volume = volumes(page)
    image_kernels(page, config)
    costs = cost_law(page)
    finish(page, folder, began)
    return Result(folder.folder, bell_error, flipped, not_flipped, volume, costs)


def bell_curves(page: report.Page) -> float:
    """Convolves a narrow and a wide bell curve, and compares with the closed form."""
    page.section("Two functions, convolved")
    step = 0.01
    t = np.arange(-6, 6 + step / 2, step)
    narrow, wide = bell(t, -1.0, 0.3), bell(t, 1.5, 0.8)
    signals = jnp.asarray(narrow, jnp.float32), jnp.asarray(wide, jnp.float32)
    convolved = F.convolve(signals[0][:, None], signals[1][:, None, None], mode="same")
    convolved = step * np.asarray(convolved[:, 0])
    closed_form = bell(t, -1.0 + 1.5, np.hypot(0.3, 0.8))
    error = float(np.abs(convolved - closed_form).max() / closed_form.max())
    page.text(
        "The convolution of two functions is the integral of one times the other, "
        "flipped and shifted: (f ∗ g)(t) = ∫ f(τ) g(t − τ) dτ. The convolution of two "
        "bell curves is a bell curve. Its centre is the sum of their centres, and its "
        "squared width is the sum of their squared widths. A sum in steps of "
        f"{step} agrees with this closed form to {error:.1e} of its maximum."
    )
    no_band = np.zeros_like(t)
    lines = {
        "narrow: centre −1, width 0.3": (t, narrow, no_band),
        "wide: centre 1.5, width 0.8": (t, wide, no_band),
        "convolved: centre 0.5, width 0.85": (t, convolved, no_band),
    }
    figure = report.curves({"two bell curves": lines}, x="t", y="", columns=1)
    page.figure(figure, "Two bell curves and their convolution, wider than both.")
    return error


def bell(x: np.ndarray, centre: float, width: float) -> np.ndarray:
    """The normal density."""
    scaled = (x - centre) / width
    return np.exp(-0.5 * scaled**2) / (width * np.sqrt(2 * np.pi))


def flipping(page: report.Page) -> tuple[np.ndarray, np.ndarray]:
    """Compares the convolution of mathematics with that of networks."""
    page.section("Flipped, and not flipped")
    impulse = jnp.zeros((5, 5, 1)).at[2, 2].set(1.0)
    kernel = jnp.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    flipped = np.asarray(F.convolve(impulse, kernel, mode="same")[..., 0])
    not_flipped = np.asarray(F.conv(impulse, kernel, padding="same")[..., 0])
    page.text(
        "Mathematics flips the kernel, so the response to a single bright pixel is the "
        "kernel itself. A network learns its kernels, so it does not need the flip; "
        "its response is the kernel rotated by 180°."
    )
    boards = {
        "kernel": np.asarray(kernel[..., 0, 0]),
        "convolve": flipped[1:4, 1:4],
        "conv": not_flipped[1:4, 1:4],
    }
    rows = [[name, _numbers(board)] for name, board in boards.items()]
    page.table(["response to one pixel", "row by row"], rows)
    responses = boards | {"convolve": flipped, "conv": not_flipped}
    shown = {name: board / 9 for name, board in responses.items()}
    page.figure(report.numbers(shown), "The kernel in ninths, and the two responses.")
    return flipped, not_flipped


def _numbers(values: Any) -> str:
    return " ".join(f"{value:g}" for value in np.asarray(values).flat)


def tensors(page: report.Page) -> None:
    """Adds tensors of every order."""
    page.section("Tensors, and the volume after a layer")
    page.text(
        "An image is a volume: height × width × channels. Its three channels are red, "
        "green and blue, each a number from 0 to 255. A convolution sums over the "
        "channels, and gives one map per kernel."
    )
    examples = {
        "scalar: 7": jnp.array(7),
        "vector: (7, 8, 9)": jnp.array([7, 8, 9]),
        "matrix: ((1, 2), (5, 8))": jnp.array([[1, 2], [5, 8]]),
        "2 × 3 × 2": jnp.array([[[2, 3], [3, 5], [4, 7]], [[3, 4], [4, 6], [5, 8]]]),
        "32 colour images": jnp.zeros((32, 30, 30, 3)),
    }
    rows = [
        [name, str(tensor.ndim), _shape(tensor) or "1"]
        for name, tensor in examples.items()
    ]
    page.table(["tensor", "order", "shape"], rows)


def volumes(page: report.Page) -> tuple[int, ...]:
    """Adds the size of the volume after a layer, by stride and padding."""
    colours = np.random.default_rng(0).integers(0, 256, (30, 30, 3))
    image = jnp.asarray(colours, jnp.float32) / 255
    kernels = jnp.ones((3, 3, 3, 96)) / 27
    layers = {
        "stride 3": {"stride": 3},
        "stride 1": {},
        "stride 2": {"stride": 2},
        "stride 1, zero padding": {"padding": "same"},
    }
    maps = {name: F.conv(image, kernels, **options) for name, options in layers.items()}
    page.text("96 kernels of 3 × 3 × 3 turn a colour image into a volume of 96 maps.")
    rows = [[name, "30×30×3", _shape(volume)] for name, volume in maps.items()]
    page.table(["96 kernels, with", "from", "to"], rows)
    page.text(
        "A larger stride takes fewer steps and gives a smaller map. Without padding a "
        "3 × 3 kernel removes one pixel on every side; padding with zeros keeps the "
        "size."
    )
    _channel_by_channel(page, image, kernels, maps["stride 3"])
    return maps["stride 3"].shape


def _shape(array: jax.Array) -> str:
    return "×".join(map(str, array.shape))


def _channel_by_channel(
    page: report.Page, image: jax.Array, kernels: jax.Array, maps: jax.Array
) -> None:
    separate = sum(
        F.conv(image[..., c : c + 1], kernels[:, :, c : c + 1], stride=3)
        for c in range(3)
    )
    difference = float(jnp.abs(separate - maps).max())
    page.text(
        "The sum of three convolutions, one per channel, equals one convolution of the "
        f"whole volume: they differ by {difference:.0e} at most."
    )


def image_kernels(page: report.Page, config: Config) -> None:
    """Applies every image kernel to a real photograph."""
    page.section("Kernels that people chose")
    photograph = load_sample_image(config.photograph)
    colour = jnp.asarray(photograph[::2, ::2], jnp.float32) / 255
    grey = F.rgb_to_gray(colour)
    images, rows = [np.asarray(colour)], []
    for name in F.IMAGE_KERNELS:
        kernel = F.image_kernel(name)
        magnitude = float(kernel.sum()) != 1 or name == "emboss"
        images.append(_response(grey, kernel, magnitude=magnitude))
        taps = f"{_numbers(16 * kernel)} /16" if name == "blur" else _numbers(kernel)
        rows.append([name, taps, f"{float(kernel.sum()):g}"])
    page.table(["kernel", "taps, row by row", "sum"], rows)
    height, width, _ = photograph.shape
    page.figure(
        report.images(images, titles=["photograph", *F.IMAGE_KERNELS], columns=3),
        f"{config.photograph} of scikit-learn, {height} × {width} pixels with values "
        f"from {photograph.min()} to {photograph.max()}, at half size. Kernels whose "
        "sum is not 1, and emboss, are shown as magnitudes.",
    )


def _response(image: jax.Array, kernel: jax.Array, *, magnitude: bool) -> np.ndarray:
    """The filtered image, or its magnitude over the maximum, from 0 to 1."""
    response = F.conv(image, kernel, padding="same", padding_mode="replicate")[..., 0]
    if magnitude:
        response = jnp.abs(response)
        response = response / response.max()
    return np.asarray(jnp.clip(response, 0, 1))


def cost_law(page: report.Page) -> dict[str, int]:
    """Doubles the pixels, the pixels of a kernel, and the number of features."""
    page.section("The cost of a layer")

    def cost(height: int, kernel_width: int, features: int) -> int:
        window, rngs = (4, kernel_width), nnx.Rngs(0)
        layer = nn.Conv(3, features, window, padding="same", rngs=rngs)
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
        "The cost is proportional to the pixels of the image, to the pixels of a "
        "feature and to the number of features: doubling all three multiplies it by "
        "eight."
    )
    return costs


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    start("convolution", run, Config, __doc__)


if __name__ == "__main__":
    main()
