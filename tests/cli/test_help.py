"""The help of every command, as a stranger reads it."""

import re
from typing import get_args

import pytest

from cnn_jax import cli
from cnn_jax.data.augment import AugmentName


@pytest.fixture
def help_of(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def text(command):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0
        return capsys.readouterr().out

    return text


def test_every_augmentation_is_named(help_of):
    for name in get_args(AugmentName):
        assert re.search(rf"\b{name}\b", help_of("train"))


@pytest.mark.parametrize(
    "command", ["train", "evaluate", "predict", "explain", "locality", "datasets"]
)
def test_defaults_are_words(command, help_of):
    assert "None" not in help_of(command)
    assert "(default: )" not in help_of(command)
