"""Option types that several commands share, with their placeholders in the help."""

from pathlib import Path
from typing import Annotated, Any

import tyro


def positional(metavar: str, hint: str | None = None) -> tuple[Any, ...]:
    """The annotations of an argument without a flag.

    Args:
        metavar: Placeholder of the value.
        hint: Text after the help, in place of "(required)" or the default.
    """
    arg = tyro.conf.arg(metavar=metavar, help_behavior_hint=hint)
    return tyro.conf.Positional, arg


def optional(metavar: str, default: str) -> Any:
    """The annotation of an option with a default that the help describes in words.

    Args:
        metavar: Placeholder of the value.
        default: Description of the default.
    """
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


FROM_DATA = "chosen from the data"
RunName = Annotated[str | None, optional("NAME", "date and time")]
DataDir = Annotated[Path | None, optional("FOLDER", "that of TensorFlow Datasets")]
Label = Annotated[str | None, optional("COLUMN", "none; tables need one")]
Drop = Annotated[tuple[str, ...], optional("COLUMN...", "none")]
Size = Annotated[int | None, optional("PIXELS", FROM_DATA)]
