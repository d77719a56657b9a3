"""Makes the recordings of `synthetic_digits`, with two speech synthesizers of Debian.

    apt install espeak-ng flite
    python -m cnn_jax.data.builders.synthetic_digits.record

espeak-ng 1.51 speaks the training and validation splits and the first test, flite 2.2
the second test. Every take has a random accent, pitch and speed, from a fixed seed.
"""

import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

HERE = Path(__file__).parent
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 8000
# The files of espeak-ng's English; New York City sounds just like the rest of America.
ACCENTS = (
    *("en", "en-029", "en-GB-scotland", "en-GB-x-gbclan", "en-GB-x-gbcwmd"),
    *("en-GB-x-rp", "en-US"),
)
FLITE = {"awb": 120, "kal16": 105, "rms": 100, "slt": 170}  # Its voices, in hertz.
SHARES = {"train": 0.6, "validation": 0.1, "test": 0.3}  # Of espeak-ng's voices.
TAKES = {"train": 4, "validation": 2, "test": 2, "other_engine": 6}  # Of each word.
SLOWER_OR_FASTER, LOWER_OR_HIGHER = 1.25, 1.2  # At most, as factors.
LONGEST = 7200  # Samples; what takes longer is said again, faster.
SEED = 1  # Hyperparameters of the experiments were chosen on the split by seed 0.
QUIET = 0.02  # Of the peak: what is below it at either end is cut away,
MARGIN = 160  # but for so many samples.
PEAK = 0.5
PACKED = 0.9  # How hard Vorbis packs, from 0 to 1.


@dataclass(frozen=True)
class Take:
    """A word as it was spoken once, and where it is in the file of its split.

    Pitch and speed are factors on what is usual for the voice.
    """

    split: str
    word: str
    engine: str
    voice: str
    accent: str
    pitch: float = 1.0
    speed: float = 1.0
    first: int = 0
    samples: int = 0


def main() -> None:
    """Speaks every take; writes a file of sound for each split, and a table."""
    rng = np.random.default_rng(SEED)
    voices = split_voices(usable_voices(), rng) | {"other_engine": list(FLITE)}
    rows = []
    for split, its in voices.items():
        first, waves = 0, []
        for take in takes(split, its, rng):
            wave = speak(take)
            while len(wave) > LONGEST:
                take = replace(take, speed=round(1.1 * take.speed, 3))
                wave = speak(take)
            rows.append(replace(take, first=first, samples=len(wave)))
            waves.append(wave)
            first += len(wave)
        size = pack(HERE / f"{split}.ogg", waves)
        print(f"{split}: {len(its)} voices, {len(waves):,} words, {size / 1e6:.2f} MB")
    with open(HERE / "recordings.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(map(asdict, rows))


def usable_voices() -> list[str]:
    """espeak-ng's voices, each of which sounds unlike all before it."""
    listed = run("espeak-ng", "--voices=variant")
    names = re.findall(r"!v/(.+?) *(?:\(.*)?$", listed, re.MULTILINE)
    heard: dict[bytes, str] = {}
    for name in sorted(names, key=str.lower):
        take = Take("", "seven", "espeak-ng", name, "en")
        heard.setdefault(speak(take).tobytes(), name)
    return list(heard.values())


def split_voices(
    voices: Sequence[str], rng: np.random.Generator
) -> dict[str, list[str]]:
    """Voices for each split; those whose names differ by a number stay together."""
    families: dict[str, list[str]] = {}
    for voice in voices:
        families.setdefault(voice.rstrip("0123456789"), []).append(voice)
    left = [list(families.values())[i] for i in rng.permutation(len(families))]
    splits: dict[str, list[str]] = {split: [] for split in SHARES}
    for family in left:
        missing = {s: SHARES[s] * len(voices) - len(splits[s]) for s in SHARES}
        splits[max(missing, key=lambda s: missing[s])] += family
    return splits


def takes(
    split: str, voices: Sequence[str], rng: np.random.Generator
) -> Iterator[Take]:
    """Every word by every voice, with random accents, pitches and speeds."""
    for voice in voices:
        for word in WORDS:
            for _ in range(TAKES[split]):
                pitch = round(LOWER_OR_HIGHER ** rng.uniform(-1, 1), 3)
                speed = round(SLOWER_OR_FASTER ** rng.uniform(-1, 1), 3)
                accent = str(rng.choice(ACCENTS))
                engine = "espeak-ng"
                if split == "other_engine":
                    engine, accent = "flite", ""
                yield Take(split, word, engine, voice, accent, pitch, speed)


def speak(take: Take) -> np.ndarray:
    """The samples of a word, without the silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/word.wav"
        if take.engine == "flite":
            hertz, slower = take.pitch * FLITE[take.voice], 1 / take.speed
            set_to = f"duration_stretch={slower:.3f}", f"int_f0_target_mean={hertz:.0f}"
            options = [x for setting in set_to for x in ("--setf", setting)]
            run("flite", "-voice", take.voice, *options, "-t", take.word, "-o", path)
        else:
            # 50 is the usual pitch, and 10 more are about a tenth higher.
            pitch = round(50 + 100 * np.log2(take.pitch) / 1.4)
            options = ["-p", str(pitch), "-s", str(round(175 * take.speed))]
            voice = f"gmw/{take.accent}+{take.voice}"
            run("espeak-ng", "-v", voice, *options, "-w", path, take.word)
        wave, rate = soundfile.read(path)
    wave = np.pad(resample_poly(wave, RATE, rate), MARGIN)
    loud = np.flatnonzero(np.abs(wave) > QUIET * np.abs(wave).max())
    wave = wave[loud[0] - MARGIN : loud[-1] + MARGIN]
    return PEAK * wave / np.abs(wave).max()


def pack(path: Path, waves: Sequence[np.ndarray]) -> int:
    """Writes sounds, one after the other, and says how many bytes they take."""
    options = {"format": "OGG", "subtype": "VORBIS", "compression_level": PACKED}
    with soundfile.SoundFile(path, "w", RATE, 1, **options) as file:
        for wave in waves:  # All at once is more than libsndfile 1.2 can take.
            file.write(wave)
    return path.stat().st_size


def run(*command: str) -> str:
    """What a program prints."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        sys.exit(f"error: there is no {command[0]}: apt install espeak-ng flite")
    return done.stdout


if __name__ == "__main__":
    main()
