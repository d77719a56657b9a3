"""The match of one feature with three patches."""

from typing import Any

import numpy as np

from cnn_jax import report
from experiments.xo.letters import FALLING


def matching(page: report.Page, x: np.ndarray, matches: np.ndarray) -> None:
    """Adds the products and the match of the falling diagonal on three patches.

    Args:
        page: The report.
        x: The image of the X.
        matches: The match of the feature with each of the three patches.
    """
    page.text(
        "A picture is a board of numbers: 1 where it is white, −1 where it is black. A "
        "feature is a smaller board. To match a feature with a patch of the picture, "
        "multiply square by square, add the products, and divide by the number of "
        "squares."
    )
    centre = x[3:6, 3:6]
    patches = {
        "all nine agree": x[1:4, 1:4],
        "two of nine do not": centre,
        "nothing agrees": -FALLING,
    }
    rows = [
        [name, _signed(patch * FALLING), as_ninths(match)]
        for (name, patch), match in zip(patches.items(), matches, strict=True)
    ]
    page.table(["a feature on a patch", "the nine products", "match"], rows)
    boards = {"the X": x, "a patch": centre, "the feature": FALLING}
    boards |= {"their products": centre * FALLING}
    framed = [(0, row, column) for row in range(3, 6) for column in range(3, 6)]
    page.figure(
        report.numbers(boards, framed=framed),
        "The falling diagonal on the centre of the X: seven squares agree and two do "
        "not, so the match is (7 − 2) / 9 = 5/9.",
    )


def as_ninths(value: Any) -> str:
    """A multiple of 1/9 as a fraction: "5/9", "−1/9", "1"."""
    ninths = round(float(value) * 9)
    text = f"{ninths // 9}" if ninths % 9 == 0 else f"{ninths}/9"
    return text.replace("-", "−")


def _signed(board: np.ndarray) -> str:
    return " ".join(f"{value:+.0f}".replace("-", "−") for value in board.flat)
