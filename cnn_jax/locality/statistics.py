"""Intervals and tests over several splits of one data set."""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean over splits with its confidence interval, as a fraction."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        low, high = f"{100 * self.low:+.1f}", f"{100 * self.high:+.1f}"
        return f"{100 * self.mean:+.1f} points ({low} to {high})"


def corrected_t(
    values: np.ndarray, test_to_train: float, *, level: float = 0.95
) -> tuple[Interval, float]:
    """The corrected resampled t test for one value per split, whose rows overlap.

    With J splits, the standard error of the mean is √((1/J + n_test / n_train) · var).

    Args:
        values: One per split, such as differences of two methods on the same splits.
        test_to_train: n_test / n_train.
        level: Of the interval.

    Returns:
        Student's interval, and the one-sided p-value of a mean above 0.

    Source:
        Nadeau & Bengio, "Inference for the generalization error", Machine Learning 52,
        2003.
    """
    count, mean = len(values), float(values.mean())
    error = math.sqrt((1 / count + test_to_train) * values.var(ddof=1))
    if error == 0:
        return Interval(mean, mean, mean), 0.0 if mean > 0 else 1.0
    t = stats.t(count - 1, loc=mean, scale=error)
    low, high = map(float, t.interval(level))
    return Interval(mean, low, high), float(t.cdf(0))


def rows_needed(effect: Interval, margin: float, rows: int) -> int:
    """Rows from which the interval excludes 0, or lies within the margin.

    The width of the interval falls with the square root of the number of rows.

    Args:
        effect: From `rows` rows.
        margin: The effect that does not matter.
        rows: Their number.

    Returns:
        At least half as many rows again, rounded up to tens.
    """
    half_width = (effect.high - effect.low) / 2
    distance = max(abs(effect.mean), margin - abs(effect.mean))
    return math.ceil(rows * max(1.5, (half_width / distance) ** 2) / 10) * 10
