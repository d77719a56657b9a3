import builtins
import dataclasses
import errno
import importlib.util
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data import cache as cache_file
from cnn_jax.data import loader
from cnn_jax.data import tfds as tfds_sets
from cnn_jax.data.errors import DamagedError


@pytest.fixture(scope="module")
def xo(data_dir):
    return data.load("xo", data_dir=data_dir)


@pytest.mark.full
def test_xo_is_what_its_builder_says(xo):
    assert xo.shape == (28, 28, 1)
    assert xo.classes == ("X", "O")
    assert xo.train["image"].dtype == np.float32
    assert {len(xo.train["label"]), len(xo.test["label"])} == {4000, 1000}
    assert xo.train["label"].mean() == xo.test["label"].mean() == 0.5
    assert xo.train["image"].min() < -1.1  # Noise is not cut.


def test_configurations_differ_in_size_and_strength(data_dir, xo):
    small = data.load("xo/clean_14", data_dir=data_dir)
    assert small.shape == (14, 14, 1)
    assert small.test["image"].min() == -1
    assert len(np.unique(small.test["image"], axis=0)) == 2


def test_digits_are_scikit_learns(data_dir):
    from sklearn.datasets import load_digits

    digits, want = data.load("digits", data_dir=data_dir), load_digits()
    assert digits.shape == (8, 8, 1)
    assert len(digits.train["label"]) + len(digits.test["label"]) == 1797
    assert digits.classes == tuple("0123456789")

    def key(image, label):
        return *np.ravel(image).astype(int), int(label)

    splits = [digits.train, digits.test]
    got = [key(*pair) for s in splits for pair in zip(*s.values(), strict=True)]
    grey = np.rint(want.images * 255 / 16)
    assert sorted(got) == sorted(map(key, grey, want.target))
    shares = [np.bincount(s["label"]) / len(s["label"]) for s in splits]
    np.testing.assert_allclose(*shares, atol=0.005)


def same(a, b):
    for split in ("train", "test"):
        for name in ("image", "label"):
            np.testing.assert_array_equal(
                getattr(a, split)[name], getattr(b, split)[name]
            )


def test_the_second_start_reads_one_file(data_dir, xo, monkeypatch):
    monkeypatch.setattr(loader, "load_own", None)
    same(data.load("xo", data_dir=data_dir), xo)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_file_is_built_again(data_dir, xo, damage):
    cache = data_dir / "cnn_jax" / "xo-1.0.0.npz"
    whole = cache.read_bytes()
    half = len(whole) // 2
    cache.write_bytes(
        {
            "cut": whole[:half],
            "flipped": whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :],
            "empty": b"",
            "other": b"not a zip file" * 100,
        }[damage]
    )
    with pytest.warns(UserWarning, match="is damaged .* and is built again"):
        again = data.load("xo", data_dir=data_dir)
    same(again, xo)
    assert cache.read_bytes() == whole
    assert [path.name for path in cache.parent.glob("tmp*")] == []


def test_a_damaged_prepared_set_is_made_again(data_dir):
    want = data.load("xo/clean_14", data_dir=data_dir)
    (data_dir / "cnn_jax" / "xo-clean_14-1.0.0.npz").unlink()
    (records,) = (data_dir / "xo" / "clean_14").rglob("*train*")
    records.write_bytes(records.read_bytes()[:1000])
    with pytest.warns(
        UserWarning, match="clean_14 is damaged .* and is prepared elsewhere"
    ):
        same(data.load("xo/clean_14", data_dir=data_dir), want)
    assert records.stat().st_size == 1000  # Nothing of the user's was removed.


def test_an_error_of_the_system_is_no_damage(data_dir, xo, monkeypatch):
    cache = data_dir / "cnn_jax" / "xo-1.0.0.npz"
    whole, opened = cache.read_bytes(), builtins.open

    def full(file, *args, **options):
        if str(file) == str(cache):
            raise OSError(errno.EMFILE, "Too many open files", str(file))
        return opened(file, *args, **options)

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(OSError, match="Too many open files"):
        data.load("xo", data_dir=data_dir)
    monkeypatch.undo()
    assert cache.read_bytes() == whole


def test_a_cache_has_the_usual_mode_and_leaves_nothing_behind(
    data_dir, xo, monkeypatch
):
    caches = data_dir / "cnn_jax"
    usual = caches / "usual"
    usual.touch()
    assert (caches / "xo-1.0.0.npz").stat().st_mode == usual.stat().st_mode
    usual.unlink()
    monkeypatch.setattr(np, "savez", lambda file, **_: file.write(b"half") and 1 / 0)
    before = sorted(caches.iterdir())
    with pytest.raises(ZeroDivisionError):
        cache_file.write_cache(caches / "other.npz", xo)
    assert sorted(caches.iterdir()) == before


