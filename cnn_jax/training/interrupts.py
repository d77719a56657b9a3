"""Ctrl-C and SIGTERM, kept waiting until what was learned is safe."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Turns the first signal into a request, and lets the second one through.

    While `busy` the request waits in `asked`, to be met between two steps. Otherwise,
    when whoever trains is between two records, `save` is called at once. Only the main
    thread of a process can do so; in any other nothing is changed.

    Args:
        save: Brings what was learned to safety.
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
            signal.signal(number, handler)

    def check(self) -> None:
        """Saves and leaves if that was asked for."""
        if self.asked:
            self._leave()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.asked = bool(self.asked), number
        if again:
            raise _exit(number)
        if not self.busy:
            self._leave()

    def _leave(self) -> None:
        self.save()
        raise _exit(self.asked)


def _exit(number: int) -> BaseException:
    """What Python raises for Ctrl-C, and the exit code that a shell expects."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
