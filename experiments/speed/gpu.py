"""Training speed on a GPU in bfloat16, beside Flax and PyTorch on the same card."""

import time

import numpy as np

from cnn_jax import report
from experiments.speed.config import Config
from experiments.speed.libraries import pytorch
from experiments.speed.libraries.networks import NETS, Net, resnet50
from experiments.speed.libraries.runners import bfloat16_runner
from experiments.speed.timing import Times, installed

LIBRARIES = ("cnn_jax", "cnn_jax, deterministic", "Flax", "PyTorch")


def gpu(config: Config, page: report.Page) -> dict[str, Times]:
    """Measures images per second, also as a share of the roofline."""
    page.section("On a GPU")
    measured, rows = {}, []
    for name, (net, roofline, steps) in gpu_nets().items():
        for library in filter(installed, LIBRARIES):
            rates = images_per_second(library, net, steps=steps, rounds=config.rounds)
            measured[f"{name}, {library}"] = {"images per second": rates}
            median = float(np.median(rates))
            cells = f"{median:,.0f}", f"{max(rates):,.0f}", f"{median / roofline:.0%}"
            rows.append([name, library, *cells])
    page.table(["", "", "images/s", "best", "of roofline"], rows)
    return measured


def gpu_nets() -> dict[str, tuple[Net, float, int]]:
    """Network name → network, roofline of an H200 in images/s, steps per dispatch.

    The rooflines follow from 790 TFLOP/s in bfloat16 and 4.3 TB/s, both measured, with
    batch norm not fused. One dispatch of LeNet-5 is an epoch of 60,000 images.
    """
    return {
        "ResNet-50": (resnet50(256), 8_415.0, 10),
        "ResNet-18": (NETS["ResNet-18"]._replace(batch=1024), 111_000.0, 20),
        "LeNet-5": (NETS["LeNet-5"]._replace(batch=1000), 43_700_000.0, 60),
    }


def images_per_second(
    library: str, net: Net, *, steps: int, rounds: int
) -> list[float]:
    """Training images per second in bfloat16, once per round.

    The time runs from the dispatch of `steps` train steps to the end of the last one.
    The images are on the device. PyTorch runs channels-last under AMP, compiled.
    """
    if library == "PyTorch":
        call = pytorch.bfloat16_runner(net, steps)
    else:
        call = bfloat16_runner(library, net, steps)
    call()  # Compiles.
    rates = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        rates.append(steps * net.batch / (time.perf_counter() - began))
    return rates
