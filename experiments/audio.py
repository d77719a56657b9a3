"""Can a network that looks at pictures hear? A sound becomes one, and is read like any.

    python -m experiments.audio
    python -m experiments.audio --data my_sounds/
    python -m experiments.audio --data speech_commands

A sound is chopped into chunks, each chunk split into bands: a column per chunk, a row
per band. The same CNN reads it as a plain spectrogram, as a log-mel spectrogram and as
MFCC; beside it a network without convolutions and a linear model, clean and in noise.
Then bands, or chunks, are put into another order, the same for all sounds. The words
are synthetic speech (`synthetic_digits`): spoken by espeak-ng, tested on voices that
were not learned, and on another synthesizer. What the networks learn with was chosen on
another deal of the voices, which is not reported.

Expected: at least 95 % of the words of unseen voices; in noise as loud as speech the
CNN is ahead; another order of the bands costs the CNN, and not the network without
convolutions. Under 4 minutes on 2 CPU cores.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.progress import track

from cnn_jax import data, nn, report, training
from cnn_jax.data.dataset import batches, length
from cnn_jax.models import mlp, sound_net
from cnn_jax.training.run_report import show_errors
from experiments._shared import compiled, footer, start

LEVELS = {"clean": np.inf, "20 dB": 20.0, "10 dB": 10.0, "0 dB": 0.0}
OTHER = "other engine"
MASKS: Any = ("time_mask", "frequency_mask")
RATES = {"CNN": 1e-2, "MLP": 3e-3, "linear": 1e-3}


class Arm(NamedTuple):
    """One way to read a sound."""

    picture: str
    network: Literal["CNN", "MLP", "linear"]
    masks: bool = False
    order: Literal["", "bands", "chunks"] = ""

    def __str__(self) -> str:
        shuffled = f", {self.order} shuffled" if self.order else ""
        return f"{self.picture}{', masks' if self.masks else ''}{shuffled}"


PLAIN, RIVAL, BEST = (
    Arm("log-mel", "CNN"),
    Arm("log-mel", "MLP"),
    Arm("log-mel", "CNN", masks=True),
)
READ = [
    *(Arm(picture, "CNN") for picture in ("spectrogram", "MFCC")),
    *(PLAIN, BEST),
    *(Arm(picture, "MLP") for picture in ("spectrogram", "MFCC")),
    *(RIVAL, Arm("log-mel", "MLP", masks=True)),
    *(Arm(picture, "linear") for picture in ("spectrogram", "MFCC", "log-mel")),
]
SHUFFLED = [
    Arm("log-mel", network, order=order)
    for network in ("CNN", "MLP")
    for order in ("bands", "chunks")
]
Shares = dict[str, np.ndarray]  # Condition → right answers of every seed.


@dataclass(frozen=True)
class Config:
    """What to run.

    Args:
        name: Of the folder `runs/audio/<name>`; the date and time by default.
        runs: Where runs lie.
        data: `synthetic_digits`; a folder with one subfolder of sounds per class; or
            sounds of TensorFlow Datasets, such as `speech_commands`, `spoken_digit`.
        data_dir: Where named data lies; `$TFDS_DATA_DIR` or `~/tensorflow_datasets` by
            default.
        rate: Samples per second that sounds are brought to; their own by default.
        seconds: The length that sounds are cut or filled up to.
        bands: Rows of a log-mel spectrogram.
        most: Sounds to learn from, and to be tested on, at most.
        seeds: Networks of each kind.
        epochs: How often they see every sound, clean and in noise, at least.
        steps: Batches that they learn from, at least, however few sounds there are.
        batch_size: Sounds per step.
        seed: Of everything.
    """

    name: str | None = None
    runs: Path = Path("runs")
    data: str = "synthetic_digits"
    data_dir: Path | None = None
    rate: int | None = None
    seconds: float = 1.0
    bands: int = 24
    most: int = 3000
    seeds: int = 5
    epochs: int = 6
    steps: int = 440
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self):
        for name in "bands", "most", "seeds", "epochs", "steps":
            if getattr(self, name) < 1:
                value = getattr(self, name)
                raise ValueError(f"`{name}` is {value}, but must be at least 1.")


@dataclass(frozen=True)
class Sounds:
    """Waves, what they say, and how many samples of them make a second."""

    waves: np.ndarray
    labels: np.ndarray
    rate: int


@dataclass(frozen=True)
class Result:
    """Everything that was reported; intervals are (mean, low, high)."""

    folder: Path
    shares: dict[Arm, Shares]
    leads: dict[str, tuple[float, float, float]]
    costs: dict[Arm, tuple[float, float, float]]


def run(config: Config) -> Result:
    """Runs the experiment from the data to the report."""
    began = time.time()
    parts, classes, notes = load(config)
    views = pictures(config, parts["train"].rate)
    for view in views.values():  # Refuses what does not fit, before there is a folder.
        nn.summary(view, parts["train"].waves.shape[1:])
    folder = training.Run.create(config.runs, "audio", config.name, config)
    page = report.Page(f"Sound as a picture: {config.data}")
    page.section("The sounds")
    page.text(". ".join([*notes, ""]).strip())
    rng = np.random.default_rng(config.seed)
    heard = conditions(parts, rng)
    from_signal_to_picture(page, views["log-mel"], heard["train"])
    play(page, parts, heard, classes)
    seen = {name: painted(view, heard) for name, view in views.items()}
    arms = [*READ, *SHUFFLED]
    nets, votes = {}, {}
    quiet = not page.console.is_terminal
    for arm in track(arms, "learning", console=page.console, disable=quiet):
        nets[arm], votes[arm] = learn(config, arm, seen[arm.picture], classes)
    shares = {arm: right(votes[arm], heard) for arm in arms}
    leads = compare(page, shares)
    costs = order(page, shares)
    whole = [joined(views["log-mel"], net) for net in nets[BEST]]
    looked_at(page, whole, heard["clean"], classes)
    confused(page, votes[BEST], heard, classes)
    folder.log({"shares": {f"{a.network}: {a}": s for a, s in shares.items()}})
    page.write(folder.folder / "report.html", footer=footer(began))
    page.console.print(f"\n{footer(began)}\nreport: {folder.folder / 'report.html'}")
    return Result(folder.folder, shares, leads, costs)


def load(config: Config) -> tuple[dict[str, Sounds], tuple[str, ...], list[str]]:
    """Sounds to learn from and to be tested on, their classes, and what is to be said.

    Raises:
        ValueError: If the data are no sounds.
    """
    how: dict[str, Any] = {"rate": config.rate, "seconds": config.seconds}
    found = data.load(config.data, data_dir=config.data_dir, **how)
    if found.origin is None or found.origin.reader.kind != "signal":
        raise ValueError(f"`data` is {config.data!r}, which has no sounds.")
    rate, notes = found.origin.reader.rate, list(found.origin.notes)
    rng = np.random.default_rng(config.seed)

    def some(split: Any) -> Sounds:
        rows = np.sort(rng.permutation(length(split))[: config.most])
        waves, labels = next(batches(split, rows, len(rows)))
        return Sounds(waves, labels, rate)

    parts = {"train": some(found.train), "test": some(found.test)}
    if config.data == "synthetic_digits":
        notes += ["Synthetic speech, not people"]
        other = f"{config.data}/other_engine"
        parts[OTHER] = some(data.load(other, data_dir=config.data_dir, **how).test)
    return parts, found.classes, notes


def conditions(parts: dict[str, Sounds], rng: np.random.Generator) -> dict[str, Sounds]:
    """Every sound somewhere in its window: to learn from, clean and once in noise.

    Returns:
        `train`, where the noise is as loud as one of the levels by chance; the test at
        every level; and the other engine, clean.
    """
    train, test = parts["train"], parts["test"]
    noise = rng.choice(list(LEVELS.values())[1:], len(train.waves))
    waves = [shifted(rng, train.waves), shifted(rng, train.waves)]
    waves = np.concatenate([waves[0], noisy(rng, waves[1], noise)])
    found = {"train": Sounds(waves, np.tile(train.labels, 2), train.rate)}
    for name, level in LEVELS.items():
        waves = noisy(rng, shifted(rng, test.waves), level)
        found[name] = Sounds(waves, test.labels, test.rate)
    if OTHER in parts:
        other = parts[OTHER]
        found[OTHER] = Sounds(shifted(rng, other.waves), other.labels, other.rate)
    return found


def shifted(rng: np.random.Generator, waves: np.ndarray) -> np.ndarray:
    """Moves every sound into the silence that follows it, as far as chance will."""
    samples = waves.shape[1]
    end = samples - np.argmax(waves[:, ::-1] != 0, axis=1)
    begin = rng.integers(0, samples - end + 1)
    places = (np.arange(samples) - begin[:, None]) % samples
    return np.take_along_axis(waves, places, axis=1)


def noisy(
    rng: np.random.Generator, waves: np.ndarray, decibels: float | np.ndarray
) -> np.ndarray:
    """Adds white noise that is so many decibels softer than the sound itself."""
    heard = np.maximum(np.count_nonzero(waves, axis=1), 1)
    power = (waves**2).sum(axis=1) / heard * 10 ** (-np.asarray(decibels) / 10)
    noise = rng.standard_normal(waves.shape, dtype=np.float32)
    return waves + np.sqrt(power, dtype=np.float32)[:, None] * noise


def pictures(config: Config, rate: int) -> dict[str, nn.Chain]:
    """The three ways from a sound to a picture, all of mean 0 and variance 1."""
    window = 2 ** round(np.log2(0.064 * rate))
    cut: dict[str, Any] = {"n_fft": window, "hop_length": window // 2}
    mel: dict[str, Any] = cut | {"sr": rate, "n_mels": config.bands}
    level = nn.InstanceNorm(1, use_scale=False, use_bias=False)
    linear = {
        "spectrogram": nn.Spectrogram(power=1.0, **cut),
        "pool": nn.AvgPool((8, 1), ceil_mode=True),
        "level": level,
    }
    return {
        "spectrogram": nn.Chain(linear),
        "log-mel": nn.Chain({"spectrogram": nn.LogMel(**mel), "level": level}),
        "MFCC": nn.Chain(
            {
                "spectrogram": nn.MFCC(n_mfcc=min(20, config.bands), **mel),
                "level": level,
            }
        ),
    }


def painted(view: nn.Chain, heard: dict[str, Sounds]) -> dict[str, data.Split]:
    """The pictures of all sounds."""
    return {
        name: {"image": training.predict(view, its.waves), "label": its.labels}
        for name, its in heard.items()
    }


def network(arm: Arm, shape: tuple[int, ...], classes: int, seed: int) -> nn.Chain:
    """What reads a picture: of `sound_net` all that follows its own picture."""
    rngs = nnx.Rngs(seed)
    if arm.network != "CNN":
        hidden = (128, 64) if arm.network == "MLP" else ()
        return mlp(shape=shape, hidden=hidden, classes=classes, rngs=rngs)
    net = sound_net(classes=classes, rngs=rngs)
    first = net.names.index("level") + 1
    return nn.Chain({name: net.stages[name] for name in net.names[first:]})


def learn(
    config: Config, arm: Arm, seen: dict[str, data.Split], classes: Sequence[str]
) -> tuple[list[nn.Chain], dict[str, list[np.ndarray]]]:
    """Trains an arm's networks; gives them and their votes under every condition."""
    seeds = range(config.seed, config.seed + config.seeds)
    sets = [
        {name: reordered(arm, seed, split) for name, split in seen.items()}
        for seed in (seeds if arm.order else seeds[:1])
    ]
    every = [data.Dataset(s["train"], s["clean"], tuple(classes)) for s in sets]
    nets = [network(arm, every[0].shape, len(classes), seed) for seed in seeds]
    how = recipe(config, arm, len(seen["train"]["label"]))
    for _ in training.fit(nets, every if arm.order else every[0], how):
        pass
    each = sets if arm.order else sets * len(nets)
    votes = {
        name: [
            training.predict(net, its[name]["image"])
            for net, its in zip(nets, each, strict=True)
        ]
        for name in seen
        if name != "train"
    }
    return nets, votes


