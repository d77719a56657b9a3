"""What cannot be meant is one clear error, before anything is traced."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnn_jax import explain, nn
from cnn_jax.models.small_cnn import small_cnn
from tests.explain.networks import image_net, table_net

KEY = jax.random.key(0)
X = np.linspace(-1, 1, 2 * 9 * 6 * 2, dtype=np.float32).reshape(2, 9, 6, 2)
ROWS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)
METHODS = {
    "saliency": explain.saliency,
    "integrated": explain.integrated_gradients,
    "smooth": partial(explain.smooth_grad, KEY),
    "occlusion": partial(explain.occlusion, window=(2, 2)),
    "grad_cam": explain.grad_cam,
    "hires_cam": explain.hires_cam,
    "guided": explain.guided_backprop,
}


@pytest.fixture(autouse=True)
def _as_shipped(as_shipped):
    """Without type checks of the suite, which would refuse first."""


@pytest.mark.parametrize("method", METHODS)
def test_targets_inputs_and_training_mode_are_checked_by_every_method(method):
    call, net = METHODS[method], image_net()
    for target, said in ((3, "`target` is 3, but there are 3"), (-1, "`target` is -1")):
        with pytest.raises(ValueError, match=said):
            call(net, X, target)
    with pytest.raises(ValueError, match=r"`target` is 7.*give 0 to 2"):
        call(net, X, np.array([0, 7]))
    with pytest.raises(ValueError, match=r"`target` has shape \(3,\).*\(2,\)"):
        call(net, X, np.array([0, 1, 2]))
    with pytest.raises(TypeError, match="`target` is float32, but must be whole"):
        call(net, X, 1.0)
    with pytest.raises(TypeError, match="`x` is uint8, but must be floating point"):
        call(net, X.astype(np.uint8), 0)
    training = nn.Chain({"norm": nn.BatchNorm(2), "rest": net})
    with pytest.raises(ValueError, match=r"use_running_average is False at 'norm'"):
        call(training, X, 0)
    dropping = nn.Chain({"drop": nn.Dropout(0.5, rngs=nnx.Rngs(0)), "rest": net})
    with pytest.raises(ValueError, match=r"deterministic is False at 'drop'"):
        call(dropping, X, 0)


@functools.cache
def calls():
    """Name → a call with a wrong argument, its error and a part of its message."""
    net = image_net()
    plain = small_cnn(shape=(9, 6, 2), classes=3, rngs=nnx.Rngs(0))
    run, top = partial(explain.maximize, KEY, net), explain.top_examples
    base = partial(explain.integrated_gradients, net, X, 0)
    hide = partial(explain.occlusion, net, X, 0)
    cover = partial(explain.deletion, net, X)
    smooth = partial(explain.smooth_grad, KEY, net, X, 0)
    both = np.zeros((4, 5)), np.zeros((4, 5), bool)
    return {
        "no function": (lambda: explain.saliency(3, X), TypeError, "`f` is 3"),
        "no logits": (
            lambda: explain.saliency(lambda x: x.sum(), X),
            TypeError,
            "must return an array of logits",
        ),
        "other batch": (
            lambda: explain.saliency(lambda x: net(x)[:1], X),
            ValueError,
            "same batch axes",
        ),
        "partial of a net": (
            lambda: explain.saliency(
                partial(nn.Chain({"n": nn.BatchNorm(2), "r": net}).run, after="n"), X
            ),
            ValueError,
            "training mode",
        ),
        "baseline": (
            lambda: base(baseline=np.zeros((6, 9, 2))),
            ValueError,
            "(6, 9, 2)",
        ),
        "steps": (lambda: base(steps=0), ValueError, "`steps` is 0"),
        "samples": (lambda: smooth(samples=0), ValueError, "`samples` is 0"),
        "noise": (lambda: smooth(noise=-1), ValueError, "`noise` is -1"),
        "window": (lambda: hide(window=(2,)), ValueError, "`window` has 1 axes"),
        "stride": (
            lambda: hide(window=(2, 2), stride=3),
            ValueError,
            "`stride` is 3 along axis 0",
        ),
        "occluder": (
            lambda: hide(window=(2, 2), value=np.zeros(3)),
            ValueError,
            "`value` has shape (3,)",
        ),
        "a cut without positions": (
            lambda: explain.grad_cam(net, X, 0, cut="mean"),
            ValueError,
            "'mean', whose output has no spatial axes; stages that have them: conv1",
        ),
        "no spatial stage": (
            lambda: explain.grad_cam(table_net(), ROWS, 0),
            ValueError,
            "has no stage with spatial axes",
        ),
        "no such stage": (
            lambda: explain.grad_cam(net, X, 0, cut="conv9"),
            ValueError,
            "no stage 'conv9'",
        ),
        "no chain": (lambda: explain.grad_cam(jnp.sum, X, 0), TypeError, "be a Chain"),
        "no ReLU": (
            lambda: explain.guided_backprop(
                nn.Chain({"c": nn.Dense((9, 6, 2), 3, rngs=nnx.Rngs(0))}), X, 0
            ),
            ValueError,
            "has no ReLU",
        ),
        "position": (
            lambda: explain.terms(net, X[0], "conv1", (10, 0, 0)),
            ValueError,
            "`position` is (10, 0, 0), but the output of 'conv1'",
        ),
        "axes of a position": (
            lambda: explain.terms(net, X[0], "conv1", (1, 0)),
            ValueError,
            "`position` is (1, 0)",
        ),
        "stage of terms": (
            lambda: explain.terms(net, X[0], "conv7", (0,)),
            ValueError,
            "there is no stage 'conv7'",
        ),
        "bytes": (
            lambda: explain.terms(net, X[0].astype(np.uint8), "conv1", (0, 0, 0)),
            TypeError,
            "`x` is uint8",
        ),
        "filters": (lambda: explain.filters(net, "relu1"), ValueError, "has no kernel"),
        "maps": (
            lambda: explain.feature_maps(net, X[0], "mean"),
            ValueError,
            "no spatial axes",
        ),
        "unit": (lambda: top(net, X, "conv1", 4), ValueError, "`unit` is 4"),
        "half a unit": (lambda: top(net, X, "conv1", 0.5), TypeError, "`unit` is 0.5"),
        "k": (lambda: top(net, X, "conv1", 0, k=0), ValueError, "`k` is 0"),
        "nothing": (lambda: top(net, X[:0], "conv1", 0), ValueError, "is empty"),
        "no examples": (lambda: top(net, 3, "conv1", 0), TypeError, "`inputs` is int"),
        "bytes of examples": (
            lambda: top(net, X.astype(np.uint8), "conv1", 0),
            TypeError,
            "`inputs` is uint8",
        ),
        "nearest of nothing": (
            lambda: explain.nearest_examples(net, X[:0], X, "mean"),
            ValueError,
            "is empty",
        ),
        "maximized unit": (
            lambda: run("conv1", 4, shape=(9, 6, 2)),
            ValueError,
            "`unit` is 4, but 'conv1' has 4 channels",
        ),
        "range": (
            lambda: run("conv1", 0, shape=(9, 6, 2), low=1.0, high=0.0),
            ValueError,
            "`low` is 1.0",
        ),
        "no shape": (lambda: run("conv1", 0, shape=()), ValueError, "`shape` is empty"),
        "jitter": (
            lambda: run("conv1", 0, shape=(9, 6, 2), jitter=-1),
            ValueError,
            "`jitter` is -1",
        ),
        "phases of a row": (
            lambda: explain.maco(KEY, table_net(), "hidden1", 0, shape=(6,)),
            ValueError,
            "must be (height, width, channels)",
        ),
        "magnitudes": (
            lambda: explain.magnitudes(np.ones((3, 3))),
            ValueError,
            "`images` has shape (3, 3)",
        ),
        "scores": (
            lambda: cover(np.zeros((2, 6, 9)), 0),
            ValueError,
            "`scores` has shape (2, 6, 9)",
        ),
        "mask": (
            lambda: explain.mass_inside(both[0], both[0]),
            TypeError,
            "must be boolean",
        ),
        "shapes": (
            lambda: explain.pointing_game(both[0][:2], both[1]),
            ValueError,
            "`scores` has shape (2, 5) and `mask` (4, 5)",
        ),
        "no parameters": (
            lambda: explain.split_front(nn.Chain({"a": jnp.tanh})),
            ValueError,
            "no stage with parameters",
        ),
        "a single stage": (
            lambda: explain.leading_unit(nn.Chain({"rest": jnp.tanh}), ROWS[0], 0),
            ValueError,
            "a single stage",
        ),
        "no network": (lambda: explain.evaluated(plain.run), TypeError, "a Chain"),
    }


@pytest.mark.parametrize("name", calls())
def test_it_is_one_error_that_names_the_argument(name):
    call, error, said = calls()[name]
    with pytest.raises(error) as raised:
        call()
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.full
def test_a_map_that_is_zero_everywhere_is_zero_and_not_nan():
    net = image_net()
    net.stages["classifier"].kernel[...] = jnp.zeros((5, 3))
    for method in METHODS.values():
        scores = jax.tree.leaves(method(net, X, 0))[0]
        assert (np.asarray(scores) == 0).all()
