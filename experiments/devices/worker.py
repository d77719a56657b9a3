"""One of two processes: `… experiments.devices.worker PORT NUMBER SEED OUT`."""

import sys

import numpy as np

from cnn_jax import training
from experiments.devices.training import options, train


def main(port: str, number: str, seed: str, out: str) -> None:
    """Trains together with the other one, and writes the weights."""
    training.initialize(
        coordinator=f"localhost:{port}", processes=2, process=int(number)
    )
    np.save(out, train(int(seed), options(2)))
    training.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
