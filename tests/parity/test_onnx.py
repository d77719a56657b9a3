"""ONNX against ONNX Runtime: every architecture, every stage, and what is refused."""

import warnings
from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import export, models, nn
from cnn_jax.export.network import outputs_of
from experiments.small_data.torchvision import part
from tests.helpers import assert_close, relative

QUICK = ("xo_net", "mlp", "sound_net", "lenet5", "small_vgg", "resnet20", "googlenet")
NORMALIZE = models.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


def with_statistics(net, seed=0):
    """The network with random statistics, scales and biases."""
    rng = np.random.default_rng(seed)
    for _, layer in nnx.iter_modules(net):
        if isinstance(layer, nn.BatchNorm):
            count = layer.mean.shape
            layer.mean[...] = jnp.asarray(rng.normal(0, 0.1, count), jnp.float32)
            layer.bias[...] = jnp.asarray(rng.normal(0, 0.1, count), jnp.float32)
            layer.var[...] = jnp.asarray(rng.uniform(0.5, 1.5, count), jnp.float32)
            layer.scale[...] = jnp.asarray(rng.uniform(0.5, 1.5, count), jnp.float32)
    return net


def session(model):
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=providers)


def run(model, x):
    return session(model).run(["output"], {"input": x})[0]


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.full)
        for name in models.MODELS
    ],
)
def test_every_architecture_agrees_at_every_batch_size(name, rng):
    options = {"shape": (30,)} if name == "mlp" else {}
    net = with_statistics(models.build(name, rngs=nnx.Rngs(0), **options))
    shape = models.made_for(name)
    large = shape == (224, 224, 3)
    if large:  # 64 images of that size take much memory in JAX.
        agree(net, shape, (1,), rng)
        shape = (64, 64, 3)
    agree(net, shape, (1, 7, 64), rng)
    jax.clear_caches()


def agree(net, shape, batches, rng):
    """One file gives the outputs of the network for batches of several sizes."""
    runs = session(export.onnx(net, shape))
    for batch in batches:
        x = rng.normal(size=(batch, *shape)).astype(np.float32)
        (got,) = runs.run(["output"], {"input": x})
        assert relative(got, outputs_of(net, x)) < 1e-5


def test_resnet50_has_native_operators_alone():
    net = models.build("resnet50", rngs=nnx.Rngs(0))
    counts = Counter(
        node.op_type for node in export.onnx(net, (224, 224, 3)).graph.node
    )
    assert counts == {
        "Transpose": 1,
        "Conv": 53,
        "BatchNormalization": 53,
        "Relu": 49,
        "MaxPool": 1,
        "Add": 16,
        "GlobalAveragePool": 1,
        "Flatten": 1,
        "Gemm": 1,
    }


@pytest.mark.full
def test_resnet50_has_the_operators_of_the_export_of_pytorch(tmp_path):
    """So that it runs as fast; the mean is a reduction and a reshape there."""
    net = models.build("resnet50", rngs=nnx.Rngs(0))
    fused = export.onnx(net, (224, 224, 3), fuse_batch_norm=True, input="nchw")
    model = part("models").resnet50().eval()
    x = torch.zeros(2, 3, 224, 224)
    options = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "dynamo": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.onnx.export(model, (x,), opset_version=18, **options)
    ours, other = (
        Counter(node.op_type for node in one.graph.node)
        for one in (fused, theirs.model_proto)
    )
    same = ("Conv", "Relu", "Add", "MaxPool", "Gemm", "Transpose", "BatchNormalization")
    assert {name: ours[name] for name in same} == {name: other[name] for name in same}
    assert ours.total() <= other.total()


def conv(*args, **options):
    return nn.Conv(*args, **options, rngs=nnx.Rngs(1))


