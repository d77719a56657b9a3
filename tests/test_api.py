import inspect

import pytest

import cnn_jax
from cnn_jax import data, functional, lowering, models, nn, report, tasks, training

LAYERS = (data, functional, lowering, models, nn, report, tasks, training)


def public(layer):
    for name, thing in vars(layer).items():
        if not name.startswith("_") and getattr(thing, "__module__", "").startswith(
            "cnn"
        ):
            yield name, thing


FUNCTIONS = [
    pytest.param(thing, id=f"{layer.__name__}.{name}")
    for layer in (functional, nn, models, data)
    for name, thing in public(layer)
    if inspect.isfunction(thing)
]


def test_layers_are_found_by_name():
    assert [getattr(cnn_jax, name) for name in cnn_jax.__all__]
    assert set(cnn_jax.__all__) <= set(dir(cnn_jax))
    with pytest.raises(AttributeError, match="cellar"):
        cnn_jax.cellar  # noqa: B018


@pytest.mark.parametrize("function", FUNCTIONS)
def test_options_are_keyword_only(function):
    parameters = inspect.signature(function).parameters.values()
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    optional = [p.name for p in positional if p.default is not p.empty]
    assert set(optional) <= {"scale", "bias"}


@pytest.mark.parametrize(
    "function", [p for p in FUNCTIONS if "functional" in p.id or "models" in p.id]
)
def test_docstrings_have_an_example_and_a_source(function):
    text = inspect.getdoc(function)
    assert "Example:" in text
    assert "Source:" in text
    for name in inspect.signature(function).parameters:
        assert f"{name}:" in text


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_everything_public_says_what_it_is(layer):
    silent = [name for name, thing in public(layer) if not inspect.getdoc(thing)]
    assert silent == []


def test_the_names_of_the_design_are_there():
    assert {
        "conv", "conv_transpose", "separable_conv", "convolve", "match_feature",
        "unfold", "fold", "pad", "max_pool", "avg_pool", "sum_pool", "lp_pool",
        "adaptive_avg_pool", "adaptive_max_pool", "global_avg_pool", "global_max_pool",
        "max_unpool", "relu", "tanh", "softmax", "batch_norm", "layer_norm",
        "group_norm", "instance_norm", "local_response_norm", "dropout", "resize",
        "grid_sample", "affine_grid", "pixel_shuffle", "pixel_unshuffle", "frame",
        "stft", "spectrogram", "mel_filterbank", "log_mel", "mfcc", "image_kernel",
        "graph_conv", "dense",
    } <= dict(public(functional)).keys()  # fmt: skip
    elsewhere = {"leaky_relu", "sigmoid", "log_softmax", "gelu", "silu"}
    assert elsewhere <= vars(functional).keys()
    assert {
        "Chain", "Conv", "ConvTranspose", "SeparableConv", "Dense", "GraphConv",
        "Dropout", "BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm",
        "LocalResponseNorm", "LogMel", "MaxPool", "AvgPool", "SumPool", "LpPool",
        "AdaptiveAvgPool", "AdaptiveMaxPool", "GlobalAvgPool", "GlobalMaxPool",
        "MaxUnpool", "Pad", "Unfold", "Fold", "Summary", "summary",
    } <= dict(public(nn)).keys()  # fmt: skip
    assert {
        "xo_net", "lenet5", "alexnet", "vgg16", "vgg19_bn", "googlenet", "resnet20",
        "resnet50", "resnet152", "densenet121", "mobilenet_v1",
    } <= models.MODELS.keys()  # fmt: skip
