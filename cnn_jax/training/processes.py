"""Several processes that train together: how they meet, agree, and watch each other.

The coordination service of JAX, which runs in process 0, brings them together. What
they say to each other goes through its key-value store, not through the devices, so
that they can compare what they are about to compile.
"""

import contextlib
import itertools
import json
import os
import secrets
import socket
import sys
import time
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import multihost

from cnn_jax.training.heartbeat import Heartbeat

TIMEOUT = 100  # Seconds without a sign of life.
JOIN = 300  # Seconds within which all processes must have come.
WAIT = 1800  # Seconds for what one process does alone, such as writing a checkpoint.

_rounds = itertools.count()
_heartbeat: Heartbeat | None = None
_timeout = TIMEOUT


def initialize(
    *,
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    timeout: int = TIMEOUT,
) -> None:
    """Joins this process to the others that train with it.

    It must be called before any array is made. Under SLURM, Open MPI, and Kubernetes
    with an indexed job no argument is needed; otherwise the first three are.

    From then on a process that is lost, stopped or ends with an error ends the others
    within `timeout` seconds, with exit status 75 and a line that names it. What is to
    go on afterwards is started again, on as many processes as there are, with the
    same run folder.

    Args:
        coordinator: Host and port of process 0, such as `node0:1234`.
        processes: Their number.
        process: The number of this one, from 0.
        timeout: Seconds without a sign of life after which a process is lost. All must
            have come within 300 s.

    Raises:
        ValueError: If only some of the first three are given where nothing is detected,
            or `timeout` is no whole number above 0.
        RuntimeError: If the others did not come in time, the port is in use, or JAX has
            been used before.

    Source:
        The coordination service: `jax.distributed.initialize`, JAX 0.10.
    """
    global _heartbeat, _timeout
    if not isinstance(timeout, int) or timeout < 1:
        raise ValueError(
            f"`timeout` is {timeout!r}, but must be whole seconds above 0."
        )
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    missing = [name for name, value in given.items() if value is None]
    if coordinator is not None and processes is not None and process is not None:
        _meet(coordinator, processes, process)
    elif len(missing) < len(given):
        raise ValueError(
            f"`{missing[0]}` is not given: give `coordinator`, `processes` and "
            "`process`, or none of them where a scheduler says them."
        )
    jax.distributed.initialize(
        coordinator,
        processes,
        process,
        initialization_timeout=JOIN,
        heartbeat_timeout_seconds=timeout + 30,  # `Heartbeat` is to notice first.
        shutdown_timeout_seconds=timeout,
    )
    _timeout = timeout
    host = coordinator.rpartition(":")[0] if coordinator else None
    if several():
        _heartbeat = Heartbeat(jax.process_index(), host, gather, timeout)
    sys.excepthook = _end_at_once


def shutdown() -> None:
    """Leaves the others, when all of them have come this far."""
    global _heartbeat
    if _heartbeat is None:
        return
    _heartbeat.stop()
    gather("end")
    _heartbeat.close()
    _heartbeat = None
    sys.excepthook = sys.__excepthook__
    jax.distributed.shutdown()


def several() -> bool:
    """Whether there are other processes."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this process writes what all have computed."""
    return jax.process_index() == 0


def gather(value: Any) -> list[Any]:
    """The JSON value of each process, in order; all processes must call it.

    Args:
        value: That of this process.

    Returns:
        A list with one value of each process.

    Raises:
        TimeoutError: If a process does not say its own in time; the message names it.
    """
    if not several():
        return [value]
    client, number = multihost.get_jax_distributed_client(), next(_rounds)
    me, wait = jax.process_index(), 1000 * WAIT
    client.key_value_set(f"cnn_jax/{number}/{me}", json.dumps(value))
    found = []
    for i in range(jax.process_count()):
        try:
            text = client.blocking_key_value_get(f"cnn_jax/{number}/{i}", wait)
        except jax.errors.JaxRuntimeError as error:
            raise TimeoutError(
                f"process {i} of {jax.process_count()} did not answer for {WAIT} s."
            ) from error
        found.append(json.loads(text))
    if number:  # All have read what was said before.
        client.key_value_delete(f"cnn_jax/{number - 1}/{me}")
    return found


def agree(value: Any) -> Any:
    """The JSON value of process 0; all processes must call it."""
    return gather(value)[0]


