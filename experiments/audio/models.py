"""The input features, the networks that read them, and their training."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from flax import nnx

from cnn_jax import data, nn, training
from cnn_jax.models import mlp, sound_net
from experiments.audio.config import Config
from experiments.audio.recordings import Recordings

LEARNING_RATES = {"CNN": 1e-2, "MLP": 3e-3, "linear": 1e-3}
MASKS: Any = ("time_mask", "frequency_mask")


class ModelSpec(NamedTuple):
    """A kind of network and its input.

    Args:
        features: "spectrogram", "log-mel" or "MFCC".
        network: The kind of network.
        masks: Whether training masks random bands and chunks.
        order: Axis in random order, the same for all recordings; empty for none.
    """

    features: str
    network: Literal["CNN", "MLP", "linear"]
    masks: bool = False
    order: Literal["", "bands", "chunks"] = ""

    def __str__(self) -> str:
        shuffled = f", {self.order} shuffled" if self.order else ""
        masks = ", masks" if self.masks else ""
        return f"{self.network}: {self.features}{masks}{shuffled}"


CNN, MLP = ModelSpec("log-mel", "CNN"), ModelSpec("log-mel", "MLP")
CNN_WITH_MASKS = CNN._replace(masks=True)
IN_ORDER = [
    *(ModelSpec(features, "CNN") for features in ("spectrogram", "MFCC")),
    *(CNN, CNN_WITH_MASKS),
    *(ModelSpec(features, "MLP") for features in ("spectrogram", "MFCC")),
    *(MLP, MLP._replace(masks=True)),
    *(ModelSpec(features, "linear") for features in ("spectrogram", "MFCC", "log-mel")),
]
SHUFFLED = [
    spec._replace(order=order) for spec in (CNN, MLP) for order in ("bands", "chunks")
]


def front_ends(config: Config, rate: int) -> dict[str, nn.Chain]:
    """Chains from a waveform to each kind of features, of mean 0 and variance 1."""
    window = 2 ** round(np.log2(0.064 * rate))
    chunks: dict[str, Any] = {"n_fft": window, "hop_length": window // 2}
    mel: dict[str, Any] = chunks | {"sr": rate, "n_mels": config.bands}
    mfcc = nn.MFCC(n_mfcc=min(20, config.bands), **mel)
    normalize = nn.InstanceNorm(1, use_scale=False, use_bias=False)
    spectrogram = {
        "spectrogram": nn.Spectrogram(power=1.0, **chunks),
        "pool": nn.AvgPool((8, 1), ceil_mode=True),
    }
    return {
        "spectrogram": nn.Chain(spectrogram | {"level": normalize}),
        "log-mel": nn.Chain({"spectrogram": nn.LogMel(**mel), "level": normalize}),
        "MFCC": nn.Chain({"spectrogram": mfcc, "level": normalize}),
    }


def as_features(
    front_end: nn.Chain, recordings: dict[str, Recordings]
) -> dict[str, data.Split]:
    """The features and labels of all recordings, by condition."""
    return {
        name: {
            "image": training.predict(front_end, split.waveforms),
            "label": split.labels,
        }
        for name, split in recordings.items()
    }


def build(spec: ModelSpec, shape: tuple[int, ...], classes: int, seed: int) -> nn.Chain:
    """A network that reads features; the CNN is `sound_net` without its front end."""
    rngs = nnx.Rngs(seed)
    if spec.network != "CNN":
        hidden = (128, 64) if spec.network == "MLP" else ()
        return mlp(shape=shape, hidden=hidden, classes=classes, rngs=rngs)
    net = sound_net(classes=classes, rngs=rngs)
    first = net.names.index("level") + 1
    return nn.Chain({name: net.stages[name] for name in net.names[first:]})


def join(front_end: nn.Chain, net: nn.Chain) -> nn.Chain:
    """One Chain from the waveform to the logits; its first stage is `spectrogram`."""
    stages = {name: front_end.stages[name] for name in front_end.names}
    return nn.Chain(stages | {name: net.stages[name] for name in net.names})


def train(
    config: Config,
    spec: ModelSpec,
    splits: dict[str, data.Split],
    classes: Sequence[str],
) -> tuple[list[nn.Chain], dict[str, list[np.ndarray]]]:
    """Trains one network per seed.

    Args:
        config: The options.
        spec: The kind of network.
        splits: Features by condition.
        classes: Class names.

    Returns:
        The networks, and their logits for every test condition.
    """
    seeds = range(config.seed, config.seed + config.seeds)
    reordered = [
        {name: reorder(spec, seed, split) for name, split in splits.items()}
        for seed in (seeds if spec.order else seeds[:1])
    ]
    datasets = [data.Dataset(s["train"], s["clean"], tuple(classes)) for s in reordered]
    nets = [build(spec, datasets[0].shape, len(classes), seed) for seed in seeds]
    options = training_options(config, spec, len(splits["train"]["label"]))
    for _ in training.fit(nets, datasets if spec.order else datasets[0], options):
        pass
    inputs = reordered if spec.order else reordered * len(nets)
    tests = [name for name in splits if name != "train"]
    return nets, {name: _predict(nets, inputs, name) for name in tests}


def training_options(config: Config, spec: ModelSpec, examples: int) -> training.Config:
    """Options of `training.fit`; small training splits get more epochs."""
    batch_size = min(config.batch_size, examples)
    return training.Config(
        epochs=max(config.epochs, -(-config.steps * batch_size // examples)),
        batch_size=batch_size,
        learning_rate=LEARNING_RATES[spec.network],
        schedule="onecycle",
        augment=MASKS if spec.masks else (),
        seed=config.seed,
    )


def reorder(spec: ModelSpec, seed: int, split: data.Split) -> data.Split:
    """Puts the bands or chunks into a random order, the same for all examples."""
    if not spec.order:
        return split
    images, axis = split["image"], {"bands": 1, "chunks": 2}[spec.order]
    order = np.random.default_rng(seed).permutation(images.shape[axis])
    return {"image": images.take(order, axis=axis), "label": split["label"]}


def accuracy(
    logits: dict[str, list[np.ndarray]], recordings: dict[str, Recordings]
) -> dict[str, np.ndarray]:
    """Condition → accuracy of every seed."""
    return {
        name: np.array(
            [(one.argmax(axis=-1) == recordings[name].labels).mean() for one in each]
        )
        for name, each in logits.items()
    }


def _predict(
    nets: list[nn.Chain], inputs: list[dict[str, data.Split]], condition: str
) -> list[np.ndarray]:
    pairs = zip(nets, inputs, strict=True)
    return [training.predict(net, each[condition]["image"]) for net, each in pairs]
