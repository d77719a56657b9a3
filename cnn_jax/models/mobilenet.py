"""MobileNet: depthwise convolutions, each followed by a pointwise one."""

from flax import nnx

from cnn_jax import nn
from cnn_jax.models import _blocks
from cnn_jax.nn.init import he_normal_out, small_normal

# Table 1: channels and stride of each of the thirteen pairs.
PAIRS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


def mobilenet_v1(
    *, width: float = 1.0, channels: int = 3, classes: int = 1000, rngs: nnx.Rngs
) -> nn.Chain:
    """MobileNet v1: thirteen pairs of a depthwise and a pointwise convolution.

    | Stage | Contents |
    |---|---|
    | `conv0`, `norm0`, `relu0` | 3 × 3 convolution, 32 channels, stride 2 |
    | `pair1` to `pair13` | 3 × 3 depthwise, 1 × 1 convolution; 64 to 1024 channels |
    | `mean` | global average pooling |
    | `classifier` | dense layer |

    New at the time: a 3 × 3 convolution in two parts, one kernel per channel and then
    1 × 1 over all channels, takes an eighth to a ninth of the multiply-adds (section
    3.1) and loses one point of accuracy (table 4). Kernels are drawn from a normal
    distribution with He et al.'s variance, backward, as torchvision does in its second
    version; the paper does not state it.

    Args:
        width: Multiplier of every number of channels (section 3.3).
        channels: Number of channels of the images.
        classes: Number of classes.
        rngs: Its stream `params` provides the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If `width` leaves no channel.

    Example:
        >>> shapes = nnx.eval_shape(lambda: mobilenet_v1(rngs=nnx.Rngs(0)))
        >>> print(nn.summary(shapes, (224, 224, 3)).parameters)  # table 8: 4.2 million
        4231976

    Source:
        Howard et al., "MobileNets: Efficient convolutional neural networks for mobile
        vision applications", 2017, arXiv:1704.04861, table 1.
    """
    inputs = int(32 * width)
    if inputs < 1:
        raise ValueError(
            f"`width` is {width}, but must leave at least 1 of 32 channels: give 1/32 "
            "or more."
        )
    options = {"init": he_normal_out, "rngs": rngs}
    stages = _blocks.conv_norm_relu(channels, inputs, 3, 0, stride=2, **options)
    for i, (pair_channels, stride) in enumerate(PAIRS, 1):
        outputs = int(pair_channels * width)
        stages[f"pair{i}"] = _pair(inputs, outputs, stride, **options)
        inputs = outputs
    stages["mean"] = nn.GlobalAvgPool()
    stages["classifier"] = nn.Dense(
        inputs, classes, kernel_init=small_normal, rngs=rngs
    )
    return nn.Chain(stages)


def _pair(inputs: int, outputs: int, stride: int, **options) -> nn.Chain:
    depthwise = _blocks.conv(inputs, inputs, 3, stride=stride, groups=inputs, **options)
    return nn.Chain(
        {
            "depthwise": depthwise,
            **_blocks.norm_relu(inputs, 1),
            "pointwise": _blocks.conv(inputs, outputs, 1, **options),
            **_blocks.norm_relu(outputs, 2),
        }
    )
