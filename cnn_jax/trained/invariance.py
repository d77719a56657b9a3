"""Which random changes of images keep their classes, measured on training examples."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import AUGMENTS, Dataset, as_float
from cnn_jax.tasks.metrics import mean_interval
from cnn_jax.trained.baseline import MAX_ROWS, method, sample

FOLDS = 5
CHANGES: dict[str, tuple[str, ...]] = {  # In words, and the augmentations behind it.
    "mirrored": ("flip",),
    "rotated": ("rotate",),
    "recoloured": ("permute_channels", "invert"),
}


class Kept(NamedTuple):
    """What a change of images costs a simple classifier.

    Attributes:
        original: Its accuracy on images that it was not trained on.
        changed: Its accuracy on changed copies of them.
        harmless: Whether the 99 % interval of the difference holds 0.
    """

    original: float
    changed: float
    harmless: bool


def measure_changes(dataset: Dataset, *, seed: int = 0) -> dict[str, Kept]:
    """Compares a simple classifier on images and on changed copies of them.

    In five-fold cross-validation on the training split, a logistic regression is
    trained on four folds as they are, and predicts the fifth as it is and changed. A 6
    that is rotated is taken for a 9, so that rotation costs accuracy; a photograph that
    is mirrored is recognised as well as before. Where the classifier learns nothing, no
    cost can be seen, and every change counts as harmless.

    Args:
        dataset: Images with one class each.
        seed: Of the changes and of the examples that are used of many.

    Returns:
        For each of `CHANGES`, both accuracies and the decision; nothing where a class
        has a single example, so that none can be held out.
    """
    rng = np.random.default_rng(seed)
    images, labels = sample(dataset.train, MAX_ROWS, rng)
    smallest = np.bincount(labels, minlength=len(dataset.classes)).min()
    if smallest < 2:
        return {}
    describe, model, _ = method(dataset)
    copies = [_changed(images, names, seed) for names in CHANGES.values()]
    features = [describe(x) for x in (images, *copies)]
    correct = _held_out(model, features, labels, min(FOLDS, int(smallest)))
    return {
        name: _compare(correct[0], changed)
        for name, changed in zip(CHANGES, correct[1:], strict=True)
    }


def _changed(images: np.ndarray, names: Sequence[str], seed: int) -> np.ndarray:
    """Copies of images, each after the named augmentations."""
    x = as_float(jnp.asarray(images))
    keys = jax.random.split(jax.random.key(seed), len(names))
    for name, key in zip(names, keys, strict=True):
        augment: Callable[..., Any] = AUGMENTS[name]
        surely = {"probability": 1.0} if name == "invert" else {}
        x = x[:, :, ::-1] if name == "flip" else augment(key, x, **surely)
    return np.asarray(x)


def _held_out(
    model: Any, features: Sequence[np.ndarray], labels: np.ndarray, folds: int
) -> np.ndarray:
    """Which examples each kind of features is classified rightly in, when held out."""
    from sklearn.model_selection import StratifiedKFold

    correct = np.zeros((len(features), len(labels)), bool)
    parts = StratifiedKFold(folds, shuffle=True, random_state=0)
    for train, test in parts.split(features[0], labels):
        model.fit(features[0][train], labels[train])
        for right, x in zip(correct, features, strict=True):
            right[test] = model.predict(x[test]) == labels[test]
    return correct


def _compare(original: np.ndarray, changed: np.ndarray) -> Kept:
    _, low, _ = mean_interval(original.astype(float) - changed, level=0.99)
    return Kept(float(original.mean()), float(changed.mean()), low <= 0)
