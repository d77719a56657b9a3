"""Calls from Python with arguments that cannot be meant."""

from cnn_jax import trained
from tests.hostile.case import Call, Command

CASES: list[Call | Command] = [
    Call(
        "load a folder without a run",
        lambda folder: trained.load(folder / "scans"),
        ValueError,
        "is no run",
        needs=("scans",),
    ),
]
