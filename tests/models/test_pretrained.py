"""Published weights: names, preprocessing, files and what is wrong with them."""

import hashlib
import io
import re

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from cnn_jax import models, nn
from cnn_jax.models import download
from cnn_jax.models.published import HALF, IMAGENET, PUBLISHED
from tests import torch_files


@pytest.fixture(scope="module")
def state():
    """Weights of a resnet18 as a file of torchvision has them."""
    net = models.build("resnet18", rngs=nnx.Rngs(3))
    return models.to_state_dict(net, layout="torchvision")


@pytest.fixture
def file(state, tmp_path):
    path = tmp_path / "resnet18.pth"
    path.write_bytes(torch_files.zip_file(state))
    return path


def test_every_name_is_of_a_network_and_of_a_file():
    assert len(models.pretrained_names()) == 42
    assert sum("IMAGENET1K" in name for name in models.pretrained_names()) == 22
    for name, one in PUBLISHED.items():
        assert name.startswith(f"{one.model}.")
        assert models.made_for(one.model) == (224, 224, 3)
        assert one.prepare.resize == (232 if "V2" in name or "tv2" in name else 256)
        if one.library == "torchvision":
            assert re.fullmatch(r"[\w-]+-[0-9a-f]{8}\.pth", one.file)
        assert not {"ssl", "swsl"} & set(one.file.split("_"))
    assert PUBLISHED["googlenet.IMAGENET1K_V1"].prepare.normalize == HALF


def test_classes_are_those_of_imagenet():
    numbers, names = zip(*models.imagenet_classes().items(), strict=True)
    assert len(set(numbers)) == len(set(names)) == 1000
    assert list(numbers) == sorted(numbers)
    assert names[1] == "goldfish"
    assert names[999] == "toilet tissue"


def test_a_file_becomes_a_network(file, state):
    found = models.pretrained("resnet18.tv_in1k", file=file)
    back = models.to_state_dict(found.net, layout="timm")
    for name, array in state.items():
        np.testing.assert_array_equal(back[name], array)
    assert found.classes[0] == "tench"
    assert found.top1 == 69.760
    assert found.licence == "BSD-3-Clause"
    assert found.source == str(file)
    own = models.pretrained("resnet18", file=file)
    assert own.prepare == PUBLISHED["resnet18.IMAGENET1K_V1"].prepare
    assert own.top1 is None


def test_a_published_file_is_fetched_once_and_checked(
    file, tmp_path, monkeypatch, state
):
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    name = f"resnet18-{digest[:8]}.pth"
    (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    found = download.torchvision_file(name, base=tmp_path.as_uri())
    assert found == tmp_path / "home" / "hub" / "checkpoints" / name
    (tmp_path / name).unlink()
    assert download.torchvision_file(name, base=tmp_path.as_uri()) == found
    np.testing.assert_array_equal(
        models.read_state_dict(found)["fc.bias"], state["fc.bias"]
    )
    found.write_bytes(content[:-1] + b"x")
    with pytest.raises(ValueError, match=rf"digest .*…, but must have {digest[:8]}"):
        download.torchvision_file(name, base=tmp_path.as_uri())
    assert list(found.parent.iterdir()) == [found]


def test_a_file_that_cannot_be_fetched_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    base = (tmp_path / "none").as_uri()
    with pytest.raises(OSError, match=r"cannot be fetched .*give its path as `file`"):
        download.torchvision_file("resnet18-f37072fd.pth", base=base)
    assert list((tmp_path / "hub" / "checkpoints").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resnet50", r"there are resnet50\.IMAGENET1K_V1, .*, or give a `file`"),
        ("resnet50.tv3_in1k", r"there are resnet50\.tv2?_in1k"),
        ("resnet20", "there are no weights 'resnet20'"),
    ],
)
def test_an_unknown_name_is_refused_with_close_ones(name, text):
    with pytest.raises(ValueError, match=text):
        models.pretrained(name)