def check_same(name: str, value: Any) -> None:
    """Refuses to go on if the processes differ.

    Args:
        name: What is compared.
        value: That of this process.

    Raises:
        ValueError: If it is another in some process; the message has both values.
    """
    every = gather(value)
    for i, other in enumerate(every):
        if other != every[0]:
            raise ValueError(
                f"{name} of process {i} differs from that of process 0: "
                f"{_differences(every[0], other)}. All processes must be started alike."
            )


def check_shared(folder: Path) -> None:
    """Refuses a folder that is not one and the same for all processes.

    Args:
        folder: Holds a file of the first process for a moment.

    Raises:
        ValueError: If a process does not see that file; the message names it.
    """
    if not several():
        return
    token = folder / f".shared-{agree(secrets.token_hex(8))}"
    if is_first():
        token.touch()
    gather("written")
    missing = [i for i, seen in enumerate(gather(token.exists())) if not seen]
    if is_first():
        token.unlink()
    if missing:
        raise ValueError(
            f"{folder} of process {missing[0]} is another folder than that of process "
            "0: the run folder must be on a disk that all of them share."
        )


def _differences(first: Any, other: Any) -> str:
    """What differs, field by field."""
    if not isinstance(first, dict) or not isinstance(other, dict):
        return f"{other} there, {first} in process 0"
    names = [n for n in first | other if first.get(n) != other.get(n)]
    return "; ".join(
        f"{n} is {other.get(n)} there, {first.get(n)} in process 0" for n in names
    )


def leave(status: int) -> None:
    """Ends this process at once, so that the others need not wait for it."""
    if _heartbeat is None:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def wait_if_lost() -> None:
    """Waits a moment after a failure, which may come from a process that is lost.

    If so, this process is ended meanwhile, with a line that names the lost one.
    """
    if _heartbeat is not None:
        _heartbeat.wait()


def _end_at_once(*error: Any) -> None:
    wait_if_lost()
    sys.__excepthook__(*error)
    leave(1)


def _meet(coordinator: str, processes: int, process: int) -> None:
    """Compares what the processes were given, before JAX waits for all of them.

    Process 0 listens on the port of the coordinator; the others tell it the number of
    processes and their own, and are answered with what is wrong, or with nothing.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"`coordinator` is {coordinator!r}, but must be HOST:PORT.")
    if not 0 <= process < processes:
        raise ValueError(
            f"`process` is {process}, but must be from 0 to {processes - 1}: "
            f"`processes` is {processes}."
        )
    if process == 0:
        _answer(int(port), processes)
    else:
        _ask((host, int(port)), processes, process)


def _answer(port: int, processes: int) -> None:
    """Waits for all others, and answers each."""
    deadline = time.monotonic() + JOIN
    try:
        server = socket.create_server(("", port), backlog=processes)
    except OSError as error:
        raise RuntimeError(
            f"port {port} of `coordinator` cannot be used: {error.strerror}. Choose "
            "another."
        ) from None
    came = {0}
    with contextlib.ExitStack() as stack:
        stack.enter_context(server)
        waiting = []
        while len(came) < processes:
            server.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                other, _ = server.accept()
            except TimeoutError:
                raise TimeoutError(
                    f"of {processes} processes, these did not come within {JOIN} s: "
                    f"{sorted(set(range(processes)) - came)}."
                ) from None
            stack.enter_context(other)
            waiting.append(other)
            problem = _problem(json.loads(other.recv(1000)), processes, came)
            if problem:
                for one in waiting:
                    one.sendall(problem.encode())
                raise ValueError(problem)
        for one in waiting:
            one.sendall(b"go on")
        for one in waiting:  # They close first, so that the port is free.
            one.recv(1)


def _problem(said: list[int], processes: int, came: set[int]) -> str | None:
    """What is wrong with a process that came; it is counted."""
    theirs, number = said
    if theirs != processes:
        return (
            f"`processes` is {theirs} for process {number}, but {processes} for "
            "process 0: all must be given the same."
        )
    if number in came:
        return f"`process` is {number} twice: each must have its own number."
    came.add(number)
    return None


def _ask(address: tuple[str, int], processes: int, process: int) -> None:
    """Tells process 0 what this one was given, as soon as it listens."""
    deadline = time.monotonic() + JOIN
    while True:
        try:
            connection = socket.create_connection(address, timeout=JOIN)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"process 0 was not reached at {address[0]}:{address[1]} within "
                    f"{JOIN} s: {error.strerror or error}."
                ) from None
            time.sleep(0.1)
    with connection:
        connection.sendall(json.dumps([processes, process]).encode())
        answer = connection.recv(1000).decode()
    if answer != "go on":
        raise ValueError(answer or "process 0 has ended; it says why.")
