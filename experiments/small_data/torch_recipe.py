"""The rival: a network from scratch in PyTorch, with torchvision's TrivialAugment."""

import importlib
import itertools
import time
from typing import Any

import numpy as np

from cnn_jax import data
from experiments.small_data.methods import Score
from experiments.small_data.torchvision import part

torch: Any = importlib.import_module("torch")

BATCH, EPOCHS = 32, 400  # The time ends the training earlier, mostly.


def torch_recipe(dataset: data.Dataset, seed: int, seconds: float) -> Score:
    """ResNet-18 (images), or a convolutional net for waves, or an MLP (tables).

    AdamW at 0.003 with decay 0.05, one cycle, label smoothing 0.1; images are flipped
    and changed by TrivialAugmentWide. A first epoch is timed, and sets their number.

    Args:
        dataset: The data; training and validation split are joined for training.
        seed: Of weights, order and augmentation.
        seconds: The time that training may take.
    """
    torch.manual_seed(seed)
    began = time.time()
    train = [_tensors(split) for split in (dataset.train, dataset.validation)]
    x, y = (torch.cat(parts) for parts in zip(*train, strict=True))
    net, augment = _network(x, len(dataset.classes))
    one = _epochs(net, x, y, augment, 1)
    number = int(np.clip((seconds - (time.time() - began)) / max(one, 1e-3), 1, EPOCHS))
    net, augment = _network(x, len(dataset.classes))
    _epochs(net, x, y, augment, number)
    net.eval()
    x, y = _tensors(dataset.test)
    with torch.no_grad():
        right = net(_prepared(x)).argmax(1) == y
    return Score(float(right.float().mean()), time.time() - began)


def _tensors(split: data.Split) -> tuple[Any, Any]:
    x = torch.tensor(split[data.input_name(split)])
    x = x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x
    return x, torch.tensor(split["label"]).long()


def _prepared(x: Any) -> Any:
    return x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x


def _network(x: Any, classes: int) -> tuple[Any, Any]:
    """The network for some inputs, and their augmentation."""
    if x.ndim == 4:
        v2: Any = part("transforms.v2")
        models: Any = part("models")
        net = models.resnet18(num_classes=classes)
        if x.shape[1] == 1:
            net.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        flip = v2.RandomHorizontalFlip()
        return net, v2.Compose([v2.TrivialAugmentWide(), flip])
    if x.shape[1] > 100:
        return _wave_net(classes), None
    sizes = (x.shape[1], 128, 128)
    layers = [
        layer
        for i, o in itertools.pairwise(sizes)
        for layer in (torch.nn.Linear(i, o), torch.nn.ReLU(), torch.nn.Dropout(0.2))
    ]
    return torch.nn.Sequential(*layers, torch.nn.Linear(128, classes)), None


def _wave_net(classes: int) -> Any:
    """Strided convolutions over the waveform (M5 of Dai et al., 2016)."""
    layers: list[Any] = [torch.nn.Unflatten(1, (1, -1))]
    for i, o, window, stride in ((1, 64, 80, 4), (64, 64, 3, 1), (64, 128, 3, 1)):
        layers += [torch.nn.Conv1d(i, o, window, stride), torch.nn.BatchNorm1d(o)]
        layers += [torch.nn.ReLU(), torch.nn.MaxPool1d(4)]
    pooled = [torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten()]
    return torch.nn.Sequential(*layers, *pooled, torch.nn.Linear(128, classes))


def _epochs(net: Any, x: Any, y: Any, augment: Any, number: int) -> float:
    """Trains, and returns the seconds that it took."""
    began, steps = time.time(), -(-len(x) // BATCH) * number
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, max(2, steps))
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    net.train()
    for _ in range(number):
        for rows in torch.randperm(len(x)).split(BATCH):
            if len(rows) == 1:  # Batch statistics need two.
                continue
            images = x[rows]
            if augment is not None:
                images = torch.stack([augment(image) for image in images])
            optimizer.zero_grad()
            loss(net(_prepared(images)), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return time.time() - began
