"""The methods of attribution compared with captum's, on torchvision's networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from captum import attr

from cnn_jax import explain
from tests.explain.networks import in_float64
from tests.helpers import assert_close
from tests.parity.test_models import as_torch, pair

# Name → the layer whose maps are weighted in Grad-CAM, ours and theirs.
LAYERS = {
    "resnet18": ("layer4", lambda model: model.layer4),
    "vgg11_bn": ("pool5", lambda model: model.features),
    "googlenet": ("inception5b", lambda model: model.inception5b),
}
SIZE, TARGET, STEPS = (64, 48), [5, 2], 20
WINDOW, STRIDE = (24, 17), (20, 16)


@pytest.fixture(scope="module", params=LAYERS)
def both(request):
    """Our network, theirs and images, in float64: no rounding crosses a ReLU's kink."""
    net, model = pair(request.param)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *SIZE, 3))
    with jax.enable_x64(True):
        net = in_float64(explain.evaluated(net))
        yield request.param, net, model.double().eval(), x


def ours(method, net, x):
    run = explain.compiled(method, net)
    return run(jnp.asarray(x), jnp.array(TARGET))


def theirs(scores):
    """Channels last."""
    return np.moveaxis(scores.detach().numpy(), 1, -1)


def test_saliency(both):
    _, net, model, x = both
    want = attr.Saliency(model).attribute(
        as_torch(x).requires_grad_(), target=TARGET, abs=False
    )
    assert_close(ours(explain.saliency, net, x), theirs(want), 1e-5)


def test_integrated_gradients(both):
    _, net, model, x = both
    base = 0.3 * np.random.default_rng(1).normal(size=x.shape)

    def method(net, x, target):
        return explain.integrated_gradients(
            net, x, target, baseline=jnp.asarray(base), steps=STEPS
        )

    want, error = attr.IntegratedGradients(model).attribute(
        as_torch(x),
        baselines=as_torch(base),
        target=TARGET,
        n_steps=STEPS,
        internal_batch_size=10,
        return_convergence_delta=True,
    )
    got = ours(method, net, x)
    assert_close(got.attributions, theirs(want), 1e-5)
    assert_close(got.error, error.numpy(), 1e-5)


def test_occlusion(both):
    _, net, model, x = both

    def method(net, x, target):
        return explain.occlusion(
            net, x, target, window=WINDOW, stride=STRIDE, value=0.5
        )

    want = attr.Occlusion(model).attribute(
        as_torch(x),
        sliding_window_shapes=(3, *WINDOW),
        strides=(3, *STRIDE),
        baselines=0.5,
        target=TARGET,
    )
    assert_close(ours(method, net, x), theirs(want)[..., 0], 1e-5)


def test_layer_grad_cam(both):
    name, net, model, x = both
    cut, layer = LAYERS[name]

    def method(net, x, target):
        return explain.grad_cam(net, x, target, cut=cut, resize=False)

    cam = attr.LayerGradCam(model, layer(model))
    want = cam.attribute(as_torch(x), target=TARGET, relu_attributions=False)
    assert_close(ours(method, net, x), theirs(want)[..., 0], 1e-5)


@pytest.mark.parametrize("both", ["vgg11_bn"], indirect=True)
@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")
def test_guided_backpropagation(both):
    """On the network whose ReLUs are modules used once, as captum's hooks need them."""
    _, net, model, x = both
    for module in model.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    want = attr.GuidedBackprop(model).attribute(as_torch(x).requires_grad_(), TARGET)
    assert_close(ours(explain.guided_backprop, net, x), theirs(want), 1e-5)
