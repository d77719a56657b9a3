"""The stages of a network that own nothing: functions with their options held.

Each is a frozen, hashable record, so that two equal networks share one compilation. The
options are those of the function of the same name in `cnn_jax.functional`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cnn_jax.functional as F
from cnn_jax.functional.audio import Norm, Window
from cnn_jax.functional.checks import Number, PerAxis, axes_of
from cnn_jax.functional.padding import Padding, PaddingMode


def frozen(value: Any) -> Any:
    """Lists made tuples, so that a stage can be hashed."""
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


class _Record:
    """A stage that calls `function` with its fields as options.

    `counted` names the field whose length is the number of spatial axes.
    """

    function: ClassVar[Callable[..., Any]]
    counted: ClassVar[str] = ""

    def __post_init__(self):
        for name, value in vars(self).items():
            object.__setattr__(self, name, frozen(value))
        if self.counted:
            axes_of(vars(self)[self.counted], self.counted)

    def __call__(self, x: Any) -> Any:
        """What the function makes of `x`."""
        return type(self).function(x, **vars(self))


@dataclass(frozen=True)
class MaxPool(_Record):
    """Keeps the largest value of each window; see `functional.max_pool`.

    With `return_indices` it gives a pair, which `MaxUnpool` reads.

    Example:
        >>> import jax.numpy as jnp
        >>> MaxPool((2, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[3.]], dtype=float32)
    """

    function = staticmethod(F.max_pool)
    counted = "window"
    window: Sequence[int]
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False
    return_indices: bool = False


@dataclass(frozen=True)
class AvgPool(_Record):
    """Keeps the mean of each window; see `functional.avg_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> AvgPool((2, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[1.5]], dtype=float32)
    """

    function = staticmethod(F.avg_pool)
    counted = "window"
    window: Sequence[int]
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False
    count_include_pad: bool = True


@dataclass(frozen=True)
class SumPool(_Record):
    """Keeps the sum of each window; see `functional.sum_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> SumPool((2, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[6.]], dtype=float32)
    """

    function = staticmethod(F.sum_pool)
    counted = "window"
    window: Sequence[int]
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False


@dataclass(frozen=True)
class LpPool(_Record):
    """Keeps the p-norm of each window; see `functional.lp_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> LpPool(2, (2, 1))(jnp.array([3.0, 4.0]).reshape(2, 1, 1))[..., 0]
        Array([[5.]], dtype=float32)
    """

    function = staticmethod(F.lp_pool)
    counted = "window"
    p: Number
    window: Sequence[int]
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False


@dataclass(frozen=True)
class MaxUnpool(_Record):
    """Puts maxima back where they lay; see `functional.max_unpool`.

    It reads the pair that `MaxPool` gives with `return_indices`.

    Example:
        >>> import jax.numpy as jnp
        >>> found = MaxPool((2, 2), return_indices=True)(jnp.eye(2)[..., None])
        >>> MaxUnpool((2, 2))(found)[..., 0]
        Array([[1., 0.],
               [0., 0.]], dtype=float32)
    """

    function = staticmethod(F.max_unpool)
    counted = "window"
    window: Sequence[int]
    stride: PerAxis | None = None
    padding: PerAxis | Sequence[Sequence[int]] = 0
    output_size: Sequence[int] | None = None

    def __call__(self, x: Any) -> Any:
        """Larger maps, from the pair (maxima, indices)."""
        return F.max_unpool(*x, **vars(self))


@dataclass(frozen=True)
class AdaptiveAvgPool(_Record):
    """Keeps the mean of each of `size` bins; see `functional.adaptive_avg_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> AdaptiveAvgPool((1, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[1., 2.]], dtype=float32)
    """

    function = staticmethod(F.adaptive_avg_pool)
    counted = "size"
    size: Sequence[int | None]


@dataclass(frozen=True)
class AdaptiveMaxPool(_Record):
    """Keeps the maximum of each of `size` bins; see `functional.adaptive_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> AdaptiveMaxPool((1, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[2., 3.]], dtype=float32)
    """

    function = staticmethod(F.adaptive_max_pool)
    counted = "size"
    size: Sequence[int | None]
    return_indices: bool = False


@dataclass(frozen=True)
class GlobalAvgPool(_Record):
    """Keeps the mean of each feature map; see `functional.global_avg_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> GlobalAvgPool(spatial=1)(jnp.arange(4.0).reshape(2, 2))
        Array([1., 2.], dtype=float32)
    """

    function = staticmethod(F.global_avg_pool)
    spatial: Literal[1, 2, 3] = 2


@dataclass(frozen=True)
class GlobalMaxPool(_Record):
    """Keeps the maximum of each feature map; see `functional.global_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> GlobalMaxPool(spatial=1)(jnp.arange(4.0).reshape(2, 2))
        Array([2., 3.], dtype=float32)
    """

    function = staticmethod(F.global_max_pool)
    spatial: Literal[1, 2, 3] = 2


@dataclass(frozen=True)
class Pad(_Record):
    """Surrounds the spatial axes with more places; see `functional.pad`.

    Example:
        >>> import jax.numpy as jnp
        >>> Pad((1,), mode="replicate")(jnp.array([[1.0], [2.0]]))[:, 0]
        Array([1., 1., 2., 2.], dtype=float32)
    """

    function = staticmethod(F.pad)
    counted = "padding"
    padding: Sequence[int] | Sequence[Sequence[int]]
    mode: PaddingMode = "zeros"
    value: Number = 0


@dataclass(frozen=True)
class Unfold(_Record):
    """Takes out the patch under each window; see `functional.unfold`.

    Example:
        >>> import jax.numpy as jnp
        >>> Unfold((2, 2))(jnp.zeros((5, 6, 3))).shape
        (4, 5, 2, 2, 3)
    """

    function = staticmethod(F.unfold)
    counted = "window"
    window: Sequence[int]
    stride: PerAxis = 1
    padding: Padding = "valid"
    dilation: PerAxis = 1


@dataclass(frozen=True)
class Fold(_Record):
    """Adds patches up where they came from; see `functional.fold`.

    Example:
        >>> import jax.numpy as jnp
        >>> Fold((5, 6))(jnp.zeros((4, 5, 2, 2, 3))).shape
        (5, 6, 3)
    """

    function = staticmethod(F.fold)
    counted = "size"
    size: Sequence[int]
    stride: PerAxis = 1
    padding: Padding = "valid"
    dilation: PerAxis = 1


@dataclass(frozen=True)
class LocalResponseNorm(_Record):
    """Divides by the strength of the channels around; see the function.

    Example:
        >>> import jax.numpy as jnp
        >>> LocalResponseNorm(1, alpha=1.0, beta=1.0)(jnp.array([1.0, 2.0]))
        Array([0.5, 0.4], dtype=float32)
    """

    function = staticmethod(F.local_response_norm)
    size: int
    alpha: Number = 1e-4
    beta: Number = 0.75
    k: Number = 1.0


class _Picture(_Record):
    """A record whose function knows no channels: its pictures get one behind them."""

    def __call__(self, x: Any) -> Any:
        """The picture, (*batch, rows, frames, 1)."""
        return super().__call__(x)[..., None]


@dataclass(frozen=True)
class Spectrogram(_Picture):
    """Turns a sound into a picture with one channel; see `functional.spectrogram`.

    Example:
        >>> import jax.numpy as jnp
        >>> Spectrogram(n_fft=256)(jnp.zeros((2, 8000))).shape
        (2, 129, 126, 1)
    """

    function = staticmethod(F.spectrogram)
    power: Number = 2.0
    n_fft: int = 2048
    hop_length: int | None = None
    win_length: int | None = None
    window: Window = "hann"
    center: bool = True


@dataclass(frozen=True)
class LogMel(_Picture):
    """Turns a sound into a picture with one channel; see `functional.log_mel`.

    Example:
        >>> import jax.numpy as jnp
        >>> LogMel(sr=8000, n_fft=256, n_mels=40)(jnp.zeros((2, 8000))).shape
        (2, 40, 126, 1)
    """

    function = staticmethod(F.log_mel)
    sr: Number
    n_fft: int = 2048
    n_mels: int = 128
    fmin: Number = 0.0
    fmax: Number | None = None
    htk: bool = False
    norm: Norm = "slaney"
    power: Number = 2.0
    amin: Number = 1e-10
    top_db: Number | None = 80.0
    hop_length: int | None = None
    win_length: int | None = None
    window: Window = "hann"
    center: bool = True


@dataclass(frozen=True)
class MFCC(LogMel):
    """Turns a sound into a picture with one channel; see `functional.mfcc`.

    Example:
        >>> import jax.numpy as jnp
        >>> MFCC(sr=8000, n_fft=256, n_mels=40)(jnp.zeros((2, 8000))).shape
        (2, 20, 126, 1)
    """

    function = staticmethod(F.mfcc)
    n_mfcc: int = 20


@dataclass(frozen=True)
class PeakNorm(_Picture):
    """Measures loudness against the loudest place; see `functional.peak_norm`.

    Example:
        >>> import jax.numpy as jnp
        >>> PeakNorm()(jnp.array([[10.0], [-30.0]])[..., None])[..., 0, 0]
        Array([1. , 0.5], dtype=float32)
    """

    function = staticmethod(F.peak_norm)
    top_db: Number = 80.0
    min_peak_db: Number = -50.0

    def __call__(self, x: Any) -> Any:
        """The picture, (*batch, bands, frames, 1)."""
        return super().__call__(x[..., 0])
