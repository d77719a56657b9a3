"""Memory that a training takes, before it is taken."""

import os
import subprocess
import sys

import numpy as np
import pytest

from cnn_jax import models, training
from cnn_jax.data import Dataset
from cnn_jax.training import memory


def images(count, size=32):
    image = np.zeros((count, size, size, 3), np.uint8)
    split = {"image": image, "label": np.arange(count, dtype=np.int32) % 10}
    return Dataset(train=split, test=split, classes=tuple("0123456789"))


def estimate(monkeypatch, net, data, config):
    """The bytes that a training is taken to need."""
    found = []
    monkeypatch.setattr(
        memory, "check_memory", lambda _, n, *__, **___: found.append(n)
    )
    training.check(net, data, config)
    return found[0]


# `ru_maxrss` would begin with the size of the process that started this one.
MEASURED = """
import re, sys
from pathlib import Path
from flax import nnx
from cnn_jax import models, training
from tests.training.test_memory import images

net = models.build(sys.argv[1], rngs=nnx.Rngs(0), classes=10, channels=3, size=32)
status = Path("/proc/self/status")
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1])
data, config = images(512), training.Config(epochs=2, batch_size=512)
before = peak()
list(training.fit(net, data, config))
print(peak() - before)
"""


@pytest.mark.full
@pytest.mark.parametrize("name", ["resnet20", "small_vgg"])
def test_the_estimate_is_at_most_what_is_taken_and_of_its_order(monkeypatch, name):
    net = models.outline(name, classes=10, channels=3, size=32)
    config = training.Config(epochs=2, batch_size=512)
    expected = estimate(monkeypatch, net, images(512), config)
    alone = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    words = [sys.executable, "-c", MEASURED, name]
    done = subprocess.run(words, capture_output=True, check=True, env=alone)
    assert 0.4 < expected / int(done.stdout) < 1


def test_a_step_that_does_not_fit_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 10**8)
    net = models.outline("resnet20", classes=10, channels=3)
    small, large = (training.Config(batch_size=size) for size in (8, 512))
    training.check(net, images(512), small)
    with pytest.raises(ValueError, match=r"512 examples .* GB .* 0\.1 GB are free"):
        training.check(net, images(512), large)


def test_parts_of_a_batch_and_half_precision_take_less(monkeypatch):
    net = models.outline("resnet20", classes=10, channels=3)
    whole, parts, half = (
        estimate(
            monkeypatch, net, images(64), training.Config(batch_size=64, **options)
        )
        for options in ({}, {"accumulate": 4}, {"precision": "bfloat16"})
    )
    assert parts < whole / 2
    assert half < whole
