"""Stages that branch: what goes in takes several ways, and comes together again."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.nn.chain import Block, Chain, Stage, check_stages


def identity(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """What goes in comes out.

    Example:
        >>> identity(jnp.array([1.0, 2.0]))
        Array([1., 2.], dtype=float32)
    """
    return x


class Branches(Block):
    """Runs several stages on the same maps, and puts theirs side by side.

    Args:
        branches: The stages by name, in the order of their channels.

    Raises:
        TypeError: If a stage cannot be called.
        ValueError: If there are none, or a name is empty, has a slash or a dot.

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
            raise ValueError("`branches` is empty, but there must be one at least.")
        check_stages(branches)
        self.names = tuple(branches)
        self.branches = nnx.Dict(branches)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The maps of all branches."""
        return jnp.concatenate([stage(x) for _, stage in self.ways()], axis=-1)

    def ways(self) -> list[tuple[str, Stage]]:
        """Every branch with its path."""
        return [(name, self.branches[name]) for name in self.names]


class Residual(Block):
    """Adds what a body makes of its input to the input, or to a shortcut's view of it.

        y = activation(body(x) + shortcut(x))

    Args:
        body: What learns the difference.
        shortcut: What brings `x` to the size of `body(x)`; by default it is that.
        activation: What follows the sum; nothing by default.

    Raises:
        ValueError: If both ways have the path `shortcut`, so that it names two stages.

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

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The sum of both ways."""
        return self.activation(self.body(x) + self.shortcut(x))

    def ways(self) -> list[tuple[str, Stage]]:
        """The two ways with their paths, that of the body being the block's own."""
        return [("", self.body), ("shortcut", self.shortcut)]


class Masked(Block):
    """Keeps what follows the end of a sound at 0, whatever a body makes of it.

        y[t] = body(x)[t] up to the last t at which any x[t] is not 0, and 0 behind it

    Time is the last spatial axis, of x and of body(x) alike. Convolutions see zeros
    beyond the edges, so a picture that ends in silence gives the same maps as one that
    is cut off there: sounds of several lengths, filled up with silence, make a batch.

    Args:
        body: What keeps the length.

    Raises:
        ValueError: When called, if the body changes the length.

    Example:
        >>> net = Masked(Chain({"louder": lambda x: x + 1}))
        >>> net(jnp.array([[[0.0], [2.0], [0.0], [0.0]]]))[..., 0]
        Array([[1., 3., 0., 0.]], dtype=float32)

    Source:
        Keras, the layer `Masking` and "Masking and padding with Keras".
    """

    def __init__(self, body: Chain):
        self.body = body

    def __call__(
        self, x: Float[Array, "*batch bands frames channels"]
    ) -> Float[Array, "*batch rows frames features"]:
        """The maps of the body, up to the end of the sound."""
        y = self.body(x)
        if y.shape[-2] != x.shape[-2]:
            raise ValueError(
                f"`body` makes {y.shape[-2]} frames of {x.shape[-2]}, but must keep "
                "them: change the length outside of the mask."
            )
        sound = jnp.any(x != 0, axis=(-3, -1), keepdims=True)
        heard = lax.cummax(sound.astype(jnp.int8), axis=x.ndim - 2, reverse=True)
        return jnp.where(heard > 0, y, 0)

    def ways(self) -> list[tuple[str, Stage]]:
        """The body, whose paths are the block's own."""
        return [("", self.body)]
