"""`cnn-jax datasets`."""

import dataclasses

from cnn_jax.cli.options import DataDir
from cnn_jax.data.loader import prepared
from cnn_jax.data.readers import AUDIO_SUFFIXES, IMAGE_SUFFIXES

OWN = {
    "xo": "X and O, 28 pixels, moderately deformed; also xo/hard and others",
    "digits": "1,797 handwritten digits of 8 pixels",
    "synthetic_digits": "3,160 words, synthetic speech; also /other_engine",
}


@dataclasses.dataclass(frozen=True)
class Datasets:
    """List the named data sets.

    Args:
        data_dir: The folder of named data sets.
    """

    data_dir: DataDir = None

    def __call__(self) -> int:
        """Prints the data sets of the package, prepared ones, and how to get others."""
        names = prepared(self.data_dir)
        for name, description in OWN.items():
            print(f"{name:<18}{description}")
        print(f"prepared by TensorFlow Datasets: {', '.join(names) or 'none'}")
        print("any other of tensorflow.org/datasets: downloaded from the network")
        print("your own: a folder with one subfolder per class of")
        print(f"  images  {' '.join(sorted(IMAGE_SUFFIXES))}")
        print(f"  audio   {' '.join(sorted(AUDIO_SUFFIXES))}")
        print("or a table, .csv or .tsv, with a column to predict (--label)")
        return 0
