"""Ctrl-C and SIGTERM, delayed until a checkpoint is written."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from cnn_jax.training.processes import gather, several

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Delays the first signal until training can stop; the second one stops at once.

    While `busy`, the number of the signal waits in `asked`, and `check` handles it
    between two steps. Otherwise `save` is called at once, unless there are other
    processes, with which it must agree first: see `share`. Python handles signals in
    the main thread only; in another thread nothing is changed.

    Args:
        save: Writes a checkpoint.
    """

    def __init__(self, save: Callable[[], None]):
        self.save, self.busy, self.asked = save, False, 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._handle) for s in SIGNALS}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def share(self) -> None:
        """Takes a signal that reached any process for one that reached all."""
        self.asked = max(gather(self.asked))

    def check(self) -> None:
        """Saves and exits if a signal has arrived."""
        if self.asked:
            self._exit_now()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = bool(self.asked), number
        if again:
            raise _exit(number)
        if not self.busy and not several():
            self._exit_now()

    def _exit_now(self) -> None:
        self.save()
        raise _exit(self.asked)


def _exit(number: int) -> BaseException:
    """The exception of Python for Ctrl-C, or an exit with the code shells expect."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
