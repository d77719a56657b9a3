"""What the outputs of a network mean: loss, metrics and decoding, one task per file."""

from cnn_jax.tasks.classification import Classification as Classification
from cnn_jax.tasks.default import default_task as default_task
from cnn_jax.tasks.losses import LossName as LossName
from cnn_jax.tasks.losses import cross_entropy as cross_entropy
from cnn_jax.tasks.losses import named_loss as named_loss
from cnn_jax.tasks.regression import Regression as Regression
from cnn_jax.tasks.task import CustomLoss as CustomLoss
from cnn_jax.tasks.task import Task as Task
