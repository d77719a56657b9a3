"""Chapter 4: the weights of the two convolution layers."""

import numpy as np

from cnn_jax import nn, report


def learned_features(page: report.Page, net: nn.Chain) -> None:
    """Adds the kernels of both convolution layers as images."""
    page.section("4. The features that it learned")
    first, second = (
        np.asarray(net.stages[name].kernel[...]) for name in ("conv1", "conv2")
    )
    height, width, _, features = first.shape
    page.text(
        "Training found these features; nobody drew them. The first layer has "
        f"{features} features of {height} × {width} pixels. Each feature of the second "
        f"layer reads all {second.shape[2]} maps of the first."
    )
    limit = float(np.abs(first).max())
    kernels = [first[..., 0, i] for i in range(features)]
    page.figure(
        report.images(kernels, limits=(-limit, limit)),
        "The features of the first layer; black is negative, white is positive.",
    )
    page.figure(
        report.images([_mosaic(second)], columns=1),
        "The second layer: one column per feature, one row per input map.",
    )
    _extremes(page, first)


def _mosaic(kernel: np.ndarray) -> np.ndarray:
    """All kernels in one image: a column per output, a row per input channel."""
    by_input = kernel.transpose(2, 0, 3, 1)
    gap = ((0, 1), (0, 0), (0, 1))
    rows = [np.pad(part, gap, constant_values=np.nan) for part in by_input]
    return np.concatenate([row.reshape(row.shape[0], -1) for row in rows])


def _extremes(page: report.Page, kernel: np.ndarray) -> None:
    largest, smallest = kernel.max(axis=(0, 1, 2)), kernel.min(axis=(0, 1, 2))
    rows = [
        [name, *(f"{value:.2f}" for value in values)]
        for name, values in (("largest weight", largest), ("smallest", smallest))
    ]
    page.table(["feature", *map(str, range(kernel.shape[-1]))], rows)
