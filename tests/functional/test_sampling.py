import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from PIL import Image

import cnn_jax.functional as F
from tests.helpers import assert_close, compiled, draw

resize, grid_sample = compiled(F.resize), compiled(F.grid_sample)


def cubic(t, a):
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def sinc(t):
    return math.sin(math.pi * t) / (math.pi * t) if t else 1.0


def torchs_cubic(t):
    return cubic(t, -0.75)


FILTERS = {
    "linear": (1, lambda t: max(1 - abs(t), 0)),
    "cubic": (2, lambda t: cubic(t, -0.5)),
    "lanczos": (3, lambda t: sinc(t) * sinc(t / 3) if abs(t) < 3 else 0.0),
}


def line(values, m, method, align_corners, antialias):
    """One line of numbers resized to m, one position at a time."""
    n, out = len(values), []
    for i in range(m):
        if method == "nearest":
            out.append(values[i * n // m])
        elif method == "nearest-exact":
            out.append(values[math.floor((i + 0.5) * n / m)])
        elif method == "area":
            part = values[i * n // m : math.ceil((i + 1) * n / m)]
            out.append(sum(part) / len(part))
        elif antialias or method == "lanczos":
            support, weigh = FILTERS[method]
            stretch = max(n / m, 1) if antialias else 1
            centre = (i + 0.5) * n / m - 0.5
            near = [j for j in range(n) if abs(j - centre) < support * stretch]
            weights = [weigh((j - centre) / stretch) for j in near]
            total = sum(w * values[j] for w, j in zip(weights, near, strict=True))
            out.append(total / sum(weights))
        else:
            position = (
                i * (n - 1) / max(m - 1, 1)
                if align_corners
                else (i + 0.5) * n / m - 0.5
            )
            if method == "linear":
                position = min(max(position, 0), n - 1)
            weigh = (
                FILTERS["linear"][1]
                if method == "linear"
                else lambda t: cubic(t, -0.75)
            )
            low = math.floor(position)
            total = 0.0
            for j in range(low - 1, low + 3):
                total += weigh(position - j) * values[min(max(j, 0), n - 1)]
            out.append(total)
    return out


def resized(x, size, **options):
    """The definition, one axis after the other, in float64."""
    out = np.float64(x)
    for axis, m in enumerate(size):
        out = np.apply_along_axis(lambda v, m=m: line(list(v), m, **options), axis, out)
    return out


KINDS = [
    ("nearest", False, False),
    ("nearest-exact", False, False),
    ("area", False, False),
]
KINDS += [(m, c, False) for m in ("linear", "cubic") for c in (False, True)]
KINDS += [("lanczos", False, False)] + [(m, False, True) for m in FILTERS]


@pytest.mark.parametrize(("method", "align_corners", "antialias"), KINDS)
@pytest.mark.parametrize(
    ("size", "new"), [((7,), (3,)), ((5, 9), (8, 4)), ((4, 6, 5), (7, 6, 1))]
)
def test_resize_agrees_with_the_definition(
    rng, method, align_corners, antialias, size, new
):
    options = dict(method=method, align_corners=align_corners, antialias=antialias)
    x = draw(rng, *size, 3)
    assert_close(resize(x, new, **options), resized(x, new, **options))
    batch = resize(jnp.stack([x, 2 * x])[:, None], new, **options)
    assert_close(batch[1, 0], 2 * resized(x, new, **options))


@pytest.mark.parametrize("method", FILTERS)
def test_downsampling_agrees_with_pillow(rng, method):
    x = draw(rng, 21, 34)
    names = {"linear": "BILINEAR", "cubic": "BICUBIC", "lanczos": "LANCZOS"}
    image = Image.fromarray(np.asarray(x))
    want = image.resize((11, 8), getattr(Image.Resampling, names[method]))
    got = resize(x[..., None], (8, 11), method=method, antialias=True)
    assert_close(got[..., 0], np.asarray(want))


def read(x, coordinates, method, padding_mode, aligned):
    """One value of an image at coordinates of −1 … 1 per axis, in float64."""
    size, positions = x.shape[:-1], []
    for g, n in zip(coordinates, size, strict=True):
        positions.append((g + 1) * (n - 1) / 2 if aligned else ((g + 1) * n - 1) / 2)

    def into_range(position, n):
        if padding_mode == "zeros":
            return position
        if padding_mode == "reflection":
            low, high = (0, n - 1) if aligned else (-0.5, n - 0.5)
            if low == high:
                return 0.0
            while not low <= position <= high:
                edge = low if position < low else high
                position = 2 * edge - position
        return min(max(position, 0), n - 1)

    if method != "cubic":
        pairs = zip(positions, size, strict=True)
        positions = [into_range(p, n) for p, n in pairs]
    taps = []
    for position in positions:
        low = math.floor(position)
        if method == "nearest":
            taps.append([(round(position), 1.0)])
        elif method == "linear":
            taps.append([(low, 1 - position + low), (low + 1, position - low)])
        else:
            near = range(low - 1, low + 3)
            taps.append([(j, cubic(position - j, -0.75)) for j in near])
    total = np.zeros(x.shape[-1])
    for each in itertools.product(*taps):
        index = [j for j, _ in each]
        if method == "cubic":
            index = [int(into_range(j, n)) for j, n in zip(index, size, strict=True)]
        if all(0 <= j < n for j, n in zip(index, size, strict=True)):
            total += math.prod(w for _, w in each) * x[tuple(map(int, index))]
    return total


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    "padding_mode",
    ["zeros", pytest.param("border", marks=pytest.mark.full), "reflection"],
)
@pytest.mark.parametrize(
    "align_corners", [False, pytest.param(True, marks=pytest.mark.full)]
)
def test_grid_sample_agrees_with_the_definition(
    rng, method, padding_mode, align_corners
):
    for size, out_size in (((5,), (7,)), ((4, 6), (3, 5)), ((3, 4, 2), (2, 3, 2))):
        x = draw(rng, 2, *size, 3)
        grid = 1.5 * draw(rng, 2, *out_size, len(size))
        options = dict(
            method=method, padding_mode=padding_mode, align_corners=align_corners
        )
        images, want = np.float64(x), np.zeros((2, *out_size, 3))
        points = np.float64(grid)[..., ::-1]
        for i in np.ndindex(2, *out_size):
            settings = method, padding_mode, align_corners
            want[i] = read(images[i[0]], points[i], *settings)
        assert_close(grid_sample(x, grid, **options), want)


@pytest.mark.full
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    "size",
    [(4, 6), *(pytest.param(s, marks=pytest.mark.full) for s in ((5,), (3, 1, 2)))],
)
def test_affine_grid_maps_the_coordinates(rng, size, align_corners):
    axes = len(size)
    matrix = draw(rng, 2, axes, axes + 1)
    got = np.asarray(F.affine_grid(matrix, size, align_corners=align_corners))
    rows = np.float64(matrix)
    for i in np.ndindex(2, *size):
        ends = [1 if align_corners else 1 - 1 / n for n in size]
        position = [
            e * (2 * a / (n - 1) - 1) if n > 1 else 0.0
            for a, n, e in zip(i[1:], size, ends, strict=True)
        ]
        want = rows[i[0]] @ [*position[::-1], 1]
        np.testing.assert_allclose(got[i], want, atol=1e-5)
    identity = jnp.eye(axes, axes + 1)
    x = draw(rng, *size, 3)
    grid = F.affine_grid(identity, size, align_corners=align_corners)
    assert_close(F.grid_sample(x, grid, align_corners=align_corners), x)


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_pixel_shuffle_is_its_formula(rng, spatial):
    size, r = (2, 3, 4)[:spatial], 3
    x = draw(rng, 2, 1, *size, 2 * r**spatial)
    out = np.asarray(F.pixel_shuffle(x, r, spatial=spatial))
    x = np.asarray(x)
    assert out.shape == (2, 1, *(n * r for n in size), 2)
    for at in np.ndindex(*out.shape[2:-1]):
        within = np.ravel_multi_index([a % r for a in at], (r,) * spatial)
        position = tuple(a // r for a in at)
        for c in range(2):
            want = x[:, 0, *position, c * r**spatial + within]
            np.testing.assert_array_equal(out[:, 0, *at, c], want)
    np.testing.assert_array_equal(
        F.pixel_unshuffle(jnp.asarray(out), r, spatial=spatial), x
    )


@pytest.mark.full
@pytest.mark.parametrize(
    ("method", "padding_mode"), [("linear", "border"), ("cubic", "zeros")]
)
def test_gradients_of_any_order(rng, method, padding_mode):
    x, grid = draw(rng, 5, 2), 0.7 * jnp.tanh(draw(rng, 2, 1))

    def f(x, grid):
        return jnp.sin(F.grid_sample(x, grid, method=method, padding_mode=padding_mode))

    with jax.enable_x64(True):
        wide = np.float64(x), np.float64(grid)
        check_grads(jax.jit(f), wide, order=2, modes=["fwd", "rev"], rtol=1e-3)


@pytest.mark.full
@pytest.mark.parametrize(
    ("synonym", "method"), [("bilinear", "linear"), ("bicubic", "cubic")]
)
def test_synonyms_of_methods(rng, synonym, method):
    x, grid = draw(rng, 5, 6, 2), jnp.tanh(draw(rng, 3, 4, 2))
    for options in ({"antialias": True}, {"align_corners": True}):
        want = F.resize(x, (3, 9), method=method, **options)
        got = F.resize(x, (3, 9), method=synonym, **options)
        np.testing.assert_array_equal(got, want)
    for padding_mode in ("zeros", "reflection"):
        options = {"padding_mode": padding_mode}
        want = F.grid_sample(x, grid, method=method, **options)
        got = F.grid_sample(x, grid, method=synonym, **options)
        np.testing.assert_array_equal(got, want)


X = jnp.ones((2, 5, 6, 4))
GRID = jnp.ones((2, 3, 3, 2))


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (
            TypeError,
            "`x` is int32",
            lambda: F.resize(X.astype(int), (2, 2), method="linear"),
        ),
        (
            TypeError,
            "`size` is 2, but must be a tuple",
            lambda: F.resize(X, 2, method="linear"),
        ),
        (ValueError, "`size` is 0", lambda: F.resize(X, (2, 0), method="linear")),
        (
            ValueError,
            "`method` is 'trilinear'.*'nearest'.*'linear'.*'cubic'.*'bicubic'.*'area'",
            lambda: F.resize(X, (2, 2), method="trilinear"),
        ),
        (
            ValueError,
            "`align_corners` is True, but 'area'",
            lambda: F.resize(X, (2, 2), method="area", align_corners=True),
        ),
        (
            ValueError,
            "`antialias` is True, but 'nearest'",
            lambda: F.resize(X, (2, 2), method="nearest", antialias=True),
        ),
        (ValueError, "empty axis", lambda: F.resize(X[:, :0], (2, 2), method="linear")),
        (
            TypeError,
            r"`grid` has shape \(2, 3, 3, 4\)",
            lambda: F.grid_sample(X, jnp.ones((2, 3, 3, 4))),
        ),
        (TypeError, r"`grid` has shape \(3, 2\)", lambda: F.grid_sample(X, GRID[0, 0])),
        (
            ValueError,
            r"`grid` has batch axes \(1,\), but `x` has \(2,\)",
            lambda: F.grid_sample(X, GRID[:1]),
        ),
        (
            TypeError,
            "`grid` is bfloat16.*float32",
            lambda: F.grid_sample(X, GRID.astype("bfloat16")),
        ),
        (
            ValueError,
            "`x` has shape .*empty axis",
            lambda: F.grid_sample(X[:, :0], GRID),
        ),
        (
            ValueError,
            "`method` is 'area'.*'nearest'.*'linear'.*'bilinear'.*'cubic'.*'bicubic'",
            lambda: F.grid_sample(X, GRID, method="area"),
        ),
        (
            ValueError,
            "`padding_mode` is 'reflect'.*'reflection'",
            lambda: F.grid_sample(X, GRID, padding_mode="reflect"),
        ),
        (
            ValueError,
            r"`matrix` is \(2, 2\).*\(2, 3\)",
            lambda: F.affine_grid(jnp.eye(2), (3, 3)),
        ),
        (TypeError, "`matrix` has 1 axes", lambda: F.affine_grid(jnp.ones(3), (3, 3))),
        (ValueError, "`x` has 4 channels.*9", lambda: F.pixel_shuffle(X, 3)),
        (ValueError, "`factor` is 0", lambda: F.pixel_shuffle(X, 0)),
        (ValueError, "`x` has size 5.*`factor`, 2", lambda: F.pixel_unshuffle(X, 2)),
        (ValueError, "`spatial` is 0", lambda: F.pixel_unshuffle(X, 2, spatial=0)),
    ],
)
def test_refusals(as_shipped, error, message, call):
    with pytest.raises(error, match=message):
        call()
