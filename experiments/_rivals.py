"""One network, written for each library whose speed is compared.

A network is a list of layers. Each builder makes it in one library; a runner trains it
by one step, or by several in one dispatch.
"""

import importlib
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import cnn_jax
import cnn_jax.functional as F
from cnn_jax import nn


class Conv(NamedTuple):
    """A convolution with a bias; depthwise where `features` is None."""

    features: int | None
    window: tuple[int, ...]
    stride: int = 1
    padding: int = 0


class Norm(NamedTuple):
    """Batch normalization."""


class Relu(NamedTuple):
    """What is positive."""


class MaxPool(NamedTuple):
    """The largest of windows that do not overlap."""

    window: tuple[int, ...]


class Mean(NamedTuple):
    """The mean of each feature map."""


class Dense(NamedTuple):
    """Everything votes for everything."""

    features: int


class Residual(NamedTuple):
    """The sum of two branches; an empty one passes on what it gets."""

    main: tuple
    shortcut: tuple = ()


class Net(NamedTuple):
    """Layers, the shape of what they read, and how many at once."""

    layers: tuple
    shape: tuple[int, ...]
    batch: int


def _same(features: int | None, window: tuple[int, ...] = (3, 3), stride: int = 1):
    return Conv(features, window, stride, window[0] // 2), Norm(), Relu()


def _basic(features: int, stride: int = 1) -> Residual:
    """ResNet's basic block."""
    main = *_same(features, stride=stride), *_same(features)[:2]
    grown = (Conv(features, (1, 1), stride), Norm())
    return Residual(main, grown if stride > 1 else ())


def _bottleneck(features: int, stride: int = 1, *, grown: bool = False) -> Residual:
    """ResNet's block of three, as ResNet-50 has it."""
    main = (
        *_same(features, (1, 1)),
        *_same(features, stride=stride),
        *_same(4 * features, (1, 1))[:2],
    )
    shortcut = (Conv(4 * features, (1, 1), stride), Norm())
    return Residual(main, shortcut if grown else ())


def _separable(features: int, stride: int = 1):
    return *_same(None, stride=stride), *_same(features, (1, 1))


def _plain(features: int, window: tuple[int, ...]):
    return Conv(features, window, padding=window[0] // 2), Relu()


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
            *(*_plain(32, (3, 3)), *_plain(32, (3, 3)), MaxPool((2, 2))),
            *(*_plain(64, (3, 3)), *_plain(64, (3, 3)), MaxPool((2, 2))),
            Dense(10),
        ),
        (32, 32, 3),
        128,
    ),
    "ResNet-18": Net(
        (
            *_same(64),
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
            *(*_same(32), *_separable(64), *_separable(128, 2), *_separable(128)),
            *(*_separable(256, 2), *_separable(256), *_separable(512, 2)),
            *(*_separable(512), Mean(), Dense(10)),
        ),
        (32, 32, 3),
        64,
    ),
    "sound": Net(
        (
            *(Conv(64, (80,), 4), Norm(), Relu(), MaxPool((4,))),
            *(*_same(64, (3,)), MaxPool((4,)), *_same(128, (3,)), MaxPool((4,))),
            *(*_same(256, (3,)), Mean(), Dense(10)),
        ),
        (8000, 1),
        32,
    ),
    "volumes": Net(
        (
            *(*_plain(16, (3, 3, 3)), MaxPool((2, 2, 2))),
            *(*_plain(32, (3, 3, 3)), MaxPool((2, 2, 2))),
            *(*_plain(64, (3, 3, 3)), Mean(), Dense(10)),
        ),
        (16, 16, 16, 1),
        32,
    ),
}
QUICK = "LeNet-5", "MobileNet-like"


