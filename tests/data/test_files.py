"""Folders and tables as people have them."""

import csv
import errno
import io
import shutil
import struct
import warnings
import zlib
from types import SimpleNamespace

import chex
import numpy as np
import pytest
import soundfile
from flax import nnx
from PIL import Image

from cnn_jax import data, nn, training
from cnn_jax.data import cache as cache_file
from cnn_jax.data import files as readings
from cnn_jax.data import folder as folders
from cnn_jax.data import tfds as tfds_sets
from cnn_jax.data.columns import CategoryColumn, DateColumn, NumberColumn
from cnn_jax.data.files import attempts
from cnn_jax.data.folder import list_files
from cnn_jax.data.readers import AudioReader, ImageReader, from_fields, to_fields
from cnn_jax.data.splits import split_rows, with_validation
from cnn_jax.data.table import Table, read_csv
from tests import files

RED, WHITE = (200, 30, 40), (255, 255, 255)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return files.digits(tmp_path_factory.mktemp("digits") / "all", per_class=20)


def flat(colour, mode="RGB", size=(9, 7)):
    return Image.new("RGB", size, colour).convert(mode, palette=Image.Palette.ADAPTIVE)


def see(path, channels=3, size=(7, 9)):
    return ImageReader(size, channels).read(path)


# Images


@pytest.mark.parametrize(
    ("name", "mode", "tolerance"),
    [
        ("a.png", "RGB", 0),
        ("a.bmp", "RGB", 0),
        ("a.webp", "RGB", 6),
        ("a.jpg", "RGB", 6),
        ("a.jpg", "CMYK", 6),
        ("a.tiff", "CMYK", 1),
        ("a.png", "P", 0),
        ("a.gif", "P", 0),
        ("a.png", "RGBA", 0),
    ],
)
def test_kinds_of_pictures_look_the_same(tmp_path, name, mode, tolerance):
    flat(RED, mode).save(tmp_path / name)
    got = see(tmp_path / name)
    assert got.shape == (7, 9, 3)
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - np.array(RED)).max() <= tolerance


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    high = np.arange(0, 65536, 1057, dtype=np.uint16)[:60].reshape(6, 10)
    Image.fromarray(high).save(tmp_path / "a.png")
    got = see(tmp_path / "a.png", channels=1, size=(6, 10))
    np.testing.assert_array_equal(got[..., 0], np.rint(high / 257))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_what_is_transparent_is_laid_on_white(tmp_path, mode):
    image = Image.new("RGBA", (9, 7), (*RED, 0))
    if mode == "P":
        image = Image.new("P", (9, 7), 0)
        image.putpalette([*RED, 0, 0, 0])
        image.info["transparency"] = 0
    elif mode == "LA":
        image = Image.new("LA", (9, 7), (30, 0))
    elif mode == "PA":
        image = image.convert("PA")
    suffix = ".tiff" if mode == "PA" else ".png"
    image.save(tmp_path / f"a{suffix}")
    assert (see(tmp_path / f"a{suffix}") == 255).all()


def test_half_transparent_is_mixed_with_white(tmp_path):
    Image.new("RGBA", (9, 7), (*RED, 128)).save(tmp_path / "a.png")
    want = np.array(RED) * 128 / 255 + 255 * 127 / 255
    assert np.abs(see(tmp_path / "a.png") - want).max() <= 1


def test_exif_turns_a_picture_upright(tmp_path):
    upright = np.zeros((8, 12), np.uint8)
    upright[:4] = 240  # Light above.
    lying = Image.fromarray(np.rot90(upright))  # As a camera held on its side has it.
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "a.png", exif=exif)
    got = see(tmp_path / "a.png", channels=1, size=(8, 12))[..., 0]
    np.testing.assert_array_equal(got, upright)


def test_the_first_of_a_moving_picture_is_taken(tmp_path):
    frames = [flat(c) for c in (RED, WHITE, (0, 0, 0))]
    for name in "a.gif", "a.webp":
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        off = see(tmp_path / name).astype(int) - np.array(RED)
        assert np.abs(off).max() <= 8


def test_a_picture_covers_its_size_and_is_cut_evenly(tmp_path):
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = 255
    Image.fromarray(wide).save(tmp_path / "a.png")
    assert (see(tmp_path / "a.png", channels=1, size=(4, 4)) == 255).all()


