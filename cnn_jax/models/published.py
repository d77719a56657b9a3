"""Weights that torchvision and timm publish: names, files, preprocessing, accuracies.

Names, files, sizes and accuracies of torchvision, and names, sizes and licences of timm
were read from torchvision 0.28.0 and timm 1.0.31. Accuracies of timm are those of its
results file; None where it was not at hand.
"""

import functools
from importlib import resources
from typing import NamedTuple

from cnn_jax.models.preprocessing import Interpolation, Normalize, Preprocessing

IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# torchvision's GoogLeNet converts its input to the normalization of the original.
HALF = Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
BSD, APACHE = "BSD-3-Clause", "Apache-2.0"


class Published(NamedTuple):
    """Published weights of a network.

    Attributes:
        model: One of `models.MODELS`.
        library: Whose names the file has.
        file: The name of a file of torchvision, or of a repository of the hub.
        prepare: The published preprocessing.
        licence: The licence that the publisher states.
        top1: The accuracy on the validation set of ImageNet in %, as published.
        top5: The share of images whose class is among the five largest logits, in %.
    """

    model: str
    library: str
    file: str
    prepare: Preprocessing
    licence: str
    top1: float | None
    top5: float | None


# Network, the first eight hexadecimal digits of the file's SHA-256, top-1, top-5.
TORCHVISION_V1 = (
    ("alexnet", "7be5be79", 56.522, 79.066),
    ("vgg11", "8a719046", 69.020, 88.628),
    ("vgg11_bn", "6002323d", 70.370, 89.810),
    ("vgg13", "19584684", 69.928, 89.246),
    ("vgg13_bn", "abd245e5", 71.586, 90.374),
    ("vgg16", "397923af", 71.592, 90.382),
    ("vgg16_bn", "6c64b313", 73.360, 91.516),
    ("vgg19", "dcbb9e9d", 72.376, 90.876),
    ("vgg19_bn", "c79401a0", 74.218, 91.842),
    ("googlenet", "1378be20", 69.778, 89.530),
    ("resnet18", "f37072fd", 69.758, 89.078),
    ("resnet34", "b627a593", 73.314, 91.420),
    ("resnet50", "0676ba61", 76.130, 92.862),
    ("resnet101", "63fe2227", 77.374, 93.546),
    ("resnet152", "394f9c45", 78.312, 94.046),
    ("densenet121", "a639ec97", 74.434, 91.972),
    ("densenet161", "8d451a50", 77.138, 93.560),
    ("densenet169", "b2777c0a", 75.600, 92.806),
    ("densenet201", "c1103571", 76.896, 93.370),
)
TORCHVISION_V2 = (
    ("resnet50", "11ad3fa6", 80.858, 95.434),
    ("resnet101", "cd907fc2", 81.886, 95.780),
    ("resnet152", "f82ba261", 82.284, 96.002),
)
TIMM = {  # Repositories of the hub, and top-1.
    "vgg11.tv_in1k": 69.022,
    "vgg11_bn.tv_in1k": 70.382,
    "vgg13.tv_in1k": 69.932,
    "vgg13_bn.tv_in1k": 71.588,
    "vgg16.tv_in1k": 71.592,
    "vgg16_bn.tv_in1k": 73.370,
    "vgg19.tv_in1k": 72.378,
    "vgg19_bn.tv_in1k": 74.216,
    "resnet18.tv_in1k": 69.760,
    "resnet34.tv_in1k": None,
    "resnet50.tv_in1k": 76.130,
    "resnet50.tv2_in1k": None,
    "resnet101.tv_in1k": 77.376,
    "resnet101.tv2_in1k": None,
    "resnet152.tv_in1k": None,
    "resnet152.tv2_in1k": None,
    "densenet121.tv_in1k": 74.764,
    "densenet161.tv_in1k": 77.358,
    "densenet169.tv_in1k": 75.900,
    "densenet201.tv_in1k": 77.286,
}


def _torchvision(
    model: str, digits: str, top1: float, top5: float, resize: int
) -> Published:
    file = f"{'alexnet-owt' if model == 'alexnet' else model}-{digits}.pth"
    normalize = HALF if model == "googlenet" else IMAGENET
    prepare = Preprocessing(resize, 224, "bilinear", normalize)
    return Published(model, "torchvision", file, prepare, BSD, top1, top5)


def _timm(name: str, top1: float | None) -> Published:
    dense = name.startswith("densenet")
    resize = 232 if ".tv2" in name else 256  # 224 of a share of 0.965 or 0.875.
    method: Interpolation = "bicubic" if dense else "bilinear"
    prepare = Preprocessing(resize, 224, method, IMAGENET)
    licence = APACHE if dense else BSD
    model = name.split(".")[0]
    return Published(model, "timm", f"timm/{name}", prepare, licence, top1, None)


PUBLISHED = {
    **{f"{row[0]}.IMAGENET1K_V1": _torchvision(*row, 256) for row in TORCHVISION_V1},
    **{f"{row[0]}.IMAGENET1K_V2": _torchvision(*row, 232) for row in TORCHVISION_V2},
    **{name: _timm(name, top1) for name, top1 in TIMM.items()},
}


@functools.cache
def imagenet_classes() -> dict[str, str]:
    """The 1,000 classes of ImageNet, in the order of the logits of published weights.

    Returns:
        The name of each class by its number in WordNet.

    Example:
        >>> classes = imagenet_classes()
        >>> list(classes.items())[0], len(classes)
        (('n01440764', 'tench'), 1000)

    Source:
        torchvision, `torchvision.models._meta._IMAGENET_CATEGORIES`; timm,
        `timm/data/_info/imagenet_synsets.txt`.
    """
    text = resources.files("cnn_jax.models").joinpath("imagenet_classes.txt")
    lines = text.read_text("utf-8").splitlines()
    return {number: name for number, name in (line.split(" ", 1) for line in lines)}
