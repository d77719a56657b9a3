"""One class of many, or any number of classes at once."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Array, Float, Shaped

from cnn_jax.tasks.losses import named_loss
from cnn_jax.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Classification(Task):
    """Outputs are logits, one for each class.

    Labels are whole numbers, one per example or per position; or with `multi_label` a 0
    or 1 for every class. The loss is `tasks.named_loss`.

    Args:
        multi_label: Whether any number of classes may be true at once.
        label_smoothing: The share of a label that is spread over all classes.
        class_weights: The weight of an example of each class; 1 by default.

    Example:
        >>> import jax.numpy as jnp
        >>> task = Classification()
        >>> task.decode(jnp.zeros((1, 4)))
        Array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    multi_label: bool = False
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None

    def loss(
        self, outputs: Float[Array, "batch ..."], targets: Shaped[Array, "batch ..."]
    ) -> Array:
        """Cross entropy, of a softmax or of a sigmoid for each class."""
        name = "sigmoid" if self.multi_label else "cross_entropy"
        return named_loss(name, self.label_smoothing, self.class_weights)(
            outputs, targets
        )

    def decode(self, outputs: Float[Array | np.ndarray, "batch ... classes"]) -> Array:
        """Probabilities of the classes."""
        return jax.nn.sigmoid(outputs) if self.multi_label else jax.nn.softmax(outputs)

    def for_evaluation(self) -> "Classification":
        """Without smoothing and weights."""
        return Classification(multi_label=self.multi_label)

    def check(
        self, output_shape: tuple[int, ...], labels: np.ndarray, classes: int
    ) -> None:
        """Checks labels against logits.

        Args:
            output_shape: The shape of the logits for one example.
            labels: Labels of some examples.
            classes: The number of classes.

        Raises:
            ValueError: If labels have another type or shape, or there are other numbers
                of weights or classes than logits.
        """
        self._check_weights(output_shape[-1])
        if self.multi_label:
            _check_shape("sigmoid", labels, output_shape, output_shape)
            return
        if np.issubdtype(labels.dtype, np.floating):
            raise ValueError(
                f"`loss` is 'cross_entropy', which needs whole numbers as labels, but "
                f"they are {labels.dtype}: 'sigmoid' takes any share of any class, "
                "'squared', 'absolute' and 'huber' take quantities."
            )
        _check_shape("cross_entropy", labels, output_shape[:-1], output_shape)
        if classes != output_shape[-1]:
            raise ValueError(
                f"there are {classes} classes, but the network has {output_shape[-1]} "
                "logits: give its last stage one for each class."
            )

    def _check_weights(self, logits: int) -> None:
        weights = self.class_weights
        if weights is not None and len(weights) != logits:
            raise ValueError(
                f"`class_weights` has {len(weights)} entries, but the network has "
                f"{logits} logits."
            )


def _check_shape(
    loss: str,
    labels: np.ndarray,
    expected: tuple[int, ...],
    output_shape: tuple[int, ...],
) -> None:
    if labels.shape[1:] != expected:
        raise ValueError(
            f"each label has shape {labels.shape[1:]}, but `loss` {loss!r} needs "
            f"{expected} for logits of shape {output_shape}."
        )