def test_colours_become_grey_as_eyes_see_them(tmp_path):
    flat((0, 255, 0)).save(tmp_path / "a.png")
    assert see(tmp_path / "a.png", channels=1)[0, 0, 0] == 150  # 0.587 of 255.


def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def test_what_cannot_be_read_is_an_error_and_no_more(tmp_path):
    good = tmp_path / "good.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(good)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:-400])
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"x")
    (tmp_path / "bomb.png").write_bytes(bomb)
    (tmp_path / "text.png").write_text("no picture at all")
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\nshowpage\n")
    soundfile.write(tmp_path / "sound.wav", np.zeros(9), 8000)
    names = ["empty", "cut", "bomb", "text"]
    paths = [tmp_path / f"{name}.png" for name in names]
    paths += [tmp_path / "script.eps", tmp_path / "sound.wav", tmp_path / "none.png"]
    found = list(attempts(ImageReader((8, 8), 1), [*paths, good]))
    text = [readings.reason(error) for error in found[:-1]]
    assert all("\n" not in line for line in text)
    assert text[0] == text[3] == text[4] == "no image that can be read"
    assert "truncated" in text[1]
    assert "exceeds limit" in text[2]
    assert text[5] == "it is audio, but an image is expected"
    assert text[6] == "No such file or directory"
    assert found[-1].shape == (8, 8, 1)


def damaged(root, count):
    """Images cut, with flipped bits, heads of others, wrong names and formats."""
    rng = np.random.default_rng(7)
    rows, columns = np.indices((40, 48))
    plain = np.stack([rows * 6, columns * 5, rows + columns], axis=-1)
    for i in range(count):
        image = Image.fromarray((plain + rng.integers(0, 9)).astype(np.uint8))
        kind = ("png", "jpeg", "webp", "bmp", "gif", "tiff")[i % 6]
        path = root / f"{i:04}.{kind}"
        image.save(path)
        raw, options = (
            bytearray(path.read_bytes()),
            ("cut", "bits", "head", "name")[i % 4],
        )
        whole = ImageReader((40, 48), 3).read(path)
        if options == "cut":
            raw = raw[: rng.integers(0, len(raw))]
        elif options == "bits":
            for at in rng.integers(0, len(raw), 1 + i % 5):
                raw[at] ^= 1 << rng.integers(8)
        elif options == "head":
            raw[:8] = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\0\x10JF")[i // 4 % 2]
        else:
            path.unlink()
            path = path.with_suffix((".jpg", ".png", ".bmp")[i // 4 % 3])
        path.write_bytes(raw)
        yield path, whole if options == "name" else None


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_thousand_damaged_pictures(tmp_path):
    made = list(damaged(tmp_path, 1000))
    found = attempts(ImageReader((40, 48), 3), [path for path, _ in made])
    broken = 0
    for (path, whole), got in zip(made, found, strict=True):
        if isinstance(got, Exception):
            broken += 1
            assert readings.reason(got)
            assert whole is None, (path, got)
        else:
            assert got.shape == (40, 48, 3)
            if whole is not None:
                np.testing.assert_array_equal(got, whole)
    assert 250 < broken < 750


# Audio


def tone(rate, seconds, pitch=440.0):
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_a_sound_is_the_same_at_any_rate(tmp_path, suffix, rate):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, tone(rate, 0.5), rate)
    got, want = AudioReader(8000, 4000).read(path), tone(8000, 0.5)
    assert got.shape == (4000,)
    assert np.abs(got - want)[200:-200].max() < (0.05 if suffix == "ogg" else 0.01)


def test_channels_are_averaged_and_lengths_made_equal(tmp_path):
    stereo = np.stack([tone(8000, 0.1), np.zeros(800)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 8000, subtype="FLOAT")
    long = AudioReader(8000, 1000).read(tmp_path / "a.wav")
    np.testing.assert_allclose(long[:800], tone(8000, 0.1) / 2, atol=1e-6)
    assert (long[800:] == 0).all()
    short = AudioReader(8000, 300).read(tmp_path / "a.wav")
    np.testing.assert_array_equal(short, long[:300])


def test_sounds_that_are_none(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.full(9, np.nan), 8000, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no sound at all")
    flat(RED).save(tmp_path / "a.png")
    names = ["empty.wav", "nan.wav", "text.wav", "a.png"]
    found = attempts(AudioReader(8000, 9), [tmp_path / name for name in names])
    text = [str(error) for error in found]
    assert text[0] == "it has no samples"
    assert text[1] == "it has samples that are NaN or infinite"
    assert "Format not recognised" in text[2]
    assert text[3] == "it is an image, but audio is expected"


def test_readers_survive_json():
    for reader in (
        ImageReader((4, 5), 3),
        AudioReader(8000, 77),
        Table((NumberColumn("a"), DateColumn("b")), (0.5, 1.0), (1.0, 2.0), ("c",)),
        Table((CategoryColumn("a", ("x", "y"), rare=True),), (0.0,) * 3, (1.0,) * 3),
    ):
        assert from_fields(to_fields(reader)) == reader


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ImageReader((0, 5), 3),
            "`size` is .0, 5., but must be at least 1 by 1",
        ),
        (lambda: ImageReader((4, 5), 2), "`channels` is 2, but must be 1 or 3"),
        (lambda: AudioReader(0, 5), "`rate` is 0"),
        (lambda: AudioReader(8000, 0), "`samples` is 0"),
    ],
)
def test_readers_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Splits


