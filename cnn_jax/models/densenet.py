"""DenseNet: every layer reads the outputs of all earlier layers of its block."""

from flax import nnx

from cnn_jax import nn
from cnn_jax.models import _blocks
from cnn_jax.nn.init import fan_in_uniform, he_normal_in

# Table 1: layers in each block, channels that a layer adds, channels of the stem.
DEPTHS = {
    121: ((6, 12, 24, 16), 32, 64),
    161: ((6, 12, 36, 24), 48, 96),
    169: ((6, 12, 32, 32), 32, 64),
    201: ((6, 12, 48, 32), 32, 64),
}


def densenet(
    *,
    depth: int = 121,
    blocks: tuple[int, ...] | None = None,
    growth: int | None = None,
    channels: int = 3,
    classes: int = 1000,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """DenseNet-121 to DenseNet-201: a stem and four blocks that add channels.

    | Stage | Contents |
    |---|---|
    | `conv0`, `norm0`, `relu0` | 7 × 7 convolution, stride 2 |
    | `pool0` | 3 × 3 max pooling, stride 2 |
    | `block1` to `block4` | dense layers, each of which appends `growth` channels |
    | `transition1` to `transition3` | 1 × 1 convolution, 2 × 2 average pooling |
    | `norm5`, `relu5` | batch normalization, ReLU |
    | `mean` | global average pooling |
    | `classifier` | dense layer |

    New at the time: a layer concatenates its output to its input instead of adding it
    (equation 2), so that all later layers of the block read it and few channels
    suffice: 8 million weights reach the accuracy of ResNet-50 with 25 million (figure
    3). A layer is norm, ReLU, 1 × 1 convolution to four times the growth (DenseNet-B),
    norm, ReLU, 3 × 3 convolution; a transition halves the channels (DenseNet-C).
    Kernels are drawn as in torchvision, from a normal distribution with He et al.'s
    variance, forward.

    Args:
        depth: Number of layers with weights: 121, 161, 169 or 201.
        blocks: Number of layers in each block; by default that of `depth`.
        growth: Number of channels that each layer adds; by default that of `depth`.
        channels: Number of channels of the images.
        classes: Number of classes.
        rngs: Its stream `params` provides the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Raises:
        ValueError: If there is no such depth.

    Example:
        >>> shapes = nnx.eval_shape(lambda: densenet(depth=121, rngs=nnx.Rngs(0)))
        >>> nn.summary(shapes, (224, 224, 3)).parameters
        7978856

    Source:
        Huang, Liu, van der Maaten & Weinberger, "Densely connected convolutional
        networks", 2016, arXiv:1608.06993, table 1; torchvision.models.densenet.
    """
    _blocks.check_depth(depth, DEPTHS)
    counts, added, width = DEPTHS[depth]
    counts, added = blocks or counts, growth or added
    options = {"init": he_normal_in, "rngs": rngs}
    stages: dict[str, nn.Stage] = {
        **_blocks.conv_norm_relu(channels, width, 7, 0, stride=2, **options),
        "pool0": nn.MaxPool((3, 3), stride=2, padding=1),
    }
    for block, count in enumerate(counts, 1):
        layers = {}
        for i in range(1, count + 1):
            new = _layer(width, added, **options)
            layers[str(i)] = nn.Branches({"before": nn.identity, "new": new})
            width += added
        stages[f"block{block}"] = nn.Chain(layers)
        if block < len(counts):
            stages[f"transition{block}"] = _transition(width, **options)
            width //= 2
    stages |= _blocks.norm_relu(width, 5)
    stages["mean"] = nn.GlobalAvgPool()
    stages["classifier"] = nn.Dense(
        width, classes, kernel_init=fan_in_uniform, rngs=rngs
    )
    return nn.Chain(stages)


def _layer(inputs: int, growth: int, **options) -> nn.Chain:
    return nn.Chain(
        {
            **_blocks.norm_relu(inputs, 1),
            "conv1": _blocks.conv(inputs, 4 * growth, 1, **options),
            **_blocks.norm_relu(4 * growth, 2),
            "conv2": _blocks.conv(4 * growth, growth, 3, **options),
        }
    )


def _transition(inputs: int, **options) -> nn.Chain:
    return nn.Chain(
        {
            **_blocks.norm_relu(inputs),
            "conv": _blocks.conv(inputs, inputs // 2, 1, **options),
            "pool": nn.AvgPool((2, 2)),
        }
    )
