"""Pictures of maps beside the truth."""

import numpy as np

from cnn_jax import report
from experiments.inside.methods import maps_of, methods
from experiments.inside.networks import Known

SHOWN = 2  # Inputs whose maps are drawn.


def show_examples(page: report.Page, known: Known) -> None:
    """Adds the maps of every method for a few inputs, beside the mask."""
    x, target, mask = (
        part[0][:SHOWN] for part in (known.inputs, known.labels, known.masks)
    )
    calls = methods(x.shape[1:], known.baseline)
    found = {
        name: maps_of(call, known.nets[0], x, target) for name, call in calls.items()
    }
    if x.ndim == 2:
        columns = {f"column {i + 1}": i for i in range(x.shape[1])}
        scores = found["integrated gradients"][0]
        bars = {name: float(scores[i]) for name, i in columns.items()}
        figure = report.signed_bars(bars, xlabel="score")
        page.figure(
            figure,
            "Integrated gradients of one row; the first five columns "
            "carry the information.",
        )
        return
    for i in range(len(x)):
        image = x[i].mean(axis=-1)
        maps = [mask[i].astype(np.float32), *(maps[i] for maps in found.values())]
        figure = report.signed_maps(
            maps,
            images=[image] * len(maps),
            titles=["the truth", *found],
            picture=image.shape[0] == image.shape[1],
        )
        page.figure(figure, "Maps of the logit of the true class, over the input.")
