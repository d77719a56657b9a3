"""The command `python -m experiments.devices`."""

import os

import jax

from experiments import devices
from experiments._shared import start


def main() -> None:
    """Runs the experiment with the flags of the command line."""
    if "JAX_NUM_CPU_DEVICES" not in os.environ:  # Accelerators are not touched by it.
        jax.config.update("jax_num_cpu_devices", 4)
    start("devices", devices.run, devices.Config, devices.__doc__)


if __name__ == "__main__":
    main()
