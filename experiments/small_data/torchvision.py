"""Parts of torchvision, also where its compiled operators do not load."""

import functools
import importlib
from typing import Any

OPERATORS = (
    "nms",
    "qnms",
    "roi_align",
    "_roi_align_backward",
    "roi_pool",
    "_roi_pool_backward",
    "ps_roi_align",
    "_ps_roi_align_backward",
    "ps_roi_pool",
    "_ps_roi_pool_backward",
    "deform_conv2d",
    "_deform_conv2d_backward",
)


@functools.cache
def _declared() -> Any:
    """Declares missing operators, of which models and transforms need only the names.

    The library that is returned keeps them alive.
    """
    torch: Any = importlib.import_module("torch")
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor x) -> Tensor")
    return library


def part(name: str) -> Any:
    """A module of torchvision, such as `models` or `transforms.v2`."""
    _declared()
    return importlib.import_module(f"torchvision.{name}")
