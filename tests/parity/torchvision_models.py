"""torchvision's models with random weights."""

import numpy as np
import torch

from experiments.small_data.torchvision import part


def models():
    """torchvision.models, with or without its operators."""
    return part("models")


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
