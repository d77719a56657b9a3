"""Repeated random splits of one data set."""

from typing import Any, NamedTuple

import numpy as np

from cnn_jax.locality.inputs import PreparedData

TEST = 0.3  # The fraction of rows in the test part.
MAX_ROWS = 4000  # Of more, a random part is used; effects are plain by then.


class Splits(NamedTuple):
    """Training and test rows of several splits of one data set."""

    train_x: Any  # (splits, rows, positions, channels)
    train_y: Any
    test_x: Any
    test_y: Any

    @property
    def test_to_train(self) -> float:
        """The number of test rows over that of training rows."""
        return self.test_y.shape[1] / self.train_y.shape[1]


def resample(data: PreparedData, seeds: int, rng: np.random.Generator) -> Splits:
    """Splits the rows at random into training and test rows, several times.

    Equal rows stay on one side. Filling and scaling use the training rows only.

    Args:
        data: Checked data; gets notes on repeated and unused rows.
        seeds: The number of splits.
        rng: The random generator.

    Returns:
        A split for each seed.
    """
    from sklearn.model_selection import train_test_split

    group = _equal_rows(data.x)
    first = np.unique(group, return_index=True)[1]
    repeated = len(group) - len(first)
    if repeated:
        data.notes.append(f"{repeated} rows repeat another one and stay on its side")
    if len(first) > MAX_ROWS:
        data.notes.append(f"{MAX_ROWS:,} of {len(first):,} rows were used")
    groups, pairs = np.arange(len(first)), []
    for _ in range(seeds):
        chosen = groups
        if len(groups) > MAX_ROWS:
            chosen = rng.choice(groups, MAX_ROWS, replace=False)
        seed = int(rng.integers(2**31))
        parts = train_test_split(
            chosen, test_size=TEST, stratify=data.y[first][chosen], random_state=seed
        )
        pairs.append([np.flatnonzero(np.isin(group, part)) for part in parts])
    sizes = [min(len(pair[i]) for pair in pairs) for i in (0, 1)]
    scale, splits = _standardized if data.table else _normalized, []
    for pair in pairs:
        train, test = (
            rng.permutation(rows)[:n] for rows, n in zip(pair, sizes, strict=True)
        )
        train_x, test_x = scale(data.x[train], data.x[test])
        splits.append((train_x, data.y[train], test_x, data.y[test]))
    return Splits(*(np.stack(arrays) for arrays in zip(*splits, strict=True)))


def _equal_rows(x: np.ndarray) -> np.ndarray:
    """A number for each row, the same for equal rows."""
    numbers: dict[bytes, int] = {}
    filled = np.nan_to_num(x, nan=1e38)
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in filled])


def _standardized(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each column with mean 0 and deviation 1 in `train`, and 0 where it is missing."""
    from sklearn.preprocessing import StandardScaler

    columns = [part[..., 0] for part in (train, test)]
    columns[0] = np.where(np.isnan(columns[0]).all(axis=0), 0, columns[0])
    scaler = StandardScaler().fit(columns[0])
    constant = np.asarray(scaler.var_) < 1e-24  # In `train`.
    scaled = (
        np.where(constant, 0, np.nan_to_num(scaler.transform(c))) for c in columns
    )
    first, second = (x.clip(-10, 10).astype(np.float32)[..., None] for x in scaled)
    return first, second


def _normalized(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All positions by one mean and deviation per channel, which keeps shapes."""
    mean, deviation = train.mean(axis=(0, 1)), train.std(axis=(0, 1)) + 1e-6
    first, second = ((x - mean) / deviation for x in (train, test))
    return first, second
