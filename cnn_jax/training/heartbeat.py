"""Processes that watch each other, so that none waits for one that is lost.

Each process is connected to process 0, and both ends send signs of life. A connection
that is closed, or silent for too long, means that the other end is lost; process 0
tells the others. JAX notices too, but ends a process by an abort inside C++, without
naming process 0.
"""

import json
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Listener
from typing import Any, NoReturn

LOST = 75  # The exit status of a process that has lost another: try again later.
WAIT = 2.0  # Seconds until a lost process is noticed, once a computation has failed.
SIGNS = 5  # Signs of life within the time after which a process is taken for lost.


class Heartbeat:
    """Watches the other processes from threads of its own.

    Args:
        me: The number of this process.
        host: Where process 0 is reached.
        gather: Brings together what each process says; see `processes.gather`.
        timeout: Seconds of silence after which a process is lost.

    Raises:
        TimeoutError: If a process does not connect in time.
        OSError: If process 0 cannot be reached.
    """

    def __init__(
        self,
        me: int,
        host: str | None,
        gather: Callable[[Any], list[Any]],
        timeout: float,
    ):
        self._timeout, self._closing = timeout, threading.Event()
        self._connections: list[Any] = []
        about: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
        listener, key = None, secrets.token_hex()
        if me == 0:
            listener = Listener(("", 0), backlog=128, authkey=key.encode())
            about |= {"port": listener.address[1], "key": key}
        self._who = gather(about)
        if listener is not None:
            self._accept(listener)
        else:
            address = host or self._who[0]["host"], self._who[0]["port"]
            connection = Client(address, authkey=self._who[0]["key"].encode())
            _send(connection, me)
            self._start(0, connection)
        threading.Thread(target=self._send, daemon=True).start()

    def _start(self, i: int, connection: Any) -> None:
        self._connections.append(connection)
        arguments = (i, connection)
        threading.Thread(target=self._receive, args=arguments, daemon=True).start()

    def _accept(self, listener: Listener) -> None:
        """Waits until all processes are connected."""
        complete = threading.Event()

        def accept() -> None:
            for _ in self._who[1:]:
                connection = listener.accept()
                self._start(_receive(connection), connection)
            listener.close()
            complete.set()

        threading.Thread(target=accept, daemon=True).start()
        if not complete.wait(self._timeout):
            raise TimeoutError(
                f"{len(self._connections)} of {len(self._who) - 1} processes connected "
                f"to process 0 within {self._timeout} s."
            )

    def _send(self) -> None:
        while not self._closing.wait(self._timeout / SIGNS):
            self._tell("alive")

    def _tell(self, message: Any) -> None:
        for connection in self._connections:
            try:
                _send(connection, message)
            except OSError:  # Its own thread notices.
                continue

    def _receive(self, i: int, connection: Any) -> None:
        while True:
            why = f"has given no sign of life for {self._timeout:g} s"
            try:
                if connection.poll(self._timeout):
                    message = _receive(connection)
                    if message == "alive":
                        continue
                    i, why = message
            except (EOFError, OSError):
                why = "has ended"
            if self._closing.is_set():
                return
            self._tell((i, why))
            self._end(i, why)

    def _end(self, i: int, why: str) -> NoReturn:
        """Ends this process with a line that names the lost one."""
        host, pid = self._who[i]["host"], self._who[i]["pid"]
        sys.stdout.flush()
        print(
            f"process {i} of {len(self._who)} ({host}, pid {pid}) {why}, so this one "
            "ends too. Started again on those that are left, the run goes on from its "
            "last checkpoint.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(LOST)

    def wait(self) -> None:
        """Waits for the thread that ends this process if another is lost."""
        self._closing.wait(WAIT)

    def stop(self) -> None:
        """Takes no notice of processes that end from now on."""
        self._closing.set()

    def close(self) -> None:
        """Closes the connections."""
        self.stop()
        for connection in self._connections:
            connection.close()


def _send(connection: Any, message: Any) -> None:
    """Sends a JSON value: what is received is never unpickled."""
    connection.send_bytes(json.dumps(message).encode())


def _receive(connection: Any) -> Any:
    return json.loads(connection.recv_bytes())