def test_splits_are_stratified_and_seeded():
    labels = np.repeat([0, 1, 2], [100, 60, 20])
    parts = split_rows(labels)
    every = np.concatenate(list(parts.values()))
    assert sorted(every) == list(range(180))
    counts = {name: np.bincount(labels[rows]) for name, rows in parts.items()}
    np.testing.assert_array_equal(counts["test"], [20, 12, 4])
    np.testing.assert_array_equal(counts["validation"], [10, 6, 2])
    np.testing.assert_array_equal(parts["test"], split_rows(labels)["test"])
    assert (parts["test"] != split_rows(labels, seed=1)["test"]).any()


def test_groups_stay_together():
    rng = np.random.default_rng(0)
    groups = [f"speaker {i}" for i in rng.integers(0, 12, 200)]
    parts = split_rows(rng.integers(0, 3, 200), groups=groups)
    owners = [{groups[row] for row in rows} for rows in parts.values()]
    assert sum(map(len, owners)) == len(set(groups))
    assert min(map(len, owners)) >= 1


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="class 'b' has 2 example"):
        split_rows(list("aaaabb"))
    with pytest.raises(ValueError, match="makes 1 group"):
        split_rows(list("aaabbb"), groups=list("xxxxxx"))
    labels, groups = list("aabaab") * 4, list("123453") * 4
    with pytest.raises(ValueError, match="'b' is only in groups of the test"):
        split_rows(labels, groups=groups, seed=1)


# Folders


def test_a_folder_of_pictures(digits):
    found = data.load(digits, seed=3)
    assert found.classes == tuple("0123456789")
    assert found.shape == (32, 32, 1)  # Grey, and from 8 pixels to the least.
    assert {n: len(s["label"]) for n, s in found.splits().items()} == {
        "train": 140,
        "validation": 20,
        "test": 40,
    }
    for split, names in found.origin.names.items():
        part = getattr(found, split)
        np.testing.assert_array_equal(part["label"], [int(n[0]) for n in names])
        want = found.origin.reader.read(digits / names[7])
        np.testing.assert_array_equal(part["image"][7], want)


def test_a_large_folder_is_read_again_instead_of_kept(digits, monkeypatch):
    kept = data.load(digits, size=8)
    monkeypatch.setattr(folders, "IN_MEMORY", 1000)
    read = data.load(digits, size=8)
    for name, split in kept.splits().items():
        other = read.splits()[name]
        assert len(other) == len(split["label"])
        for row in (0, len(other) - 1):
            assert other[row]["label"] == split["label"][row]
            np.testing.assert_array_equal(other[row]["image"], split["image"][row])


