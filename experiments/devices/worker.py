"""A process of its own: `… experiments.devices.worker SEED OUT [PORT NUMBER]`.

One of two processes with one device each, or with two devices if it is alone.
"""

import sys

import numpy as np

from cnn_jax import training
from experiments.devices.training import options, train


def main(seed: str, out: str, port: str = "", number: str = "") -> None:
    """Trains, and writes the weights."""
    if port:
        training.initialize(
            coordinator=f"localhost:{port}", processes=2, process=int(number)
        )
    np.save(out, train(int(seed), options(2)))
    training.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
