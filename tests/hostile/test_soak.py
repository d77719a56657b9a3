"""Trainings in one process, one after another, leave nothing behind in it."""

import gc
import shutil

import psutil
import pytest

from cnn_jax import data, trained, training
from tests import files

ROUNDS, WARM = 40, 8  # Five calls a round: 200 in all.
# What all rounds may leave together. Clean, they left 9 to 11 MB and 36 objects; a
# cache that kept shapes of every round left 16 MB and 25,000 objects, so objects tell
# most. A compiled training that is kept has 12 MB, in every round 380 MB. Threads are
# in pools that fill up slowly.
MEGABYTES, OBJECTS, THREADS = 32, 2000, 4


@pytest.fixture
def table(tmp_path):
    """A small table, and the data in it."""
    path = files.table(tmp_path / "cancer.csv", rows=80)
    return path, data.load(str(path), label="diagnosis")


def once(folder, path, dataset):
    """Trains, resumes, loads, evaluates and predicts, and removes the run."""
    config = training.Config(epochs=2, batch_size=16, keep_best=True)
    about = trained.make_metadata(dataset, "mlp", str(path), label="diagnosis")
    run = training.Run.create(folder, "soak", None, about).folder
    trained.write_splits(run, dataset)
    records = training.fit(about.build(), dataset, config, folder=run)
    next(records)
    records.close()
    rest = training.fit(about.build(), dataset, config, folder=run, resume=True)
    assert [record.epoch for record in rest] == [2]
    found = trained.load(run)
    training.evaluate(found.net, found.examples())
    assert len(list(found.predict([path]))) == 80
    shutil.rmtree(run)


def used():
    """Megabytes, objects, open files and threads of this process."""
    gc.collect()
    process = psutil.Process()
    return (
        process.memory_info().rss / 1e6,
        len(gc.get_objects()),
        process.num_fds(),
        process.num_threads(),
    )


@pytest.mark.full
def test_200_calls_leave_nothing_behind(table, tmp_path, as_shipped):
    for _ in range(WARM):
        once(tmp_path, *table)
    before = used()
    for _ in range(ROUNDS - WARM):
        once(tmp_path, *table)
    after = used()
    grown = [end - start for start, end in zip(before, after, strict=True)]
    print("grown by MB, objects, open files and threads:", grown)
    assert grown[0] < MEGABYTES
    assert grown[1] < OBJECTS
    assert grown[2] <= 0
    assert grown[3] < THREADS
