"""Data that are broken, or not there."""

from tests.hostile.case import Call, Command

CASES: list[Call | Command] = [
    Command(
        "a folder that is not there",
        ("train", "nowhere"),
        "nowhere",
    ),
]
