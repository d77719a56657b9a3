"""Weights under PyTorch's names, and files of them, without PyTorch."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import cnn_jax.functional as F
from cnn_jax import models, nn
from cnn_jax.models.state_dict import entries_of
from tests import torch_files

FORMATS = {"zip": torch_files.zip_file, "pickles": torch_files.legacy_file}


@pytest.fixture(scope="module")
def resnet():
    return models.build("resnet18", classes=3, rngs=nnx.Rngs(0))


def arrays(rng):
    return {
        "a.weight": rng.normal(size=(3, 2, 5)).astype(np.float32),
        "half": rng.normal(size=4).astype(np.float16),
        "turned": rng.normal(size=(2, 7)).T,
        "count": np.array(7, np.int64),
        "none": np.zeros((0, 3), np.float32),
    }


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_of_pytorch_is_read(kind, order, rng, tmp_path):
    wanted = arrays(rng)
    del wanted["turned"]  # Its storage is in another order.
    file = tmp_path / "any name"
    file.write_bytes(FORMATS[kind](wanted, order=order))
    found = models.read_state_dict(file)
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_a_view_of_a_storage_is_read_by_its_strides(tmp_path):
    numbers = np.arange(14.0, dtype=np.float32).reshape(2, 7)
    entry = torch_files.tensor(0, numbers.T)  # Shape (7, 2), strides (1, 7).
    content = torch_files.dictionary({"turned": entry})
    (tmp_path / "a.pth").write_bytes(torch_files.zipped(content, {"x": numbers}))
    found = models.read_state_dict(tmp_path / "a.pth")
    np.testing.assert_array_equal(found["turned"], numbers.T)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_truncation_is_refused_in_one_line(kind, rng, tmp_path):
    whole = FORMATS[kind]({"a": rng.normal(size=(3, 5)).astype(np.float32)})
    file = tmp_path / "cut.pth"
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.pth") as error:
            models.read_state_dict(file)
        assert "\n" not in str(error.value)


def test_random_damage_is_refused_or_harmless(rng, tmp_path):
    whole = torch_files.legacy_file({"a": np.arange(3, dtype=np.float32)})
    file = tmp_path / "damaged.pth"
    messages = []
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(len(whole), size=3):
            damaged[at] = rng.integers(256)
        file.write_bytes(bytes(damaged))
        try:
            models.read_state_dict(file)
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all(text.startswith(f"{file} ") for text in messages)


class Runs:
    def __reduce__(self):
        return print, ("code was run",)


HOSTILE = {
    "__builtin__.print": pickle.dumps({"a": Runs()}, protocol=2),
    "posix.system": b"\x80\x02cposix\nsystem\n(X\x02\x00\x00\x00idtR.",
    "torch.load": b"\x80\x02ctorch\nload\n(X\x01\x00\x00\x00atR.",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["zip", "pickles", "magic"])
def test_a_pickle_that_would_run_code_is_refused_and_named(
    name, kind, tmp_path, capsys
):
    content = HOSTILE[name]
    if kind == "zip":
        content = torch_files.zipped(content, {})
    if kind == "magic":
        first = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
        content = b"".join(pickle.dumps(x, protocol=2) for x in first) + content
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(ValueError, match=f"is refused: it would use {name}, but"):
        models.read_state_dict(tmp_path / "bad.pth")
    assert capsys.readouterr().out == ""


def test_a_tensor_beyond_its_storage_is_refused(rng, tmp_path):
    array = rng.normal(size=(4, 3)).astype(np.float32)
    for count, text in (2, "beyond its storage"), (1000, "bytes, but 1000"):
        whole = torch_files.zip_file({"a": array}, count=count)
        (tmp_path / "a.pth").write_bytes(whole)
        with pytest.raises(ValueError, match=text):
            models.read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"RIFF1234WAVE", "neither safetensors nor PyTorch"),
        (pickle.dumps([1, 2], protocol=2), "no weights of PyTorch"),
        (torch_files.zipped(b"\x80\x02K\x01.", {}), "no dictionary"),
        (torch_files.zipped(torch_files.dictionary({"a": b"K\x01"}), {}), "'a' is no"),
    ],
)
def test_a_file_of_something_else_is_refused(content, text, tmp_path):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match=text):
        models.read_state_dict(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        models.read_state_dict(tmp_path / "none")


def every_layer(rngs):
    """A network with every kind of layer that has weights."""
    body = nn.Chain({"grouped": nn.Conv(6, 6, (3, 1), groups=3, rngs=rngs)})
    return nn.Chain(
        {
            "conv": nn.Conv(3, 6, (2, 4), rngs=rngs),
            "norm": nn.BatchNorm(6),
            "block": nn.Branches(
                {
                    "up": nn.ConvTranspose(6, 8, (2, 3), groups=2, rngs=rngs),
                    "apart": nn.SeparableConv(6, 4, (1, 2), rngs=rngs),
                    "body": body,
                }
            ),
            "dense": nn.Dense((4, 3, 5), 7, rngs=rngs),
            "layer": nn.LayerNorm((2, 5, 3)),
            "group": nn.GroupNorm(6, groups=3, use_bias=False),
        }
    )


def test_layouts_of_every_layer_agree_with_their_definition():
    net = every_layer(nnx.Rngs(0))
    state = models.to_state_dict(net, layout="paths")
    kernel = net.stages["conv"].kernel[...]
    np.testing.assert_array_equal(
        state["conv.weight"], jnp.einsum("hwio->oihw", kernel)
    )
    up = net.stages["block"].branches["up"].kernel[...]  # (window, out / g, in).
    np.testing.assert_array_equal(
        state["block.up.weight"], jnp.einsum("hwoi->iohw", up)
    )
    dense = net.stages["dense"].kernel[...].reshape(4, 3, 5, 7)
    wanted = jnp.einsum("hwco->ochw", dense).reshape(7, -1)
    np.testing.assert_array_equal(state["dense.weight"], wanted)
    assert state["block.apart.depthwise.weight"].shape == (6, 1, 1, 2)
    assert state["layer.weight"].shape == (3, 2, 5)
    assert state["norm.num_batches_tracked"].dtype == np.int64
    assert "group.bias" not in state
    assert all(array.flags.writeable for array in state.values())  # As PyTorch asks.


def test_there_and_back_is_the_identity():
    net, other = every_layer(nnx.Rngs(0)), every_layer(nnx.Rngs(1))
    state = models.to_state_dict(net, layout="paths")
    rng = np.random.default_rng(0)
    state |= {name: rng.normal(size=x.shape).astype("f4") for name, x in state.items()}
    assert models.from_state_dict(other, state, layout="paths") is other
    back = models.to_state_dict(other, layout="paths")
    for name, array in state.items():
        if "num_batches" not in name:
            np.testing.assert_array_equal(back[name], array)
    flat = jax.tree.leaves(nnx.state(other, (nnx.Param, nnx.BatchStat)))
    assert sum(x.size for x in flat) == sum(
        x.size for name, x in back.items() if "num_batches" not in name
    )


@pytest.mark.parametrize(
    ("name", "layout", "names"),
    [
        ("alexnet", "torchvision", "features.10.bias classifier.6.weight"),
        ("vgg11_bn", "torchvision", "features.26.running_var classifier.3.bias"),
        ("vgg16", "timm", "features.28.weight pre_logits.fc2.bias head.fc.bias"),
        ("googlenet", "torchvision", "inception3a.branch2.1.bn.bias aux1.fc2.bias"),
        ("resnet50", "timm", "layer1.0.downsample.1.bias layer4.2.bn3.weight"),
        (
            "densenet121",
            "torchvision",
            "features.denseblock4.denselayer16.conv2.weight features.norm5.bias",
        ),
        ("resnet20", "torchvision", "layer3.2.conv2.weight fc.bias"),
    ],
)
def test_names_are_those_of_pytorch(name, layout, names):
    entries = entries_of(models.outline(name), layout)
    assert set(names.split()) <= entries.keys()
    leaves = nnx.state(models.outline(name), (nnx.Param, nnx.BatchStat))
    assert len(entries) == len(jax.tree.leaves(leaves))


def test_all_that_does_not_fit_is_named_together(resnet):
    state = models.to_state_dict(resnet, layout="torchvision")
    state["fc.weight"] = np.zeros((1000, 512), np.float32)
    state["layer1.0.bn1.bias"] = state["layer1.0.bn1.bias"].astype(np.float64)
    state["head.weight"] = state.pop("fc.bias")
    with pytest.raises(ValueError, match="does not fit") as error:
        models.from_state_dict(resnet, state, layout="torchvision")
    for text in (
        "missing: fc.bias;",
        "unexpected: head.weight;",
        "fc.weight (1000, 512) instead of (3, 512)",
        "layer1.0.bn1.bias float64 instead of float32",
        "`classes`",
    ):
        assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_a_state_that_does_not_fit_changes_nothing(resnet):
    before = models.to_state_dict(resnet, layout="torchvision")
    state = {name: np.zeros_like(array) for name, array in before.items()}
    del state["fc.bias"]
    with pytest.raises(ValueError, match="missing"):
        models.from_state_dict(resnet, state, layout="torchvision")
    after = models.to_state_dict(resnet, layout="torchvision")
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


def test_old_names_and_missing_counters_are_accepted(rng):
    net = models.densenet(blocks=(1, 1, 1, 2), classes=2, rngs=nnx.Rngs(0))
    state = models.to_state_dict(net, layout="torchvision")
    old = {
        name.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): array + 1
        for name, array in state.items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.conv.2.weight" in old
    models.from_state_dict(net, old, layout="torchvision")
    new = models.to_state_dict(net, layout="torchvision")
    np.testing.assert_array_equal(
        new["features.denseblock4.denselayer2.norm2.bias"], np.ones(128)
    )


def test_float16_is_promoted(resnet):
    state = models.to_state_dict(resnet, layout="torchvision")
    state["fc.bias"] = np.array([0.5, 1.5, 2.5], np.float16)
    models.from_state_dict(resnet, state, layout="torchvision")
    bias = resnet.stages["classifier"].bias[...]
    assert bias.dtype == jnp.float32
    np.testing.assert_array_equal(bias, [0.5, 1.5, 2.5])


class Own(nnx.Module):
    def __init__(self):
        self.kernel = nnx.Param(jnp.ones(3))

    def __call__(self, x):
        return x * self.kernel[...]


@pytest.mark.usefixtures("as_shipped")
def test_layouts_that_a_network_has_not_are_refused():
    for name, layout in ("alexnet", "timm"), ("googlenet", "timm"), ("mlp", "timm"):
        with pytest.raises(ValueError, match="layout='paths'"):
            entries_of(models.outline(name), layout)
    with pytest.raises(ValueError, match="one of torchvision, timm, paths"):
        models.to_state_dict(nn.Chain({"relu": F.relu}), layout="keras")
    with pytest.raises(TypeError, match="'a/b'|'a.b' is Own"):
        entries_of(nn.Chain({"a": nn.Chain({"b": Own()})}), "paths")
    twins = nn.Chain({"norm1": nn.BatchNorm(2), "bn1": nn.BatchNorm(2)})
    stages = {"conv1": F.relu, "layer1": F.relu, "classifier": F.relu}
    with pytest.raises(ValueError, match=r"'bn1\.weight': rename"):
        entries_of(nn.Chain({**stages, **twins.stages}), "torchvision")