def test_splits_that_a_folder_has_are_taken(digits, tmp_path):
    for split, some in {"train": "0[0-9]", "val": "10", "test": "11"}.items():
        for digit in "37":
            where = tmp_path / split / digit
            where.mkdir(parents=True)
            for file in (digits / digit).glob(f"00{some}.png"):
                shutil.copy(file, where)
    found = data.load(tmp_path)
    assert found.classes == ("3", "7")
    assert found.origin.names["validation"] == ("val/3/0010.png", "val/7/0010.png")
    assert len(found.train["label"]) == 20
    shutil.rmtree(tmp_path / "test")
    found = data.load(tmp_path)
    assert found.origin.names["test"] == ("val/3/0010.png", "val/7/0010.png")
    assert found.validation is None
    other = tmp_path / "val" / "8"
    shutil.copytree(tmp_path / "val" / "7", other)
    with pytest.raises(ValueError, match="has class '8', but not in its `train`"):
        data.load(tmp_path)


def test_broken_files_are_named_and_bounded(digits, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(digits, root)
    (root / "3" / "0005.png").write_bytes(b"")
    (root / ".hidden").mkdir()
    (root / "4" / ".DS_Store").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"1 of 200 files.*3/0005.png: no image"):
        found = data.load(root)
    assert found.origin.broken == {"3/0005.png": "no image that can be read"}
    assert sum(len(split["label"]) for split in found.splits().values()) == 199
    for i in range(6, 13):
        (root / "3" / f"{i:04}.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"8 of 200 .*and 3 more.*more than 1.0%"):
        data.load(root)
    with pytest.warns(UserWarning, match="8 of 200"):
        data.load(root, broken=0.05)


def test_folders_that_are_not_laid_out(digits, tmp_path):
    def refused(match, change, **options):
        root = tmp_path / "copy"
        shutil.copytree(digits, root)
        change(root)
        with pytest.raises(ValueError, match=match):
            data.load(root, **options)
        shutil.rmtree(root)

    def only(root, *kept):
        for path in root.iterdir():
            if path.name not in kept:
                shutil.rmtree(path)

    refused("has the class.es. 3, but needs at least two", lambda root: only(root, "3"))
    refused("has the class.es. none, but needs", lambda root: only(root))
    refused("x is a class without files", lambda root: (root / "x").mkdir())
    refused(
        "1 file.s. beside its 10 classes, such as 'readme.txt'",
        lambda root: (root / "readme.txt").write_text(""),
    )
    refused(
        "Cat and cat: classes that differ in case, spaces or",
        lambda root: [
            shutil.copytree(root / "1", root / name) for name in ("cat", "Cat")
        ],
    )
    refused(
        r"200 image.s. and 1 audio file",
        lambda root: soundfile.write(root / "3" / "a.wav", np.zeros(9), 8000),
    )
    refused("'speaker', which finds nothing", lambda _: None, group="speaker")
    refused("`label` is '3', which a folder does not use", lambda _: None, label="3")


def test_a_folder_of_sounds(tmp_path):
    files.chirps(tmp_path / "s", per_class=20)
    found = data.load(tmp_path / "s", group="speaker")
    reader = found.origin.reader
    assert reader.rate == 8000
    assert 0.55 < reader.samples / 8000 < 0.6
    assert found.shape == (reader.samples,)
    text = " ".join(found.origin.notes)
    assert "12 have another rate than 8,000 Hz" in text
    assert "3 of 60 audio files are longer" in text
    owners = [{n.split("_")[0][-1] for n in s} for s in found.origin.names.values()]
    assert not owners[0] & owners[1] | owners[0] & owners[2] | owners[1] & owners[2]
    assert "30 have several channels, which are averaged" in text
    own = data.load(tmp_path / "s", rate=4000, seconds=0.25)
    assert own.shape == (1000,)


@pytest.mark.parametrize("keep", [True, False])
def test_what_is_odd_about_sounds_is_said(tmp_path, monkeypatch, keep):
    root = files.chirps(tmp_path / "s", per_class=20)
    loud = np.sin(np.arange(4000) / 5)
    soundfile.write(root / "falls" / "z.wav", np.zeros(4000), 8000)
    for name in "a", "b":
        soundfile.write(root / "rises" / f"{name}.wav", np.clip(3 * loud, -1, 1), 8000)
    soundfile.write(root / "stays" / "fine.wav", 0.9 * loud, 8000)
    if not keep:
        monkeypatch.setattr(folders, "IN_MEMORY", 0)
    text = data.load(root).origin.notes[-2:]
    assert sorted(text) == [
        "1 silent, such as falls/z.wav",
        "2 clipped, such as rises/a.wav",
    ]


def test_pictures_of_one_colour_are_said(tmp_path):
    root = files.digits(tmp_path / "d", per_class=6)
    Image.new("L", (8, 8), 7).save(root / "3" / "grey.png")
    (text,) = data.load(root).origin.notes[1:]
    assert text == "1 of a single colour, such as 3/grey.png"


# Tables


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def numbers(count=30):
    rows = [
        f"{i},{i % 7 - 3},{'ja' if i % 3 else 'nein'},{i % 5}" for i in range(count)
    ]
    return ["size,shift,sold,shop", *rows]


def test_a_table_is_standardised_by_its_training_split(tmp_path):
    path = write(tmp_path / "a.csv", *numbers())
    found = data.load(path, label="sold", drop=("shop",))
    assert found.classes == ("ja", "nein")
    assert found.origin.reader.names == ("size", "shift")
    table = found.train["table"]
    assert table.dtype == np.float32
    np.testing.assert_allclose(table.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(table.std(axis=0), 1, atol=1e-6)
    rows = np.array([int(row) - 1 for row in found.origin.names["train"]])
    want = (rows - rows.mean()) / rows.std()
    np.testing.assert_allclose(table[:, 0], want, atol=1e-6)
    rows = np.array([int(row) for row in found.origin.names["test"]]) - 1
    np.testing.assert_array_equal(found.test["label"], rows % 3 == 0)


def test_columns_of_a_later_table_may_come_in_any_order(tmp_path):
    found = data.load(write(tmp_path / "a.csv", *numbers()), label="sold")
    later = write(tmp_path / "b.csv", "shop;size;shift", "2;4;1", "0;;3")
    got = found.origin.reader.read(later)
    first = write(tmp_path / "c.csv", "size,shift,shop", "4,1,2")
    np.testing.assert_array_equal(got[:1], found.origin.reader.read(first))
    assert got[1, 0] == 0  # A missing value is the mean.
    with pytest.raises(ValueError, match="missing 'shop', unexpected 'weight'"):
        found.origin.reader.read(
            write(tmp_path / "d.csv", "size,shift,weight", "1,2,3")
        )


def test_rows_of_a_group_stay_together(tmp_path):
    found = data.load(
        write(tmp_path / "a.csv", *numbers(60)), label="sold", group="shop"
    )
    assert "shop" not in found.origin.reader.names
    shops = [{(int(r) - 1) % 5 for r in s} for s in found.origin.names.values()]
    assert sum(map(len, shops)) == 5


def test_missing_and_constant_columns_are_said(tmp_path):
    lines = ["a,b,c,y", *(f"{i},,7,{i % 2}" for i in range(20)), "?,NA,7,1"]
    found = data.load(write(tmp_path / "a.csv", *lines), label="y")
    text = "\n".join(found.origin.notes)
    assert "mean of their column: 'a' (1)" in text
    assert "column 'b' is constant or empty in the training rows" in text
    assert "column 'c' is constant or empty in the training rows" in text
    assert np.isfinite(found.train["table"]).all()
    assert found.origin.reader.names == ("a",)
    assert found.origin.reader.sides == ("y", "b", "c")


def test_a_column_that_differs_by_1e_13_is_constant(tmp_path):
    values = (f"{1 + i % 3 * 1e-13!r},{i},{i % 2}" for i in range(20))
    found = data.load(write(tmp_path / "a.csv", "a,b,y", *values), label="y")
    assert found.origin.reader.names == ("b",)


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (numbers(), {}, "`label` is needed; .*'size', 'shift', 'sold', 'shop'"),
        (
            numbers(),
            {"label": "solt"},
            "`label` is 'solt', which is missing; .*'sold'",
        ),
        (numbers(), {"label": "sold", "group": "town"}, "`group` is 'town', which is"),
        (
            numbers(),
            {"label": "sold", "drop": ("x",)},
            "`drop` is 'x', which is missing",
        ),
        (
            ["a,y"] + ["1,0", "inf,1"] * 9,
            {"label": "y"},
            "a.csv: column 'a' has 'inf' in row 2, where a number",
        ),
        (["a,y"] + ["1,0"] * 9, {"label": "y"}, "'y' of .*a.csv is constant: '0'"),
        (["a,y"] + ["1,0", "2,"] * 9, {"label": "y"}, "'y' is empty in 9 row.s. .* 2:"),
        (["a,a,y", "1,2,0"], {"label": "y"}, "two columns called 'a'"),
        (["a,y", "1,2", "1,2,3"], {"label": "y"}, "3 cells in row 2, but 2 columns"),
        (["a,y"], {"label": "y"}, "has 1 line.s., but needs names and rows"),
        (["y"] + ["0", "1"] * 9, {"label": "y"}, "has no column besides 'y'"),
        (["a,y"] + ["1,0", "2,1"] * 2, {"label": "y"}, "class '0' has 2 example"),
        (
            numbers(),
            {"label": "sold", "size": 3},
            "`size` is 3, which a table does not",
        ),
    ],
)
def test_tables_that_cannot_be_learned(tmp_path, lines, options, message):
    path = write(tmp_path / "a.csv", *lines)
    with pytest.raises(ValueError, match=message):
        data.load(path, **options)


