"""One process at a time writes to a run folder."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from cnn_jax import training
from cnn_jax.training.lock import Lock
from tests.training.networks import mlp, small_set
from tests.training.test_resume import config

HOLDER = """
import sys, time
from pathlib import Path
from cnn_jax.training.lock import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of a folder until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_refused_until_it_ends(tmp_path, holder):
    owner = f"process {holder.pid} on {socket.gethostname()}, started 20"
    for resume in False, True:
        with pytest.raises(BlockingIOError, match=owner) as raised:
            training.fit(mlp(), small_set(), config(), folder=tmp_path, resume=resume)
        assert "\n" not in str(raised.value)
    holder.communicate()
    assert holder.returncode == 0
    list(training.fit(mlp(), small_set(), config(), folder=tmp_path))
    assert not (tmp_path / ".lock").exists()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    with pytest.warns(UserWarning, match="left by a process that is gone"):
        list(training.fit(mlp(), small_set(), config(), folder=tmp_path))
    assert not (tmp_path / ".lock").exists()


def test_two_runs_of_one_process_are_refused(tmp_path):
    first = training.fit(mlp(), small_set(), config(), folder=tmp_path)
    second = training.fit(mlp(), small_set(), config(), folder=tmp_path, resume=True)
    next(first)
    with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on"):
        next(second)
    assert next(first).step == 10
    first.close()
    assert not (tmp_path / ".lock").exists()


def test_a_stopped_training_gives_its_lock_back(tmp_path):
    def stop(logits, labels):
        raise ValueError("a mistake in the loss")

    with pytest.raises(ValueError, match="a mistake"):
        list(training.fit(mlp(), small_set(), config(), loss=stop, folder=tmp_path))
    assert not (tmp_path / ".lock").exists()


def test_a_lock_that_changed_hands_is_not_removed(tmp_path):
    with Lock(tmp_path):
        other = json.dumps({"host": "node7.example", "pid": 3, "started": 1.0})
        (tmp_path / ".lock").write_text(other)
    assert (tmp_path / ".lock").read_text() == other


def test_a_process_that_was_faster_keeps_the_lock(tmp_path):
    """Between the look at a stale lock and its removal, another process took over."""
    fresh = json.dumps({"host": "node7.example", "pid": 3, "started": 1.0})
    (tmp_path / ".lock").write_text(fresh)
    with pytest.raises(BlockingIOError, match="process 3 on node7"):
        Lock(tmp_path)._remove_stale("what was there before")
    assert (tmp_path / ".lock").read_text() == fresh
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_lock_of_this_host_with_another_start_is_stale(tmp_path):
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": 1.0}
    (tmp_path / ".lock").write_text(json.dumps(owner))
    with pytest.warns(UserWarning, match="is taken over"), Lock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["started"] > 1
