"""Libraries that only some functions need."""

import importlib
from typing import Any


def required(module: str, extra: str, what: str) -> Any:
    """Imports a module of an extra, or says how to install it.

    Args:
        module: The module.
        extra: The extra of this package that installs it.
        what: What needs it, in words.

    Returns:
        The module.

    Raises:
        ModuleNotFoundError: If it is not installed.

    Example:
        >>> required("math", "none", "nothing").pi > 3
        True
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".")[0]:
            raise  # Something that it needs itself.
        raise ModuleNotFoundError(
            f"{what} need {module.split('.')[0]}: pip install 'cnn_jax[{extra}]'.",
            name=error.name,
        ) from error
