"""The section of a page on predicted quantities."""

from typing import Any

import numpy as np

from cnn_jax import nn, report, trained, training


def show_quantities(
    page: report.Page,
    about: trained.Metadata,
    net: nn.Chain,
    split: Any,
    *,
    simple: trained.Baseline | None = None,
    first: bool = False,
) -> trained.QuantityScores:
    """Adds RMSE and R² of a network beside simple methods, and a calibration plot.

    Args:
        page: The page.
        about: The metadata of the run.
        net: The network.
        split: Examples with quantities as labels, in their own unit.
        simple: A simple method with its RMSE on the same examples.
        first: Whether it comes before everything else in the HTML file.

    Returns:
        The figures.
    """
    if about.target is None:
        raise ValueError(f"{about.data} has classes as labels, but needs a quantity.")
    true = np.asarray(split["label"])[:, 0]
    predicted = about.decode(training.predict(net, split["table"]))[:, 0]
    mean = about.target[0]
    scores = trained.quantity_scores(predicted, true, mean=mean, simple=simple)
    (name,) = about.classes
    page.section(f"Predictions of {name!r} on {len(true):,} examples", first=first)
    rows = [
        [label, f"{one.value:.4g}", f"{one.low:.4g} to {one.high:.4g}"]
        for label, one in (("RMSE", scores.rmse), ("R²", scores.r2))
    ]
    rows.append(["RMSE of always predicting the mean", f"{scores.constant:.4g}", ""])
    if simple is not None:
        rows.append([f"RMSE of {simple.name}", f"{simple.score:.4g}", ""])
    page.table(["", "value", "95 % interval"], rows)
    for line in scores.remarks():
        page.text(line)
    figure = report.calibration(true, predicted, label=name)
    page.figure(figure, "Predicted against true values; the line is where both agree.")
    return scores
