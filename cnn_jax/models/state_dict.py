"""Weights under PyTorch's names and in its layouts, in both directions."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
from flax import nnx

from cnn_jax import nn
from cnn_jax.nn.chain import Block

Layout = Literal["torchvision", "timm", "paths"]
Rules = tuple[tuple[str, str], ...]

# From the path of a layer here, with dots, to its name in PyTorch.
RESNET: Rules = (
    (r"^norm1", "bn1"),
    (r"^(layer\d+\.\d+)\.norm", r"\1.bn"),
    (r"shortcut\.conv$", "downsample.0"),
    (r"shortcut\.norm$", "downsample.1"),
    (r"^classifier$", "fc"),
)
GOOGLENET: Rules = (
    (r"^heads\.(aux\d)", r"\1"),
    (r"\.1x1\.", ".branch1."),
    (r"\.3x3\.reduce\.", ".branch2.0."),
    (r"\.3x3\.look\.", ".branch2.1."),
    (r"\.5x5\.reduce\.", ".branch3.0."),
    (r"\.5x5\.look\.", ".branch3.1."),
    (r"\.pool\.project\.", ".branch4.1."),
    (r"\.norm$", ".bn"),
    (r"^(aux\d)\.hidden$", r"\1.fc1"),
    (r"^(aux\d)\.classifier$", r"\1.fc2"),
    (r"^classifier$", "fc"),
)
DENSENET: Rules = (
    (r"^(?!classifier)", "features."),
    (r"block(\d)\.(\d+)\.new", r"denseblock\1.denselayer\2"),
)
VGG_IN_TIMM: Rules = (
    (r"^classifier\.0$", "pre_logits.fc1"),
    (r"^classifier\.3$", "pre_logits.fc2"),
    (r"^classifier\.6$", "head.fc"),
)
# Files of before 2017 name the layers inside a layer of DenseNet with a dot more.
OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)")
VARIABLES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "depthwise_kernel": "depthwise.weight",
    "pointwise_kernel": "pointwise.weight",
}
COUNTER = "num_batches_tracked"  # Of batch norms; nothing here depends on it.


class Entry(NamedTuple):
    """One variable of a network, and how PyTorch names and stores it.

    The array of PyTorch is that of the variable with its axes split into `split`,
    permuted by `axes`, and reshaped to `shape`.
    """

    variable: nnx.Variable
    split: tuple[int, ...]
    axes: tuple[int, ...]
    shape: tuple[int, ...]


def from_state_dict(
    net: nn.Chain, state: Mapping[str, Any], *, layout: Layout
) -> nn.Chain:
    """Fills a network with weights of PyTorch.

    Every array of `state` has to belong to a weight or a batch statistic of the
    network, and the other way round. `num_batches_tracked` may be missing and is not
    used. Floats are promoted where nothing is lost, as from float16 to float32.

    Args:
        net: The network, which is changed.
        state: Arrays or tensors on the CPU by PyTorch's names, as
            `models.read_state_dict` and `torch.nn.Module.state_dict` return them.
        layout: The names: those of torchvision's model, those of timm's, or with
            `"paths"` those of the stages here, with dots. The order of the axes is
            always PyTorch's.

    Returns:
        The same network.

    Raises:
        ValueError: If names are missing or unexpected, or arrays have another shape or
            a dtype that would lose precision; the message has all of them. If the
            library of the layout has no such network.
        TypeError: If a stage has weights that PyTorch has no layer for.

    Example:
        >>> net = nn.Chain({"fc": nn.Dense(2, 3, rngs=nnx.Rngs(0))})
        >>> weights = {"fc.weight": np.ones((3, 2)), "fc.bias": np.zeros(3)}
        >>> weights = {name: array.astype("float32") for name, array in weights.items()}
        >>> from_state_dict(net, weights, layout="paths")(jnp.array([1.0, 2.0]))
        Array([3., 3., 3.], dtype=float32)

    Source:
        PyTorch, `torch.nn.Module.load_state_dict`; the state dictionaries of
        torchvision.models and timm.models.
    """
    entries = entries_of(net, layout)
    arrays = {
        OLD_NAME.sub(r"\1\2", name): np.asarray(array)
        for name, array in state.items()
        if name.rsplit(".", 1)[-1] != COUNTER
    }
    _check(entries, arrays)
    for name, (variable, split, axes, _) in entries.items():
        theirs = arrays[name].reshape([split[axis] for axis in axes])
        ours = theirs.transpose(np.argsort(axes)).reshape(variable.shape)
        variable[...] = jnp.asarray(ours, variable.dtype)
    return net


def to_state_dict(net: nn.Chain, *, layout: Layout) -> dict[str, np.ndarray]:
    """The weights and batch statistics of a network, as PyTorch names and stores them.

    Args:
        net: The network.
        layout: The names, as for `from_state_dict`.

    Returns:
        Arrays by name, with the `num_batches_tracked` that PyTorch expects, 0. With
        `torch.from_numpy` of each, `load_state_dict(strict=True)` accepts them.

    Raises:
        ValueError: If the library of the layout has no such network.
        TypeError: If a stage has weights that PyTorch has no layer for.

    Example:
        >>> from cnn_jax.models import resnet
        >>> state = to_state_dict(resnet(depth=18, rngs=nnx.Rngs(0)), layout="timm")
        >>> state["layer4.0.downsample.0.weight"].shape
        (512, 256, 1, 1)

    Source:
        PyTorch, `torch.nn.Module.state_dict`.
    """
    state: dict[str, np.ndarray] = {}
    for name, (variable, split, axes, shape) in entries_of(net, layout).items():
        ours = np.asarray(variable[...]).reshape(split)
        state[name] = np.array(ours.transpose(axes), order="C").reshape(shape)
        if name.endswith(".running_var"):
            state[name.replace("running_var", COUNTER)] = np.zeros((), np.int64)
    return state


def entries_of(net: nn.Chain, layout: Layout) -> dict[str, Entry]:
    """Every variable of a network by its name in PyTorch.

    Args:
        net: The network.
        layout: The names.

    Returns:
        Entries by name, in the order of the stages.

    Raises:
        ValueError: If the library has no such network, or two names are equal.
        TypeError: If a stage has weights that PyTorch has no layer for.
    """
    rules = _rules(net, layout)
    entries: dict[str, Entry] = {}
    for path, layer in _layers(net):
        name = path
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        for leaf, variable in _variables(path, layer).items():
            key = f"{name}.{VARIABLES[leaf]}".removeprefix(".")
            if key in entries:
                raise ValueError(f"two layers would have the name {key!r}: rename one.")
            entries[key] = _entry(layer, variable, name)
    return entries


def _rules(net: nn.Chain, layout: Layout) -> Rules:
    """The names of the family of a network."""
    if layout not in get_args(Layout):
        raise ValueError(
            f"`layout` is {layout!r}, but must be one of {', '.join(get_args(Layout))}."
        )
    names, timm = set(net.names), layout == "timm"
    if layout == "paths":
        return ()
    if {"conv1", "norm1", "layer1", "classifier"} <= names:
        return RESNET
    if {"conv0", "block1", "transition1"} <= names:
        return DENSENET
    if {"conv1_1", "fc6", "fc7"} <= names:
        return _in_order(net) + (VGG_IN_TIMM if timm else ())
    if {"conv1", "inception3a"} <= names and not timm:
        return GOOGLENET
    if {"conv1", "conv5", "fc6", "fc7"} <= names and not timm:
        return _in_order(net)
    raise ValueError(
        f"`layout` is {layout!r}, which has no network with the stages "
        f"{', '.join(net.names[:5])}, …: use layout='paths', the names of the stages."
    )


def _in_order(net: nn.Chain) -> Rules:
    """Numbers in the order of the stages, before and behind `mean`."""
    middle = net.names.index("mean")
    numbered = [("features", enumerate(net.names[:middle]))]
    numbered += [("classifier", enumerate(net.names[middle + 1 :]))]
    return tuple(
        (f"^{name}$", f"{part}.{i}") for part, stages in numbered for i, name in stages
    )


def _layers(stage: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every stage with its path, with dots; heads have the prefix `heads`."""
    if isinstance(stage, nn.Chain):
        children = [(name, stage.stages[name]) for name in stage.names]
        heads = [(f"heads.{name}", head) for name, head in stage.heads.items()]
        children += heads
    elif isinstance(stage, Block):
        children = stage.named_branches()
    else:
        yield path, stage
        return
    for name, child in children:
        yield from _layers(child, f"{path}.{name}".strip("."))


