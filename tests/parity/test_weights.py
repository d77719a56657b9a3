"""Published weights against torchvision and timm: files, logits, preprocessing."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
from flax import nnx
from huggingface_hub import constants
from PIL import Image

from cnn_jax import export, models
from cnn_jax.models.published import PUBLISHED
from cnn_jax.models.state_dict import entries_of
from experiments.small_data.torchvision import part
from tests.helpers import assert_close
from tests.parity.torchvision_models import randomized

torchvision_models = part("models")
import timm  # noqa: E402 (torchvision's operators are declared before)
from timm.data import create_transform, resolve_data_config  # noqa: E402

NETWORKS = sorted({one.model for one in PUBLISHED.values()})
IN_TIMM = sorted({one.model for one in PUBLISHED.values() if one.library == "timm"})
QUICK = ("resnet18", "densenet121", "googlenet")


def theirs(name, library, classes=1000):
    """The model of torchvision or timm with random weights and statistics."""
    torch.manual_seed(0)
    if library == "timm":
        model = timm.create_model(name, num_classes=classes)
    else:
        more = {"init_weights": False} if name == "googlenet" else {}
        if name == "googlenet":
            more |= {"aux_logits": True, "transform_input": True}
        model = getattr(torchvision_models, name)(num_classes=classes, **more)
    return randomized(model).eval()


def write(state, path, kind):
    if kind == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")


CASES = [(name, "torchvision") for name in NETWORKS] + [(n, "timm") for n in IN_TIMM]


@pytest.mark.parametrize(
    ("name", "library"),
    [
        case if case[0] in QUICK else pytest.param(*case, marks=pytest.mark.full)
        for case in CASES
    ],
)
def test_a_network_comes_from_files_and_goes_back_bit_by_bit(name, library, tmp_path):
    model = theirs(name, library)
    state = model.state_dict()
    for kind in "zip", "pickles", "safetensors":
        path = tmp_path / kind
        write(state, path, kind)
        read = models.read_state_dict(path)
        for key, tensor in state.items():
            np.testing.assert_array_equal(read[key], tensor.numpy())
    found = models.pretrained(name, file=path)
    back = models.to_state_dict(found.net, layout=library)
    for key, tensor in state.items():
        if "num_batches" not in key:
            np.testing.assert_array_equal(back[key], tensor.numpy())
    tensors = {key: torch.from_numpy(array) for key, array in back.items()}
    model.load_state_dict(tensors, strict=True)
    written = safetensors.torch.load(export.safetensors(found.net, layout=library))
    model.load_state_dict(written, strict=True)

    image = np.random.default_rng(0).integers(256, size=(97, 131, 3), dtype=np.uint8)
    x = found.prepare(image)[None]
    modes = {"deterministic": True, "use_running_average": True}
    view = nnx.view(found.net, raise_if_not_found=False, **modes)
    got = nnx.jit(lambda net, x: net(x))(view, jnp.asarray(x))
    if name == "googlenet":  # Its model converts the input to the other normalization.
        x = published_input(image)
    with torch.no_grad():
        wanted = model(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
    assert_close(got, wanted.numpy(), 1e-4)
    jax.clear_caches()


def published_input(image):
    """The input of torchvision's GoogLeNet, which it converts itself."""
    weights = torchvision_models.GoogLeNet_Weights.IMAGENET1K_V1
    tensor = weights.transforms()(Image.fromarray(image))
    return np.moveaxis(tensor.numpy(), 0, -1)[None]


@pytest.mark.parametrize(("name", "library"), CASES)
def test_names_and_shapes_are_those_of_the_library(name, library):
    with torch.device("meta"):
        if library == "timm":
            model = timm.create_model(name)
        else:
            more = {"init_weights": False} if name == "googlenet" else {}
            more |= {"aux_logits": True} if name == "googlenet" else {}
            model = getattr(torchvision_models, name)(**more)
    wanted = {
        key: tuple(tensor.shape)
        for key, tensor in model.state_dict().items()
        if "num_batches" not in key
    }
    found = entries_of(models.outline(name), library)
    assert {key: entry.shape for key, entry in found.items()} == wanted


def test_the_table_is_that_of_torchvision_and_timm():
    for name, one in PUBLISHED.items():
        if one.library == "timm":
            config = timm.get_pretrained_cfg(name)
            assert config.hf_hub_id == one.file
            assert config.license == one.licence.lower()
            continue
        weights = torchvision_models.get_model_weights(one.model)[name.split(".")[1]]
        assert weights.url.rsplit("/", 1)[1] == one.file
        figures = weights.meta["_metrics"]["ImageNet-1K"]
        assert (figures["acc@1"], figures["acc@5"]) == (one.top1, one.top5)
        classes = list(models.imagenet_classes().values())
        assert weights.meta["categories"] == classes


