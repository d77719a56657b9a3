import importlib
import inspect
from importlib.util import find_spec

import pytest

import cnn_jax
from cnn_jax import functional, models, nn

NAMES = (
    "functional lowering nn models data tasks training report explain locality export"
)
LAYERS = [
    importlib.import_module(f"cnn_jax.{name}")
    for name in [*NAMES.split(), "trained", "cli"]
    if find_spec(f"cnn_jax.{name}")
]
# Results and designs of the package itself have no source to name.
RESULTS = {
    *("ReceptiveField", "Row", "Summary", "Pretrained"),
    *("Integrated", "Unit", "TopExamples", "Nearest", "Maximized", "Term", "Terms"),
    *("Curve", "Sanity"),
}
NO_SOURCE = RESULTS | {"Chain", "identity"}


def public(layer):
    """(name, thing) of the functions and classes that a layer makes public."""
    for name, thing in vars(layer).items():
        module = getattr(thing, "__module__", None) or ""
        if not name.startswith("_") and f"{module}.".startswith(f"{layer.__name__}."):
            yield name, thing


def parameters_of(keep, *kinds):
    """Parameters of a test: what is public in the layers of these names."""
    return [
        pytest.param(thing, id=f"{layer.__name__}.{name}")
        for layer in LAYERS
        if layer.__name__.removeprefix("cnn_jax.") in kinds
        for name, thing in public(layer)
        if keep(thing)
    ]


FUNCTIONS = parameters_of(
    inspect.isfunction,
    *("functional", "nn", "models", "data", "tasks"),
    *("training", "report", "explain", "locality", "trained", "export"),
)
OPERATIONS = parameters_of(callable, "functional", "nn", "models", "explain")


def test_layers_are_found_by_name():
    assert [getattr(cnn_jax, name) for name in cnn_jax.__all__]
    assert set(cnn_jax.__all__) <= set(dir(cnn_jax))
    with pytest.raises(AttributeError, match="cellar"):
        cnn_jax.cellar  # noqa: B018


def test_all_layers_are_looked_at():
    assert len(LAYERS) >= 10
    assert len(FUNCTIONS) >= 100
    assert len(OPERATIONS) >= 95


@pytest.mark.parametrize("function", FUNCTIONS)
def test_options_are_keyword_only(function):
    parameters = inspect.signature(function).parameters.values()
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    optional = [p.name for p in positional if p.default is not p.empty]
    assert set(optional) <= {"scale", "bias", "target"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_docstrings_describe_every_parameter(function):
    text = inspect.getdoc(function)
    names = inspect.signature(function).parameters
    assert [name for name in names if f"{name}:" not in text] == []


@pytest.mark.parametrize("thing", OPERATIONS)
def test_docstrings_have_an_example_and_a_source(thing):
    text = inspect.getdoc(thing)
    if thing.__name__ not in RESULTS:
        assert "Example:" in text
    if thing.__name__ not in NO_SOURCE:
        # A stage without parameters names its function, which names the source.
        assert "Source:" in text or "see `functional." in text.lower()


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_everything_public_has_a_docstring(layer):
    assert inspect.getdoc(layer)
    assert len(list(public(layer))) > 0
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
