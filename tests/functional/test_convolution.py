import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import signal

import cnn_jax.functional as F
from tests import oracle
from tests.helpers import assert_close, draw

METHODS = ["auto", "xla", "toeplitz"]


def unequal_options(axes):
    """Options that differ on every axis."""
    return {
        "stride": (2, 3, 1)[:axes],
        "padding": ((1, 2), (0, 3), (2, 0))[:axes],
        "dilation": (2, 1, 3)[:axes],
    }


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 2), (0, 3))])
def test_agrees_with_the_definition(rng, method, stride, dilation, groups, padding):
    arrays = draw(rng, 7, 10, 4), draw(rng, 3, 2, 4 // groups, 6), draw(rng, 6)
    options = dict(stride=stride, dilation=dilation, groups=groups, padding=padding)
    want = oracle.conv(*map(np.float64, arrays), **options)
    assert_close(F.conv(*arrays, **options, method=method), want)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("channels", [4, 36])
def test_any_number_of_axes(rng, method, axes, channels):
    x = draw(rng, *(8, 11, 9)[:axes], channels)
    kernel = draw(rng, *(3, 2, 2)[:axes], channels // 2, 6)
    want = oracle.conv(
        np.float64(x), np.float64(kernel), groups=2, **unequal_options(axes)
    )
    assert_close(
        F.conv(x, kernel, groups=2, method=method, **unequal_options(axes)), want
    )


@pytest.mark.parametrize("out_size", [1, 7, 8, 9, 17])
def test_rows_of_any_length_fit_their_tiles(rng, out_size):
    x, kernel = draw(rng, 3, out_size + 2, 2), draw(rng, 2, 3, 2, 5)
    options = dict(stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1)
    want = oracle.conv(np.float64(x), np.float64(kernel), **options)
    assert_close(F.conv(x, kernel, method="toeplitz"), want)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_same_keeps_the_size_as_xla_does(rng, axes):
    x, kernel = draw(rng, 2, *(5, 8, 7)[:axes], 3), draw(rng, *(3, 4, 2)[:axes], 3, 2)
    for stride in (1, 2, 3):
        spatial = "DHW"[-axes:]
        numbers = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
        want = jax.lax.conv_general_dilated(
            x, kernel, (stride,) * axes, "SAME", dimension_numbers=numbers
        )
        assert_close(F.conv(x, kernel, stride=stride, padding="same"), want)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_modes(rng, mode):
    x, kernel, pads = draw(rng, 2, 6, 7, 3), draw(rng, 3, 2, 3, 4), ((1, 2), (0, 3))
    around = [oracle.pad(np.float64(one), pads, mode=mode) for one in x]
    options = dict(stride=(2, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1)
    want = [oracle.conv(one, np.float64(kernel), **options) for one in around]
    got = F.conv(x, kernel, stride=(2, 1), padding=pads, padding_mode=mode)
    assert_close(got, np.stack(want))


@pytest.mark.parametrize("batch", [(), (2,), (2, 0), (2, 1, 3)])
def test_any_number_of_batch_axes(rng, batch):
    x, kernel = draw(rng, *batch, 6, 5, 2), draw(rng, 3, 2, 2, 4)
    out = F.conv(x, kernel)
    assert out.shape == (*batch, 4, 4, 4)
    for i in np.ndindex(*batch):
        assert_close(out[i], F.conv(x[i], kernel))


def test_laws(rng):
    x, y, kernel = draw(rng, 9, 8, 2), draw(rng, 9, 8, 2), draw(rng, 3, 2, 2, 4)
    assert_close(F.conv(2 * x + y, kernel), 2 * F.conv(x, kernel) + F.conv(y, kernel))
    circular = dict(padding=((1, 1), (0, 1)), padding_mode="circular")
    moved = jnp.roll(F.conv(x, kernel, **circular), (2, 1), (0, 1))
    assert_close(F.conv(jnp.roll(x, (2, 1), (0, 1)), kernel, **circular), moved)


@pytest.mark.parametrize("method", METHODS[1:])
def test_gradients_of_any_order(rng, method):
    x, kernel, bias = draw(rng, 2, 6, 7, 4), draw(rng, 3, 2, 2, 6), draw(rng, 6)

    def f(x, kernel, bias):
        return F.conv(x, kernel, bias, groups=2, method=method, **unequal_options(2))

    with jax.enable_x64(True):
        wide = [np.float64(array) for array in (x, kernel, bias)]
        check_grads(jax.jit(f), wide, order=2, modes=["fwd", "rev"])


@pytest.mark.parametrize("kernel_axis", [None, 0, 3])
@pytest.mark.parametrize("x_axis", [None, 2])
def test_vmap_is_a_loop(rng, x_axis, kernel_axis):
    if x_axis is kernel_axis is None:
        x_axis = 1
    x = draw(rng, *([2, 3, 6, 7, 4] if x_axis is None else [5, 5, 5, 7, 4]))
    kernel = draw(rng, *([3, 2, 2, 6] if kernel_axis is None else [5, 2, 2, 5, 6]))
    if kernel_axis == 0:
        kernel = draw(rng, 5, 3, 2, 2, 6)
    if kernel_axis == 3:
        kernel = draw(rng, 3, 2, 2, 5, 6)
    if x_axis is None:
        x = x[0]

    def f(x, kernel):
        return jax.value_and_grad(
            lambda k: jnp.sum(jnp.sin(F.conv(x, k, groups=2, stride=(1, 2))))
        )(kernel)

    got = jax.vmap(f, in_axes=(x_axis, kernel_axis))(x, kernel)
    for i in range(5):
        one_x = x if x_axis is None else jnp.take(x, i, x_axis)
        one_kernel = kernel if kernel_axis is None else jnp.take(kernel, i, kernel_axis)
        for many, one in zip(got, f(one_x, one_kernel), strict=True):
            assert_close(many[i], one)


def test_a_forced_method_is_kept_under_vmap():
    x, kernel = jnp.ones((5, 2, 6, 7, 4)), jnp.ones((5, 3, 2, 4, 6))
    texts = []
    for method in ("xla", "toeplitz"):
        f = jax.vmap(lambda x, k, m=method: F.conv(x, k, method=m))
        texts.append(jax.jit(f).lower(x, kernel).as_text())
    assert ["stablehlo.convolution" in text for text in texts] == [True, False]


@pytest.mark.full
def test_hessian_is_symmetric(rng):
    x, kernel = draw(rng, 4, 5, 2), draw(rng, 2, 3, 2, 1)
    hessian = jax.hessian(lambda k: jnp.sum(F.conv(x, k.reshape(kernel.shape)) ** 2))(
        kernel.ravel()
    )
    taps = jnp.eye(kernel.size).reshape(-1, *kernel.shape)
    columns = [F.conv(x, tap).ravel() for tap in taps]
    matrix = jnp.stack(columns, axis=1)
    assert_close(hessian, 2 * matrix.T @ matrix)


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_summed_in_float32(rng, dtype, method):
    x, kernel = draw(rng, 2, 9, 8, 16, dtype=dtype), draw(rng, 3, 3, 16, 4, dtype=dtype)

    def both(x, kernel):
        out, pull = jax.vjp(lambda x, k: F.conv(x, k, method=method), x, kernel)
        return out, *pull(jnp.ones_like(out))

    wide = both(x.astype(jnp.float32), kernel.astype(jnp.float32))
    for got, want in zip(both(x, kernel), wide, strict=True):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, want.astype(dtype))


# The transpose.


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 4)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((1, 2), (0, 3))])
def test_transpose_agrees_with_the_definition(
    rng, method, stride, dilation, groups, padding
):
    arrays = draw(rng, 4, 5, 6), draw(rng, 3, 2, 4 // groups, 6), draw(rng, 4)
    options = dict(stride=stride, dilation=dilation, groups=groups, padding=padding)
    options |= dict(output_padding=(max(stride[0], dilation[0]) - 1, dilation[1] // 2))
    want = oracle.conv_transpose(*map(np.float64, arrays), **options)
    assert_close(F.conv_transpose(*arrays, **options, method=method), want)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_transpose_over_any_number_of_axes(rng, axes):
    x, kernel = (
        draw(rng, 2, 1, *(4, 3, 5)[:axes], 6),
        draw(rng, *(3, 2, 2)[:axes], 2, 6),
    )
    options = unequal_options(axes) | dict(output_padding=(1, 2, 0)[:axes], groups=3)
    want = [
        oracle.conv_transpose(np.float64(a[0]), np.float64(kernel), **options)
        for a in x
    ]
    assert_close(F.conv_transpose(x, kernel, **options)[:, 0], np.stack(want))


@pytest.mark.parametrize("stride", [1, 2, (3, 5)])
@pytest.mark.parametrize("window", [(3, 4), (2, 1)])
def test_same_transposes_same(rng, stride, window):
    x, kernel = draw(rng, 2, 4, 5, 3), draw(rng, *window, 2, 3)
    out = F.conv_transpose(x, kernel, stride=stride, padding="same")
    rows, columns = (stride, stride) if isinstance(stride, int) else stride
    assert out.shape == (2, 4 * rows, 5 * columns, 2)
    y = jax.ShapeDtypeStruct(out.shape, jnp.float32)
    same = jax.linear_transpose(
        lambda y: F.conv(y, kernel, stride=stride, padding="same"), y
    )
    assert_close(out, same(x)[0])


@pytest.mark.full
def test_transpose_has_gradients_of_any_order(rng):
    x, kernel, bias = draw(rng, 2, 4, 5, 6), draw(rng, 3, 2, 2, 6), draw(rng, 4)

    def f(x, kernel, bias):
        options = unequal_options(2) | dict(groups=2, output_padding=(0, 2))
        return F.conv_transpose(x, kernel, bias, **options)

    with jax.enable_x64(True):
        wide = [np.float64(array) for array in (x, kernel, bias)]
        check_grads(jax.jit(f), wide, order=2, modes=["fwd", "rev"])


@pytest.mark.full
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_separable_conv_is_two_convolutions(rng, axes):
    x, options = draw(rng, *(7, 8, 6)[:axes], 3), unequal_options(axes)
    deep, point = draw(rng, *(3, 2, 2)[:axes], 1, 6), draw(rng, *[1] * axes, 6, 5)
    middle = oracle.conv(np.float64(x), np.float64(deep), groups=3, **options)
    want = middle @ np.float64(point).reshape(6, 5)
    bias = draw(rng, 5)
    assert_close(
        F.separable_conv(x, deep, point, bias, **options), want + np.float64(bias)
    )
    reflected = F.separable_conv(x, deep, point, padding=1, padding_mode="reflect")
    around = F.pad(x, (1,) * axes, mode="reflect")
    assert_close(reflected, F.separable_conv(around, deep, point))


@pytest.mark.full
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("method", METHODS)
def test_transpose_under_vmap_is_a_loop(rng, axes, method):
    x = draw(rng, *([5] if axes[0] == 0 else []), 2, 4, 3, 6)
    kernel = draw(rng, *([5] if axes[1] == 0 else []), 3, 2, 4, 6)

    def f(x, kernel):
        return F.conv_transpose(x, kernel, stride=2, method=method)

    got = jax.vmap(f, in_axes=axes)(x, kernel)
    for i in range(5):
        one = x[i] if axes[0] == 0 else x, kernel[i] if axes[1] == 0 else kernel
        assert_close(got[i], f(*one))


# Related operations.


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("window", [(3, 2), (4, 5)])
def test_convolve_agrees_with_scipy(rng, mode, window):
    x, kernel = draw(rng, 8, 9), draw(rng, *window)
    want = signal.convolve(np.float64(x), np.float64(kernel), mode=mode)
    assert_close(
        F.convolve(x[..., None], kernel[..., None, None], mode=mode)[..., 0], want
    )


def test_convolve_sums_channels_and_commutes(rng):
    x, kernel = draw(rng, 9, 2), draw(rng, 4, 2, 3)
    want = [
        sum(np.convolve(x[:, c], kernel[:, c, o]) for c in range(2)) for o in range(3)
    ]
    assert_close(F.convolve(x, kernel), np.stack(want, axis=-1))
    a, b = draw(rng, 6), draw(rng, 4)
    there = F.convolve(a[:, None], b[:, None, None])
    assert_close(there, F.convolve(b[:, None], a[:, None, None]))


def test_match_feature_is_the_mean_of_products(rng):
    image, feature = draw(rng, 2, 7, 8, 3), draw(rng, 3, 2, 3)
    want = [
        [
            [np.mean(one[i : i + 3, j : j + 2] * feature) for j in range(7)]
            for i in range(5)
        ]
        for one in np.float64(image)
    ]
    assert_close(F.match_feature(image, feature)[..., 0], np.array(want))
    grey = F.match_feature(image[..., 0], feature[..., 0])
    assert_close(grey, F.match_feature(image[..., :1], feature[..., :1])[..., 0])
    assert F.match_feature(draw(rng, 9), draw(rng, 4)).shape == (6,)
    assert F.match_feature(draw(rng, 5, 6, 7), draw(rng, 2, 3, 4)).shape == (4, 4, 4)
    assert F.match_feature(draw(rng, 4, 4), draw(rng, 4, 4)).shape == (1, 1)


X, KERNEL = jnp.ones((2, 5, 6, 4)), jnp.ones((3, 3, 4, 2))


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (TypeError, "`x` has 2 axes.*needs at least 3", {"x": jnp.ones((5, 4))}),
        (TypeError, "`kernel` has 2 axes, but needs 3, 4 or 5", {"kernel": X[0, 0]}),
        (TypeError, "`x` is uint8.*astype", {"x": X.astype(jnp.uint8)}),
        (
            TypeError,
            "`kernel` is bfloat16.*float32",
            {"kernel": KERNEL.astype("bfloat16")},
        ),
        (ValueError, "`x` has 4 channels.*needs 3", {"kernel": jnp.ones((3, 3, 3, 2))}),
        (
            ValueError,
            "makes 3 channels, which 2 groups",
            {"kernel": jnp.ones((3, 3, 2, 3)), "groups": 2},
        ),
        (ValueError, r"`bias` has shape \(3,\).*\(2,\)", {"bias": jnp.ones(3)}),
        (ValueError, "has size 5.*spans 7", {"kernel": jnp.ones((7, 1, 4, 2))}),
        (ValueError, "`stride` is 0.*at least 1", {"stride": 0}),
        (ValueError, "`stride` has 3 entries.*2 spatial", {"stride": (1, 2, 3)}),
        (TypeError, "`stride` is 1.5.*whole", {"stride": 1.5}),
        (ValueError, "`dilation` is -1.*at least 1", {"dilation": (1, -1)}),
        (ValueError, "`groups` is 0", {"groups": 0}),
        (ValueError, "`padding` is -1", {"padding": -1}),
        (ValueError, r"`padding` is \(\(1, 2\),\).*2 pairs", {"padding": ((1, 2),)}),
        (ValueError, "`padding` is 'full'.*\"same\"", {"padding": "full"}),
        (ValueError, "`padding_mode` is 'edge'.*'replicate'", {"padding_mode": "edge"}),
        (
            ValueError,
            "adds 6 elements to an axis of size 6.*at most 5",
            {"padding": ((0, 0), (6, 0)), "padding_mode": "reflect"},
        ),
        (ValueError, "`method` is 'winograd'.*toeplitz", {"method": "winograd"}),
    ],
)
def test_refusals(as_shipped, error, message, change):
    with pytest.raises(error, match=message):
        F.conv(**({"x": X, "kernel": KERNEL} | change))


Y, TRANSPOSED_KERNEL = jnp.ones((2, 5, 6, 4)), jnp.ones((3, 3, 2, 4))


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (TypeError, "`x` has 2 axes.*needs at least 3", {"x": Y[0, 0]}),
        (TypeError, "`x` is int32.*astype", {"x": Y.astype(jnp.int32)}),
        (ValueError, "`x` has 3 channels, but `kernel` ends in 4", {"x": Y[..., :3]}),
        (ValueError, "`x` has 4 channels, which 3 groups", {"groups": 3}),
        (ValueError, r"`bias` has shape \(4,\).*\(2,\)", {"bias": jnp.ones(4)}),
        (ValueError, "`stride` is 0", {"stride": 0}),
        (ValueError, "`dilation` is 0", {"dilation": 0}),
        (ValueError, "`padding` is -1", {"padding": -1}),
        (ValueError, "`padding` crops 8.*leaves -1", {"padding": 4}),
        (ValueError, "`padding` crops 8.*axis 1, which leaves 0", {"padding": (0, 4)}),
        (ValueError, "`output_padding` is -1", {"output_padding": -1}),
        (
            ValueError,
            "`output_padding` is 2, but must be below the stride, 2, or the dil.* 1",
            {"output_padding": 2, "stride": 2},
        ),
        (
            ValueError,
            'padding="same"` fixes the size',
            {"output_padding": 1, "stride": 2, "padding": "same"},
        ),
        (ValueError, "`method` is 'fft'", {"method": "fft"}),
    ],
)
def test_transpose_refuses(as_shipped, error, message, change):
    with pytest.raises(error, match=message):
        F.conv_transpose(**({"x": Y, "kernel": TRANSPOSED_KERNEL} | change))


