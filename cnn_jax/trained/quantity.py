"""Quantities as labels: their own unit, and the accuracy of predictions."""

import dataclasses
from typing import NamedTuple

import numpy as np

from cnn_jax.data import Dataset
from cnn_jax.trained.baseline import Baseline

LEVEL = 0.95  # Of the intervals.
RESAMPLES = 1000


class Estimate(NamedTuple):
    """A figure with the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class QuantityScores:
    """How well quantities are predicted, beside what needs no network.

    Args:
        rmse: The root mean squared error, in the unit of the quantity.
        r2: The explained share of the variance.
        constant: The RMSE of always predicting the mean of the training rows.
        baseline: A simple method with its RMSE; None where there is none.
    """

    rmse: Estimate
    r2: Estimate
    constant: float
    baseline: Baseline | None = None

    @property
    def learned(self) -> bool:
        """Whether the network explains some of the variance, beyond chance."""
        return self.r2.low > 0

    def remarks(self) -> list[str]:
        """What the figures say; nothing where the network is clearly the best."""
        found = []
        if not self.learned:
            found.append("The network learned nothing that can be shown.")
        if self.baseline is not None and self.baseline.score <= self.rmse.value:
            found.append(
                f"The simple method is at least as accurate: use {self.baseline.name}."
            )
        return found


def target_of(dataset: Dataset) -> tuple[float, float] | None:
    """The mean and the standard deviation of the quantity in the training split.

    Args:
        dataset: Any data.

    Returns:
        Both, with 1 for a deviation of 0; None if labels are no single quantity.

    Example:
        >>> split = {"table": np.zeros((2, 3)), "label": np.array([[1.0], [5.0]])}
        >>> target_of(Dataset(split, split, ("price",)))
        (3.0, 2.0)
    """
    if not hasattr(dataset.train, "keys"):
        return None
    labels = np.asarray(dataset.train["label"])
    if labels.dtype.kind != "f" or labels.shape[1:] != (1,):
        return None
    labels = labels.astype(np.float64)
    return float(labels.mean()), float(labels.std()) or 1.0


def standardised(dataset: Dataset, target: tuple[float, float] | None) -> Dataset:
    """The data with labels of mean 0 and standard deviation 1, as they are trained on.

    Args:
        dataset: The data.
        target: Of `target_of`; with None the data are returned as they are.

    Returns:
        The data with other labels.
    """
    if target is None:
        return dataset
    mean, deviation = target
    splits = {
        name: {**split, "label": np.float32((split["label"] - mean) / deviation)}
        for name, split in dataset.splits().items()
    }
    return dataclasses.replace(dataset, **splits)


def quantity_scores(
    predicted: np.ndarray,
    true: np.ndarray,
    *,
    mean: float,
    simple: Baseline | None = None,
    seed: int = 0,
) -> QuantityScores:
    """RMSE and R² with 95 % bootstrap intervals.

        rmse = √mean((ŷ − y)²),   r2 = 1 − Σ(ŷ − y)² / Σ(y − mean(y))²

    Bounds are percentiles over 1,000 samples of the rows with replacement.

    Args:
        predicted: Predictions ŷ in the unit of the quantity, of any shape.
        true: The quantities y, as many.
        mean: The mean of the training rows, which the constant prediction is.
        simple: A simple method with its RMSE on the same rows.
        seed: Of the samples.

    Returns:
        The figures.

    Example:
        >>> scores = quantity_scores(np.arange(4.0), np.arange(4.0) + 1, mean=2.5)
        >>> scores.rmse
        Estimate(value=1.0, low=1.0, high=1.0)

    Source:
        Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13: the
        percentile interval.
    """
    y = np.ravel(true).astype(np.float64)
    errors = np.ravel(predicted).astype(np.float64) - y
    rng, rows = np.random.default_rng(seed), len(y)
    drawn = [
        _rmse_and_r2(errors[i], y[i])
        for i in (rng.integers(0, rows, rows) for _ in range(RESAMPLES))
    ]
    finite = [pair for pair in drawn if np.isfinite(pair).all()] or drawn
    bounds = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0).tolist()
    rmse, r2 = _rmse_and_r2(errors, y)
    return QuantityScores(
        Estimate(rmse, bounds[0][0], bounds[1][0]),
        Estimate(r2, bounds[0][1], bounds[1][1]),
        float(np.sqrt(np.mean((y - mean) ** 2))),
        simple,
    )


def _rmse_and_r2(errors: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Both figures; R² is NaN where all quantities are equal."""
    spread, squares = float(y.var()), float(np.mean(errors**2))
    return float(np.sqrt(squares)), 1 - squares / spread if spread else float("nan")
