"""Every case of the table; a seeded tenth of them is quick."""

import random

import pytest

from tests.hostile import command_cases, data_cases, python_cases, run_cases, runs
from tests.hostile.case import check

CASES = [
    case
    for module in (command_cases, data_cases, python_cases, run_cases)
    for case in module.CASES
]
QUICK = set(
    random.Random(0).sample(sorted(case.name for case in CASES), len(CASES) // 10)
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case, id=case.name, marks=[] if case.name in QUICK else [pytest.mark.full]
        )
        for case in CASES
    ],
)
def test_it_ends_in_one_line_that_helps(
    case, shared, tmp_path, monkeypatch, as_shipped
):
    monkeypatch.setenv("COLUMNS", "100")
    check(case, runs.start(case, shared, tmp_path / "case"))


def test_no_two_cases_share_a_name():
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)
