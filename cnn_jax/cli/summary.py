"""`cnn-jax summary`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from cnn_jax import models, nn, trained
from cnn_jax.data.readers import from_fields


@dataclasses.dataclass(frozen=True)
class Summary:
    """Show the stages of a network: output shape, parameters, cost, receptive field.

    Args:
        network: One of `cnn-jax models`, or a run folder.
    """

    network: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|RUN")]

    def __call__(self) -> int:
        """Prints a row per stage."""
        if Path(self.network).is_dir():
            about = trained.read_metadata(self.network)
            name, options = about.model, about.options
            shape = from_fields(about.reader).shape
        else:
            name, options = self.network, {}
            shape = models.made_for(name)
        print(nn.summary(models.outline(name, **options), shape))
        return 0
