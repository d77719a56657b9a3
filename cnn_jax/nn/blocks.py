"""Stages with branches: several stages read one input, and a join combines them."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.nn.chain import Block, Chain, Stage, check_stages


def identity(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns its argument.

    Example:
        >>> identity(jnp.array([1.0, 2.0]))
        Array([1., 2.], dtype=float32)
    """
    return x


class Branches(Block):
    """Runs several stages on the same input and concatenates their channels.

    Args:
        branches: The stages by name, in the order of their channels.

    Raises:
        TypeError: If a stage is not callable.
        ValueError: If `branches` is empty, or a name is empty or contains `/` or `.`.

    Example:
        >>> both = Branches({"same": identity, "twice": lambda x: 2 * x})
        >>> both(jnp.array([[1.0, 2.0]]))
        Array([[1., 2., 2., 4.]], dtype=float32)

    Source:
        Szegedy et al., "Going deeper with convolutions", 2014, arXiv:1409.4842, figure
        2; Huang, Liu, van der Maaten & Weinberger, "Densely connected convolutional
        networks", 2016, arXiv:1608.06993, equation 2.
    """

    def __init__(self, branches: Mapping[str, Stage]):
        if not branches:
            raise ValueError("`branches` is empty, but needs at least one stage.")
        check_stages(branches)
        self.names = tuple(branches)
        self.branches = nnx.Dict(branches)

    def named_branches(self) -> list[tuple[str, Stage]]:
        """Every branch with its name, in the order of their channels."""
        return [(name, self.branches[name]) for name in self.names]

    def join(
        self, x: Float[Array, "..."], *outputs: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """The channels of all branches, concatenated."""
        return jnp.concatenate(outputs, axis=-1)


class Residual(Block):
    """Adds the output of a body to its input, or to a shortcut of its input.

        y = activation(body(x) + shortcut(x))

    Args:
        body: The residual function.
        shortcut: Maps `x` to the shape of `body(x)`; the identity by default.
        activation: Applied to the sum; the identity by default.

    Raises:
        ValueError: If the body has a stage `shortcut`, so that two stages would have
            the same path.

    Example:
        >>> net = Residual(Chain({"halve": lambda x: x / 2}))
        >>> net(jnp.array([2.0]))
        Array([3.], dtype=float32)

    Source:
        He, Zhang, Ren & Sun, "Deep residual learning for image recognition", 2015,
        arXiv:1512.03385, equations 1 and 2.
    """

    def __init__(
        self, body: Chain, shortcut: Stage = identity, activation: Stage = identity
    ):
        if shortcut is not identity and "shortcut" in getattr(body, "names", ()):
            raise ValueError(
                "`body` has a stage 'shortcut', but that is the path of the block's "
                "shortcut: rename the stage."
            )
        self.body, self.shortcut, self.activation = body, shortcut, activation

    def named_branches(self) -> list[tuple[str, Stage]]:
        """The body, whose paths are the block's own, and the shortcut."""
        return [("", self.body), ("shortcut", self.shortcut)]

    def join(
        self,
        x: Float[Array, "..."],
        body: Float[Array, "..."],
        shortcut: Float[Array, "..."],
    ) -> Float[Array, "..."]:
        """The activation of the sum."""
        return self.activation(body + shortcut)


class Masked(Block):
    """Sets the output of a body to zero after the end of the audio in its input.

        y[t] = body(x)[t] up to the last t at which any x[t] is not 0, and 0 after it

    Time is the last spatial axis of x and of body(x). Convolutions pad with zeros, so a
    spectrogram that ends in silence gives the same maps as one that is cut off there:
    recordings of different lengths, padded with silence, form a batch.

    Args:
        body: Stages that preserve the length.

    Raises:
        ValueError: When called, if the body changes the length.

    Example:
        >>> net = Masked(Chain({"add": lambda x: x + 1}))
        >>> net(jnp.array([[[0.0], [2.0], [0.0], [0.0]]]))[..., 0]
        Array([[1., 3., 0., 0.]], dtype=float32)

    Source:
        Keras, the layer `Masking` and "Masking and padding with Keras".
    """

    def __init__(self, body: Chain):
        self.body = body

    def named_branches(self) -> list[tuple[str, Stage]]:
        """The body, whose paths are the block's own."""
        return [("", self.body)]

    def join(
        self,
        x: Float[Array, "*batch bands frames channels"],
        body: Float[Array, "*batch rows body_frames features"],
    ) -> Float[Array, "*batch rows body_frames features"]:
        """The maps of the body up to the end of the audio, and zeros after it."""
        if body.shape[-2] != x.shape[-2]:
            raise ValueError(
                f"`body` returns {body.shape[-2]} frames for {x.shape[-2]}, but must "
                "preserve them: change the length outside of the mask."
            )
        audible = jnp.any(x != 0, axis=(-3, -1), keepdims=True)
        mask = lax.cummax(audible.astype(jnp.int8), axis=x.ndim - 2, reverse=True)
        return jnp.where(mask > 0, body, 0)