STAGES = {
    "conv": (conv(3, 4, (3, 2), stride=(2, 1), padding=((1, 0), (2, 1))), (9, 8, 3)),
    "reflect": (conv(3, 4, (3, 2), padding=(1, 2), padding_mode="reflect"), (9, 8, 3)),
    "replicate": (conv(3, 4, (3, 2), padding=2, padding_mode="replicate"), (9, 8, 3)),
    "same": (conv(4, 4, (3, 2), padding="same", stride=(2, 3), groups=2), (9, 8, 4)),
    "dilated": (conv(4, 6, (3, 2), dilation=(2, 3)), (9, 8, 4)),
    "signal": (conv(3, 4, (5,)), (19, 3)),
    "volume": (conv(2, 4, (2, 3, 2)), (5, 6, 7, 2)),
    "transposed": (
        nn.ConvTranspose(
            *(4, 6, (3, 2)),
            stride=(2, 3),
            padding=((1, 0), (0, 1)),
            output_padding=(1, 2),
            dilation=(1, 2),
            groups=2,
            rngs=nnx.Rngs(1),
        ),
        (5, 6, 4),
    ),
    "transposed same": (
        nn.ConvTranspose(4, 6, (3, 2), stride=(2, 1), padding="same", rngs=nnx.Rngs(1)),
        (5, 6, 4),
    ),
    "separable": (
        nn.SeparableConv(3, 5, (3, 2), multiplier=2, padding=1, rngs=nnx.Rngs(1)),
        (9, 8, 3),
    ),
    "dense": (nn.Dense((9, 8, 3), 5, rngs=nnx.Rngs(1)), (9, 8, 3)),
    "dense at positions": (nn.Dense(3, 5, rngs=nnx.Rngs(1)), (9, 8, 3)),
    "layer norm": (nn.LayerNorm((9, 8, 3)), (9, 8, 3)),
    "layer norm of channels": (nn.LayerNorm(3), (9, 8, 3)),
    "group norm": (nn.GroupNorm(6, groups=2), (9, 8, 6)),
    "instance norm": (nn.InstanceNorm(6), (9, 8, 6)),
    "batch norm of rows": (nn.BatchNorm(6), (6,)),
    "response norm": (nn.LocalResponseNorm(5, alpha=0.3), (9, 8, 6)),
    "max": (nn.MaxPool((3, 2), stride=2, ceil_mode=True, padding=1), (9, 8, 3)),
    "max dilated": (nn.MaxPool((3, 2), stride=1, dilation=2), (9, 8, 3)),
    "max same": (nn.MaxPool((3, 2), stride=(2, 3), padding="same"), (9, 8, 3)),
    "max sparse": (nn.MaxPool((1, 2), stride=(3, 4), ceil_mode=True), (9, 9, 3)),
    "mean": (nn.AvgPool((3, 2), stride=2, ceil_mode=True, padding=1), (9, 8, 3)),
    "mean of the input": (
        nn.AvgPool((3, 2), stride=2, padding=1, count_include_pad=False),
        (9, 8, 3),
    ),
    "sum": (nn.SumPool((3, 2), stride=2, ceil_mode=True), (9, 8, 3)),
    "norm": (nn.LpPool(2, (3, 2), stride=2, ceil_mode=True), (9, 8, 3)),
    "bins": (nn.AdaptiveAvgPool((3, None)), (9, 8, 3)),
    "unequal bins": (nn.AdaptiveAvgPool((4, 3)), (9, 8, 3)),
    "bins max": (nn.AdaptiveMaxPool((3, 2)), (9, 8, 3)),
    "global of one axis": (nn.GlobalMaxPool(spatial=1), (9, 8, 3)),
    "global of three axes": (nn.GlobalAvgPool(spatial=3), (4, 5, 6, 3)),
    "pad": (nn.Pad(((1, 2), (0, 1)), value=0.5), (9, 8, 3)),
    "pad reflect": (nn.Pad((1, 2), mode="reflect"), (9, 8, 3)),
    "spectrogram": (nn.Spectrogram(n_fft=64, power=1.0), (400,)),
    "log mel": (nn.LogMel(sr=8000, n_fft=256, n_mels=20, center=False), (2000,)),
    "mfcc": (nn.MFCC(sr=8000, n_fft=256, n_mels=40, win_length=200), (2000,)),
    "leaky": (partial(F.leaky_relu, negative_slope=0.3), (5, 4, 3)),
    "gelu": (partial(F.gelu, approximate=False), (5, 4, 3)),
    "quantity": (export.Quantity(3.0, 0.5), (2,)),
}
NAMES = (
    "relu tanh sigmoid softplus softmax log_softmax hard_sigmoid hard_silu selu relu6 "
    "hard_tanh leaky_relu elu celu silu mish gelu"
)
STAGES |= {name: (getattr(F, name), (5, 4, 3)) for name in NAMES.split()}


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_agrees(name):
    stage, shape = STAGES[name]
    net = with_statistics(nn.Chain({"block": nn.Chain({"stage": stage})}))
    tolerance = 1e-4 if name in ("log mel", "mfcc") else 1e-6
    for order in "nhwc", "nchw":
        model = export.onnx(net, shape, input=order)
        assert export.check_onnx(model, net, shape, input=order) < tolerance


@pytest.mark.parametrize("opset", [13, 16, 18, 20, 21])
def test_other_opsets_agree(opset):
    net = with_statistics(models.build("small_vgg", rngs=nnx.Rngs(0)))
    stages = {**net.stages, "classifier": nn.Dense(256, 3, rngs=nnx.Rngs(0))}
    net = nn.Chain({name: stages[name] for name in net.names})
    model = export.onnx(net, (32, 33, 3), opset=opset)
    assert model.opset_import[0].version == opset
    assert export.check_onnx(model, net, (32, 33, 3)) < 1e-5


