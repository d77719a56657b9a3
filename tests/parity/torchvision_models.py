"""torchvision's models, and the names of their weights in ours."""

import re

import numpy as np
import torch

from experiments.small_data.torchvision import part


def models():
    """torchvision.models, with or without its operators."""
    return part("models")


RESNET = (
    (r"^bn1", "norm1"),
    (r"^fc", "classifier"),
    (r"downsample\.0", "shortcut.conv"),
    (r"downsample\.1", "shortcut.norm"),
    (r"^(layer\d\.\d+)\.conv", r"\1.body.conv"),
    (r"^(layer\d\.\d+)\.bn", r"\1.body.norm"),
)
ALEXNET = tuple(
    (rf"^{theirs}\.".replace(".", r"\.", 1), f"{ours}.")
    for theirs, ours in {
        "features.0": "conv1",
        "features.3": "conv2",
        "features.6": "conv3",
        "features.8": "conv4",
        "features.10": "conv5",
        "classifier.1": "fc6",
        "classifier.4": "fc7",
        "classifier.6": "classifier",
    }.items()
)
VGG = (
    (r"^classifier\.0", "fc6"),
    (r"^classifier\.3", "fc7"),
    (r"^classifier\.6", "classifier"),
)
GOOGLENET = (
    (r"^fc", "classifier"),
    (r"^(aux\d)\.fc1", r"heads.\1.hidden"),
    (r"^(aux\d)\.fc2", r"heads.\1.classifier"),
    (r"^(aux\d)\.conv", r"heads.\1.conv"),
    (r"branch1\.", "branches.1x1."),
    (r"branch2\.0", "branches.3x3.reduce"),
    (r"branch2\.1", "branches.3x3.look"),
    (r"branch3\.0", "branches.5x5.reduce"),
    (r"branch3\.1", "branches.5x5.look"),
    (r"branch4\.1", "branches.pool.project"),
    (r"\.bn\.", ".norm."),
)
DENSENET = (
    (r"^classifier", "classifier"),
    (r"^features\.", ""),
    (r"denseblock(\d)\.denselayer(\d+)", r"block\1.\2.branches.new"),
)
TABLES = {
    "resnet": RESNET,
    "alexnet": ALEXNET,
    "vgg": VGG,
    "googlenet": GOOGLENET,
    "densenet": DENSENET,
}
LEAVES = {"running_mean": "mean", "running_var": "var", "bias": "bias"}


def our_name(name, family, stages):
    """Our name of a torchvision weight, such as layer1.0.body.conv1.kernel."""
    path, leaf = name.rsplit(".", 1)
    if family == "vgg":  # Its layers are numbered in the order of our stages.
        path = re.sub(r"^features\.(\d+)$", lambda m: stages[int(m[1])], path)
    path += "."
    for pattern, replacement in TABLES[family]:
        path = re.sub(pattern, replacement, path)
    return path + LEAVES.get(leaf, leaf)


def our_layout(array, shape):
    """A kernel or matrix of PyTorch with its axes in our order."""
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if array.ndim == 2 and shape is not None:  # PyTorch flattens maps as C, H, W.
        height, width, channels = shape
        maps = array.reshape(-1, channels, height, width)
        return maps.transpose(2, 3, 1, 0).reshape(-1, len(array))
    return array.T if array.ndim == 2 else array


def randomized(model, seed=0):
    """A model with random statistics, biases and scales."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("running_mean") or name.endswith("bias"):
                value.copy_(0.1 * torch.randn(value.shape, generator=generator))
            elif value.ndim == 1:
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return model


def as_numpy(model):
    """Every weight and statistic by torchvision's name."""
    return {
        name: value.numpy().astype(np.float32)
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
