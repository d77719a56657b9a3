"""A run is a folder: its configuration, its records, its checkpoint, its report."""

import contextlib
import dataclasses
import itertools
import json
import os
import platform
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np


def hardware() -> str:
    """What the figures of a run were measured on, in one line."""
    device = jax.devices()[0]
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    if device.platform != "cpu":
        cores = f"{jax.device_count()} × {device.device_kind}, {cores}"
    return f"{cores}, Python {platform.python_version()}, JAX {jax.__version__}"


@dataclasses.dataclass(frozen=True)
class Run:
    """A folder `<root>/<experiment>/<name>` that belongs to one run alone."""

    folder: Path

    @classmethod
    def create(
        cls, root: str | Path, experiment: str, name: str | None, config: Any
    ) -> "Run":
        """Makes the folder and writes `config.json`.

        Args:
            root: Where all runs lie.
            experiment: What is run.
            name: Of this run; by default the date and time, with a number where a run
                started in the same second.
            config: A dataclass, every field of which is written.

        Returns:
            The run.

        Raises:
            FileExistsError: If there is a run of that name: no run overwrites another.
            ValueError: If the name leads out of the folder of runs.
            OSError: If it cannot be written; the folder is removed again.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as root:
            ...     Run.create(root, "xo", "first", config=None).folder.name
            'first'
        """
        check_name(name)
        folder = _made(Path(root) / experiment, name)
        fields = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else {}  # pyright: ignore[reportArgumentType]
        fields |= {"hardware": hardware()}
        try:
            text = json.dumps(fields, indent=2, default=str)
            (folder / "config.json").write_text(text)
        except OSError:  # Such as a full disk.
            shutil.rmtree(folder)
            raise
        return cls(folder)

    def log(self, record: Mapping[str, Any]) -> None:
        """Appends one line to `metrics.jsonl`."""
        line = json.dumps(record, default=lambda value: np.asarray(value).tolist())
        file = self.folder / "metrics.jsonl"
        whole = file.stat().st_size if file.exists() else 0
        try:
            with open(file, "a") as lines:
                lines.write(line + "\n")
        except OSError:  # A part of the line may be there, on a full disk.
            os.truncate(file, whole)
            raise


def check_name(name: str | None) -> None:
    """Refuses the name of a run that is no name of a folder.

    Args:
        name: The name; None for the date and time.

    Raises:
        ValueError: If it is empty, or has separators, so that the run would lie
            elsewhere.

    Example:
        >>> check_name("first")
    """
    if name is None:
        return
    if name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise ValueError(
            f"`name` is {name!r}, but must be the name of a folder, without slashes."
        )


def _made(parent: Path, name: str | None) -> Path:
    """A new folder of this name, or of the date and time."""
    now = time.strftime("%Y-%m-%d_%H-%M-%S")
    later = (f"{now}-{number}" for number in itertools.count(2))
    for candidate in [name] if name is not None else itertools.chain([now], later):
        folder = parent / candidate
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise FileExistsError(
        f"{parent / str(name)} exists already, and no run overwrites another: choose "
        "another name, or move it away."
    )
