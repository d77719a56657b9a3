import csv
import importlib.util
from collections import Counter
from pathlib import Path

import chex
import numpy as np
import pytest
import soundfile

from cnn_jax import data
from cnn_jax.data.builders.synthetic_digits import record
from cnn_jax.data.builders.synthetic_digits.record import RATE, WORDS, Take

PARTS = "train", "validation", "test", "other_engine"


@pytest.fixture(scope="module")
def takes():
    with open(record.HERE / "recordings.csv", newline="") as file:
        return list(csv.DictReader(file))


def of(takes, part):
    return [take for take in takes if take["split"] == part]


def test_no_voice_is_in_two_parts(takes):
    voices = {part: {take["voice"] for take in of(takes, part)} for part in PARTS}
    assert {part: len(its) for part, its in voices.items()} == {
        "train": 59,
        "validation": 10,
        "test": 30,
        "other_engine": 4,
    }
    assert len(set.union(*voices.values())) == 59 + 10 + 30 + 4
    families = [{v.rstrip("0123456789") for v in voices[part]} for part in PARTS]
    assert sum(map(len, families)) == len(set.union(*families))
    engines = {part: {take["engine"] for take in of(takes, part)} for part in PARTS}
    assert engines.pop("other_engine") == {"flite"}
    assert set.union(*engines.values()) == {"espeak-ng"}


def test_every_voice_says_every_word_equally_often(takes):
    message = Counter((take["split"], take["voice"], take["word"]) for take in takes)
    for part, times in record.TAKES.items():
        counts = {n for (where, _, _), n in message.items() if where == part}
        assert counts == {times}
    assert {take["word"] for take in takes} == set(WORDS)


def test_recordings_are_small_and_as_the_table_says(takes):
    size = sum(path.stat().st_size for path in record.HERE.glob("*.ogg"))
    assert size < 3e6
    for part in PARTS:
        waves, rate = soundfile.read(record.HERE / f"{part}.ogg")
        rows = of(takes, part)
        lengths = [int(row["samples"]) for row in rows]
        assert rate == RATE == 8000
        assert waves.shape == (sum(lengths),)
        assert [int(row["first"]) for row in rows] == list(
            np.cumsum([0, *lengths[:-1]])
        )
        for row in rows:
            first, samples = int(row["first"]), int(row["samples"])
            wave = np.abs(waves[first : first + samples])
            assert 0.1 < samples / RATE < 1.0
            assert 0.3 < wave.max() < 0.75
            assert wave[:100].max() < 0.1  # No word begins in its neighbour.


@pytest.mark.full
def test_words_are_loaded_with_their_classes(data_dir, takes):
    found = data.load("synthetic_digits", seconds=1.0, data_dir=data_dir)
    assert found.classes == WORDS
    assert found.origin.reader == data.readers.AudioReader(8000, 8000)
    assert found.origin.notes[0].startswith(
        "0 of 3,160 audio files are longer than 1.00 s"
    )
    for name, split in found.splits().items():
        rows = of(takes, name)
        assert split["signal"].shape == (len(rows), 8000)
        counts = Counter(WORDS[label] for label in split["label"].tolist())
        assert counts == Counter(row["word"] for row in rows)
        lengths = Counter(
            map(len, map(np.trim_zeros, split["signal"], "b" * len(rows)))
        )
        longest = max(int(row["samples"]) for row in rows)
        assert max(lengths) <= longest
    again = data.load("synthetic_digits", seconds=1.0, data_dir=data_dir)
    assert again.origin == found.origin
    np.testing.assert_array_equal(again.test["signal"], found.test["signal"])


@pytest.mark.full
def test_the_other_engine_is_tested_on_what_was_learned_alike(data_dir):
    ours = data.load("synthetic_digits", seconds=0.5, data_dir=data_dir)
    other = data.load("synthetic_digits/other_engine", seconds=0.5, data_dir=data_dir)
    assert len(other.test["label"]) == 240
    for split in "train", "validation":
        np.testing.assert_array_equal(
            getattr(ours, split)["signal"], getattr(other, split)["signal"]
        )


def test_sounds_have_no_height_and_pictures_no_rate(data_dir):
    with pytest.raises(ValueError, match="`size` is 32, which a set of audio"):
        data.load("synthetic_digits", size=32, data_dir=data_dir)
    with pytest.raises(ValueError, match="`rate` is 8000, which a set of images"):
        data.load("digits", rate=8000, data_dir=data_dir)


@pytest.mark.full
def test_without_array_record_the_words_are_the_same(data_dir, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "array_record" else find(n)
    )
    here = data.load("synthetic_digits", seconds=0.7, data_dir=tmp_path)
    monkeypatch.undo()
    there = data.load("synthetic_digits", seconds=0.7, data_dir=data_dir)
    assert not list(tmp_path.rglob("*.array_record*"))
    chex.assert_trees_all_equal(dict(here.test), dict(there.test))


LISTED = """Pty Language  Age/Gender VoiceName   File             Other Languages
 5  variant         --/M      Adam        !v/adam
 5  variant         --/M      Copy        !v/copy
 5  variant         --/M      Mr_Serious  !v/Mr serious    (en-us 5)
"""


class FakeEngines:
    """Programs that write a wave of their own for each word, and remember the call."""

    def __init__(self):
        self.calls = []

    def __call__(self, *command):
        self.calls.append(command)
        if command[1] == "--voices=variant":
            return LISTED
        path = next(part for part in command if part.endswith(".wav"))
        word = command[-1] if command[0] == "espeak-ng" else command[-3]
        loud = 0.1 if "serious" in str(command) else 0.2
        turns = np.arange(4410) * (1 + len(word)) * (3 if loud == 0.1 else 1) / 22050
        wave = loud * np.sin(2 * np.pi * 100 * turns)
        soundfile.write(path, np.pad(wave, 2000), 22050)
        return ""


def test_the_script_speaks_trims_and_levels(monkeypatch):
    engines = FakeEngines()
    monkeypatch.setattr(record, "run", engines)
    assert record.usable_voices() == ["adam", "Mr serious"]  # A copy is left out.
    wave = record.speak(Take("", "three", "espeak-ng", "adam", "en-US", 1.0, 1.2))
    message = "espeak-ng -v gmw/en-US+adam -p 50 -s 210"
    assert engines.calls[-1][:7] == tuple(message.split())
    assert len(wave) == pytest.approx(0.2 * RATE + 2 * record.MARGIN, abs=20)
    assert np.abs(wave).max() == pytest.approx(record.PEAK)
    record.speak(Take("", "two", "flite", "slt", "", 1.1, 0.8))
    assert "duration_stretch=1.250" in engines.calls[-1]
    assert "int_f0_target_mean=187" in engines.calls[-1]


def test_voices_are_dealt_by_family():
    voices = [f"m{i}" for i in range(8)] + [f"voice{chr(97 + i)}" for i in range(32)]
    splits = record.split_voices(voices, np.random.default_rng(0))
    assert sorted(v for its in splits.values() for v in its) == sorted(voices)
    assert {
        len(its & {f"m{i}" for i in range(8)}) for its in map(set, splits.values())
    } == {0, 8}
    for split, share in record.SHARES.items():
        assert len(splits[split]) == pytest.approx(share * 40, abs=4)


def test_the_script_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", str(Path("/nowhere")))
    with pytest.raises(SystemExit, match="no espeak-ng: apt install espeak-ng flite"):
        record.run("espeak-ng", "--version")
