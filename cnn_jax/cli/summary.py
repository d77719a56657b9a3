"""`cnn-jax summary`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import rich

from cnn_jax import models, nn, trained
from cnn_jax.cli.options import positional
from cnn_jax.data.readers import from_fields


@dataclasses.dataclass(frozen=True)
class Summary:
    """Show the stages of a network: output shape, parameters, cost, receptive field.

    Args:
        network: One of `cnn-jax models`, or a run folder.
        depth: Levels of blocks that have rows; 1 for one row per block.
    """

    network: Annotated[str, *positional("NAME|RUN")]
    depth: int = 1

    def __call__(self) -> int:
        """Prints a row per stage."""
        if self.network and Path(self.network).is_dir():
            about = trained.read_metadata(self.network)
            name, options = about.model, about.options
            shape = from_fields(about.reader).shape
        else:
            name, options = self.network, {}
            shape = models.made_for(name)
        outline = models.outline(name, **options)
        rich.print(nn.summary(outline, shape).upto(self.depth))
        return 0
