"""All architectures by name, how they are made, and how their authors trained them."""

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flax import nnx

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.models.alexnet import alexnet
from cnn_jax.models.densenet import densenet
from cnn_jax.models.googlenet import googlenet
from cnn_jax.models.lenet import lenet5
from cnn_jax.models.mlp import mlp
from cnn_jax.models.mobilenet import mobilenet_v1
from cnn_jax.models.preprocessing import Normalize
from cnn_jax.models.resnet import SMALL_DEPTHS, resnet, small_resnet
from cnn_jax.models.small_vgg import small_vgg
from cnn_jax.models.sound_net import sound_net
from cnn_jax.models.vgg import vgg
from cnn_jax.models.xo_net import xo_net

MODELS: dict[str, Callable[..., nn.Chain]] = {
    "xo_net": xo_net,
    "mlp": mlp,
    "sound_net": sound_net,
    "small_vgg": small_vgg,
    "lenet5": lenet5,
    "lenet5_relu": partial(lenet5, activation=F.relu, pool=nn.MaxPool),
    "alexnet": alexnet,
    **{f"vgg{d}": partial(vgg, depth=d) for d in (11, 13, 16, 19)},
    **{f"vgg{d}_bn": partial(vgg, depth=d, batch_norm=True) for d in (11, 13, 16, 19)},
    "googlenet": googlenet,
    **{f"resnet{d}": partial(resnet, depth=d) for d in (18, 34, 50, 101, 152)},
    **{f"resnet{d}": partial(small_resnet, depth=d) for d in SMALL_DEPTHS},
    **{f"densenet{d}": partial(densenet, depth=d) for d in (121, 161, 169, 201)},
    "mobilenet_v1": mobilenet_v1,
}
SHAPES: dict[str, tuple[int, ...]] = {  # Of what each was made for; others: 224 × 224.
    "mlp": (30,),
    "sound_net": (16_000,),
    "lenet5": (32, 32, 1),
    "lenet5_relu": (32, 32, 1),
    "xo_net": (28, 28, 1),
    "small_vgg": (64, 64, 3),
    **{f"resnet{depth}": (32, 32, 3) for depth in SMALL_DEPTHS},
}
OF_ONE_SIZE = ("lenet5", "lenet5_relu", "xo_net")
LARGEST = 512  # The side up to which a size is looked for that a network can take.


def build(
    name: str,
    *,
    size: int | None = None,
    normalize: Mapping[str, Any] | None = None,
    rngs: nnx.Rngs,
    **options: Any,
) -> nn.Chain:
    """Makes a network by its name.

    Args:
        name: One of `MODELS`.
        size: Height and width of the pictures, if it is to be checked that the network
            can take them; `lenet5` and `xo_net` are made for one size.
        normalize: The fields of a `Normalize`, which becomes the first stage.
        rngs: Its streams `params` and `dropout` give the random keys.
        **options: What the architecture has beside, such as `classes` and `channels`.

    Returns:
        A fresh Chain.

    Raises:
        ValueError: If there is no such network, or a picture is too small for it; the
            message says which stage ran out, and what size would do.

    Example:
        >>> net = build("resnet20", classes=5, rngs=nnx.Rngs(0))
        >>> print(nn.summary(net, (32, 32, 3)).rows[-1].volume)
        (5,)

    Source:
        The papers that each of the architectures names.
    """
    make = _known(name, MODELS)
    if size is not None and name in OF_ONE_SIZE:
        options["size"] = size
    elif size is not None:
        _check_size(name, size, options)
    return _normalized(make(rngs=rngs, **options), normalize)


def outline(
    name: str,
    *,
    size: int | None = None,
    normalize: Mapping[str, Any] | None = None,
    **options: Any,
) -> nn.Chain:
    """A network by its name with shapes in place of weights, which takes no memory.

    `nn.summary` reads it; nothing can be computed with it.

    Args:
        name: One of `MODELS`.
        size: Height and width of the pictures, for those that are made for one size.
        normalize: As for `build`.
        **options: What the architecture has beside.

    Returns:
        A Chain whose parameters are shapes.

    Raises:
        ValueError: If there is no such network.

    Example:
        >>> nn.summary(outline("resnet152"), (224, 224, 3)).parameters
        60192808

    Source:
        Flax, `nnx.eval_shape`.
    """
    make = _known(name, MODELS)
    if size is not None and name in OF_ONE_SIZE:
        options["size"] = size
    net = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0), **options))
    return _normalized(net, normalize)


def made_for(name: str) -> tuple[int, ...]:
    """The shape of the input that a network was made for.

    Args:
        name: One of `MODELS`.

    Returns:
        (height, width, channels), or how many samples or columns.

    Raises:
        ValueError: If there is no such network.

    Example:
        >>> made_for("resnet20"), made_for("vgg16")
        ((32, 32, 3), (224, 224, 3))

    Source:
        The papers that each of the architectures names.
    """
    _known(name, MODELS)
    return SHAPES.get(name, (224, 224, 3))


