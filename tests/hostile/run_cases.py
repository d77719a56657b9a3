"""Run folders that are damaged."""

from tests.hostile.case import Call, Command

CASES: list[Call | Command] = [
    Command(
        "a run without config.json",
        ("evaluate", "runs/train/table"),
        "is no run",
        needs=("table",),
        prepare=lambda folder: (folder / "runs/train/table/config.json").unlink(),
    ),
]
