"""The networks, single convolutions and pools in PyTorch; channels-last memory."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.speed.libraries.networks import (
    Conv,
    Dense,
    MaxPool,
    Mean,
    Net,
    Norm,
    Relu,
    Residual,
    batch_of,
    shape_after,
)
from experiments.speed.shapes import Op


def conv_calls(op: Op) -> list[Callable]:
    """Forward, input gradient and kernel gradient of one convolution."""
    torch = _torch()
    axes = len(op.window)
    x, kernel, y = op.arrays()
    x, y = (_to_tensor(array) for array in (x, y))
    kernel = np.moveaxis(kernel, (-1, -2), (0, 1)).copy()
    kernel = torch.from_numpy(kernel).contiguous(memory_format=_memory_format(axes))
    geometry = [op.stride] * axes, [op.padding] * axes, [op.dilation] * axes
    backward = torch.ops.aten.convolution_backward

    def gradient(*outputs: bool) -> Callable:
        options = (False, [0] * axes, op.groups, [*outputs, False])
        return lambda: backward(y, x, kernel, None, *geometry, *options)

    def forward() -> Any:
        with torch.no_grad():
            conv = getattr(torch.nn.functional, f"conv{axes}d")
            return conv(x, kernel, None, *geometry, op.groups)

    return [forward, gradient(True, False), gradient(False, True)]


def pool_calls(x: jax.Array, window: int, stride: int) -> list[Callable]:
    """Forward, and forward and backward, of one 2-D max pooling."""
    torch = _torch()
    tensor = _to_tensor(np.asarray(x)).requires_grad_()
    pool = partial(torch.nn.functional.max_pool2d, tensor, window, stride)

    def forward() -> Any:
        with torch.no_grad():
            return pool()

    return [forward, lambda: torch.autograd.grad(pool().sum(), tensor)]


def torch_runner(net: Net) -> Callable[[], Any]:
    """A call that trains the network by one step."""
    torch = _torch()
    x, labels = _batch(net, "cpu")
    model = build(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def bfloat16_runner(net: Net, steps: int) -> Callable[[], Any]:
    """A call that trains the compiled network by so many steps under AMP."""
    torch = _torch()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, labels = _batch(net, device)
    model = torch.compile(build(net).to(device))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def call():
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, dtype=torch.bfloat16):
                logits = model(x)
            loss = torch.nn.functional.cross_entropy(logits.float(), labels)
            loss.backward()
            optimizer.step()
        return loss.item()

    return call


def build(net: Net) -> Any:
    """The network as a `torch.nn.Sequential`."""
    model = _sequential(net.layers, net.shape)
    return model.to(memory_format=_memory_format(len(net.shape) - 1))


def _sequential(layers: tuple, shape: tuple[int, ...]) -> Any:
    return _torch().nn.Sequential(
        *(
            _layer(layer, shape_after(layers[:i], shape))
            for i, layer in enumerate(layers)
        )
    )


def _layer(layer: Any, shape: tuple[int, ...]) -> Any:
    nn, (*size, channels) = _torch().nn, shape
    axes = len(size)
    match layer:
        case Conv(features, window, stride, padding):
            groups = 1 if features else channels
            options = {"stride": stride, "padding": padding, "groups": groups}
            conv = getattr(nn, f"Conv{axes}d")
            return conv(channels, features or channels, window, **options)
        case Norm():
            return getattr(nn, f"BatchNorm{axes}d")(channels)
        case Relu():
            return nn.ReLU(inplace=True)
        case MaxPool(window):
            return getattr(nn, f"MaxPool{axes}d")(window)
        case Mean():
            pool = getattr(nn, f"AdaptiveAvgPool{axes}d")(1)
            return nn.Sequential(pool, nn.Flatten())
        case Dense(features):
            linear = nn.Linear(int(np.prod(shape)), features)
            return nn.Sequential(nn.Flatten(), linear)
        case Residual(main, shortcut):
            return _residual(_sequential(main, shape), _sequential(shortcut, shape))


def _residual(main: Any, shortcut: Any) -> Any:
    class Sum(_torch().nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.shortcut = main, shortcut

        def forward(self, x):
            return self.main(x) + self.shortcut(x)

    return Sum()


def _torch() -> Any:
    """PyTorch, which is imported only when it is measured."""
    return importlib.import_module("torch")


def _memory_format(axes: int) -> Any:
    """The channels-last memory format, where there is one for so many axes."""
    torch = _torch()
    formats = {2: torch.channels_last, 3: torch.channels_last_3d}
    return formats.get(axes, torch.contiguous_format)


def _to_tensor(x: np.ndarray, device: str = "cpu") -> Any:
    """A tensor of channels-first shape and channels-last memory."""
    tensor = _torch().from_numpy(np.moveaxis(x, -1, 1).copy()).to(device)
    return tensor.contiguous(memory_format=_memory_format(x.ndim - 2))


def _batch(net: Net, device: str) -> tuple[Any, Any]:
    x, labels = batch_of(net)
    targets = _torch().from_numpy(labels.astype(np.int64)).to(device)
    return _to_tensor(x, device), targets
