"""A training in a process of its own, on several devices or with other processes.

    python -m tests.training.together OUT OPTIONS

OPTIONS is JSON, see `Options`. It prints a line for each record, and writes the weights
and the rows that it has read to OUT.
"""

import dataclasses
import json
import sys
import time

import jax
import numpy as np
from flax import nnx

from cnn_jax import data, models, training

SHAPES = {"lenet5": (32, 32, 1), "resnet20": (16, 16, 3)}


@dataclasses.dataclass(frozen=True)
class Options:
    """What a process is told.

    Args:
        model: One of `SHAPES`.
        devices: CPU devices of this process.
        join: Arguments of `training.initialize`; none for one process.
        float64: Whether everything is computed in 64 bits.
        seed: Of the data.
        folder: The run folder.
        pause: Seconds between records.
        config: Options of the training.
    """

    model: str = "lenet5"
    devices: int = 1
    join: dict | None = None
    float64: bool = False
    seed: int = 0
    folder: str | None = None
    pause: float = 0.0
    config: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Noting:
    """A source that notes which rows are read."""

    split: dict
    rows: list = dataclasses.field(default_factory=list)

    def __len__(self):
        return len(self.split["label"])

    def __getitem__(self, row):
        self.rows.append(int(row))
        return {name: array[row] for name, array in self.split.items()}


def dataset(options):
    """Images that are brighter the higher their class; 77 of them, so 5 batches."""
    rng = np.random.default_rng(options.seed)

    def split(count):
        label = rng.integers(0, 5, count).astype(np.int32)
        image = rng.random((count, *SHAPES[options.model]))
        image = image + label[:, None, None, None] / 5
        kind = np.float64 if options.float64 else np.float32
        return {"image": image.astype(kind), "label": label}

    train, test = split(77), split(30)
    if options.config.get("feed") == "stream":
        train = Noting(train)
    return data.Dataset(train, test, tuple("abcde"), validation=test)


def network(options):
    rngs = nnx.Rngs(0, dropout=1)
    channels = SHAPES[options.model][-1]
    net = models.build(options.model, rngs=rngs, classes=5, channels=channels)
    if not options.float64:
        return net
    graph, state = nnx.split(net)
    return nnx.merge(graph, jax.tree.map(_wide, state))


def _wide(x):
    return x.astype(np.float64) if x.dtype == np.float32 else x


def main(out, options):
    jax.config.update("jax_num_cpu_devices", options.devices)
    jax.config.update("jax_enable_x64", options.float64)
    if options.join:
        training.initialize(**options.join)
    dataset_, net = dataset(options), network(options)
    config = training.Config(
        **{"epochs": 4, "batch_size": 16, "save_every": 0.0, "augment": ("flip",)}
        | {"devices": len(jax.devices())}
        | options.config
    )
    records = training.fit(
        net, dataset_, config, folder=options.folder, resume=bool(options.folder)
    )
    for record in records:
        print(record.step, record.loss, flush=True)
        time.sleep(options.pause)
    leaves = jax.tree.leaves(nnx.to_pure_dict(nnx.state(net, nnx.Not(nnx.RngState))))
    weights = np.concatenate([np.asarray(leaf).ravel() for leaf in leaves])
    rows = getattr(dataset_.train, "rows", [])
    np.savez(out, weights=weights, rows=np.array(rows), loss=record.loss)
    training.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], Options(**json.loads(sys.argv[2])))
