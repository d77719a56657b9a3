"""A damaged run predicts what it predicted before, or is refused in one line."""

import random
import shutil
import warnings

import numpy as np
import pytest

from cnn_jax import trained, training
from tests.hostile import mutations, runs

RUNS = {"table": ["cancer.csv"], "images": ["scans"]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder with a run on a table and one on images."""
    folder = tmp_path_factory.mktemp("mutations")
    for name in RUNS:
        runs.make(folder, name)
    return folder


def predictions(run, data):
    """The names and predictions of all files of a data set."""
    files = sorted(data.rglob("*.png"))[::10] if data.is_dir() else [data]
    found = list(trained.load(run).predict(files))
    return [name for name, _ in found], np.array([p for _, p in found])


def outcome(read, file):
    """What `read` returns, or None if it refuses `file` in one line."""
    named = "checkpoints" if file.startswith("checkpoints") else file
    with warnings.catch_warnings(action="ignore"):
        try:
            return read()
        except (ValueError, OSError) as error:
            text = str(error)
            assert named in text, text
            assert "\n" not in text
            assert len(text) < 1500
            return None


@pytest.mark.parametrize(
    ("seed", "count"),
    [(0, 20), *(pytest.param(i, 100, marks=pytest.mark.full) for i in range(1, 11))],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_run_predicts_the_same_or_is_refused(
    shared, tmp_path, seed, count, as_shipped
):
    rng = random.Random(seed)
    before = {
        name: predictions(shared / "runs/train" / name, shared / data)
        for name, (data,) in RUNS.items()
    }
    refused = 0
    for i in range(count):
        name = rng.choice(sorted(RUNS))
        run = tmp_path / str(i)
        shutil.copytree(shared / "runs/train" / name, run)
        file, done = mutations.mutate(run, rng)
        data = shared / RUNS[name][0]
        try:
            found = outcome(lambda run=run, data=data: predictions(run, data), file)
            others(run, file)
        except Exception as error:
            pytest.fail(f"{name}, {file}: {done}: {type(error).__name__}: {error}")
        if found is None:
            refused += 1
        else:
            assert found[0] == before[name][0], (file, done)
            assert np.array_equal(found[1], before[name][1]), (file, done)
        shutil.rmtree(run)
    assert count / 10 < refused < count


def others(run, file):
    """Reads all other files of a run."""
    for read in (
        trained.read_splits,
        trained.read_baseline,
        training.read_config,
        training.read_records,
    ):
        outcome(lambda read=read: read(run), file)