def shape_after(layers: tuple, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one example behind some layers."""
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


# Here and in Flax: both are Flax modules, trained by the same step.


class _Sum(nnx.Module):
    def __init__(self, build: Callable, block: Residual, *args: Any):
        self.main = build(block.main, *args)
        self.shortcut = build(block.shortcut, *args) if block.shortcut else None

    def __call__(self, x):
        return self.main(x) + (self.shortcut(x) if self.shortcut else x)


def _our_layer(layer: Any, shape: tuple[int, ...], rngs: nnx.Rngs) -> Any:
    *size, channels = shape
    match layer:
        case Conv(features, window, stride, padding):
            groups = 1 if features else channels
            return nn.Conv(
                channels,
                features or channels,
                window,
                stride=stride,
                padding=padding,
                groups=groups,
                rngs=rngs,
            )
        case Norm():
            return nn.BatchNorm(channels)
        case Relu():
            return F.relu
        case MaxPool(window):
            return nn.MaxPool(window)
        case Mean():
            spatial: Any = len(size)
            return nn.GlobalAvgPool(spatial=spatial)
        case Dense(features):
            return nn.Dense((*size, channels), features, rngs=rngs)
        case Residual():
            return _Sum(ours, layer, shape, rngs)


def ours(layers: tuple, shape: tuple[int, ...], rngs: nnx.Rngs) -> nn.Chain:
    """A network of this library."""
    stages = {}
    for i, layer in enumerate(layers):
        stages[f"stage{i}"] = _our_layer(layer, shape_after(layers[:i], shape), rngs)
    return nn.Chain(stages)


def _flax_layer(layer: Any, shape: tuple[int, ...], rngs: nnx.Rngs) -> Any:
    *size, channels = shape
    match layer:
        case Conv(features, window, stride, padding):
            return nnx.Conv(
                channels,
                features or channels,
                window,
                strides=stride,
                padding=[(padding, padding)] * len(window),
                feature_group_count=1 if features else channels,
                rngs=rngs,
            )
        case Norm():
            return nnx.BatchNorm(channels, rngs=rngs)
        case Relu():
            return nnx.relu
        case MaxPool(window):
            return lambda x: nnx.max_pool(x, window, strides=window)
        case Mean():
            return lambda x: x.mean(tuple(range(1, 1 + len(size))))
        case Dense(features):
            wide = int(np.prod(shape))
            linear = nnx.Linear(wide, features, rngs=rngs)
            return nnx.Sequential(lambda x: x.reshape(len(x), -1), linear)
        case Residual():
            return _Sum(flax, layer, shape, rngs)


def flax(layers: tuple, shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Sequential:
    """The network in stock Flax."""
    return nnx.Sequential(
        *(
            _flax_layer(layer, shape_after(layers[:i], shape), rngs)
            for i, layer in enumerate(layers)
        )
    )


OPTIMIZER = optax.sgd(0.01, momentum=0.9)


def _descend(loss: Callable, params: Any, opt_state: Any) -> tuple[Any, jax.Array]:
    """The next state, and the loss before it; `loss` also gives what it changed."""
    (found, rest), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    updates, opt_state = OPTIMIZER.update(gradient, opt_state, params)
    return (optax.apply_updates(params, updates), rest, opt_state), found


def flax_step(net: Any, *, dtype: Any = jnp.float32) -> tuple[Callable, Any]:
    """A pure step over (params, rest, optimizer's state), and the first state.

    Weights are kept in float32, and used in `dtype`.
    """
    graph, params, rest = nnx.split(net, nnx.Param, ...)

    def step(state, x, labels):
        params, rest, opt_state = state

        def loss(params):
            narrow = jax.tree.map(lambda p: p.astype(dtype), params)
            net = nnx.merge(graph, narrow, rest, copy=True)
            votes = net(x.astype(dtype)).astype(jnp.float32)
            errors = optax.softmax_cross_entropy_with_integer_labels(votes, labels)
            return errors.mean(), nnx.split(net, nnx.Param, ...)[2]

        return _descend(loss, params, opt_state)

    return step, (params, rest, OPTIMIZER.init(params))


# Keras, on JAX.


def _keras_layer(keras: Any, layer: Any, x: Any) -> Any:
    layers = keras.layers
    match layer:
        case Conv(features, window, stride, padding):
            axes = len(window)
            if padding:
                x = getattr(layers, f"ZeroPadding{axes}D")(padding)(x)
            if features is None:
                kind = getattr(layers, f"DepthwiseConv{axes}D")
                return kind(window, strides=stride)(x)
            return getattr(layers, f"Conv{axes}D")(features, window, strides=stride)(x)
        case Norm():
            return layers.BatchNormalization()(x)
        case Relu():
            return layers.ReLU()(x)
        case MaxPool(window):
            return getattr(layers, f"MaxPooling{len(window)}D")(window)(x)
        case Mean():
            return getattr(layers, f"GlobalAveragePooling{x.ndim - 2}D")()(x)
        case Dense(features):
            return layers.Dense(features)(layers.Flatten()(x))
        case Residual(main, shortcut):
            branches = [_keras_layers(keras, part, x) for part in (main, shortcut)]
            return layers.Add()(branches)


def _keras_layers(keras: Any, layers: tuple, x: Any):
    for layer in layers:
        x = _keras_layer(keras, layer, x)
    return x


def keras_step(net: Net) -> tuple[Callable, Any]:
    """As `flax_step`, for the network in Keras 3 on JAX."""
    os.environ["KERAS_BACKEND"] = "jax"
    keras: Any = importlib.import_module("keras")

    x = keras.Input(net.shape)
    model = keras.Model(x, _keras_layers(keras, net.layers, x))
    params = [v.value for v in model.trainable_variables]
    rest = [v.value for v in model.non_trainable_variables]

    def step(state, x, labels):
        params, rest, opt_state = state

        def loss(params):
            votes, now = model.stateless_call(params, rest, x, training=True)
            errors = optax.softmax_cross_entropy_with_integer_labels(votes, labels)
            return errors.mean(), now

        return _descend(loss, params, opt_state)

    return step, (params, rest, OPTIMIZER.init(params))


# PyTorch.


def _torch_layer(torch: Any, layer: Any, shape: tuple[int, ...]) -> Any:
    *size, channels = shape
    axes = len(size)
    match layer:
        case Conv(features, window, stride, padding):
            groups = 1 if features else channels
            how = {"stride": stride, "padding": padding, "groups": groups}
            kind = getattr(torch.nn, f"Conv{axes}d")
            return kind(channels, features or channels, window, **how)
        case Norm():
            return getattr(torch.nn, f"BatchNorm{axes}d")(channels)
        case Relu():
            return torch.nn.ReLU(inplace=True)
        case MaxPool(window):
            return getattr(torch.nn, f"MaxPool{axes}d")(window)
        case Mean():
            pool = getattr(torch.nn, f"AdaptiveAvgPool{axes}d")(1)
            return torch.nn.Sequential(pool, torch.nn.Flatten())
        case Dense(features):
            linear = torch.nn.Linear(int(np.prod(shape)), features)
            return torch.nn.Sequential(torch.nn.Flatten(), linear)
        case Residual(main, shortcut):

            class Sum(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.main = _torch_layers(torch, main, shape)
                    self.shortcut = _torch_layers(torch, shortcut, shape)

                def forward(self, x):
                    return self.main(x) + self.shortcut(x)

            return Sum()


def _torch_layers(torch: Any, layers: tuple, shape: tuple[int, ...]):
    return torch.nn.Sequential(
        *(
            _torch_layer(torch, layer, shape_after(layers[:i], shape))
            for i, layer in enumerate(layers)
        )
    )


def torch_format(torch: Any, axes: int) -> Any:
    """PyTorch's channels-last memory format, where it has one."""
    formats = {2: torch.channels_last, 3: torch.channels_last_3d}
    return formats.get(axes, torch.contiguous_format)


def torch_step(net: Net, x: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    """A call that trains the network in PyTorch by one step."""
    torch: Any = importlib.import_module("torch")

    layout = torch_format(torch, len(net.shape) - 1)
    model: Any = _torch_layers(torch, net.layers, net.shape)
    model = model.to(memory_format=layout)
    pictures = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    pictures = pictures.contiguous(memory_format=layout)
    targets = torch.from_numpy(labels.astype(np.int64))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(pictures), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


# What runs side by side.

OPTIONS: dict[str, Callable[[], dict[str, str]]] = {
    "cnn_jax": cnn_jax.compiler_options,
    "plain": dict,
    "Flax": dict,
    "Flax−YNN": cnn_jax.compiler_options,
    "Keras": dict,
}


def jax_step(rival: str, net: Net) -> tuple[Callable, Any]:
    """The step of a library on JAX, and its first state."""
    if rival == "Keras":
        return keras_step(net)
    build = ours if rival in ("cnn_jax", "plain") else flax
    return flax_step(build(net.layers, net.shape, nnx.Rngs(0)))


def batch_of(net: Net) -> tuple[np.ndarray, np.ndarray]:
    """Noise to learn from."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(net.batch, *net.shape)).astype(np.float32)
    return x, rng.integers(10, size=net.batch).astype(np.int32)


def jitted_step(rival: str, net: Net, *, steps: int = 1) -> tuple[Any, tuple]:
    """The step and its first arguments; several steps are one `lax.scan`."""
    step, state = jax_step(rival, net)

    def many(state, x, labels):
        return jax.lax.scan(lambda s, _: step(s, x, labels), state, length=steps)

    jitted = jax.jit(
        step if steps == 1 else many,
        donate_argnums=0,
        compiler_options=OPTIONS[rival](),
    )
    return jitted, (state, *map(jnp.asarray, batch_of(net)))


def runner(rival: str, net: Net, *, steps: int = 1) -> Callable[[], Any]:
    """A call that trains by so many steps, and waits for the end."""
    if rival == "PyTorch":
        return torch_step(net, *batch_of(net))
    jitted, (state, x, labels) = jitted_step(rival, net, steps=steps)
    compiled = jitted.lower(state, x, labels).compile()
    state = jax.tree.map(jnp.copy, state)

    def run():
        nonlocal state
        state, loss = compiled(state, x, labels)
        return jax.block_until_ready(loss)

    return run


# On a GPU.


def _resnet50(batch: int) -> Net:
    blocks = []
    for features, many, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        blocks += [_bottleneck(features, stride, grown=True), Relu()]
        blocks += [_bottleneck(features), Relu()] * (many - 1)
    # The paper's pool is 3 × 3 at stride 2.
    stem = *_same(64, (7, 7), 2), MaxPool((2, 2))
    return Net((*stem, *blocks, Mean(), Dense(1000)), (224, 224, 3), batch)


def gpu_nets() -> dict[str, tuple[Net, float, int]]:
    """Each net with the roof of an H200 in pictures per second, and steps a dispatch.

    The roofs follow from 790 TFLOP/s in bfloat16 and 4.3 TB/s, both measured, with
    batch norm not fused. LeNet-5 goes through an epoch of 60,000 in one dispatch.
    """
    return {
        "ResNet-50": (_resnet50(256), 8_415.0, 10),
        "ResNet-18": (NETS["ResNet-18"]._replace(batch=1024), 111_000.0, 20),
        "LeNet-5": (NETS["LeNet-5"]._replace(batch=1000), 43_700_000.0, 60),
    }


def images_per_second(rival: str, net: Net, *, steps: int, rounds: int) -> list[float]:
    """How many pictures a second a GPU trains on in bfloat16, in every round.

    The clock runs from the dispatch of so many steps to the end of the last; the
    pictures lie on the device. PyTorch runs channels-last under AMP, compiled.
    """
    call = (
        _torch_on_gpu(net, steps)
        if rival == "PyTorch"
        else _jax_half(rival, net, steps)
    )
    call()
    rates = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        rates.append(steps * net.batch / (time.perf_counter() - began))
    return rates


def _jax_half(rival: str, net: Net, steps: int) -> Callable[[], Any]:
    build = flax if rival == "Flax" else ours
    module = build(net.layers, net.shape, nnx.Rngs(0))
    step, state = flax_step(module, dtype=jnp.bfloat16)
    x, labels = map(jnp.asarray, batch_of(net))
    x = x.astype(jnp.bfloat16)

    def many(state, x, labels):
        return jax.lax.scan(lambda s, _: step(s, x, labels), state, length=steps)

    options: Any = cnn_jax.compiler_options()
    if rival.endswith("deterministic"):
        options = options | {"xla_gpu_deterministic_ops": True}
    run = jax.jit(many, donate_argnums=0, compiler_options=options)

    def call():
        nonlocal state
        state, losses = run(state, x, labels)
        return jax.block_until_ready(losses)

    return call


def _torch_on_gpu(net: Net, steps: int) -> Callable[[], Any]:
    torch: Any = importlib.import_module("torch")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layout = torch_format(torch, len(net.shape) - 1)
    model: Any = _torch_layers(torch, net.layers, net.shape)
    model = torch.compile(model.to(device, memory_format=layout))
    x, labels = batch_of(net)
    pictures = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).to(device)
    pictures = pictures.contiguous(memory_format=layout)
    targets = torch.from_numpy(labels.astype(np.int64)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def call():
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, dtype=torch.bfloat16):
                votes = model(pictures)
            loss = torch.nn.functional.cross_entropy(votes.float(), targets)
            loss.backward()
            optimizer.step()
        return loss.item()

    return call
