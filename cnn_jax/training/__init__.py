"""Training: from a network, data and a task to a trained network and its metrics."""

from cnn_jax.tasks.metrics import mean_interval as mean_interval
from cnn_jax.training.checkpoint import restore as restore
from cnn_jax.training.checkpoint import restore_best as restore_best
from cnn_jax.training.checkpoint import save as save
from cnn_jax.training.checkpoint_manager import NotSavedError as NotSavedError
from cnn_jax.training.config import Config as Config
from cnn_jax.training.config import Precision as Precision
from cnn_jax.training.evaluate import evaluate as evaluate
from cnn_jax.training.evaluate import predict as predict
from cnn_jax.training.finite import NotFiniteError as NotFiniteError
from cnn_jax.training.folder import read_config as read_config
from cnn_jax.training.loop import check as check
from cnn_jax.training.loop import fit as fit
from cnn_jax.training.nudging import difference_gradient as difference_gradient
from cnn_jax.training.nudging import nudge as nudge
from cnn_jax.training.processes import initialize as initialize
from cnn_jax.training.processes import is_first as is_first
from cnn_jax.training.processes import shutdown as shutdown
from cnn_jax.training.progress import progress_bar as progress_bar
from cnn_jax.training.record import Record as Record
from cnn_jax.training.run import Run as Run
from cnn_jax.training.run import check_name as check_name
from cnn_jax.training.run import hardware as hardware
from cnn_jax.training.run_report import read_records as read_records
from cnn_jax.training.run_report import write_report as write_report
from cnn_jax.training.weights import best as best
