"""A network that learns from few images: pairs of 3 × 3 convolutions, and a dropout."""

from collections.abc import Sequence

from flax import nnx

from cnn_jax import nn
from cnn_jax.models import _blocks
from cnn_jax.nn.init import he_normal_out

WIDTHS = (24, 48, 96, 128)


def small_vgg(
    *,
    widths: Sequence[int] = WIDTHS,
    channels: int = 3,
    dropout: float = 0.3,
    classes: int = 10,
    rngs: nnx.Rngs,
) -> nn.Chain:
    """Blocks of two 3 × 3 convolutions and a max pooling, then extremes and means.

    | Stage | Contents |
    |---|---|
    | `block1`, … | twice 3 × 3 convolution, batch norm, ReLU; 2 × 2 max pooling |
    | `pooled` | the global maximum and mean of each feature map, side by side |
    | `dropout`, `classifier` | dropout and a dense layer |

    A global maximum tells whether a feature is anywhere, however small the object is; a
    mean tells how much of it there is. Neither depends on the position, so that few
    examples suffice.

    Args:
        widths: The number of feature maps of each block.
        channels: Number of channels of the images.
        dropout: The rate before the classifier.
        classes: Number of classes.
        rngs: Its streams `params` and `dropout` provide the keys.

    Returns:
        A Chain from `(*batch, height, width, channels)` to `(*batch, classes)` logits.

    Example:
        >>> shapes = nnx.eval_shape(lambda: small_vgg(classes=3, rngs=nnx.Rngs(0)))
        >>> nn.summary(shapes, (64, 64, 3)).parameters
        421355

    Source:
        Simonyan & Zisserman, "Very deep convolutional networks for large-scale image
        recognition", 2014, arXiv:1409.1556, section 2, for stacks of 3 × 3 windows;
        Lin, Chen & Yan, "Network in network", 2013, arXiv:1312.4400, section 3.2, for
        global pooling in place of dense layers.
    """
    stages: dict[str, nn.Stage] = {}
    inputs = channels
    for i, width in enumerate(widths, 1):
        stages[f"block{i}"] = _block(inputs, width, rngs)
        inputs = width
    largest, mean = nn.GlobalMaxPool(spatial=2), nn.GlobalAvgPool(spatial=2)
    stages["pooled"] = nn.Branches({"largest": largest, "mean": mean})
    stages["dropout"] = nn.Dropout(dropout, rngs=rngs)
    stages["classifier"] = _blocks.uniform_dense(2 * inputs, classes, rngs=rngs)
    return nn.Chain(stages)


def _block(inputs: int, width: int, rngs: nnx.Rngs) -> nn.Chain:
    options = {"init": he_normal_out, "rngs": rngs}
    return nn.Chain(
        {
            **_blocks.conv_norm_relu(inputs, width, 3, 1, **options),
            **_blocks.conv_norm_relu(width, width, 3, 2, **options),
            "pool": nn.MaxPool((2, 2)),
        }
    )
