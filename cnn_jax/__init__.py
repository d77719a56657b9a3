"""Convolutional networks in JAX: pure functions, modules of them, and their training.

The floors are reached by name and loaded when first used:

    lowering, functional, nn, models, data, training, report
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnn_jax import data, functional, lowering, models, nn, report, training

__version__ = "0.1.0"
__all__ = ["data", "functional", "lowering", "models", "nn", "report", "training"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
