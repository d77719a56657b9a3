"""Small folders of files to learn from: digits, crops of photographs, chirps, a table.

python -m tests.files FOLDER
"""

import csv
import sys
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from sklearn import datasets


def digits(root, *, per_class=None):
    """scikit-learn's handwritten digits as PNG, a subfolder per digit."""
    found = datasets.load_digits()
    for digit in range(10):
        images = found.images[found.target == digit][:per_class]
        folder = root / str(digit)
        folder.mkdir(parents=True)
        for i, image in enumerate(np.rint(images * 255 / 16).astype(np.uint8)):
            Image.fromarray(image).save(folder / f"{i:04}.png")
    return root


def crops(root, *, per_class=60, size=64):
    """Crops of the two photographs that scikit-learn ships, as JPEG."""
    rng = np.random.default_rng(0)
    photos = datasets.load_sample_images()
    for name, photo in zip(photos.filenames, photos.images, strict=True):
        folder = root / Path(name).stem
        folder.mkdir(parents=True)
        for i in range(per_class):
            top, left = (rng.integers(0, side - size) for side in photo.shape[:2])
            crop = photo[top : top + size, left : left + size + 9]
            Image.fromarray(crop).save(folder / f"{i:04}.jpg", quality=90)
    return root


def chirps(root, *, per_class=40, rate=8000):
    """Tones that rise, fall and stay, with noise; of mixed rates and lengths."""
    rng = np.random.default_rng(0)
    slopes = {"falls": -1, "rises": 1, "stays": 0}
    for name, slope in slopes.items():
        folder = root / name
        folder.mkdir(parents=True)
        for i in range(per_class):
            own = (rate, 2 * rate)[i % 5 == 0]
            t = np.arange(int(own * rng.uniform(0.4, 0.6))) / own
            pitch, bend = rng.uniform(600, 1500), slope * rng.uniform(400, 900)
            wave = np.sin(2 * np.pi * (pitch * t + bend * t**2 / 2))
            wave = 0.3 * wave + rng.normal(0, 0.05, len(t))
            wave = np.stack([wave] * (1 + i % 2), axis=1)
            suffix = ("wav", "flac", "ogg")[i % 3]
            soundfile.write(folder / f"speaker-{i % 8}_{i:03}.{suffix}", wave, own)
    return root


def table(path, *, rows=None):
    """The breast cancers of Wisconsin as CSV; some values are missing."""
    found = datasets.load_breast_cancer()
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow([*found.feature_names, "diagnosis"])
        for x, y in list(zip(found.data, found.target, strict=True))[:rows]:
            cells = [f"{value:g}" if rng.random() > 0.01 else "" for value in x]
            out.writerow([*cells, found.target_names[y]])
    return path


def sales(path, *, rows=300):
    """Prices of houses by size, town and day, as a German spreadsheet writes them."""
    rng = np.random.default_rng(0)
    towns = {"Ulm": 1.0, "Bonn": 3.0, "Jena": 5.0}
    with open(path, "w", newline="", encoding="utf-8-sig") as file:
        out = csv.writer(file, delimiter=";")
        out.writerow(["house_no", "town", "size", "sold", "price"])
        for i in range(rows):
            town, size, day = rng.choice(list(towns)), rng.uniform(5, 20), i % 28 + 1
            price = 100 + 10 * towns[town] + 5 * size + rng.normal(0, 1)
            cells = [f"{value:.2f}".replace(".", ",") for value in (size, price)]
            size = cells[0] if rng.random() > 0.03 else ""
            out.writerow([7 * i, town, size, f"{day}.{1 + i % 12}.2023", cells[1]])
    return path


if __name__ == "__main__":
    where = Path(sys.argv[1])
    digits(where / "digits")
    crops(where / "photos")
    chirps(where / "chirps")
    table(where / "cancer.csv")
    sales(where / "sales.csv")
