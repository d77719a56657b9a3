"""The sections of a page that explains one input of a trained network."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax import explain, report, trained
from cnn_jax.cli.methods import (
    WARNING,
    scores_of,
    wave_scores,
)
from cnn_jax.cli.pictures import draw_scores, draw_units, mass_table, show_input
from cnn_jax.data.dataset import as_float, batches, length
from cnn_jax.nn import Chain

MAX_EXAMPLES = 2000  # Of more training examples, a random part is compared.
NOTHING = {
    "image": "the mean training image",
    "signal": "silence",
    "table": "the mean of every column",
}
NEAREST, TOP, TERMS = 5, 8, 8  # Examples and terms that are shown.


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Training examples that an input is compared with.

    Args:
        names: Of each example.
        labels: Their classes, or quantities.
        inputs: As the network reads them.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    inputs: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Explainer:
    """A trained network with all that explains its predictions.

    Args:
        trained: The network with its reader and classes.
        net: The network, for evaluation.
        front: Its stages before the first with parameters, if there are any.
        rest: The other stages.
        method: One of `methods.METHODS`.
        target: The class that is explained; None for the most probable.
        examples: Training examples, or the reason why they cannot be read.
        baseline: What stands for "nothing" in the picture.
        scores: From pictures and classes to scores, compiled.
        wave_scores: From waves and classes to scores, compiled.
    """

    trained: trained.Trained
    net: Chain
    front: Chain | None
    rest: Chain
    method: str
    target: int | None
    examples: Examples | str
    baseline: np.ndarray
    scores: Callable[..., Any]
    wave_scores: Callable[..., Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.trained.about.classes


def make_explainer(net: trained.Trained, method: str, target: str | None) -> Explainer:
    """Prepares the explanation of inputs of a trained network.

    Args:
        net: The network.
        method: One of `methods.METHODS`.
        target: The name of a class; None for the most probable of each input.

    Raises:
        ValueError: If there is no such class.
    """
    wanted = None if target is None else _index(net, target)
    view = explain.evaluated(net.net)
    front, rest = explain.split_front(view)
    examples = _examples(net)
    baseline = np.zeros(net.reader.shape, np.float32)
    if net.reader.kind == "image" and isinstance(examples, Examples):
        baseline = examples.inputs.mean(axis=0)
    scores = partial(_scores, method, baseline if front is None else 0.0)
    return Explainer(
        trained=net,
        net=view,
        front=front,
        rest=rest,
        method=method,
        target=wanted,
        examples=examples,
        baseline=baseline,
        scores=explain.compiled(scores, rest),
        wave_scores=explain.compiled(partial(_wave_scores, method), view),
    )


def _scores(method: str, baseline: Any, net: Chain, x: Array, target: Array) -> Any:
    return scores_of(method, net, x, target, baseline)


def _wave_scores(method: str, net: Chain, x: Array, target: Array) -> Array:
    return wave_scores(method, net, x, target)[0]


def _index(net: trained.Trained, target: str) -> int:
    """The index of a class by its name."""
    if net.about.target is not None:
        raise ValueError(
            f"`target` is {target!r}, but {net.folder} predicts a quantity, "
            f"{net.about.classes[0]!r}: leave it out."
        )
    if target not in net.about.classes:
        raise ValueError(
            f"`target` is {target!r}, but the classes of {net.folder} are "
            f"{', '.join(net.about.classes)}."
        )
    return net.about.classes.index(target)


def _examples(net: trained.Trained) -> Examples | str:
    """Training examples, or the reason why there are none."""
    try:
        dataset = trained.load_data(net.folder)
    except (OSError, ValueError) as error:
        return str(error)
    count = length(dataset.train)
    rows = np.sort(np.random.default_rng(0).permutation(count)[:MAX_EXAMPLES])
    ((inputs, labels),) = batches(dataset.train, rows, len(rows))
    origin = dataset.origin
    known: Any = () if origin is None else origin.names.get("train", ())
    names = tuple(str(known[i]) if i < len(known) else str(i) for i in rows)
    floats = np.asarray(as_float(jnp.asarray(inputs)))
    return Examples(names, np.asarray(labels), floats)


def explain_input(
    page: report.Page, explainer: Explainer, name: str, x: np.ndarray
) -> None:
    """Adds the sections about one input.

    Args:
        page: The page.
        explainer: The network and the method.
        name: Of the input.
        x: As the reader returns it.
    """
    inputs = as_float(jnp.asarray(x))[None]
    logits = np.asarray(explainer.net(inputs))[0]
    target = explainer.target if explainer.target is not None else int(logits.argmax())
    page.section(name)
    picture = inputs if explainer.front is None else explainer.front(inputs)
    show_input(page, explainer.trained.reader, np.asarray(inputs[0]), picture[0])
    _predictions(page, explainer, logits)
    _why(page, explainer, inputs, picture, target)
    _arithmetic(page, explainer, picture, target)
    if isinstance(explainer.examples, str):
        page.text(
            f"The training data cannot be read: {explainer.examples} So the nearest "
            "examples and those that excite a unit most are left out."
        )
        return
    _nearest(page, explainer, explainer.examples, inputs)
    _unit(page, explainer, explainer.examples, inputs, target)


def _predictions(page: report.Page, explainer: Explainer, logits: np.ndarray) -> None:
    """Adds the probability of each class, or the quantity."""
    about = explainer.trained.about
    found = about.decode(logits[None])[0]
    if about.target is not None:
        page.table(["quantity", "prediction"], [[about.classes[0], f"{found[0]:.5g}"]])
        return
    order = np.argsort(-found)[:10]
    rows = [[about.classes[i], f"{found[i]:.4f}", f"{logits[i]:.3f}"] for i in order]
    page.table(["class", "probability", "logit"], rows)


def _why(
    page: report.Page, explainer: Explainer, inputs: Array, picture: Array, target: int
) -> None:
    """Adds the map of scores, its completeness and where its mass lies."""
    wanted = jnp.array([target])
    found = explainer.scores(picture, wanted)
    name, target_scale = explainer.classes[target], explainer.trained.about.target
    scale = 1.0 if target_scale is None else target_scale[1]
    scores = scale * np.asarray(found.attributions[0])
    error = scale * float(found.error[0])
    what = f"the logit of {name!r}" if target_scale is None else f"the predicted {name}"
    page.section(f"Why {name!r}? ({explainer.method})")
    if explainer.method == "guided_backprop":
        page.text(WARNING)
    if not scores.any():
        page.text(f"The map is zero everywhere: nothing in the input changes {what}.")
    reader = explainer.trained.reader
    draw_scores(page, reader, np.asarray(inputs[0]), picture[0], scores)
    page.text(
        f"Scores are in the unit of {what}, from {scores.min():.4g} to "
        f"{scores.max():.4g}, and sum to {scores.sum():.4g}. Red raises {what}, blue "
        "lowers it."
    )
    if np.isfinite(error):
        change = scores.sum() - error
        page.text(
            f"From {NOTHING[reader.kind]} to this input, {what} changes by "
            f"{change:.4g}; the scores sum to that with an error of {error:.2g}."
        )
    mass_table(page, reader, scores)
    if explainer.front is not None and inputs.ndim == 2:
        _wave(page, explainer, inputs, wanted)


def _wave(
    page: report.Page, explainer: Explainer, inputs: Array, target: Array
) -> None:
    """Adds the scores of the samples of a wave."""
    found = explainer.wave_scores(inputs, target)
    scores = np.asarray(found[0])
    same = explainer.method in ("saliency", "smooth_grad", "guided_backprop")
    how = explainer.method if same else "the fall of the logit where a part is silenced"
    step = 1 / getattr(explainer.trained.reader, "rate", 1)
    panels = {"": (np.asarray(inputs[0]), scores)}
    figure = report.signed_signal(panels, xlabel="time, s", step=step)
    page.figure(figure, f"The wave, and behind it the scores of its samples: {how}.")


def _arithmetic(
    page: report.Page, explainer: Explainer, picture: Array, target: int
) -> None:
    """Adds the largest products of the logit, and one path down to the input."""
    net, last = explainer.rest, explainer.rest.names[-1]
    quantity = explainer.trained.about.target is not None
    page.section(f"The arithmetic of the {'output' if quantity else 'logit'}")
    if quantity:
        page.text("The prediction is the mean, and this output in standard deviations.")
    first, *later = explain.largest_terms(net, picture[0], last, (target,))
    page.table(["factor", "value", "weight", "product"], _rows(first, TERMS))
    if not later:
        return
    steps = []
    for sums in (first, *later):
        (term,) = sums.rows(1) or [None]
        if term is not None:
            where = "input" if term.source == "" else term.source
            at = ", ".join(map(str, term.position))
            product = f"{term.input:.4g} × {term.weight:.4g} = {term.product:.4g}"
            unit = f"{sums.path} [{', '.join(map(str, sums.position))}]"
            steps.append([unit, f"{float(sums.value):.4g}", f"{where} [{at}]", product])
    page.table(
        ["unit", "value", "its largest term", "value × weight"],
        steps,
        caption="From the logit down to the input, always along the largest product.",
    )


def _rows(sums: explain.Terms, count: int) -> list[list[str]]:
    """The largest products, the rest of them, the bias and the sum."""
    terms = sums.rows()
    rows = [
        [
            f"{term.source or 'input'} [{', '.join(map(str, term.position))}]",
            f"{term.input:.4f}",
            f"{term.weight:.4f}",
            f"{term.product:.4f}",
        ]
        for term in terms[:count]
    ]
    if len(terms) > count:
        rest = sum(term.product for term in terms[count:])
        rows.append([f"{len(terms) - count:,} more", "", "", f"{rest:.4f}"])
    rows.append(["bias", "", "", f"{float(sums.bias):.4f}"])
    rows.append(["sum", "", "", f"{float(sums.value):.4f}"])
    return rows


def _nearest(
    page: report.Page, explainer: Explainer, examples: Examples, inputs: Array
) -> None:
    """Adds the training examples whose features are nearest."""
    steps = list(explainer.net.names)
    if len(steps) < 2:
        return
    cut = steps[-2]
    found = explain.nearest_examples(
        explainer.net, examples.inputs, inputs, cut, k=NEAREST
    )
    page.section(f"The nearest training examples, by the output of {cut!r}")
    titles = [
        f"{_label(explainer, examples.labels[i])}\n{distance:.3g}"
        for i, distance in zip(found.indices[0], found.distances[0], strict=True)
    ]
    pictures = [examples.inputs[i] for i in found.indices[0]]
    draw_units(
        page,
        explainer,
        {"": pictures},
        titles,
        "The labels of the examples, and their distances.",
    )
    rows = [
        [examples.names[i], _label(explainer, examples.labels[i]), f"{distance:.4g}"]
        for i, distance in zip(found.indices[0], found.distances[0], strict=True)
    ]
    page.table(["example", "label", "distance"], rows)


def _label(explainer: Explainer, label: Any) -> str:
    """The class of an example, or its quantity."""
    if explainer.trained.about.target is not None:
        return f"{float(np.ravel(label)[0]):.5g}"
    return explainer.classes[int(label)]


def _unit(
    page: report.Page,
    explainer: Explainer,
    examples: Examples,
    inputs: Array,
    target: int,
) -> None:
    """Adds the unit that adds most to the logit, and the examples that excite it."""
    if len(explainer.net.names) < 2:
        return
    cut, channel = explain.leading_unit(explainer.net, inputs[0], target)
    page.section(f"The unit that adds most: {channel} of {cut!r}")
    activation = float(jnp.max(explainer.net.run(inputs, upto=cut)[..., channel]))
    page.text(f"Its largest activation in this input is {activation:.4g}.")
    found = explain.top_examples(explainer.net, examples.inputs, cut, channel, k=TOP)
    titles = [f"{value:.3g}" for value in found.activations]
    caption = "What it reads in the examples that excite it most, and its activations."
    draw_units(page, explainer, {"": list(found.crops)}, titles, caption)
