import os
import shutil
from pathlib import Path

# Most of a test's time is compilation, so XLA's programs are kept between processes and
# runs. The key of an entry is the program, the version and the options of the compiler,
# and the CPU: an old entry is never read for a changed program. `--cache-clear` deletes
# them all.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(Path(__file__).parents[1] / ".pytest_cache" / "d" / "jax"),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

# Two CPU devices, and code that is quick to compile rather than to run. The passes of
# XLA itself stay as they are.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true",
)

import jax
import numpy as np
import pytest
from jaxtyping import config as jaxtyping_config

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config):
    """Deletes the compilation cache when it is larger than 1 GB."""
    cache = config.rootpath / ".pytest_cache" / "d" / "jax"
    size = sum(entry.stat().st_size for entry in cache.glob("*"))
    if size > 2**30 and not hasattr(config, "workerinput"):
        shutil.rmtree(cache)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def as_shipped():
    """Turns the suite's type checks off: the package behaves as installed."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A folder for prepared data that all tests share."""
    return tmp_path_factory.mktemp("data")
