"""Networks with published weights, in one line."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from flax import nnx

from cnn_jax import nn
from cnn_jax.models.download import hub_file, torchvision_file
from cnn_jax.models.preprocessing import Preprocessing
from cnn_jax.models.published import PUBLISHED, Published, imagenet_classes
from cnn_jax.models.registry import build, with_head
from cnn_jax.models.state_dict import Layout, from_state_dict
from cnn_jax.models.weight_files import read_state_dict


@dataclass(frozen=True)
class Pretrained:
    """A network with published weights, and what it takes to use it.

    Attributes:
        name: The name of the weights.
        net: The network; `nnx.view(net, deterministic=True, use_running_average=True)`
            is the network for evaluation.
        prepare: From an image to the input of the network.
        classes: The names of the classes, in the order of the logits.
        licence: The licence that the publisher states.
        source: Where the weights come from, with their commit where there is one.
        top1: The published accuracy on ImageNet in %; None where it is not known.
        top5: The published share of images whose class is among the first five, in %.
    """

    name: str
    net: nn.Chain
    prepare: Preprocessing
    classes: tuple[str, ...]
    licence: str
    source: str
    top1: float | None
    top5: float | None


def pretrained_names() -> list[str]:
    """The names of all published weights.

    Names with `IMAGENET1K` are files of torchvision, the others are repositories of
    timm on the Hugging Face hub. Weights with a licence that forbids commercial use are
    left out.

    Returns:
        Names for `pretrained`.

    Example:
        >>> [name for name in pretrained_names() if name.startswith("resnet18")]
        ['resnet18.IMAGENET1K_V1', 'resnet18.tv_in1k']

    Source:
        torchvision, "Models and pre-trained weights"; timm on the Hugging Face hub.
    """
    return sorted(PUBLISHED)


def pretrained(
    name: str,
    *,
    file: str | Path | None = None,
    revision: str = "main",
    layout: Layout | None = None,
) -> Pretrained:
    """A network with published weights; PyTorch is not needed.

    Files of torchvision are checked against the SHA-256 digest in their name and lie in
    the cache of PyTorch; repositories of the hub lie in its cache, which also works
    offline (`HF_HUB_OFFLINE=1`).

    Args:
        name: One of `pretrained_names()`; with a `file` also one of `models.MODELS`
            that reads images of 224 pixels, whose preprocessing is then torchvision's.
        file: A file of safetensors or PyTorch on disk, instead of the published one.
        revision: The commit, branch or tag of a repository of the hub. A commit pins
            the weights; `source` of the result tells it.
        layout: Whose names the file has; by default they tell.

    Returns:
        The network, its preprocessing, classes, licence, source and accuracy. What is
        published about other weights is left out where a `file` has its own.

    Raises:
        ValueError: If there are no such weights, or the file is damaged, has another
            digest, would run code or does not fit the network.
        OSError: If the file cannot be read or fetched.
        ModuleNotFoundError: If the extra `pretrained` is needed and not installed.

    Example:
        >>> pretrained("resnet18.tv")
        Traceback (most recent call last):
        ...
        ValueError: there are no weights 'resnet18.tv'; there are resnet18.tv_in1k, ...

    Source:
        torchvision, "Models and pre-trained weights"; timm on the Hugging Face hub.
    """
    published = find_published(name, with_file=file is not None)
    if file is not None:
        path, source = Path(file), str(file)
    elif published.library == "torchvision":
        path = torchvision_file(published.file)
        source = f"torchvision, {published.file}"
    else:
        path, commit = hub_file(published.file, revision)
        source = f"{published.file} at {commit}"
    state = read_state_dict(path)
    if layout is None:
        layout = "timm" if "head.fc.weight" in state else "torchvision"
    net = build(published.model, rngs=nnx.Rngs(0))
    try:
        from_state_dict(net, state, layout=layout)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    own = name not in PUBLISHED
    return Pretrained(
        name=name,
        net=net,
        prepare=published.prepare,
        classes=tuple(imagenet_classes().values()),
        licence="that of the file" if own else published.licence,
        source=source,
        top1=None if own else published.top1,
        top5=None if own else published.top5,
    )


def reuse(weights: Pretrained, *, classes: int, rngs: nnx.Rngs) -> nn.Chain:
    """The network of published weights with a new last stage, for other classes.

    Its first stage, `normalize`, makes the published input of bytes from 0 to 255 or of
    floats from −1 to 1, so that images are read as for any other network here.

    Args:
        weights: What `pretrained` returned. Stages are shared with its network, not
            copied.
        classes: The number of classes of the new stage.
        rngs: Its stream `params` gives the key.

    Returns:
        A Chain like `build(model, classes=classes, normalize=…)`, without heads.

    Example:
        >>> net = build("resnet18", rngs=nnx.Rngs(0))
        >>> one = find_published("resnet18.tv_in1k")
        >>> weights = Pretrained("own", net, one.prepare, (), "", "", None, None)
        >>> reuse(weights, classes=3, rngs=nnx.Rngs(1)).names[:2]
        ('normalize', 'conv1')

    Source:
        Yosinski, Clune, Bengio & Lipson, "How transferable are features in deep neural
        networks?", 2014, arXiv:1411.1792.
    """
    net = with_head(weights.net, classes=classes, rngs=rngs)
    stages = {name: net.stages[name] for name in net.names}
    return nn.Chain({"normalize": weights.prepare.normalize, **stages})


def find_published(name: str, *, with_file: bool = False) -> Published:
    """What is published under a name.

    Args:
        name: One of `PUBLISHED`.
        with_file: Whether the name of a network alone is enough.

    Returns:
        Its entry; for the name of a network, that of torchvision's first weights.

    Raises:
        ValueError: If there is none.

    Example:
        >>> find_published("vgg16", with_file=True).top1
        71.592

    Source:
        torchvision, "Models and pre-trained weights"; timm on the Hugging Face hub.
    """
    first = f"{name}.IMAGENET1K_V1"
    if name in PUBLISHED or (with_file and first in PUBLISHED):
        return PUBLISHED.get(name) or PUBLISHED[first]
    beginning = [known for known in PUBLISHED if known.startswith(f"{name}.")]
    close = beginning or difflib.get_close_matches(name, PUBLISHED, n=3, cutoff=0.3)
    remedy = "" if with_file else ", or give a `file`"
    raise ValueError(
        f"there are no weights {name!r}; there are {', '.join(close)}{remedy}."
    )
