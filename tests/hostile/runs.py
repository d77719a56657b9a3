"""What a case starts from: small data, and a run on each kind of it."""

import shutil

from tests import files
from tests.hostile.case import inside, run

DATA = {
    "scans": lambda path: files.digits(path, per_class=8),
    "chirps": lambda path: files.chirps(path, per_class=8),
    "cancer.csv": lambda path: files.table(path, rows=80),
    "sales.csv": lambda path: files.sales(path, rows=80),
}
RUNS = {
    "images": ("scans", "--model", "lenet5_relu", "--augment", "crop"),
    "sounds": ("chirps",),
    "table": ("cancer.csv", "--label", "diagnosis"),
    "prices": ("sales.csv", "--label", "price"),
}


def make(folder, name):
    """Makes the data or the run of a name in a folder, with the data of the run."""
    if name in DATA:
        return name if (folder / name).exists() else DATA[name](folder / name)
    if not (folder / "runs" / "train" / name).exists():
        make(folder, RUNS[name][0])
        with inside(folder):
            status, text = run(
                (
                    "train",
                    *RUNS[name],
                    "--epochs",
                    "2",
                    "--runs",
                    "runs",
                    "--name",
                    name,
                )
            )
        assert status == 0, text
    return name


def start(case, shared, folder):
    """A folder with what a case needs, copied from where it is made once."""
    folder.mkdir()
    for need in case.needs:
        make(shared, need)
        _copy(shared, folder, RUNS[need][0] if need in RUNS else need)
        if need in RUNS:
            _copy(shared, folder, f"runs/train/{need}")
            config = folder / "runs" / "train" / need / "config.json"
            text = config.read_text().replace(str(shared), str(folder))
            config.write_text(text)
    return folder


def _copy(shared, folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    copy = shutil.copytree if (shared / name).is_dir() else shutil.copy
    copy(shared / name, folder / name)
