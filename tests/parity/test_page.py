import numpy as np
import pytest
import torch
import torch.nn.functional as T

from tests import page
from tests.helpers import assert_close

NAMES, PAIRS = page.lines()
KERNELS = (
    "kernel",
    "grouped",
    "transposed",
    "depthwise",
    "pointwise",
    "taps",
    "weights",
)


def in_torch():
    """The arrays of the page in PyTorch's layout, by name."""
    arrays = {"T": T, "torch": torch}
    for name in ("x", "signal", "features"):
        arrays[name] = torch.tensor(np.asarray(NAMES[name])).movedim(-1, 1)
    for name in KERNELS:
        kernel = torch.tensor(np.asarray(NAMES[name]))
        arrays[name] = kernel.movedim((-1, -2), (0, 1))
    for name in ("bias", "scale", "shift", "matrix"):
        arrays[name] = torch.tensor(np.asarray(NAMES[name]))
    return arrays


@pytest.mark.filterwarnings("ignore:Default grid_sample and affine_grid")
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [pair for pair in PAIRS if page.is_torch(pair[0])],
    ids=lambda call: call[:30],
)
def test_torch_agrees(theirs, ours):
    want = eval(theirs, in_torch()).detach().movedim(1, -1).numpy()
    got = np.asarray(eval(ours, NAMES))
    assert got.shape == want.shape
    if not page.has_random_weights(theirs):
        assert_close(got, want)