def test_circular_padding_and_spectrograms_need_a_later_opset():
    net = nn.Chain({"c": conv(3, 4, (3, 2), padding=1, padding_mode="circular")})
    with pytest.raises(ValueError, match="'c', Conv, .* needs opset 19, but it is 17"):
        export.onnx(net, (9, 8, 3))
    model = export.onnx(net, (9, 8, 3), opset=19)
    assert export.check_onnx(model, net, (9, 8, 3)) < 1e-6
    net = models.build("sound_net", rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="'spectrogram', LogMel, .* needs opset 17"):
        export.onnx(net, (16000,), opset=16)


@pytest.mark.parametrize(
    ("stage", "shape", "text"),
    [
        (lambda x: 2 * x, (5, 4, 3), "'a/b', <lambda>, cannot be written"),
        (nn.Unfold((2, 2)), (5, 4, 3), "'a/b', Unfold"),
        (nn.MaxPool((2, 2), return_indices=True), (4, 4, 3), "several arrays"),
        (nn.LpPool(3, (2, 2)), (4, 4, 3), "p of 3"),
        (nn.AvgPool((2, 2), dilation=2), (4, 4, 3), "dilation"),
        (nn.AdaptiveMaxPool((3, 2)), (4, 4, 3), "bins are unequal"),
        (nn.LocalResponseNorm(4), (4, 4, 3), "4 channels has no middle"),
        (nn.LayerNorm((4, 3)), (5, 4, 3), "last 2 of 4 axes"),
        (nn.Dense((4, 3), 2, rngs=nnx.Rngs(0)), (5, 4, 3), "last 2 of"),
        (conv(3, 4, (2, 2), dtype=jnp.bfloat16), (4, 4, 3), "bfloat16"),
    ],
)
def test_a_stage_without_an_operator_is_refused_by_its_path(stage, shape, text):
    net = nn.Chain({"a": nn.Chain({"b": stage})})
    with pytest.raises((ValueError, TypeError), match=text):
        export.onnx(net, shape)


def test_options_are_refused_before_anything_is_written():
    net = nn.Chain({"relu": F.relu})
    with pytest.raises(ValueError, match="`opset` is 12, but must be at least 13"):
        export.onnx(net, (3,), opset=12)


def test_bytes_names_and_texts_are_inside(rng):
    net = with_statistics(models.build("resnet20", classes=3, rngs=nnx.Rngs(0)))
    model = export.onnx(
        net,
        (32, 32, 3),
        input="nchw",
        normalize=NORMALIZE,
        classes=("cat", "dog", "Ω"),
        metadata={"licence": "none"},
        fuse_batch_norm=True,
    )
    texts = {entry.key: entry.value for entry in model.metadata_props}
    assert texts["classes"] == '["cat", "dog", "\\u03a9"]'
    assert texts["licence"] == "none"
    x = rng.integers(256, size=(5, 3, 32, 32), dtype=np.uint8)
    pixels = np.moveaxis(x, 1, -1) / 255
    wanted = (pixels - NORMALIZE.mean) / NORMALIZE.deviation
    assert_close(run(model, x), outputs_of(net, wanted.astype(np.float32)), 1e-5)
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in sizes] == ["batch", 3, 32, 32]


def test_outputs_with_positions_have_the_order_of_the_input(rng):
    net = nn.Chain({"conv": conv(3, 5, (3, 2))})
    x = rng.normal(size=(2, 7, 6, 3)).astype(np.float32)
    last = run(export.onnx(net, (7, 6, 3)), x)
    first = run(export.onnx(net, (7, 6, 3), input="nchw"), np.moveaxis(x, -1, 1).copy())
    assert last.shape == (2, 5, 5, 5)
    np.testing.assert_array_equal(np.moveaxis(first, 1, -1), last)


def test_silence_at_the_end_changes_nothing(rng):
    """The mask of an audio network, on recordings of other lengths."""
    net = models.build("sound_net", rngs=nnx.Rngs(0))
    x = np.zeros((3, 16000), np.float32)
    for row, length in enumerate((0, 5000, 16000)):
        x[row, :length] = rng.normal(size=length)
    assert_close(run(export.onnx(net, (16000,)), x), outputs_of(net, x), 1e-5)


def test_the_check_finds_other_weights():
    net = models.build("xo_net", rngs=nnx.Rngs(0))
    model = export.onnx(net, (28, 28, 1))
    net.stages["classifier"].bias[...] += 0.1
    with pytest.raises(ValueError, match="outputs of the ONNX model differ"):
        export.check_onnx(model, net, (28, 28, 1))


def test_names_of_constants_are_paths():
    model = export.onnx(models.build("resnet20", rngs=nnx.Rngs(0)), (32, 32, 3))
    names = {constant.name for constant in model.graph.initializer}
    assert {"conv1/weight", "layer1/0/conv1/weight", "classifier/bias"} <= names
    onnx.checker.check_model(model, full_check=True)
