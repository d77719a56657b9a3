"""Convolutional networks in JAX: pure functions, modules of them, and their training.

The layers are reached by name and loaded when first used:

    lowering, functional, nn, models, data, tasks, training, report

`trained` is a network with all that it takes to use it, and `cli` the commands over it.
`compiler_options` says what `jax.jit` should be given around any of it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnn_jax import (
        data,
        functional,
        lowering,
        models,
        nn,
        report,
        tasks,
        trained,
        training,
    )
    from cnn_jax.lowering import compiler_options

__version__ = "0.1.0"
__all__ = [
    "compiler_options",
    "data",
    "functional",
    "lowering",
    "models",
    "nn",
    "report",
    "tasks",
    "trained",
    "training",
]


def __getattr__(name: str) -> Any:
    if name == "compiler_options":
        return importlib.import_module(f"{__name__}.lowering").compiler_options
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
