"""The convolutions that are timed."""

from typing import NamedTuple

import numpy as np


class Op(NamedTuple):
    """One convolution.

    `held_out` marks shapes that were not used when `cnn_jax.lowering` was tuned.
    """

    batch: int
    size: tuple[int, ...]
    channels: int
    features: int
    window: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    held_out: bool = False

    @property
    def name(self) -> str:
        """Batch × size, channels → features, window and stride: "64×32² 3→8 3² s2"."""
        maps = f"{self.batch}×{_power(self.size)} {self.channels}→{self.features}"
        extra = f" s{self.stride}" * (self.stride > 1)
        extra += f" d{self.dilation}" * (self.dilation > 1)
        extra += f" g{self.groups}" * (self.groups > 1)
        return f"{maps} {_power(self.window)}{extra}{'*' * self.held_out}"

    def arrays(self) -> list[np.ndarray]:
        """Random float32 input, kernel and output gradient."""
        spatial = [
            (n + 2 * self.padding - self.dilation * (k - 1) - 1) // self.stride + 1
            for n, k in zip(self.size, self.window, strict=True)
        ]
        shapes = (
            (self.batch, *self.size, self.channels),
            (*self.window, self.channels // self.groups, self.features),
            (self.batch, *spatial, self.features),
        )
        rng = np.random.default_rng(0)
        return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def _power(size: tuple[int, ...]) -> str:
    """A size in short: 32² for 32 × 32."""
    if len(set(size)) > 1:
        return "×".join(map(str, size))
    return f"{size[0]}{' ²³'[len(size) - 1].strip()}"


OPS = (
    Op(128, (32, 32), 1, 6, (5, 5)),
    Op(128, (14, 14), 6, 16, (5, 5)),
    Op(128, (5, 5), 16, 120, (5, 5)),
    Op(128, (32, 32), 3, 32, (3, 3), padding=1),
    Op(128, (32, 32), 32, 32, (3, 3), padding=1),
    Op(128, (16, 16), 64, 64, (3, 3), padding=1),
    Op(64, (32, 32), 64, 64, (3, 3), padding=1),
    Op(64, (32, 32), 64, 128, (3, 3), stride=2, padding=1),
    Op(64, (32, 32), 64, 128, (1, 1), stride=2),
    Op(64, (16, 16), 128, 128, (3, 3), padding=1),
    Op(64, (8, 8), 256, 256, (3, 3), padding=1),
    Op(64, (4, 4), 512, 512, (3, 3), padding=1),
    Op(64, (32, 32), 32, 32, (3, 3), padding=1, groups=32),
    Op(64, (32, 32), 64, 64, (3, 3), stride=2, padding=1, groups=64),
    Op(64, (16, 16), 128, 128, (3, 3), padding=1, groups=128),
    Op(64, (8, 8), 256, 256, (3, 3), padding=1, groups=256),
    Op(64, (32, 32), 32, 64, (1, 1)),
    Op(64, (8, 8), 256, 256, (1, 1)),
    Op(8, (56, 56), 64, 256, (1, 1)),
    Op(32, (8000,), 1, 64, (80,), stride=4),
    Op(32, (500,), 64, 64, (3,), padding=1),
    Op(16, (16, 16, 16), 1, 16, (3, 3, 3), padding=1),
    Op(16, (16, 16, 16), 16, 32, (3, 3, 3), padding=1),
    Op(32, (16, 16), 64, 64, (3, 3), padding=1, groups=4),
    Op(32, (16, 16), 32, 32, (3, 3), padding=2, dilation=2),
    Op(4, (224, 224), 3, 64, (7, 7), stride=2, padding=3),
    Op(8, (224, 224), 3, 96, (16, 16), stride=16),
    Op(50, (24, 20), 3, 16, (5, 5), held_out=True),
    Op(32, (28, 28), 48, 96, (3, 3), padding=1, held_out=True),
    Op(16, (40, 40), 96, 96, (3, 3), padding=1, held_out=True),
    Op(16, (28, 28), 72, 72, (5, 5), padding=2, groups=72, held_out=True),
    Op(16, (28, 28), 96, 96, (3, 3), stride=2, padding=1, groups=96, held_out=True),
    Op(16, (28, 28), 96, 24, (1, 1), held_out=True),
    Op(32, (7, 7), 320, 160, (1, 1), held_out=True),
    Op(16, (28, 28), 48, 96, (3, 3), stride=2, padding=1, held_out=True),
    Op(32, (512,), 32, 64, (9,), padding=4, held_out=True),
    Op(8, (12, 12, 12), 8, 24, (3, 3, 3), padding=1, held_out=True),
)
