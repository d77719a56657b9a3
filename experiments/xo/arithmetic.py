"""Chapter 1: matching, convolution, pooling, ReLU, tanh and softmax with numbers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import cnn_jax.functional as F
from cnn_jax import report
from experiments._shared import compiled
from experiments.xo.letters import FEATURES, letters
from experiments.xo.matching import as_ninths, matching


def worked_arithmetic(page: report.Page) -> dict[str, np.ndarray]:
    """Adds the arithmetic of one small example, and returns its arrays by name."""
    x, o = letters()
    arrays = jax.device_get(compiled(arithmetic)(jnp.asarray(x), jnp.asarray(o)))
    page.section("1. The arithmetic, number by number")
    matching(page, x, arrays["matches"])
    page.text(
        "The feature is matched at every position of the 9 × 9 picture. The results "
        "form a map of 7 × 7 numbers: where is this feature? Three features give a "
        "stack of three maps. This is a convolution layer."
    )
    _show(
        page, arrays["maps"], "The map of the falling diagonal", "A convolution layer"
    )
    page.text(
        "Max pooling moves a window of 2 × 2 across each map in steps of 2, and keeps "
        "the largest value. A window that reaches over the edge counts too, so 7 × 7 "
        "becomes 4 × 4."
    )
    _show(page, arrays["pooled"], "The same map after pooling", "After pooling")
    page.text("ReLU replaces every negative number by 0; the size stays the same.")
    _show(page, arrays["rectified"], "The map of the falling diagonal", "After ReLU")
    _votes(page, arrays)
    return arrays


def arithmetic(x: jax.Array, o: jax.Array) -> dict[str, jax.Array]:
    """Every array of the chapter, from the images of an X and an O."""
    features = [jnp.asarray(feature) for feature in FEATURES.values()]
    patches = x[1:4, 1:4], x[3:6, 3:6], -features[0]
    maps = jnp.stack([F.match_feature(x, feature) for feature in features], axis=-1)
    logits = jnp.stack([F.match_feature(x, x), F.match_feature(x, o)]).ravel()
    return {
        "matches": jnp.stack([F.match_feature(p, features[0])[0, 0] for p in patches]),
        "maps": maps,
        "pooled": F.max_pool(maps, (2, 2), ceil_mode=True),
        "rectified": F.relu(maps),
        "logits": logits,
        "tanh": F.tanh(logits),
        "softmax": F.softmax(logits),
    }


def _votes(page: report.Page, arrays: dict[str, np.ndarray]) -> None:
    page.text(
        "The match of the whole picture with an X and with an O gives two scores, one "
        "per class. This page calls them votes; the field calls them logits. tanh maps "
        "any number to a number between −1 and 1. softmax turns the votes into "
        "probabilities."
    )
    columns = zip(arrays["logits"], arrays["tanh"], arrays["softmax"], strict=True)
    rows = [
        [name, *(f"{value:.2f}" for value in values)]
        for name, values in zip("XO", columns, strict=True)
    ]
    page.table(["", "vote", "tanh", "softmax"], rows)


def _show(page: report.Page, maps: np.ndarray, caption: str, name: str) -> None:
    """Adds the first map in ninths, and a figure of all maps."""
    page.table([""] * maps.shape[1], _rows(maps[..., 0]), caption=caption)
    boards = {feature: maps[..., i] for i, feature in enumerate(FEATURES)}
    page.figure(report.numbers(boards), f"{name}: one map per feature.")


def _rows(values: Any) -> list[list[str]]:
    return [[as_ninths(value) for value in row] for row in np.asarray(values)]