def test_data_sets_are_compared_by_identity(xo):
    other = dataclasses.replace(xo)
    assert xo == xo
    assert xo != other
    assert len({xo, other}) == 2


def test_it_loads_where_array_record_has_no_wheel(tmp_path, monkeypatch, data_dir):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "array_record" else found(n)
    )
    here = data.load("digits", data_dir=tmp_path)
    monkeypatch.undo()
    prepared = data.load("digits", data_dir=data_dir)
    for a, b in ((here.train, prepared.train), (here.test, prepared.test)):
        chex.assert_trees_all_equal(dict(a), dict(b))  # In the same order too.


@pytest.mark.parametrize(
    ("error", "message", "name"),
    [
        (ValueError, "no 'xo/soft'.*'clean', .*'moderate'", "xo/soft"),
        (ValueError, "no 'digits/a'; 'digits' has no variants", "digits/a"),
        (ValueError, "no data set 'mnits'.*xo, digits.*close: mnist", "mnits"),
        (ValueError, "no data set ''", ""),
    ],
)
def test_unknown_names_are_refused(data_dir, error, message, name):
    with pytest.raises(error, match=message):
        data.load(name, data_dir=data_dir)


def test_what_cannot_be_fetched_says_how_to_get_it(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no network here")

    monkeypatch.setattr(tfds_sets.socket, "create_connection", no_network)
    monkeypatch.setattr(tfds_sets.urllib.request, "getproxies", dict)
    with pytest.raises(FileNotFoundError, match="no network here.*tfds build mnist"):
        data.load("mnist", data_dir=tmp_path)


def prepare(root, counts, version="3.0.1", classes=10):
    """A set of pictures under a name that TFDS knows, prepared elsewhere."""
    import tensorflow_datasets as tfds

    from cnn_jax.data.builders.digits.digits_dataset_builder import _png

    info = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(28, 28, 1), encoding_format="png"),
            "label": tfds.features.ClassLabel(num_classes=classes),
        }
    )

    class Mnist(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = "mnist"
        VERSION = tfds.core.Version(version)

        def _info(self):
            return self.dataset_info_from_configs(features=info)

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in counts}

        def _generate_examples(self, split):
            for i, picture in enumerate(counts[split]):
                yield i, {"image": _png(picture), "label": i % classes}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tfds_sets.prepare(Mnist(data_dir=root))


def test_a_prepared_tfds_set_is_read(rng, tmp_path):
    counts = {"train": rng.integers(0, 17, (6, 28, 28)), "test": np.ones((2, 28, 28))}
    prepare(tmp_path, counts)
    mnist = data.load("mnist", data_dir=tmp_path)
    assert mnist.shape == (28, 28, 1)
    order = mnist.train["label"]
    want = np.rint(counts["train"] * 255 / 16)[order][..., None]
    np.testing.assert_array_equal(mnist.train["image"], want)


@pytest.mark.parametrize("splits", [{"train": 40}, {"train": 20, "test": 9}])
@pytest.mark.parametrize("size", [None, 20])
def test_a_streamed_set_has_the_size_labels_and_reader_of_a_stacked_one(
    rng, tmp_path, monkeypatch, splits, size
):
    counts = {name: rng.integers(0, 17, (n, 28, 28)) for name, n in splits.items()}
    prepare(tmp_path, counts, classes=2)
    stacked = data.load("mnist", size=size, data_dir=tmp_path)
    for cache in (tmp_path / "cnn_jax").iterdir():
        cache.unlink()
    monkeypatch.setattr(tfds_sets, "IN_MEMORY", 1000)
    decoded = count_decoded(monkeypatch)
    streamed = data.load("mnist", size=size, data_dir=tmp_path)
    assert len(decoded) < 10
    assert streamed.origin == stacked.origin
    for name, split in stacked.splits().items():
        source = streamed.splits()[name]
        rows = [source[i] for i in range(len(source))]
        got = {field: np.stack([row[field] for row in rows]) for field in split}
        chex.assert_trees_all_equal(got, dict(split))
        np.testing.assert_array_equal(source.labels, split["label"])


def count_decoded(monkeypatch):
    """A list that gets an entry for each image that TFDS decodes."""
    import tensorflow_datasets as tfds

    image, decoded = tfds.features.Image, []
    decode = image.decode_example_np

    def counting(self, example):
        decoded.append(example)
        return decode(self, example)

    monkeypatch.setattr(image, "decode_example_np", counting)
    return decoded


def test_a_set_of_the_package_is_never_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_sets, "IN_MEMORY", 1000)
    digits = data.load("digits", size=16, data_dir=tmp_path)
    assert digits.train["image"].shape[1:] == (16, 16, 1)