def with_head(net: nn.Chain, *, classes: int, rngs: nnx.Rngs) -> nn.Chain:
    """The same stages with a new last one, for other classes; heads are left out.

    The stages are shared with the old network, not copied.

    Args:
        net: A network whose last stage is `nn.Dense`.
        classes: The number of classes of the new stage.
        rngs: Its stream `params` gives the key.

    Returns:
        A Chain with the same names.

    Raises:
        TypeError: If the last stage is another one.

    Example:
        >>> net = build("resnet20", rngs=nnx.Rngs(0))
        >>> new = with_head(net, classes=3, rngs=nnx.Rngs(1))
        >>> new.stages["classifier"].kernel.shape
        (64, 3)
        >>> new.stages["conv1"] is net.stages["conv1"]
        True

    Source:
        Yosinski, Clune, Bengio & Lipson, "How transferable are features in deep neural
        networks?", 2014, arXiv:1411.1792.
    """
    last = net.names[-1]
    old = net.stages[last]
    if not isinstance(old, nn.Dense):
        raise TypeError(
            f"the last stage is {last!r}, a {type(old).__name__}, but must be a Dense."
        )
    stages = {name: net.stages[name] for name in net.names}
    return nn.Chain(stages | {last: nn.Dense(old.in_shape, classes, rngs=rngs)})


_IMAGENET = {
    "optimizer": "momentum",
    "augment": ("crop", "flip"),
    "schedule": "step",
    "epochs": 90,
}
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "xo_net": {"learning_rate": 3e-3, "batch_size": 50},
    "mlp": {"learning_rate": 3e-3, "schedule": "onecycle", "epochs": 60},
    "sound_net": {"learning_rate": 3e-3, "schedule": "onecycle", "epochs": 30},
    "small_vgg": {
        "learning_rate": 3e-3,
        "schedule": "onecycle",
        "epochs": 160,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "label_smoothing": 0.1,
    },
    "lenet5": {"learning_rate": 3e-3, "schedule": "onecycle", "epochs": 30},
    "alexnet": _IMAGENET
    | {"learning_rate": 0.01, "batch_size": 128, "weight_decay": 5e-4},
    "vgg": _IMAGENET
    | {"learning_rate": 0.01, "batch_size": 256, "weight_decay": 5e-4, "epochs": 74},
    "googlenet": _IMAGENET
    | {
        "learning_rate": 0.01,
        "batch_size": 256,
        "head_weights": (("aux1", 0.3), ("aux2", 0.3)),
        "ema": 0.999,
    },
    "resnet": _IMAGENET
    | {"learning_rate": 0.1, "batch_size": 256, "weight_decay": 1e-4},
    "small_resnet": _IMAGENET
    | {
        "learning_rate": 0.1,
        "batch_size": 128,
        "weight_decay": 1e-4,
        "epochs": 164,
        "drops": (0.5, 0.75),
    },
    "densenet": _IMAGENET
    | {"learning_rate": 0.1, "batch_size": 256, "weight_decay": 1e-4},
    "mobilenet_v1": _IMAGENET
    | {"learning_rate": 0.05, "batch_size": 256, "weight_decay": 4e-5},
}


def hyperparameters(name: str) -> dict[str, Any]:
    """How a network was trained, as the fields of a `training.Config`.

    `training.Config(**models.hyperparameters("resnet50"))`. Steps of the papers that a
    Config lacks (multi-scale crops, colour jitter) are left out. Momentum is Nesterov's
    in all of them. Rates that the papers dropped by hand drop at fixed thirds here.

    Args:
        name: One of `MODELS`.

    Returns:
        Fields by name.

    Raises:
        ValueError: If there is no such network.

    Example:
        >>> hyperparameters("resnet20")["epochs"]
        164

    Source:
        AlexNet: Krizhevsky et al. 2012, section 5. VGG: Simonyan & Zisserman 2014,
        section 3.1. GoogLeNet: Szegedy et al. 2014, sections 5 and 6. ResNet: He et al.
        2015, sections 3.4 and 4.2. DenseNet: Huang et al. 2016, section 4.2. Epochs of
        the others: torchvision's references.
    """
    make = _known(name, MODELS)
    family = getattr(make, "func", make).__name__
    return dict(HYPERPARAMETERS[family])


def _normalized(net: nn.Chain, normalize: Mapping[str, Any] | None) -> nn.Chain:
    """The network with a stage before it that normalizes pixels, if it is given."""
    if normalize is None:
        return net
    stages = {name: net.stages[name] for name in net.names}
    heads = {name: (cut, net.heads[name]) for name, cut in net.cuts}
    return nn.Chain({"normalize": Normalize(**normalize), **stages}, heads=heads)


def _known(name: str, table: dict[str, Any]) -> Any:
    if name not in table:
        close = difflib.get_close_matches(name, table, n=3) or list(table)
        raise ValueError(f"there is no network {name!r}; there is {', '.join(close)}.")
    return table[name]


def _check_size(name: str, size: int, options: dict[str, Any]) -> None:
    """Follows a picture of that size by shapes, and looks for one that would do."""
    net, channels = outline(name, **options), options.get("channels", 3)

    def trouble(size: int) -> str:
        try:
            nn.summary(net, (size, size, channels))
        except (TypeError, ValueError) as error:
            return str(error)
        return ""

    reason = trouble(size)
    if reason:
        low, high = size, LARGEST
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if trouble(middle) else (low, middle)
        raise ValueError(
            f"`size` is {size}, but {name} needs at least {high}: {reason}"
        )