def test_more_refusals(as_shipped):
    deep = jnp.ones((3, 3, 1, 4))
    with pytest.raises(
        ValueError, match=r"`pointwise` has shape \(1, 2, .*\(1, 1, 4\)"
    ):
        F.separable_conv(Y, deep, jnp.ones((1, 2, 4, 3)))
    with pytest.raises(ValueError, match="`depthwise` makes 4 channels"):
        F.separable_conv(Y, deep, jnp.ones((1, 1, 5, 3)))
    with pytest.raises(TypeError, match="`pointwise` has 3 axes.*has 4"):
        F.separable_conv(Y, deep, jnp.ones((1, 4, 3)))
    for wrong in (jnp.ones((3, 3, 2, 4)), jnp.ones((3, 3, 1, 5))):
        with pytest.raises(ValueError, match="`depthwise` ends in .*multiple of 4"):
            F.separable_conv(Y, wrong, jnp.ones((1, 1, 4, 3)))
    with pytest.raises(TypeError, match="`kernel` is None, but must be an array"):
        F.conv(Y, None)
    with pytest.raises(ValueError, match="`mode` is 'valid '.*full"):
        F.convolve(X, KERNEL, mode="valid ")
    with pytest.raises(TypeError, match="`feature` has 3 axes, but `image` has 2"):
        F.match_feature(X[0, 0], X[0])
    with pytest.raises(ValueError, match="spans 6"):
        F.match_feature(jnp.ones((4, 4)), jnp.ones((6, 2)))
