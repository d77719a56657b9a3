"""Stages without parameters: functions of `cnn_jax.functional` with their options.

Each is a frozen, hashable record, so that two equal networks share one compilation. Its
fields are the options of the function that its docstring names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cnn_jax.functional as F
from cnn_jax.functional.audio import Norm, Window
from cnn_jax.functional.checks import Number, PerAxis, axes_of
from cnn_jax.functional.padding import Padding, PaddingMode
from cnn_jax.nn import receptive_field
from cnn_jax.nn.receptive_field import ReceptiveField


def frozen(value: Any) -> Any:
    """Converts lists to tuples, so that a stage is hashable."""
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


class _Record:
    """A stage that calls `function` with its fields as options.

    `spatial_field` names the field whose length is the number of spatial axes.
    """

    function: ClassVar[Callable[..., Any]]
    spatial_field: ClassVar[str] = ""

    def __post_init__(self):
        for name, value in vars(self).items():
            object.__setattr__(self, name, frozen(value))
        if self.spatial_field:
            axes_of(vars(self)[self.spatial_field], self.spatial_field)

    def __call__(self, x: Any) -> Any:
        """Calls the function on `x`."""
        return type(self).function(x, **vars(self))


class _Pool(_Record):
    """A pooling over windows."""

    spatial_field = "window"
    window: Any
    stride: Any
    padding: Any
    dilation: Any

    def receptive_field(self, size: tuple[int, ...]) -> ReceptiveField:
        """The receptive field of an output unit, in positions of an input of `size`."""
        return receptive_field.of_window(
            size,
            self.window,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )


@dataclass(frozen=True)
class MaxPool(_Pool):
    """Returns the maximum of each window; see `functional.max_pool`.

    With `return_indices` it returns a pair, which `MaxUnpool` reads.

    Example:
        >>> import jax.numpy as jnp
        >>> MaxPool((2, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[3.]], dtype=float32)
    """

    function = staticmethod(F.max_pool)
    window: Sequence[int]
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False
    return_indices: bool = False


@dataclass(frozen=True)
class AvgPool(_Pool):
    """Returns the mean of each window; see `functional.avg_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> AvgPool((2, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[1.5]], dtype=float32)
    """

    function = staticmethod(F.avg_pool)
    window: Sequence[int]
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False
    count_include_pad: bool = True


@dataclass(frozen=True)
class SumPool(_Pool):
    """Returns the sum of each window; see `functional.sum_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> SumPool((2, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[6.]], dtype=float32)
    """

    function = staticmethod(F.sum_pool)
    window: Sequence[int]
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False


@dataclass(frozen=True)
class LpPool(_Pool):
    """Returns the p-norm of each window; see `functional.lp_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> LpPool(2, (2, 1))(jnp.array([3.0, 4.0]).reshape(2, 1, 1))[..., 0]
        Array([[5.]], dtype=float32)
    """

    function = staticmethod(F.lp_pool)
    p: Number
    window: Sequence[int]
    stride: PerAxis | None = None
    padding: Padding = 0
    dilation: PerAxis = 1
    ceil_mode: bool = False


@dataclass(frozen=True)
class MaxUnpool(_Record):
    """Writes maxima back to their positions; see `functional.max_unpool`.

    It reads the pair that `MaxPool` returns with `return_indices`.

    Example:
        >>> import jax.numpy as jnp
        >>> pair = MaxPool((2, 2), return_indices=True)(jnp.eye(2)[..., None])
        >>> MaxUnpool((2, 2))(pair)[..., 0]
        Array([[1., 0.],
               [0., 0.]], dtype=float32)
    """

    function = staticmethod(F.max_unpool)
    spatial_field = "window"
    window: Sequence[int]
    stride: PerAxis | None = None
    padding: PerAxis | Sequence[Sequence[int]] = 0
    output_size: Sequence[int] | None = None

    def __call__(self, x: Any) -> Any:
        """The unpooled maps, from the pair (maxima, indices)."""
        return F.max_unpool(*x, **vars(self))


@dataclass(frozen=True)
class AdaptiveAvgPool(_Record):
    """Returns the mean of each of `size` bins; see `functional.adaptive_avg_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> AdaptiveAvgPool((1, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[1., 2.]], dtype=float32)
    """

    function = staticmethod(F.adaptive_avg_pool)
    spatial_field = "size"
    size: Sequence[int | None]


@dataclass(frozen=True)
class AdaptiveMaxPool(_Record):
    """Returns the maximum of each of `size` bins; see `functional.adaptive_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> AdaptiveMaxPool((1, 2))(jnp.arange(4.0).reshape(2, 2, 1))[..., 0]
        Array([[2., 3.]], dtype=float32)
    """

    function = staticmethod(F.adaptive_max_pool)
    spatial_field = "size"
    size: Sequence[int | None]
    return_indices: bool = False


@dataclass(frozen=True)
class GlobalAvgPool(_Record):
    """Returns the mean of each feature map; see `functional.global_avg_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> GlobalAvgPool(spatial=1)(jnp.arange(4.0).reshape(2, 2))
        Array([1., 2.], dtype=float32)
    """

    function = staticmethod(F.global_avg_pool)
    spatial: Literal[1, 2, 3] = 2


@dataclass(frozen=True)
class GlobalMaxPool(_Record):
    """Returns the maximum of each feature map; see `functional.global_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> GlobalMaxPool(spatial=1)(jnp.arange(4.0).reshape(2, 2))
        Array([2., 3.], dtype=float32)
    """

    function = staticmethod(F.global_max_pool)
    spatial: Literal[1, 2, 3] = 2


@dataclass(frozen=True)
class Pad(_Record):
    """Pads the spatial axes; see `functional.pad`.

    Example:
        >>> import jax.numpy as jnp
        >>> Pad((1,), mode="replicate")(jnp.array([[1.0], [2.0]]))[:, 0]
        Array([1., 1., 2., 2.], dtype=float32)
    """

    function = staticmethod(F.pad)
    spatial_field = "padding"
    padding: Sequence[int] | Sequence[Sequence[int]]
    mode: PaddingMode = "zeros"
    value: Number = 0


@dataclass(frozen=True)
class Unfold(_Record):
    """Extracts the patch under each window; see `functional.unfold`.

    Example:
        >>> import jax.numpy as jnp
        >>> Unfold((2, 2))(jnp.zeros((5, 6, 3))).shape
        (4, 5, 2, 2, 3)
    """

    function = staticmethod(F.unfold)
    spatial_field = "window"
    window: Sequence[int]
    stride: PerAxis = 1
    padding: Padding = "valid"
    dilation: PerAxis = 1


@dataclass(frozen=True)
class Fold(_Record):
    """Sums patches at the positions they were extracted from; see `functional.fold`.

    Example:
        >>> import jax.numpy as jnp
        >>> Fold((5, 6))(jnp.zeros((4, 5, 2, 2, 3))).shape
        (5, 6, 3)
    """

    function = staticmethod(F.fold)
    spatial_field = "size"
    size: Sequence[int]
    stride: PerAxis = 1
    padding: Padding = "valid"
    dilation: PerAxis = 1


@dataclass(frozen=True)
class LocalResponseNorm(_Record):
    """Normalizes by nearby channels; see `functional.local_response_norm`.

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


class _Spectral(_Record):
    """A record whose function returns no channels: it appends an axis of one."""

    def __call__(self, x: Any) -> Any:
        """The spectrogram, (*batch, rows, frames, 1)."""
        return super().__call__(x)[..., None]


@dataclass(frozen=True)
class Spectrogram(_Spectral):
    """Spectrogram of audio, with one channel; see `functional.spectrogram`.

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
class LogMel(_Spectral):
    """Log-mel spectrogram of audio, with one channel; see `functional.log_mel`.

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
    """Mel-frequency cepstral coefficients, with one channel; see `functional.mfcc`.

    Example:
        >>> import jax.numpy as jnp
        >>> MFCC(sr=8000, n_fft=256, n_mels=40)(jnp.zeros((2, 8000))).shape
        (2, 20, 126, 1)
    """

    function = staticmethod(F.mfcc)
    n_mfcc: int = 20


@dataclass(frozen=True)
class PeakNorm(_Spectral):
    """Scales decibels relative to their peak; see `functional.peak_norm`.

    Example:
        >>> import jax.numpy as jnp
        >>> PeakNorm()(jnp.array([[10.0], [-30.0]])[..., None])[..., 0, 0]
        Array([1. , 0.5], dtype=float32)
    """

    function = staticmethod(F.peak_norm)
    top_db: Number = 80.0
    min_peak_db: Number = -50.0

    def __call__(self, x: Any) -> Any:
        """The scaled spectrogram, (*batch, bands, frames, 1)."""
        return super().__call__(x[..., 0])
