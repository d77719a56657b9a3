"""Command lines with options that cannot be meant."""

from tests.hostile.case import Call, Command

CASES: list[Call | Command] = [
    Command("train on an empty name", ("train", ""), "error"),
]
