"""A trained network with everything that it takes to use it: its run folder is enough.

net = trained.load("runs/train/birds")
for name, probabilities in net.predict(["garden.jpg"]): ...
"""

from cnn_jax.trained.baseline import Baseline as Baseline
from cnn_jax.trained.baseline import baseline as baseline
from cnn_jax.trained.defaults import MIN_IMAGE_SIZE as MIN_IMAGE_SIZE
from cnn_jax.trained.defaults import default_config as default_config
from cnn_jax.trained.defaults import default_model as default_model
from cnn_jax.trained.defaults import default_options as default_options
from cnn_jax.trained.invariance import CHANGES as CHANGES
from cnn_jax.trained.invariance import Kept as Kept
from cnn_jax.trained.invariance import measure_changes as measure_changes
from cnn_jax.trained.metadata import Metadata as Metadata
from cnn_jax.trained.metadata import make_metadata as make_metadata
from cnn_jax.trained.metadata import read_metadata as read_metadata
from cnn_jax.trained.minutes import epochs_within as epochs_within
from cnn_jax.trained.quantity import QuantityScores as QuantityScores
from cnn_jax.trained.quantity import quantity_scores as quantity_scores
from cnn_jax.trained.quantity import standardised as standardised
from cnn_jax.trained.run_data import load_data as load_data
from cnn_jax.trained.splits import read_splits as read_splits
from cnn_jax.trained.splits import write_splits as write_splits
from cnn_jax.trained.trained import Trained as Trained
from cnn_jax.trained.trained import load as load
from cnn_jax.trained.verdict import Verdict as Verdict
from cnn_jax.trained.verdict import judge as judge
from cnn_jax.trained.verdict import judge_split as judge_split
from cnn_jax.trained.verdict import read_baseline as read_baseline
from cnn_jax.trained.verdict import write_verdict as write_verdict
