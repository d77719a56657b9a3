"""One process at a time writes to a run folder."""

import contextlib
import json
import os
import socket
import time
import warnings
from pathlib import Path
from typing import Any

import psutil

FILE = ".lock"
SHIFT = 60.0  # Seconds by which the start of a process seems to move with the clock.


class Lock:
    """A file in a run folder that names the process which writes to it.

    The file is made by one system call that fails where it exists, also on shared
    folders. The lock of a process that is gone is taken over, if it ran on this host;
    of another host nothing is known.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path):
        self.file = folder / FILE
        self._mine: str | None = None

    def check(self) -> None:
        """Refuses a folder that another process writes to.

        Raises:
            BlockingIOError: If its process is there, or may be; the message names it.
        """
        if self._being_made():
            raise BlockingIOError(
                f"{self.file.parent} is being opened by another process; if there is "
                f"none, remove {self.file}."
            )
        owner = self._owner()
        if owner is not None and _may_run(owner):
            raise BlockingIOError(
                f"{self.file.parent} is written to by process {owner.get('pid')} on "
                f"{owner.get('host')}, started {owner.get('began')}: wait until it "
                f"ends or stop it; if it is gone, remove {self.file}."
            )

    def __enter__(self) -> "Lock":
        self.check()
        if (stale := self._text()) is not None:
            self._remove_stale(stale)
        text = json.dumps(_this_process())
        try:
            with open(self.file, "x") as file:
                file.write(text)
        except FileExistsError:
            self.check()
            raise
        except OSError:
            self.file.unlink(missing_ok=True)
            raise
        self._mine = text
        return self

    def __exit__(self, *_: Any) -> None:
        if self._mine is not None and self._text() == self._mine:
            self.file.unlink(missing_ok=True)
        self._mine = None

    def _remove_stale(self, text: str) -> None:
        """Removes the lock of a process that is gone, unless it has a new owner."""
        aside = self.file.with_name(f"{FILE}.{os.getpid()}")
        try:
            self.file.rename(aside)
        except FileNotFoundError:  # Another process was faster.
            return
        found = aside.read_text(errors="replace")
        if found != text:
            with contextlib.suppress(FileExistsError):
                os.link(aside, self.file)
        aside.unlink()
        self.check()
        warnings.warn(
            f"{self.file} was left by a process that is gone; it is taken over.",
            stacklevel=5,
        )

    def _text(self) -> str | None:
        try:
            return self.file.read_text(errors="replace")
        except FileNotFoundError:
            return None

    def _being_made(self) -> bool:
        """Whether the file was made just now, and its owner is not written yet."""
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return False
        return not found.st_size and time.time() - found.st_mtime < SHIFT

    def _owner(self) -> dict[str, Any] | None:
        """The process that the file names; one that is incomplete names none."""
        text = self._text()
        if text is None:
            return None
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            found = None
        return found if isinstance(found, dict) else {}


def _this_process() -> dict[str, Any]:
    started = psutil.Process().create_time()
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started))
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": started,
        "began": began,
    }


def _may_run(owner: dict[str, Any]) -> bool:
    """Whether a process runs, or is of another host."""
    host, pid, started = (owner.get(name) for name in ("host", "pid", "started"))
    if not isinstance(pid, int) or not isinstance(started, int | float):
        return False  # Cut off while it was written.
    if host != socket.gethostname():
        return True
    try:
        return abs(psutil.Process(pid).create_time() - started) < SHIFT
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
