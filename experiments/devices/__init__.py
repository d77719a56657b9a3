"""Do several devices, and several processes, compute what one device computes?

    python -m experiments.devices

A small residual network takes 20 steps with batch norm, augmentation and a short last
batch: on one device, on two and on four, with the state repeated on each device or
split over them, and by two processes with one device each. On a machine without
accelerators the devices are threads of one CPU, so no speed is gained; the report
gives what sharing costs.

Expected: weights that differ from those of one device by rounding; those of two
processes equal to those of two devices bit for bit; split over n devices, 1/n of the
state on each; all-reduces only where the state is not split.
"""

from experiments.devices.experiment import Config as Config
from experiments.devices.experiment import Result as Result
from experiments.devices.experiment import run as run