def test_a_warm_cache_knows_the_seed_of_the_splits(rng, tmp_path):
    prepare(tmp_path, {"train": rng.integers(0, 17, (40, 28, 28))}, classes=2)
    cold = {seed: data.load("mnist", seed=seed, data_dir=tmp_path) for seed in (0, 1)}
    warm = {seed: data.load("mnist", seed=seed, data_dir=tmp_path) for seed in (0, 1)}
    for seed in (0, 1):
        same(cold[seed], warm[seed])
    assert (cold[0].test["image"] != cold[1].test["image"]).any()


def test_each_version_has_a_cache_of_its_own(rng, tmp_path):
    """TFDS takes the version of its code, 3.0.1, if none is asked for."""
    counts = {"train": rng.integers(0, 17, (6, 28, 28)), "test": np.ones((2, 28, 28))}
    prepare(tmp_path, counts)
    prepare(tmp_path, {"train": counts["train"][:4], "test": counts["test"]}, "10.0.0")
    usual = data.load("mnist", data_dir=tmp_path)
    newer = data.load("mnist:10.0.0", data_dir=tmp_path)
    assert [len(found.train["label"]) for found in (usual, newer)] == [6, 4]
    names = sorted(path.name for path in (tmp_path / "cnn_jax").iterdir())
    assert names == ["mnist-10.0.0-seed0.npz", "mnist-3.0.1-seed0.npz"]


def test_each_byte_of_a_cache_may_be_damaged(tmp_path):
    data_set = data.Dataset(train=SPLIT, test=SPLIT, classes=("a", "b"))
    cache = tmp_path / "a.npz"
    cache_file.write_cache(cache, data_set)
    whole = cache.read_bytes()
    refused = 0
    for at in range(0, len(whole), 3):
        for bit in (1, 16, 128):
            changed = bytes([whole[at] ^ bit])
            cache.write_bytes(whole[:at] + changed + whole[at + 1 :])
            try:
                same(cache_file.read_cache(cache), data_set)
            except DamagedError:
                refused += 1
    assert refused > len(whole) // 3  # Zip ignores some bytes, such as dates.


def test_the_cache_of_a_variant_is_named_after_it_and_its_version(tmp_path):
    fitted = {"size": None, "rate": None, "seconds": None}
    (tmp_path / "imagenette" / "320px-v2" / "9.0.0").mkdir(parents=True)
    (tmp_path / "imagenette/320px-v2/9.0.0/dataset_info.json").touch()
    cache = loader._cache("imagenette", tmp_path, fitted, 0)
    assert cache.name == "imagenette-full-size-v2-1.0.0-seed0.npz"
    cache = loader._cache("mnist:3.0.1", tmp_path, fitted, 0)
    assert cache == loader._cache("mnist", tmp_path, fitted, 0)


