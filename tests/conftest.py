import os

# Before JAX starts: two devices on a CPU, and code that is quick to make rather than to
# run, for most of a test's time goes into compiling. XLA's own passes stay as they are.
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


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def as_shipped():
    """Without the types that the test suite checks by hook: what a user meets."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A folder for prepared data that all tests share."""
    return tmp_path_factory.mktemp("data")
