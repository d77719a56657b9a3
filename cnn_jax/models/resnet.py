"""ResNet: residual blocks, which learn a difference from their input."""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

import cnn_jax.functional as F
from cnn_jax import nn
from cnn_jax.models import _blocks
from cnn_jax.nn.init import he_normal_in, he_normal_out

# Table 1: blocks in each of the four layers, and whether they are bottlenecks.
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}
SMALL_DEPTHS = (20, 32, 44, 56, 110)  # 6n + 2, table 6.
SMALL_WIDTHS = (16, 32, 64)


def resnet(
    *, depth: int = 50, channels: int = 3, classes: int = 1000, rngs: nnx.Rngs
) -> nn.Chain:
    """ResNet-18 to ResNet-152 for large images: a stem and four layers of blocks.

    | Stage | Contents |
    |---|---|
    | `conv1`, `norm1`, `relu1` | 7 × 7 convolution, 64 channels, stride 2 |
    | `pool1` | 3 × 3 max pooling, stride 2 |
    | `layer1` to `layer4` | residual blocks of width 64, 128, 256 and 512 |
    | `mean` | global average pooling |
    | `classifier` | dense layer |

    New at the time: plain networks of more than about twenty layers have a higher
    training error the deeper they are (figure 1). A residual block learns a difference
    from its input, so the identity costs nothing, and accuracy improves up to 152
    layers (table 4). From depth 50 on the blocks are bottlenecks: 1 × 1, 3 × 3, 1 × 1
    (figure 5). A shortcut that changes the shape is a 1 × 1 convolution (option B). As
    in torchvision, the stride of a bottleneck is in its 3 × 3 convolution, and kernels
    are drawn from a normal distribution with He et al.'s variance, backward.

    Args:
        depth: Number of layers with weights: 18, 34, 50, 101 or 152.
        channels: Number of channels of the images.
        classes: Number of classes.
        rngs: Its stream `params` provides the keys.

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
    _blocks.check_depth(depth, DEPTHS)
    counts, is_bottleneck = DEPTHS[depth]
    body, expansion = (_bottleneck, 4) if is_bottleneck else (_basic, 1)
    options = {"init": he_normal_out, "rngs": rngs}
    stages: dict[str, nn.Stage] = {
        **_blocks.conv_norm_relu(channels, 64, 7, 1, stride=2, **options),
        "pool1": nn.MaxPool((3, 3), stride=2, padding=1),
    }
    inputs = 64
    for layer, count in enumerate(counts, 1):
        width, blocks = 32 * 2**layer, {}
        for i in range(count):
            stride = 2 if layer > 1 and i == 0 else 1
            shortcut = _projection(inputs, width * expansion, stride, **options)
            made = body(inputs, width, stride, **options)
            blocks[str(i)] = nn.Residual(made, shortcut, F.relu)
            inputs = width * expansion
        stages[f"layer{layer}"] = nn.Chain(blocks)
    stages["mean"] = nn.GlobalAvgPool()
    stages["classifier"] = _blocks.uniform_dense(inputs, classes, rngs=rngs)
    return nn.Chain(stages)


def small_resnet(
    *,
    depth: int = 20,
    plain: bool = False,
    channels: int = 3,
    classes: int = 10,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """ResNet-20 to ResNet-110 for images of 32 × 32 pixels.

    | Stage | Contents |
    |---|---|
    | `conv1`, `norm1`, `relu1` | 3 × 3 convolution, 16 channels |
    | `layer1` to `layer3` | (depth − 2) / 6 residual blocks of width 16, 32 and 64 |
    | `mean` | global average pooling |
    | `classifier` | dense layer |

    A shortcut that changes the shape subsamples and appends channels of zeros (option
    A), so that the number of weights is the same with and without shortcuts. Kernels
    are drawn as in the paper, from a normal distribution with He et al.'s variance,
    forward.

    Args:
        depth: Number of layers with weights: 20, 32, 44, 56, 110, or another 6n + 2.
        plain: Whether the shortcuts are left out, as in figure 1.
        channels: Number of channels of the images.
        classes: Number of classes.
        rngs: Its stream `params` provides the keys.

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
    options = {"init": he_normal_in, "rngs": rngs}
    stages = _blocks.conv_norm_relu(channels, 16, 3, 1, **options)
    inputs = 16
    for layer, width in enumerate(SMALL_WIDTHS, 1):
        blocks = {}
        for i in range((depth - 2) // 6):
            stride = 2 if layer > 1 and i == 0 else 1
            body = _basic(inputs, width, stride, **options)
            shortcut = nn.identity
            if stride > 1:
                shortcut = SubsampleAndPad(stride, width - inputs)
            blocks[str(i)] = (
                nn.Chain({"body": body, "relu": F.relu})
                if plain
                else nn.Residual(body, shortcut, F.relu)
            )
            inputs = width
        stages[f"layer{layer}"] = nn.Chain(blocks)
    stages["mean"] = nn.GlobalAvgPool()
    stages["classifier"] = _blocks.uniform_dense(inputs, classes, rngs=rngs)
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
        """The receptive field of an output unit: one position."""
        return nn.ReceptiveField((1, 1), (self.stride,) * 2, (0.0, 0.0))


def _projection(inputs: int, outputs: int, stride: int, **options) -> nn.Stage:
    """The shortcut of option B: a 1 × 1 convolution where the shape changes."""
    if stride == 1 and inputs == outputs:
        return nn.identity
    conv = _blocks.conv(inputs, outputs, 1, stride=stride, **options)
    return nn.Chain({"conv": conv, "norm": nn.BatchNorm(outputs)})


def _basic(inputs: int, width: int, stride: int, **options) -> nn.Chain:
    return nn.Chain(
        {
            **_blocks.conv_norm_relu(inputs, width, 3, 1, stride=stride, **options),
            "conv2": _blocks.conv(width, width, 3, **options),
            "norm2": nn.BatchNorm(width),
        }
    )


def _bottleneck(inputs: int, width: int, stride: int, **options) -> nn.Chain:
    return nn.Chain(
        {
            **_blocks.conv_norm_relu(inputs, width, 1, 1, **options),
            **_blocks.conv_norm_relu(width, width, 3, 2, stride=stride, **options),
            "conv3": _blocks.conv(width, 4 * width, 1, **options),
            "norm3": nn.BatchNorm(4 * width),
        }
    )
