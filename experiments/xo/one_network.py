"""Chapter 3: the training of one network."""

import numpy as np
from flax import nnx

from cnn_jax import data, nn, report, training
from cnn_jax.models import xo_net
from experiments.xo.config import Config


def one_network(
    page: report.Page, config: Config, xo: data.Dataset, folder: training.Run
) -> tuple[nn.Chain, list[training.Record]]:
    """Trains one network until its training error rate is low enough."""
    page.section("3. One network learns")
    net = xo_net(rngs=nnx.Rngs(config.seed))
    page.table(*nn.summary(net, xo.shape).table())
    records = _train(page, config, net, xo, folder)
    _table(page, records)
    test = training.evaluate(net, xo.test)
    folder.log({"test": test})
    page.text(
        f"Training stops when the error rate of an epoch is at most "
        f"{config.desired_error:.1%}. The error rate on {len(xo.test['label']):,} test "
        f"pictures is {test['error']:.1%}."
    )
    _curves(page, records)
    return net, records


def _train(
    page: report.Page,
    config: Config,
    net: nn.Chain,
    xo: data.Dataset,
    folder: training.Run,
) -> list[training.Record]:
    options = training.Config(
        epochs=4 * config.epochs,
        batch_size=50,
        learning_rate=3e-3,
        desired_error=config.desired_error,
        seed=config.seed,
    )
    records = training.fit(net, xo, options, folder=folder.folder)
    bar = training.progress_bar(records, name="one network", console=page.console)
    return list(bar)


def _table(page: report.Page, records: list[training.Record]) -> None:
    rows = [
        [str(r.epoch), str(r.step), f"{r.loss:.3f}", f"{r.metrics['error']:.2%}"]
        for r in records
    ]
    page.table(["epoch", "step", "loss", "error rate"], rows)


def _curves(page: report.Page, records: list[training.Record]) -> None:
    epochs, no_band = [r.epoch for r in records], np.zeros(len(records))
    lines = {
        "loss": (epochs, [r.loss for r in records], no_band),
        "error rate": (epochs, [r.metrics["error"] for r in records], no_band),
    }
    page.figure(
        report.curves({"training": lines}, x="epoch", y="", log_y=True),
        "Loss and error rate on the training pictures, epoch by epoch.",
    )
