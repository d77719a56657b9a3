"""Image kernels: small convolutions that people chose, before networks learnt them."""

import jax.numpy as jnp
from jaxtyping import Array, Float

_KERNELS = {
    "identity": ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
    "blur": (
        (1 / 16, 2 / 16, 1 / 16),
        (2 / 16, 4 / 16, 2 / 16),
        (1 / 16, 2 / 16, 1 / 16),
    ),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "edge": ((0, -1, 0), (-1, 4, -1), (0, -1, 0)),
    "outline": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
    "emboss": ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
    "sobel_x": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "sobel_y": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "horizontal_line": ((-1, -1, -1), (2, 2, 2), (-1, -1, -1)),
    "vertical_line": ((-1, 2, -1), (-1, 2, -1), (-1, 2, -1)),
    "falling_diagonal": ((2, -1, -1), (-1, 2, -1), (-1, -1, 2)),
    "rising_diagonal": ((-1, -1, 2), (-1, 2, -1), (2, -1, -1)),
}

IMAGE_KERNELS = tuple(_KERNELS)


def image_kernel(name: str) -> Float[Array, "3 3 1 1"]:
    """A kernel with a known effect, for `conv` on grey pictures.

    `identity`, `blur` and `sharpen` add up to 1, so they keep the brightness; the
    others add up to 0 (`emboss` to 1) and answer to change alone: `edge` and `outline`
    in any direction, `sobel_x` along a row and `sobel_y` down a column, the line
    detectors to a bright line of their own direction.

    For colour, every channel takes its own copy:
    `conv(picture, jnp.repeat(image_kernel(name), 3, axis=-1), groups=3)`.

    Args:
        name: One of `IMAGE_KERNELS`.

    Returns:
        The taps as (height, width, 1, 1).

    Raises:
        ValueError: If there is no kernel of that name.

    Example:
        >>> image_kernel("sharpen")[..., 0, 0]
        Array([[ 0., -1.,  0.],
               [-1.,  5., -1.],
               [ 0., -1.,  0.]], dtype=float32)

    Source:
        Powell, "Image Kernels Explained Visually", setosa.io/ev/image-kernels.
    """
    if name not in _KERNELS:
        raise ValueError(
            f"`name` is {name!r}, but must be one of {', '.join(IMAGE_KERNELS)}."
        )
    return jnp.array(_KERNELS[name], jnp.float32)[..., None, None]