def images(rng, count=50):
    """Images of odd sizes in every mode that files have."""
    modes = ("RGB", "L", "RGBA", "LA", "P", "CMYK", "1", "I;16", "YCbCr")
    for i in range(count):
        height, width = rng.integers(30, 400, size=2)
        mode = modes[i % len(modes)]
        if mode == "I;16":
            pixels = rng.integers(65536, size=(height, width), dtype=np.uint16)
            yield Image.fromarray(pixels)
            continue
        small = rng.integers(256, size=(9, 7, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((int(width), int(height)), 3)
        yield image.convert("RGB").convert(mode)


def transforms(name, one):
    """The published preprocessing."""
    if one.library == "torchvision":
        weights = torchvision_models.get_model_weights(one.model)[name.split(".")[1]]
        return weights.transforms()
    config = timm.get_pretrained_cfg(name).to_dict()
    data = resolve_data_config(pretrained_cfg=config, use_test_size=True)
    return create_transform(**data, is_training=False)


@pytest.mark.parametrize(
    "name",
    [
        "resnet50.IMAGENET1K_V1",
        "resnet50.IMAGENET1K_V2",
        "resnet50.tv_in1k",
        "resnet50.tv2_in1k",
        "densenet121.tv_in1k",
    ],
)
def test_preprocessing_is_the_published_one(name, rng):
    one = PUBLISHED[name]
    transform = transforms(name, one)
    mean, deviation = (
        torch.tensor(values).reshape(3, 1, 1)
        for values in (one.prepare.normalize.mean, one.prepare.normalize.deviation)
    )
    for image in images(rng):
        wanted = transform(image.convert("RGB"))
        got = one.prepare(image)
        np.testing.assert_allclose(
            np.moveaxis(got, -1, 0), wanted.numpy(), atol=1e-6, rtol=0
        )
        bytes_of = torch.round((wanted * deviation + mean) * 255).to(torch.uint8)
        np.testing.assert_array_equal(
            np.moveaxis(one.prepare.pixels(image), -1, 0), bytes_of.numpy()
        )
        if image.mode in ("RGB", "L"):
            content = io.BytesIO()
            image.save(content, "PNG")
            np.testing.assert_array_equal(one.prepare(content.getvalue()), got)


def test_every_preprocessing_has_the_sizes_of_its_library():
    for name, one in PUBLISHED.items():
        text = str(transforms(name, one))
        assert str(one.prepare.resize) in text
        assert str(one.prepare.crop) in text
        assert one.prepare.interpolation in text.lower()


def test_googlenet_has_the_normalization_that_its_model_makes(rng):
    one = PUBLISHED["googlenet.IMAGENET1K_V1"]
    image = rng.integers(256, size=(90, 120, 3), dtype=np.uint8)
    tensor = torch.from_numpy(np.moveaxis(published_input(image), -1, 1).copy())
    model = theirs("googlenet", "torchvision", classes=2)
    wanted = model._transform_input(tensor)[0].numpy()
    np.testing.assert_allclose(
        np.moveaxis(one.prepare(image), -1, 0), wanted, atol=1e-6
    )


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The cache of the hub with one repository, offline."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    root = tmp_path / "models--timm--resnet18.tv_in1k"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    folder = root / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    return folder / "model.safetensors"


def test_the_cache_of_the_hub_is_used_offline(hub):
    model = theirs("resnet18", "timm")
    safetensors.torch.save_file(model.state_dict(), hub)
    for revision in "main", COMMIT:
        found = models.pretrained("resnet18.tv_in1k", revision=revision)
        assert found.source == f"timm/resnet18.tv_in1k at {COMMIT}"
        assert found.top1 == 69.760
        bias = found.net.stages["classifier"].bias[...]
        np.testing.assert_array_equal(bias, model.fc.bias.detach().numpy())


@pytest.mark.usefixtures("hub")
def test_without_a_network_one_line_says_what_to_do():
    with pytest.raises(OSError, match="give its path as `file`") as error:
        models.pretrained("resnet34.tv_in1k")
    assert "\n" not in str(error.value)
    assert "timm/resnet34.tv_in1k" in str(error.value)


def test_a_truncated_file_of_safetensors_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file({"a": torch.ones(3, 4)}, path)
    content = path.read_bytes()
    for length in range(0, len(content), 9):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"net\.safetensors") as error:
            models.read_state_dict(path)
        assert "\n" not in str(error.value)


def test_what_pytorch_saves_beside_tensors_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(torch.nn.Linear(2, 3), path)
    with pytest.raises(ValueError, match="is refused: it would use torch.nn.modules"):
        models.read_state_dict(path)
    torch.save({"state_dict": torch.nn.Linear(2, 3).state_dict(), "epoch": 3}, path)
    assert list(models.read_state_dict(path)) == ["weight", "bias"]
    torch.save(dict(torch.nn.Linear(2, 3).named_parameters()), path)
    assert models.read_state_dict(path)["weight"].shape == (3, 2)
    torch.save({"half": torch.ones(2, dtype=torch.bfloat16)}, path)
    assert models.read_state_dict(path)["half"].dtype == jnp.bfloat16
