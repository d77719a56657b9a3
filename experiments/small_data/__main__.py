"""Command line of the experiment."""

from experiments import small_data
from experiments._shared import start

if __name__ == "__main__":
    start("small_data", small_data.run, small_data.Config, small_data.__doc__)