def recipe(config: Config, arm: Arm, sounds: int) -> training.Config:
    """How an arm learns: few sounds are seen more often."""
    batch_size = min(config.batch_size, sounds)
    return training.Config(
        epochs=max(config.epochs, -(-config.steps * batch_size // sounds)),
        batch_size=batch_size,
        learning_rate=RATES[arm.network],
        schedule="onecycle",
        augment=MASKS if arm.masks else (),
        seed=config.seed,
    )


def reordered(arm: Arm, seed: int, split: data.Split) -> data.Split:
    """The same pictures with rows or columns in another order, the same for all."""
    if not arm.order:
        return split
    images, axis = split["image"], {"bands": 1, "chunks": 2}[arm.order]
    places = np.random.default_rng(seed).permutation(images.shape[axis])
    return {"image": images.take(places, axis=axis), "label": split["label"]}


def right(votes: dict[str, list[np.ndarray]], heard: dict[str, Sounds]) -> Shares:
    """The share of right answers of every seed, under each condition."""
    return {
        name: np.array([(v.argmax(axis=-1) == heard[name].labels).mean() for v in its])
        for name, its in votes.items()
    }


def joined(view: nn.Chain, net: nn.Chain) -> nn.Chain:
    """One Chain from the sound to the votes, whose first stage is the spectrogram."""
    parts = (view, net)
    return nn.Chain({name: part.stages[name] for part in parts for name in part.names})


def compare(
    page: report.Page, shares: dict[Arm, Shares]
) -> dict[str, tuple[float, float, float]]:
    """Shows who was right how often, and by how much the CNN is ahead of the MLP."""
    page.section("Right answers")
    names = list(shares[PLAIN])
    rows = [
        [f"{arm.network}: {arm}", *(percent(shares[arm][name]) for name in names)]
        for arm in READ
    ]
    page.table(["%", *names], rows)
    page.text(
        f"Means of {len(shares[PLAIN]['clean'])} networks ± standard deviation. All "
        "learned each sound twice, clean and in noise of 20, 10 or 0 dB."
    )
    leads = {}
    for name in names if len(shares[PLAIN]["clean"]) > 1 else ():
        leads[name] = training.mean_interval(shares[PLAIN][name] - shares[RIVAL][name])
    page.table(
        ["", "CNN ahead of MLP by (95 %)"],
        [[name, points(lead)] for name, lead in leads.items()],
        caption="Points, on the same log-mel pictures, without masks, paired by seed.",
    )
    return leads


def order(
    page: report.Page, shares: dict[Arm, Shares]
) -> dict[Arm, tuple[float, float, float]]:
    """Shows what it costs to put bands or chunks into another order."""
    page.section("What closeness is worth")
    costs, rows = {}, []
    for arm in SHUFFLED if len(shares[PLAIN]["clean"]) > 1 else ():
        plain = shares[PLAIN if arm.network == "CNN" else RIVAL]
        lost = [plain[name] - shares[arm][name] for name in LEVELS]
        costs[arm] = training.mean_interval(np.mean(lost, axis=0))
        share = np.mean([shares[arm][name] for name in LEVELS], axis=0)
        rows.append([arm.network, arm.order, percent(share), points(costs[arm])])
    page.table(["", "shuffled", "right, %", "cost in points (95 %)"], rows)
    page.text(
        "Each seed has an order of its own, the same for all sounds. Means over the "
        "four levels of noise, without masks. A CNN looks for what is close together; "
        "an MLP does not know what is, so that to it every order is the same, but for "
        "chance."
    )
    return costs


def percent(share: np.ndarray) -> str:
    """Mean and spread."""
    spread = share.std(ddof=1) if len(share) > 1 else 0.0
    return f"{100 * share.mean():.1f}±{100 * spread:.1f}"


def points(interval: tuple[float, float, float]) -> str:
    """A mean and its interval, in points."""
    mean, low, high = (100 * value for value in interval)
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def from_signal_to_picture(page: report.Page, view: nn.Chain, sounds: Sounds) -> None:
    """Shows how one sound becomes a picture: chunk, bands, column by column."""
    page.section("From a sound to a picture")
    stage: Any = view.stages["spectrogram"]
    wave, rate = sounds.waves[0], sounds.rate
    picture = np.asarray(compiled(stage)(wave))[..., 0]
    bands, chunks = picture.shape
    loudest = int(picture.max(axis=0).argmax())
    page.text(
        f"{len(wave):,} samples are {len(wave) / rate:.2f} s. They are chopped into "
        f"{chunks} chunks of {stage.n_fft} samples ({1000 * stage.n_fft / rate:.0f} "
        f"ms), a new one every {stage.hop_length}. Each chunk is split into "
        f"{1 + stage.n_fft // 2} frequencies, which are gathered into {bands} bands as "
        "wide as the ear's; how loud a band is, in decibels, is a pixel. A column per "
        "chunk, a row per band: a picture."
    )
    at = np.arange(len(wave))
    inside = np.abs(at - loudest * stage.hop_length) <= stage.n_fft // 2
    nothing = np.zeros(len(wave))
    lines = {
        "sound": (at / rate, wave, nothing),
        f"chunk {loudest + 1}": (at[inside] / rate, wave[inside], nothing[inside]),
    }
    figure = report.curves({"chopped into chunks": lines}, x="seconds", y="pressure")
    page.figure(figure, "A sound, and one of its chunks.")
    column = (np.arange(1, bands + 1), picture[:, loudest], np.zeros(bands))
    lines = {f"chunk {loudest + 1}": column}
    figure = report.curves({"split into bands": lines}, x="band", y="decibels")
    page.figure(figure, "The same chunk, band by band: a column of the picture.")
    ends = [chunks * part // 5 for part in range(1, 6)]
    steps = [np.where(np.arange(chunks) < end, picture, picture.min()) for end in ends]
    figure = report.images(
        [step[::-1] for step in steps],
        titles=[f"{end} columns" for end in ends],
        columns=len(ends),
    )
    page.figure(figure, "Column by column, the low bands at the bottom.")


def play(
    page: report.Page,
    parts: dict[str, Sounds],
    heard: dict[str, Sounds],
    classes: Sequence[str],
) -> None:
    """Plays every word as it is learned and tested, and one of them in noise."""
    page.section("Listen")
    named = {"train": "learned", "test": "not learned", OTHER: OTHER}
    for label, word in enumerate(classes[:10]):
        clips = {
            f"{word}, {named[name]}": its.waves[np.argmax(its.labels == label)]
            for name, its in parts.items()
            if label in its.labels
        }
        page.sounds(clips, rate=parts["train"].rate)
    clips = {f"{classes[heard[n].labels[0]]}, {n}": heard[n].waves[0] for n in LEVELS}
    page.sounds(clips, rate=parts["train"].rate)
    page.text("The last row is one sound in more and more noise, as it is tested.")


def looked_at(
    page: report.Page, nets: list[nn.Chain], sounds: Sounds, classes: Sequence[str]
) -> None:
    """Shows a spectrogram per word, and where in it the votes came from."""
    page.section("Where the votes came from")
    names, rows = nn.summary(nets[0], sounds.waves.shape[1:]).table()
    page.table(names[:4], [row[:4] for row in rows])
    labels = np.unique(sounds.labels)[:10]
    waves = np.stack([sounds.waves[np.argmax(sounds.labels == i)] for i in labels])
    seen = compiled(lambda x: nets[0].run(x, upto="spectrogram"))(waves)

    def vote(net: nn.Chain, picture: jax.Array, label: jax.Array) -> jax.Array:
        return net.run(picture, after="spectrogram")[label]

    slopes = [
        compiled(jax.vmap(jax.grad(partial(vote, net))))(seen, jnp.asarray(labels))
        for net in nets
    ]
    slope = np.mean(np.abs(slopes), axis=0)
    rows = list(zip(np.asarray(seen)[:, ::-1, :, 0], slope[:, ::-1, :, 0], strict=True))
    words = [classes[i] for i in labels]
    shown, titles = [], []
    for first in range(0, len(rows), 5):
        some = rows[first : first + 5]
        gap = [None] * (5 - len(some))
        shown += [*(row[0] for row in some), *gap, *(row[1] for row in some), *gap]
        titles += [*words[first : first + len(some)], *[""] * (10 - len(some))]
    page.figure(
        report.images(shown, titles=titles, columns=5),
        "Above, a sound that was not learned; below, the gradient: how much its vote "
        "changes when a place of the spectrogram gets louder or softer; a mean over "
        "the networks.",
    )


def confused(
    page: report.Page,
    votes: dict[str, list[np.ndarray]],
    heard: dict[str, Sounds],
    classes: Sequence[str],
) -> None:
    """Shows what was taken for what, by all seeds of the best arm."""
    for name in [name for name in ("clean", OTHER) if name in votes]:
        page.section(f"What was confused: {name}")
        its = heard[name]
        waves = np.concatenate([its.waves] * len(votes[name]))
        labels = np.tile(its.labels, len(votes[name]))
        show_errors(page, waves, np.concatenate(votes[name]), labels, classes)


if __name__ == "__main__":
    start(run, Config, __doc__)