def _variables(path: str, layer: Any) -> dict[str, nnx.Variable]:
    """The weights and statistics of a layer by their name."""
    if not isinstance(layer, nnx.Module):
        return {}
    state = nnx.to_flat_state(nnx.state(layer, (nnx.Param, nnx.BatchStat)))
    names = {".".join(map(str, at)) for at, _ in state}
    if names and not (isinstance(layer, KNOWN) and names <= VARIABLES.keys()):
        raise TypeError(
            f"the stage {path!r} is {type(layer).__name__}, which PyTorch has no layer "
            "for: its weights have no name."
        )
    return {name: getattr(layer, name) for name in VARIABLES if name in names}


KNOWN = (
    nn.Conv,
    nn.ConvTranspose,
    nn.SeparableConv,
    nn.Dense,
    nn.GraphConv,
    nn.BatchNorm,
    nn.LayerNorm,
    nn.GroupNorm,
)


def _entry(layer: Any, variable: nnx.Variable, name: str) -> Entry:
    """The layout of a variable: channels come first in PyTorch."""
    shape = tuple(variable.shape)
    count = len(shape)
    if isinstance(layer, nn.Dense) and count == 2:
        split = (*layer.in_shape, shape[1])
        axes = (len(split) - 1, len(split) - 2, *range(len(split) - 2))
        theirs = shape[::-1]
        if "pre_logits" in name:  # timm has convolutions in place of dense layers.
            maps = (shape[0], 1, 1) if len(split) == 2 else (split[-2], *split[:-2])
            theirs = (shape[1], *maps)
        return Entry(variable, split, axes, theirs)
    if isinstance(layer, nn.LayerNorm):
        axes = (count - 1, *range(count - 1))
    elif count > 1:
        axes = (count - 1, count - 2, *range(count - 2))
    else:
        axes = (0,) * count
    return Entry(variable, shape, axes, tuple(shape[axis] for axis in axes))


