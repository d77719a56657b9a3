import numpy as np
import pytest
import torch
import torch.nn.functional as T

from tests import page
from tests.helpers import assert_close

NAMES, PAIRS = page.lines()
KERNELS = ("kernel", "grouped", "spread", "depthwise", "pointwise", "taps")


def in_torch():
    """The page's arrays in PyTorch's layout, under the same names."""
    found = {"T": T, "torch": torch}
    for name in ("x", "signal"):
        found[name] = torch.tensor(np.asarray(NAMES[name])).movedim(-1, 1)
    for name in KERNELS:
        kernel = torch.tensor(np.asarray(NAMES[name]))
        found[name] = kernel.movedim((-1, -2), (0, 1))
    for name in ("bias", "scale", "shift", "matrix"):
        found[name] = torch.tensor(np.asarray(NAMES[name]))
    return found


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
    if not page.is_drawn(theirs):
        assert_close(got, want)
