"""The models compared with torchvision's, with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from cnn_jax import models
from tests.helpers import assert_close
from tests.parity.torchvision_models import as_numpy, randomized
from tests.parity.torchvision_models import models as theirs

IN_CI = ("alexnet", "vgg11_bn", "googlenet", "resnet18", "resnet50", "densenet121")
EVERY = [
    name
    for name in models.MODELS
    if models.made_for(name) == (224, 224, 3) and name != "mobilenet_v1"
]
SIZES = ((64, 64), (97, 80))


def pair(name):
    """Our model with torchvision's weights, and torchvision's model."""
    torch.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}
    if name == "googlenet":
        options |= {"aux_logits": True, "transform_input": False}
    model = randomized(getattr(theirs(), name)(weights=None, num_classes=7, **options))
    ours = models.build(name, classes=7, rngs=nnx.Rngs(0))
    return models.from_state_dict(ours, as_numpy(model), layout="torchvision"), model


def images(size, batch=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, *size, 3)).astype(np.float32)


def as_torch(x):
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy())


@pytest.mark.parametrize(
    "name",
    [
        name if name in IN_CI else pytest.param(name, marks=pytest.mark.full)
        for name in EVERY
    ],
)
def test_a_model_agrees_with_torchvision(name):
    ours, model = pair(name)
    view = nnx.view(
        ours, raise_if_not_found=False, deterministic=True, use_running_average=True
    )
    model.eval()
    evaluated = nnx.jit(lambda net, x: net(x))
    for size in SIZES:
        x = images(size)
        with torch.no_grad():
            want = model(as_torch(x)).numpy()
        assert_close(evaluated(view, jnp.asarray(x)), want, 1e-4)

    # One training step without dropout. It is in float64: in float32, rounding moves
    # values across the kink of a ReLU, which changes the gradient by 1e-2, in PyTorch
    # too.
    x = images(SIZES[0], 4).astype(np.float64)
    weight = np.random.default_rng(1).normal(size=(4, 7))
    net = nnx.view(ours, raise_if_not_found=False, deterministic=True)
    with jax.enable_x64(True):
        graph, state = nnx.split(net)
        state = jax.tree.map(as_float64, state)

        def weighted(x):
            net = nnx.merge(graph, state, copy=True)
            return jnp.sum(net(x) * weight), nnx.state(net, nnx.BatchStat)

        slope = jax.jit(jax.grad(weighted, has_aux=True))
        got, statistics = jax.tree.map(np.asarray, slope(jnp.asarray(x)))
    model.double().train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.eval()
    theirs_x = as_torch(x).requires_grad_()
    out = model(theirs_x)
    out = out.logits if name == "googlenet" else out
    (out * torch.from_numpy(weight)).sum().backward()
    assert_close(got, np.moveaxis(theirs_x.grad.numpy(), 1, -1), 1e-6)
    nnx.update(net, jax.tree.map(jnp.asarray, statistics))
    after_step = models.to_state_dict(net, layout="torchvision")
    compared = 0
    for key, after in as_numpy(model).items():
        if "running" in key and not key.startswith("aux"):
            assert_close(after_step[key], after, 1e-6)
            compared += 1
    assert compared == 2 * sum("running_mean" in key for key in trunk(model))


def as_float64(x):
    """Floats in float64, other dtypes unchanged."""
    return x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x


def trunk(model):
    """The names of the weights outside of the auxiliary heads."""
    return [key for key in model.state_dict() if not key.startswith("aux")]


def test_heads_agree_with_torchvision():
    ours, model = pair("googlenet")
    view = nnx.view(
        ours, raise_if_not_found=False, deterministic=True, use_running_average=True
    )
    x = images((96, 80))
    model.train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout | torch.nn.BatchNorm2d):
            layer.eval()
    with torch.no_grad():
        want = model(as_torch(x))
    got = nnx.jit(lambda net, x: net.with_heads(x))(view, jnp.asarray(x))
    assert got.keys() == {"classifier", "aux1", "aux2"}
    assert_close(got["classifier"], want.logits.numpy(), 1e-4)
    assert_close(got["aux1"], want.aux_logits1.numpy(), 1e-4)
    assert_close(got["aux2"], want.aux_logits2.numpy(), 1e-4)
