"""ResNet: layers learn what to add to what they read."""

from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.nn.init import fan_in_uniform, he_normal_in, he_normal_out, uniform_bias

# Table 1: blocks in each of the four layers, and whether they are bottlenecks.
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}
SMALL_DEPTHS = (20, 32, 44, 56, 110)  # 6n + 2, table 6.


def resnet(
    *, depth: int = 50, channels: int = 3, classes: int = 1000, rngs: nnx.Rngs
) -> nn.Chain:
    """A stem, four layers of blocks that add to what they read, one layer of logits.

    What it changed: beyond some twenty layers plain networks do worse the deeper they
    are, in training too (figure 1), for identity is hard to learn; a block that adds to
    its input has it for nothing, and 152 layers still gain (table 4). From depth 50 on
    a block narrows, looks and widens again (figure 5). A shortcut changes its size by a
    1 × 1 convolution (option B). As in torchvision the stride of a bottleneck is in its
    3 × 3 convolution, and kernels are drawn normal with He et al.'s variance, backward.

    Args:
        depth: 18, 34, 50, 101 or 152 layers with weights.
        channels: Of the pictures.
        classes: How many categories there are to vote for.
        rngs: Its stream `params` gives the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If there is no such depth.

    Example:
        >>> shapes = nnx.eval_shape(lambda: resnet(depth=50, rngs=nnx.Rngs(0)))
        >>> nn.summary(shapes, (224, 224, 3)).parameters
        25557032

    Source:
        He, Zhang, Ren & Sun, "Deep residual learning for image recognition", 2015,
        arXiv:1512.03385, table 1; torchvision.models.resnet.
    """
    if depth not in DEPTHS:
        raise ValueError(f"`depth` is {depth}, but must be one of {sorted(DEPTHS)}.")
    counts, narrow = DEPTHS[depth]
    conv = partial(_conv, init=he_normal_out, rngs=rngs)
    stages: dict[str, nn.Stage] = {
        "conv1": conv(channels, 64, 7, stride=2),
        "norm1": nn.BatchNorm(64),
        "relu1": F.relu,
        "pool1": nn.MaxPool((3, 3), stride=2, padding=1),
    }
    inputs = 64
    for layer, count in enumerate(counts):
        width, blocks = 64 * 2**layer, {}
        outputs = width * (4 if narrow else 1)
        for i in range(count):
            stride = 2 if layer and not i else 1
            shortcut = nn.identity
            if stride > 1 or inputs != outputs:
                down = conv(inputs, outputs, 1, stride=stride)
                shortcut = nn.Chain({"conv": down, "norm": nn.BatchNorm(outputs)})
            body = _bottleneck if narrow else _basic
            made = body(conv, inputs, width, stride)
            blocks[str(i)] = nn.Residual(made, shortcut, F.relu)
            inputs = outputs
        stages[f"layer{layer + 1}"] = nn.Chain(blocks)
    stages["mean"] = nn.GlobalAvgPool()
    stages["classifier"] = _votes(inputs, classes, rngs)
    return nn.Chain(stages)


def small_resnet(
    *,
    depth: int = 20,
    plain: bool = False,
    channels: int = 3,
    classes: int = 10,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """He et al.'s nets for pictures of 32 × 32: three layers of 16, 32 and 64 maps.

    A shortcut changes its size by leaving out every other place and adding maps of
    zeros (option A), so that a network has as many weights with shortcuts as without.
    Kernels are drawn as in the paper, normal with He et al.'s variance, forward.

    Args:
        depth: 20, 32, 44, 56, 110, or any other 6n + 2.
        plain: Whether the shortcuts are left out, as in figure 1.
        channels: Of the pictures.
        classes: How many categories there are to vote for.
        rngs: Its stream `params` gives the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If `depth` is not 6n + 2.

    Example:
        >>> shapes = nnx.eval_shape(lambda: small_resnet(depth=56, rngs=nnx.Rngs(0)))
        >>> round(nn.summary(shapes, (32, 32, 3)).parameters / 1e6, 2)  # table 6: 0.85
        0.85

    Source:
        He, Zhang, Ren & Sun, "Deep residual learning for image recognition", 2015,
        arXiv:1512.03385, section 4.2.
    """
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"`depth` is {depth}, but must be 6n + 2, such as 20 or 56.")
    conv = partial(_conv, init=he_normal_in, rngs=rngs)
    stages: dict[str, nn.Stage] = {
        "conv1": conv(channels, 16, 3),
        "norm1": nn.BatchNorm(16),
        "relu1": F.relu,
    }
    inputs = 16
    for layer, width in enumerate((16, 32, 64)):
        blocks = {}
        for i in range((depth - 2) // 6):
            stride = 2 if layer and not i else 1
            body = _basic(conv, inputs, width, stride)
            shortcut = (
                nn.identity if stride == 1 else SubsampleAndPad(stride, width - inputs)
            )
            blocks[str(i)] = (
                nn.Chain({"body": body, "relu": F.relu})
                if plain
                else nn.Residual(body, shortcut, F.relu)
            )
            inputs = width
        stages[f"layer{layer + 1}"] = nn.Chain(blocks)
    stages["mean"] = nn.GlobalAvgPool()
    stages["classifier"] = _votes(inputs, classes, rngs)
    return nn.Chain(stages)


@dataclass(frozen=True)
class SubsampleAndPad:
    """A shortcut without parameters: subsamples, and appends zero channels (option A).

    Attributes:
        stride: Distance between the positions that are kept, along both spatial axes.
        extra_channels: Number of channels of zeros that are appended.
    """

    stride: int
    extra_channels: int

    def __call__(
        self, x: Float[Array, "... channels"]
    ) -> Float[Array, "... more_channels"]:
        """Every `stride`-th position of `x`, with more channels."""
        step = slice(None, None, self.stride)
        x = x[..., step, step, :]
        zeros = jnp.zeros((*x.shape[:-1], self.extra_channels), x.dtype)
        return jnp.concatenate([x, zeros], axis=-1)

    def receptive_field(self, size: tuple[int, ...]) -> nn.ReceptiveField:
        """The receptive field of one output unit: one position, `stride` apart."""
        return nn.ReceptiveField((1, 1), (self.stride,) * 2, (0.0, 0.0))


def _conv(inputs: int, features: int, window: int, *, stride=1, init, rngs) -> nn.Conv:
    return nn.Conv(
        inputs,
        features,
        (window, window),
        stride=stride,
        padding=window // 2,
        use_bias=False,
        kernel_init=init,
        rngs=rngs,
    )


def _basic(conv, inputs: int, width: int, stride: int) -> nn.Chain:
    return nn.Chain(
        {
            "conv1": conv(inputs, width, 3, stride=stride),
            "norm1": nn.BatchNorm(width),
            "relu1": F.relu,
            "conv2": conv(width, width, 3),
            "norm2": nn.BatchNorm(width),
        }
    )


def _bottleneck(conv, inputs: int, width: int, stride: int) -> nn.Chain:
    return nn.Chain(
        {
            "conv1": conv(inputs, width, 1),
            "norm1": nn.BatchNorm(width),
            "relu1": F.relu,
            "conv2": conv(width, width, 3, stride=stride),
            "norm2": nn.BatchNorm(width),
            "relu2": F.relu,
            "conv3": conv(width, 4 * width, 1),
            "norm3": nn.BatchNorm(4 * width),
        }
    )


def _votes(inputs: int, classes: int, rngs: nnx.Rngs) -> nn.Dense:
    bias = uniform_bias(inputs)
    return nn.Dense(
        inputs, classes, kernel_init=fan_in_uniform, bias_init=bias, rngs=rngs
    )
