"""A training whose files cannot be written prints its results all the same."""

import os
import subprocess
import sys

import pytest

from tests import files

TRAIN = """
import resource, signal, sys
from cnn_jax import cli, trained
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
create = trained.default_config
def often(*args, **given):
    return create(*args, **given, save_every=0.0)
trained.default_config = often
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
cli.main(sys.argv[2:])
"""


@pytest.mark.full
def test_no_file_may_be_larger_than_64_kb(tmp_path):
    """Checkpoints and the report are larger, all other files are not."""
    table = files.table(tmp_path / "cancer.csv", rows=120)
    words = ["train", table, "--label", "diagnosis", "--epochs", "3", "--name", "a"]
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            TRAIN,
            "65536",
            *words,
            "--runs",
            tmp_path,
            "--name",
            "a",
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"},
    )
    assert run.returncode == 1, run.stderr
    assert "% right" in run.stdout
    assert "On the test split" in run.stdout
    told = run.stderr.splitlines()
    assert all(line.startswith("warning: ") for line in told), run.stderr
    saves = [line for line in told if "the checkpoint of step" in line]
    assert len(saves) == len(set(saves)) == 3
    assert sum("the weights could not be written" in line for line in told) == 1
    assert sum("not written" in line and "report.html" in line for line in told) <= 1
    assert list((tmp_path / "train" / "a" / "checkpoints").iterdir()) == []
