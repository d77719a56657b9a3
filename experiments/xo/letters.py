"""The 9 × 9 images of an X and an O, and three 3 × 3 features."""

import numpy as np

FALLING = 2 * np.eye(3, dtype=np.float32) - 1
FEATURES = {
    "falling": FALLING,
    "cross": np.maximum(FALLING, FALLING[:, ::-1]),
    "rising": FALLING[:, ::-1],
}


def letters() -> tuple[np.ndarray, np.ndarray]:
    """Images of an X and an O: 1 is white, −1 is black.

    The strokes of the X are the diagonals of its inner 7 × 7 pixels.
    """
    x, o = np.full((2, 9, 9), -1, np.float32)
    for i in range(1, 8):
        x[i, i] = x[i, 8 - i] = 1
    o[1, 3:6] = o[7, 3:6] = o[3:6, 1] = o[3:6, 7] = 1
    o[2, [2, 6]] = o[6, [2, 6]] = 1
    return x, o