def test_files_that_do_not_fit_are_refused_with_their_path(state, tmp_path):
    path = tmp_path / "own.pth"
    few = state | {"fc.weight": state["fc.weight"][:7], "fc.bias": state["fc.bias"][:7]}
    path.write_bytes(torch_files.legacy_file(few))
    with pytest.raises(ValueError, match=r"own\.pth.*\(7, 512\) instead of \(1000"):
        models.pretrained("resnet18", file=path)
    with pytest.raises(ValueError, match=r"unexpected: layer1.*|missing"):
        models.pretrained("vgg11", file=path)
    with pytest.raises(FileNotFoundError):
        models.pretrained("resnet18", file=tmp_path / "none.pth")
    with pytest.raises(ValueError, match="no weights 'lenet5'"):
        models.pretrained("lenet5", file=path)


def prepare():
    return models.Preprocessing(8, 6, "bilinear", IMAGENET)


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_bytes_images_and_arrays_are_prepared_alike(rng):
    array = rng.integers(256, size=(13, 9, 3), dtype=np.uint8)
    image = Image.fromarray(array)
    wanted = prepare()(image)
    assert wanted.shape == (6, 6, 3)
    assert wanted.dtype == np.float32
    for form in encoded(image), array, jnp.asarray(array):
        np.testing.assert_array_equal(prepare()(form), wanted)
    grey = array[..., 0]
    for form in grey, grey[..., None], Image.fromarray(grey):
        np.testing.assert_array_equal(
            prepare().pixels(form), prepare().pixels(np.stack([grey] * 3, axis=-1))
        )


def test_a_crop_of_the_same_size_is_the_image_itself(rng):
    array = rng.integers(256, size=(8, 11, 3), dtype=np.uint8)
    pixels = prepare().pixels(
        array
    )  # (11 − 6) / 2 = 2.5 rounds to 2, (8 − 6) / 2 to 1.
    np.testing.assert_array_equal(pixels, array[1:7, 2:8])
    wanted = (array[1:7, 2:8] / 255 - IMAGENET.mean) / IMAGENET.deviation
    np.testing.assert_allclose(prepare()(array), wanted, atol=1e-6)


def test_the_short_side_is_scaled_and_the_ratio_is_kept():
    ramp = np.arange(0, 240, 10, dtype=np.uint8)  # 24 columns become 12.
    wide = np.broadcast_to(ramp[None, :, None], (16, 24, 3)).copy()
    pixels = prepare().pixels(wide)
    np.testing.assert_allclose(np.diff(pixels[0, :, 0].astype(int)), 20, atol=1)
    tall = prepare().pixels(wide.transpose(1, 0, 2))
    np.testing.assert_array_equal(tall, pixels.transpose(1, 0, 2))


@pytest.mark.parametrize("wrong", [np.zeros((9, 9, 3), np.float32), "cat.jpg", None])
def test_what_is_no_image_is_refused(wrong):
    with pytest.raises(TypeError, match="normalized here, and only once"):
        prepare()(wrong)
    with pytest.raises(OSError, match="cannot identify"):
        prepare()(b"no image")


def test_the_stage_normalizes_bytes_floats_and_grey(rng):
    stage = models.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    pixels = rng.integers(256, size=(2, 3, 4, 3), dtype=np.uint8)
    wanted = (pixels / 255 - stage.mean) / stage.deviation
    np.testing.assert_allclose(stage(jnp.asarray(pixels)), wanted, atol=1e-5)
    floats = jnp.asarray(pixels / 127.5 - 1, jnp.float32)
    np.testing.assert_allclose(stage(floats), wanted, atol=1e-5)
    grey = stage(jnp.asarray(pixels[..., :1]))
    np.testing.assert_allclose(grey[..., 2], (pixels[..., 0] / 255 - 0.6) / 0.4, 1e-4)
    net = nn.Chain({"normalize": stage, "mean": nn.GlobalAvgPool()})
    assert nn.summary(net, (3, 4, 1)).rows[0].volume == (3, 4, 3)
    with pytest.raises(ValueError, match="numbers above 0"):
        models.Normalize((0.5,), (0.0,))


def test_a_crop_beyond_the_image_is_refused():
    with pytest.raises(ValueError, match="`crop` is 9, but must be from 1 to `resize`"):
        models.Preprocessing(8, 9, "bilinear", IMAGENET)
