"""Convolutional networks in JAX: pure functions, modules, models and training.

The subpackages are imported when first used:

    lowering, functional, nn, models, data, tasks, training, report, explain, export

`trained` holds a trained network with everything needed to use it; `cli` has the
commands. `compiler_options` returns options for `jax.jit` around a network.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnn_jax import (
        data,
        explain,
        export,
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
    "explain",
    "export",
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