def test_an_error_in_reading_a_prepared_set_keeps_its_name(rng, tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    prepare(tmp_path, {"train": rng.integers(0, 17, (9, 28, 28))})

    def full(*args, **options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(tfds, "builder", full)
    with pytest.raises(OSError, match="Too many open files") as raised:
        data.load("mnist", data_dir=tmp_path)
    assert not isinstance(raised.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("error", "message", "name", "options"),
    [
        (TypeError, "`name` is None, but must be text", None, {}),
        (
            TypeError,
            "`size` is 2.5, but must be a whole number",
            "digits",
            {"size": 2.5},
        ),
        (TypeError, "`rate` is '8', but must be", "digits", {"rate": "8"}),
        (ValueError, "`seconds` is nan", "digits", {"seconds": float("nan")}),
        (TypeError, "`seed` is None, but must be", "digits", {"seed": None}),
        (ValueError, "`seed` is -1, but must be from 0", "digits", {"seed": -1}),
        (TypeError, "`broken` is 'x', but must be", "digits", {"broken": "x"}),
        (ValueError, "`broken` is 2, but must be", "digits", {"broken": 2}),
        (TypeError, "`drop` is 'ab', but must be a list", "a.csv", {"drop": "ab"}),
        (ValueError, "`group` is empty", "digits", {"group": ""}),
        (ValueError, "no data set 'mnist:x'", "mnist:x", {}),
        (ValueError, "no data set 'mnist/foo': .*foo not found", "mnist/foo", {}),
    ],
)
def test_options_of_a_wrong_kind_are_refused(
    as_shipped, tmp_path, error, message, name, options
):
    with pytest.raises(error, match=message):
        data.load(name, data_dir=tmp_path, **options)


SPLIT = {"image": np.zeros((3, 4, 5, 1)), "label": np.array([0, 1, 1])}


@pytest.mark.parametrize(
    ("message", "train"),
    [
        (
            "`train` has 2 inputs, but 3 labels",
            SPLIT | {"image": np.zeros((2, 4, 5, 1))},
        ),
        ("`train` has labels from 0 to 2.*2 classes", SPLIT | {"label": np.arange(3)}),
        (r"`train` has \['image'\], but no `label`", {"image": np.zeros((3, 4, 5, 1))}),
        (r"\['label'\], but needs at least one input", {"label": np.arange(2)}),
    ],
)
def test_a_data_set_must_fit_together(message, train):
    with pytest.raises(ValueError, match=message):
        data.Dataset(train=train, test=SPLIT, classes=("a", "b"))


# Drawing.


def ink(**options):
    return data.draw_xo(np.random.default_rng(0), 400, **options)


def test_each_kind_does_what_it_says():
    clean = ink(strength=0.0)["image"]
    assert len(np.unique(clean, axis=0)) == 2
    n, positions = 28, np.arange(28) - 13.5

    def centres(images):
        mass = (images[..., 0] + 1) / (images[..., 0] + 1).sum(
            axis=(1, 2), keepdims=True
        )
        return (mass.sum(axis=1) * positions).sum(axis=1), mass.sum(axis=(1, 2)), mass

    shifted = centres(ink(strength=0.5, kinds=["shift"])["image"])[0]
    # Uniform within ±0.2 · 0.5 · 28 = ±2.8 pixels.
    assert 2.6 < np.abs(shifted).max() < 2.85
    np.testing.assert_allclose(shifted.std(), 2.8 / np.sqrt(3), rtol=0.1)

    thick = ink(strength=1.0, kinds=["thickness"])["image"]
    share = (thick + 1).sum(axis=(1, 2, 3)) / (clean + 1).sum(axis=(1, 2, 3))
    # From 0.04 · n to 0.14 · n: up to 3.5 times the ink, less where strokes cross.
    assert 1 <= share.min() < 1.1
    assert 3 < share.max() < 3.6

    noisy = ink(strength=0.5, kinds=["noise"])["image"] - clean
    np.testing.assert_allclose(noisy.std(), 0.15, rtol=0.01)
    assert abs(noisy.mean()) < 0.001
    for kind in ("scale", "rotation", "elastic"):
        assert np.abs(ink(strength=1.0, kinds=[kind])["image"] - clean).mean() > 0.02
    assert n == clean.shape[1]


def test_elastic_displacement_has_its_standard_deviation():
    from cnn_jax.data.builders.xo.drawing import _smooth_noise

    field = _smooth_noise(np.random.default_rng(0), 4000, 11)
    np.testing.assert_allclose(field.std(axis=(0, 1)), 1.0, atol=0.05)


def test_scale_and_rotation_move_the_stroke_as_far_as_they_say():
    from cnn_jax.data.builders.xo.drawing import _template_coordinates

    d = dict.fromkeys(data.XO_KINDS, 0.0) | {"scale": 1.0, "rotation": 1.0}
    across, down = _template_coordinates(np.random.default_rng(0), 3000, 9, d)
    corner = np.hypot(across[:, 0, 0], down[:, 0, 0]) / np.hypot(4, 4)
    np.testing.assert_allclose(
        [1 / corner.max(), 1 / corner.min()], [0.6, 1.1], atol=0.01
    )
    turned = np.rad2deg(np.arctan2(down[:, 4, 8], across[:, 4, 8]))
    np.testing.assert_allclose([turned.min(), turned.max()], [-30, 30], atol=0.2)


def test_drawing_is_repeated_by_its_seed_and_refuses_nonsense():
    np.testing.assert_array_equal(ink()["image"], ink()["image"])
    with pytest.raises(ValueError, match="'colour'.*'shift'"):
        ink(kinds=["colour"])
    with pytest.raises(ValueError, match="`strength` is 2.0"):
        ink(strength=2.0)
    with pytest.raises(ValueError, match="`size` is 0"):
        ink(size=0)


# Augmentation.


@pytest.mark.full
def test_affine_maps_move_pictures_as_far_as_they_say():
    key, images = jax.random.key(0), jnp.zeros((200, 21, 31, 2)).at[:, 10, 15].set(1.0)
    moved = data.random_affine(key, images, shift=0.1, scale=0.0, rotation=0.0)
    rows, columns = jnp.arange(21.0), jnp.arange(31.0)
    centre = (
        moved.sum(axis=2)[..., 0] @ rows - 10,
        moved.sum(axis=1)[..., 0] @ columns - 15,
    )
    for away, side in zip(centre, (21, 31), strict=True):
        assert 0.09 * side < jnp.abs(away).max() <= 0.1 * side + 1e-3
    np.testing.assert_array_equal(moved[..., 0], moved[..., 1])


@pytest.mark.full
def test_an_affine_map_of_nothing_is_nothing():
    images = jax.random.normal(jax.random.key(1), (3, 6, 7, 2))
    still = data.random_affine(
        jax.random.key(0), images, shift=0.0, scale=0.0, rotation=0.0
    )
    np.testing.assert_allclose(still, images, atol=1e-6)
