"""Several processes train as one, and none waits for one that is lost.

Each test starts processes, all of one group so that they run one after the other.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import numpy as np
import pytest

from cnn_jax.training.processes import agree, check_same, gather, initialize

pytestmark = pytest.mark.xdist_group("processes")
LIMIT = 120  # Seconds that no test may take.


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


class Pair:
    """Two processes of `together.py`, which are killed at the end.

    Args:
        outs: The folder for what they write.
        each: Options of one process alone.
        options: Of both.
    """

    def __init__(self, outs, each=({}, {}), port=None, **options):
        port = port or free_port()
        self.outs = [outs / f"{i}.npz" for i in (0, 1)]
        self.running = [self.start(i, port, options | each[i]) for i in (0, 1)]

    def start(self, i, port, options):
        join = {"coordinator": f"localhost:{port}", "processes": 2, "process": i}
        join |= {"timeout": 10}
        options = options | {"join": join | options.get("join", {})}
        environment = {key: x for key, x in os.environ.items() if key != "XLA_FLAGS"}
        command = [sys.executable, "-m", "tests.training.together"]
        return subprocess.Popen(
            [*command, self.outs[i], json.dumps(options)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        for process in self.running:
            process.communicate()

    def kill(self):
        for process in self.running:
            process.kill()

    def ended(self):
        """The exit status and output of each."""
        texts = [process.communicate(timeout=LIMIT)[0] for process in self.running]
        return [
            (process.returncode, text)
            for process, text in zip(self.running, texts, strict=True)
        ]

    def results(self):
        ended = self.ended()
        assert [status for status, _ in ended] == [0, 0], ended
        return [np.load(out) for out in self.outs]

    def wait_for_step(self, step):
        """Until process 0 has printed a record of that step."""
        for line in self.running[0].stdout:
            if line.startswith(f"{step} "):
                return
        raise AssertionError(f"no record of step {step}")


def alone(outs, **options):
    out = outs / "alone.npz"
    environment = {key: x for key, x in os.environ.items() if key != "XLA_FLAGS"}
    subprocess.run(
        [sys.executable, "-m", "tests.training.together", out, json.dumps(options)],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
        timeout=LIMIT,
    )
    return np.load(out)


def test_two_processes_train_as_two_devices_bit_for_bit(tmp_path):
    one = alone(tmp_path, devices=2)["weights"]
    with Pair(tmp_path) as pair:
        for result in pair.results():
            np.testing.assert_array_equal(result["weights"], one)


def test_another_number_of_processes_is_refused_with_both(tmp_path):
    with Pair(tmp_path, each=({}, {"join": {"processes": 3}})) as pair:
        for status, text in pair.ended():
            assert status == 1
            assert "`processes` is 3 for process 1, but 2 for process 0" in text


@pytest.mark.full
@pytest.mark.parametrize("fsdp", [1, 2])
def test_streamed_rows_are_read_once(tmp_path, fsdp):
    """Each process reads half of each batch; together the order of one process."""
    config = {"feed": "stream", "epochs": 2, "fsdp": fsdp}
    one = alone(tmp_path, devices=2, config=config)
    with Pair(tmp_path, config=config) as pair:
        results = pair.results()
    for result in results:
        np.testing.assert_array_equal(result["weights"], one["weights"])
    # The first row is read once more by each, to know its shape.
    whole, *halves = (batches(each["rows"], 10) for each in (one, *results))
    both = np.concatenate(halves, axis=1)
    np.testing.assert_array_equal(np.sort(both), np.sort(whole))
    assert halves[0].shape == halves[1].shape == (10, 8)


def batches(rows, count):
    """The last rows that were read, one batch in each row."""
    orders = rows[len(rows) % count :] if len(rows) % count else rows
    return orders.reshape(count, -1)


@pytest.mark.full
@pytest.mark.parametrize(
    ("each", "message"),
    [
        (
            {"config": {"learning_rate": 0.5}},
            "learning_rate is 0.5 there, 0.001 in process 0",
        ),
        ({"seed": 1}, "the data of process 1 differs"),
        ({"join": {"process": 2}}, "`process` is 2, but must be from 0 to 1"),
    ],
    ids=["config", "data", "number too large"],
)
def test_processes_that_differ_are_refused_before_any_step(tmp_path, each, message):
    with Pair(tmp_path, each=({}, each)) as pair:
        if "process" in each.get("join", {}):
            text = pair.running[1].communicate(timeout=LIMIT)[0]
            assert pair.running[1].returncode == 1
            assert re.search(message, text)
            return
        for status, text in pair.ended():
            assert status in (1, 75)
            assert re.search(message, text) or "so this one ends too" in text
            assert not re.search(r"^5 ", text, re.MULTILINE)


@pytest.mark.full
def test_a_number_that_two_processes_have_is_refused(tmp_path):
    """The second of two processes 0 finds the port in use."""
    with Pair(tmp_path, each=({}, {"join": {"process": 0}})) as pair:
        with ThreadPoolExecutor(2) as pool:
            ends = {pool.submit(each.wait, LIMIT): each for each in pair.running}
            ended, _ = wait(ends, return_when=FIRST_COMPLETED)
            first = ends[ended.pop()]
            pair.kill()
        assert first.returncode == 1
        assert "cannot be used: Address already in use" in first.stdout.read()


@pytest.mark.full
def test_a_port_in_use_is_refused(tmp_path):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with Pair(tmp_path, port=port) as pair:
            text = pair.running[0].communicate(timeout=LIMIT)[0]
        assert pair.running[0].returncode == 1
        assert f"port {port} of `coordinator` cannot be used" in text


@pytest.mark.full
@pytest.mark.parametrize("lost", [1, 0])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_ends_the_other_and_the_run_goes_on_alone(tmp_path, lost, how):
    """Killed or stopped in the middle; 10 s without a sign of life are allowed."""
    options = {"config": {"epochs": 12, "learning_rate": 1e-4, "optimizer": "sgd"}}
    folder = str(tmp_path / "run")
    with Pair(tmp_path, folder=folder, pause=0.2, **options) as pair:
        pair.wait_for_step(15)
        pair.running[lost].send_signal(how)
        began = time.monotonic()
        text = pair.running[1 - lost].communicate(timeout=30)[0]
        assert time.monotonic() - began < 30
        assert pair.running[1 - lost].returncode == 75
        assert f"process {lost} of 2" in text
    found = alone(tmp_path, folder=folder, **options)["weights"]
    want = alone(tmp_path, **options)["weights"]
    assert np.linalg.norm(found - want) <= 1e-6 * np.linalg.norm(want)


@pytest.mark.full
def test_a_signal_to_one_process_stops_both_after_a_checkpoint(tmp_path):
    folder = tmp_path / "run"
    with Pair(tmp_path, folder=str(folder), pause=0.2, config={"epochs": 50}) as pair:
        pair.wait_for_step(15)
        pair.running[1].send_signal(signal.SIGTERM)
        for status, text in pair.ended():
            assert status == 128 + signal.SIGTERM, text
    steps = [
        int(p.name) for p in (folder / "checkpoints").glob("*") if p.name.isdigit()
    ]
    assert max(steps) >= 15


@pytest.mark.full
def test_a_folder_that_is_not_shared_is_refused(tmp_path):
    each = [{"folder": str(tmp_path / name)} for name in "ab"]
    with Pair(tmp_path, each=each) as pair:
        for status, text in pair.ended():
            assert status in (1, 75)
            assert "must be on a disk that all" in text or "ends too" in text


def test_one_process_agrees_with_itself():
    assert gather({"a": 1}) == [{"a": 1}]
    assert agree(2) == 2
    check_same("nothing", 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coordinator": "localhost:1"}, "`processes` is not given"),
        ({"timeout": 0}, "`timeout` is 0"),
        (
            {"coordinator": "here", "processes": 2, "process": 0},
            "`coordinator` is 'here', but must be HOST:PORT",
        ),
        (
            {"coordinator": "localhost:1", "processes": 2, "process": 2},
            "`process` is 2, but must be from 0 to 1",
        ),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        initialize(**options)
