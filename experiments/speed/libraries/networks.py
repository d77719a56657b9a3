"""Networks as lists of layers, without a library."""

from typing import NamedTuple

import numpy as np


class Conv(NamedTuple):
    """A convolution with a bias; depthwise if `features` is None."""

    features: int | None
    window: tuple[int, ...]
    stride: int = 1
    padding: int = 0


class Norm(NamedTuple):
    """Batch normalization."""


class Relu(NamedTuple):
    """The rectified linear unit."""


class MaxPool(NamedTuple):
    """Max pooling, with a stride equal to the window."""

    window: tuple[int, ...]


class Mean(NamedTuple):
    """Global average pooling."""


class Dense(NamedTuple):
    """Flattening and a fully connected layer."""

    features: int


class Residual(NamedTuple):
    """The sum of two branches; an empty branch is the identity."""

    main: tuple
    shortcut: tuple = ()


class Net(NamedTuple):
    """Layers, the shape of one input without batch axis, and the batch size."""

    layers: tuple
    shape: tuple[int, ...]
    batch: int


def shape_after(layers: tuple, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one example after some layers."""
    for layer in layers:
        *size, channels = shape
        match layer:
            case Conv(features, window, stride, padding):
                pairs = zip(size, window, strict=True)
                size = [(n + 2 * padding - k) // stride + 1 for n, k in pairs]
                channels = features or channels
            case MaxPool(window):
                size = [n // k for n, k in zip(size, window, strict=True)]
            case Mean():
                size = []
            case Dense(features):
                size, channels = [], features
            case Residual(main, _):
                *size, channels = shape_after(main, shape)
        shape = (*size, channels)
    return shape


def batch_of(net: Net) -> tuple[np.ndarray, np.ndarray]:
    """A batch of random inputs and labels."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(net.batch, *net.shape)).astype(np.float32)
    return x, rng.integers(10, size=net.batch).astype(np.int32)


def _conv_norm_relu(
    features: int | None, window: tuple[int, ...] = (3, 3), stride: int = 1
) -> tuple:
    return Conv(features, window, stride, window[0] // 2), Norm(), Relu()


def _basic(features: int, stride: int = 1) -> Residual:
    """The basic block of ResNet."""
    main = *_conv_norm_relu(features, stride=stride), *_conv_norm_relu(features)[:2]
    projection = (Conv(features, (1, 1), stride), Norm())
    return Residual(main, projection if stride > 1 else ())


def _bottleneck(features: int, stride: int = 1, *, project: bool = False) -> Residual:
    """The bottleneck block of ResNet-50."""
    main = (
        *_conv_norm_relu(features, (1, 1)),
        *_conv_norm_relu(features, stride=stride),
        *_conv_norm_relu(4 * features, (1, 1))[:2],
    )
    projection = (Conv(4 * features, (1, 1), stride), Norm())
    return Residual(main, projection if project else ())


def _separable(features: int, stride: int = 1) -> tuple:
    depthwise = _conv_norm_relu(None, stride=stride)
    return *depthwise, *_conv_norm_relu(features, (1, 1))


def _conv_relu(features: int, window: tuple[int, ...]) -> tuple:
    return Conv(features, window, padding=window[0] // 2), Relu()


def resnet50(batch: int) -> Net:
    """ResNet-50 with a stem pool of 2 × 2 (the paper's is 3 × 3 with stride 2)."""
    blocks = []
    for features, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        blocks += [_bottleneck(features, stride, project=True), Relu()]
        blocks += [_bottleneck(features), Relu()] * (count - 1)
    stem = *_conv_norm_relu(64, (7, 7), 2), MaxPool((2, 2))
    return Net((*stem, *blocks, Mean(), Dense(1000)), (224, 224, 3), batch)


NETS = {
    "LeNet-5": Net(
        (
            *(Conv(6, (5, 5)), Relu(), MaxPool((2, 2))),
            *(Conv(16, (5, 5)), Relu(), MaxPool((2, 2))),
            *(Conv(120, (5, 5)), Relu(), Dense(84), Relu(), Dense(10)),
        ),
        (32, 32, 1),
        128,
    ),
    "VGG": Net(
        (
            *(*_conv_relu(32, (3, 3)), *_conv_relu(32, (3, 3)), MaxPool((2, 2))),
            *(*_conv_relu(64, (3, 3)), *_conv_relu(64, (3, 3)), MaxPool((2, 2))),
            Dense(10),
        ),
        (32, 32, 3),
        128,
    ),
    "ResNet-18": Net(
        (
            *_conv_norm_relu(64),
            *(_basic(64), Relu(), _basic(64), Relu()),
            *(_basic(128, 2), Relu(), _basic(128), Relu()),
            *(_basic(256, 2), Relu(), _basic(256), Relu()),
            *(_basic(512, 2), Relu(), _basic(512), Relu()),
            *(Mean(), Dense(10)),
        ),
        (32, 32, 3),
        64,
    ),
    "MobileNet-like": Net(
        (
            *(
                *_conv_norm_relu(32),
                *_separable(64),
                *_separable(128, 2),
                *_separable(128),
            ),
            *(*_separable(256, 2), *_separable(256), *_separable(512, 2)),
            *(*_separable(512), Mean(), Dense(10)),
        ),
        (32, 32, 3),
        64,
    ),
    "audio": Net(
        (
            *(Conv(64, (80,), 4), Norm(), Relu(), MaxPool((4,))),
            *(
                *_conv_norm_relu(64, (3,)),
                MaxPool((4,)),
                *_conv_norm_relu(128, (3,)),
                MaxPool((4,)),
            ),
            *(*_conv_norm_relu(256, (3,)), Mean(), Dense(10)),
        ),
        (8000, 1),
        32,
    ),
    "volumes": Net(
        (
            *(*_conv_relu(16, (3, 3, 3)), MaxPool((2, 2, 2))),
            *(*_conv_relu(32, (3, 3, 3)), MaxPool((2, 2, 2))),
            *(*_conv_relu(64, (3, 3, 3)), Mean(), Dense(10)),
        ),
        (16, 16, 16, 1),
        32,
    ),
}
QUICK = "LeNet-5", "MobileNet-like"