def test_cells_as_spreadsheets_write_them(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbf"a b";y\r\n" 1.5 ";"x; ""z"""\r\n\r\n-2e3;w\r\n')
    rows = read_csv(path)
    assert rows.columns == ("a b", "y")
    assert rows.cells == [["1.5", 'x; "z"'], ["-2e3", "w"]]
    path.write_bytes(b"a,y\n\xff\xfe,1\n")
    with pytest.raises(ValueError, match="not a CSV file in UTF-8"):
        read_csv(path)


# Names


@pytest.mark.full
def test_named_pictures_of_another_size(data_dir):
    plain = data.load("digits", data_dir=data_dir)
    grown = data.load("digits", data_dir=data_dir, size=24)
    assert grown.shape == (24, 24, 1)
    assert grown.train["image"].dtype == np.uint8
    np.testing.assert_array_equal(grown.test["label"], plain.test["label"])
    want = grown.origin.reader.fit(plain.test["image"][5])
    np.testing.assert_array_equal(grown.test["image"][5], want)
    drawn = data.load("xo/clean_14", data_dir=data_dir, size=20)
    assert drawn.shape == (20, 20, 1)


def test_a_validation_split_is_dealt_where_there_is_none(data_dir):
    plain = data.load("digits", data_dir=data_dir)
    with warnings.catch_warnings():
        found = with_validation(plain, seed=2)
    total = len(plain.train["label"])
    assert len(found.validation["label"]) == round(total / 8)
    assert len(found.train["label"]) + len(found.validation["label"]) == total
    assert with_validation(found) is found


def test_what_is_neither_a_name_nor_a_file(data_dir, tmp_path):
    with pytest.raises(ValueError, match="nor is it a folder or a CSV file"):
        data.load(str(tmp_path / "nowhere"), data_dir=data_dir)
    with pytest.raises(FileNotFoundError, match="nowhere.csv is not a CSV file"):
        data.load(tmp_path / "nowhere.csv", label="x", data_dir=data_dir)
    with pytest.raises(ValueError, match="`label` is 'x', which a named set"):
        data.load("digits", label="x", data_dir=data_dir)


def test_files_are_listed_in_order(digits):
    found = list_files(digits)
    assert list(found) == sorted(found)
    assert found["3/0000.png"] == "3"


def test_a_prepared_set_of_photographs_of_any_size(tmp_path):
    import tensorflow_datasets as tfds

    def png(i):
        file, size = io.BytesIO(), (60 + i, 50)
        Image.new("RGB", size, (10 * i, 0, 90)).save(file, "png")
        return file.getvalue()

    examples = [{"image": png(i), "label": i % 2} for i in range(20)]
    features = {
        "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
        "label": tfds.features.ClassLabel(names=["cat", "dog"]),
    }
    prepare(tmp_path, "cats_vs_dogs", "4.0.1", features, examples)
    found = data.load("cats_vs_dogs", data_dir=tmp_path)
    assert found.shape == (64, 64, 3)
    assert found.classes == ("cat", "dog")
    sizes = {name: len(split["label"]) for name, split in found.splits().items()}
    assert sizes == {"train": 14, "validation": 2, "test": 4}
    shades = found.train["image"][:, 3, 3, 0] // 10
    np.testing.assert_array_equal(shades % 2, found.train["label"])
    assert data.load("cats_vs_dogs", data_dir=tmp_path, size=32).shape == (32, 32, 3)


@pytest.mark.full
def test_a_large_set_is_streamed_and_the_same(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def image(i):
        file = io.BytesIO()
        Image.new("RGB", (40, 40), (3 * i, 7, 90 + i)).save(file, "png")
        return file.getvalue()

    examples = [{"image": image(i), "label": i % 2} for i in range(60)]
    features = {
        "image": tfds.features.Image(shape=(40, 40, 3), encoding_format="png"),
        "label": tfds.features.ClassLabel(names=["cat", "dog"]),
    }
    prepare(tmp_path, "cats_vs_dogs", "4.0.1", features, examples)
    stacked = data.load("cats_vs_dogs", data_dir=tmp_path, seed=3)
    shutil.rmtree(tmp_path / "cnn_jax")
    monkeypatch.setattr(tfds_sets, "IN_MEMORY", 1000)
    streamed = data.load("cats_vs_dogs", data_dir=tmp_path, seed=3)
    assert not (tmp_path / "cnn_jax").exists()
    assert streamed.shape == stacked.shape
    for name, split in stacked.splits().items():
        source = streamed.splits()[name]
        assert not isinstance(source, dict)
        rows = [source[i] for i in range(len(source))]
        got = {field: np.stack([row[field] for row in rows]) for field in split}
        chex.assert_trees_all_equal(got, dict(split))
    records = [
        [record.loss for record in training.fit(net, sets, training.Config(2, 14))]
        for sets in (stacked, streamed)
        for net in [
            nn.Chain(
                {"mean": nn.GlobalAvgPool(), "out": nn.Dense(3, 2, rngs=nnx.Rngs(0))}
            )
        ]
    ]
    assert records[0] == records[1]


def test_a_set_of_sounds(tmp_path):
    """TFDS makes its feature of sounds with TensorFlow alone, so this one is ours."""
    waves = [np.full(700 + 10 * i, 3277 * (i % 3), np.int64) for i in range(30)]
    examples = [{"audio": wave, "label": i % 3} for i, wave in enumerate(waves)]
    features = {
        "audio": SimpleNamespace(sample_rate=16000),
        "label": SimpleNamespace(names=["0", "1", "2"]),
    }
    builder = SimpleNamespace(name="spoken", info=SimpleNamespace(features=features))
    fitted = {"size": None, "rate": 8000, "seconds": 0.05}
    found = tfds_sets.dataset_of(builder, {"train": examples}, fitted, 0)
    assert found.origin.reader == AudioReader(8000, 400)
    level = found.test["signal"][:, 200]
    np.testing.assert_allclose(level, 0.1 * found.test["label"], atol=1e-3)
    usual = tfds_sets.dataset_of(builder, {"train": examples}, dict.fromkeys(fitted), 0)
    assert usual.origin.reader.rate == 16000
    assert 950 <= usual.origin.reader.samples <= 990
    cache_file.write_cache(tmp_path / "a.npz", found)
    again = cache_file.read_cache(tmp_path / "a.npz")
    assert again.origin == found.origin
    np.testing.assert_array_equal(again.test["signal"], found.test["signal"])


def test_a_set_that_needs_tensorflow_says_which_extra(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tensorflow.*cnn_jax\[tensorflow\]"):
        data.load("spoken_digit", data_dir=tmp_path)


def prepare(root, called, version, features, examples):
    """A set under a name that TFDS knows, as if it had been prepared elsewhere."""
    import tensorflow_datasets as tfds

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = called
        VERSION = tfds.core.Version(version)

        def _info(self):
            features_ = tfds.features.FeaturesDict(features)
            return self.dataset_info_from_configs(features=features_)

        def _split_generators(self, dl_manager):
            return {"train": enumerate(examples)}

        def _generate_examples(self):
            raise NotImplementedError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tfds_sets.prepare(Builder(data_dir=root))


def test_one_late_picture_in_colour_is_kept_in_colour(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(220):
            flat((9, 9, 9), "L").save(tmp_path / name / f"{i:03}.png")
    flat(RED).save(tmp_path / "a" / "001.png")  # Every other file was looked at.
    found = data.load(tmp_path)
    assert found.shape[-1] == 3


def test_a_group_on_two_sides_of_a_folder_is_refused(tmp_path):
    def put(split, label, *speakers):
        folder = tmp_path / split / label
        folder.mkdir(parents=True)
        for i, speaker in enumerate(speakers):
            flat(RED).save(folder / f"speaker-{speaker}_{label}{i}.png")

    for label in ("a", "b"):
        put("train", label, "ann", "bob", "cy")
        put("test", label, "dan", "eve")
    assert len(data.load(tmp_path, group="speaker").test["label"]) == 4
    flat(RED).save(tmp_path / "test" / "b" / "speaker-bob_9.png")
    with pytest.raises(
        ValueError, match="'bob' is in both `t.* and `t.*move its files"
    ):
        data.load(tmp_path, group="speaker")


def test_an_error_of_the_system_is_no_broken_file(tmp_path, monkeypatch):
    root = files.digits(tmp_path / "digits", per_class=5)
    monkeypatch.setattr(ImageReader, "read", _too_many)
    with pytest.raises(OSError, match="Too many open files"):
        data.load(root, broken=1.0)


def _too_many(self, path):
    raise OSError(errno.EMFILE, "Too many open files", str(path))


def test_cells_may_hold_line_breaks_of_any_kind_and_be_long(tmp_path):
    path = tmp_path / "table.csv"
    cell = "one\x0btwo\u2028three\x85four"
    rows = [f'{i},"{cell}\nfive",{"x" * 200_000}' for i in range(3)]
    path.write_text("n,text,long\r\n" + "\r\n".join(rows), "utf-8", newline="")
    before = csv.field_size_limit()
    found = read_csv(path)
    assert csv.field_size_limit() == before
    assert [row[:2] for row in found.cells] == [
        [str(i), f"{cell}\nfive"] for i in range(3)
    ]
    assert {len(row[2]) for row in found.cells} == {200_000}
    path.write_text("a;b\rc\r1;2\r", "utf-8", newline="")
    with pytest.raises(ValueError, match="1 cells in row 1, but 2 columns"):
        read_csv(path)


def test_files_are_compared_by_identity(tmp_path):
    made = [readings.Files(tmp_path, ("a",), np.zeros(1), ImageReader((2, 2), 1))] * 2
    assert len(set(made)) == 1
    assert made[0] != readings.Files(tmp_path, ("a",), np.zeros(1), made[0].reader)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("(", r"is no regular expression: missing \)"),
        ("(?:0)", "must hold what it finds in parentheses"),
        ("(x)?", "which finds nothing in"),
    ],
)
def test_expressions_that_find_no_group_are_refused(digits, group, message):
    with pytest.raises(ValueError, match=message):
        data.load(digits, group=group)


def test_too_many_open_files_are_no_broken_sound(tmp_path, monkeypatch):
    """libsndfile itself would say `System error`, whatever the cause."""
    root = files.chirps(tmp_path / "s", per_class=3)
    monkeypatch.setattr("builtins.open", lambda path, *_, **__: _too_many(None, path))
    with pytest.raises(OSError, match="Too many open files"):
        data.load(root, broken=1.0)
    with pytest.raises(OSError, match="Too many open files"):
        AudioReader(8000, 100).read(root / "falls" / "speaker-0_000.wav")


def test_a_quote_that_is_never_closed_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", "a,y", '1,"x', "2,z", "3,w")
    with pytest.raises(ValueError, match=r"a.csv, line 4: unexpected end of data"):
        read_csv(path)


@pytest.mark.parametrize("names", ['"a,b";y', '"a\nb";y', "\n\na;y", '"a,b,c";"y"'])
def test_the_mark_is_looked_for_in_the_first_line_outside_of_quotes(tmp_path, names):
    rows = read_csv(write(tmp_path / "a.csv", names, "1;2"))
    assert rows.cells == [["1", "2"]]