def _check(entries: Mapping[str, Entry], arrays: Mapping[str, np.ndarray]) -> None:
    """Refuses a state that does not fit, with everything that is wrong."""
    both = [name for name in entries if name in arrays]
    problems = {
        "missing": [name for name in entries if name not in arrays],
        "unexpected": [name for name in arrays if name not in entries],
        "of another shape": [
            f"{name} {arrays[name].shape} instead of {entries[name].shape}"
            for name in both
            if arrays[name].shape != entries[name].shape
        ],
        "of another dtype": [
            f"{name} {arrays[name].dtype} instead of {entries[name].variable.dtype}"
            for name in both
            if not _lossless(arrays[name].dtype, entries[name].variable.dtype)
        ],
    }
    found = [f"{what}: {_some(names)}" for what, names in problems.items() if names]
    if found:
        raise ValueError(
            f"`state` does not fit the network. {'; '.join(found)}. Build the network "
            "with the same options, such as `classes`."
        )


def _lossless(theirs: Any, ours: Any) -> bool:
    floats = jnp.issubdtype(theirs, jnp.floating)
    return floats and jnp.promote_types(theirs, ours) == ours


def _some(names: Sequence[str]) -> str:
    """The first names, and how many there are."""
    first = ", ".join(itertools.islice(names, 6))
    return first if len(names) <= 6 else f"{first}, … ({len(names)} in all)"
