"""Properties that hold for all valid options, tested with hypothesis."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnn_jax.functional as F
from tests.helpers import assert_close, compiled, draw

conv, conv_transpose = compiled(F.conv), compiled(F.conv_transpose)

many = settings(max_examples=100, deadline=None, derandomize=True)
few = settings(max_examples=10, deadline=None, derandomize=True)


def per_axis(draw, axes, low, high):
    return tuple(draw(st.integers(low, high)) for _ in range(axes))


@st.composite
def windows(draw, pads=3, strides=4):
    """Sizes and options of a convolution whose window fits the padded input."""
    axes = draw(st.integers(1, 3))
    window, dilation = per_axis(draw, axes, 1, 4), per_axis(draw, axes, 1, 3)
    before, after = per_axis(draw, axes, 0, pads), per_axis(draw, axes, 0, pads)
    size = tuple(
        max(d * (k - 1) + 1 - a - b, 1) + draw(st.integers(0, 5))
        for k, d, a, b in zip(window, dilation, before, after, strict=True)
    )
    options = dict(stride=per_axis(draw, axes, 1, strides), dilation=dilation)
    return size, window, options | dict(padding=tuple(zip(before, after, strict=True)))


def arrays(windows, groups=1, channels=2):
    size, window, options = windows
    rng = np.random.default_rng(0)
    kernel = draw(rng, *window, channels, 3 * groups)
    return draw(rng, 2, *size, channels * groups), kernel, options | dict(groups=groups)


def shape(f, *shapes):
    out = jax.eval_shape(f, *(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes))
    return out.shape


@many
@given(windows(), st.integers(1, 3))
def test_conv_has_the_shape_of_the_formula(drawn, groups):
    size, window, options = drawn
    each = zip(
        size,
        window,
        options["stride"],
        options["padding"],
        options["dilation"],
        strict=True,
    )
    want = [(n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in each]
    kernel = (*window, 2, 3 * groups)
    got = shape(
        lambda x, k: F.conv(x, k, groups=groups, **options), (*size, 2 * groups), kernel
    )
    assert got == (*want, 3 * groups)


@pytest.mark.full
@many
@given(windows(), st.booleans())
def test_pools_have_the_shape_of_the_formula(drawn, ceil_mode):
    size, window, options = drawn
    spans = [d * (k - 1) + 1 for k, d in zip(window, options["dilation"], strict=True)]
    half = zip(options["padding"], spans, strict=True)
    options["padding"] = tuple((min(a, w // 2), min(b, w // 2)) for (a, b), w in half)
    size = tuple(max(n, w) for n, w in zip(size, spans, strict=True))
    want = []
    for n, w, s, p in zip(
        size, spans, options["stride"], options["padding"], strict=True
    ):
        out_size = (n + sum(p) - w) // s + 1
        one_more = (n + sum(p) - w) % s and out_size * s < n + p[0]
        want.append(out_size + (ceil_mode and one_more > 0))
    for pool in (F.max_pool, F.sum_pool, F.avg_pool):
        got = shape(
            lambda x, p=pool: p(x, window, ceil_mode=ceil_mode, **options), (*size, 2)
        )
        assert got == (*want, 2)


@many
@given(windows(pads=0), st.data())
def test_a_transpose_undoes_the_shape(drawn, data):
    size, window, options = drawn
    del options["padding"]
    channels, kernel = (*size, 2), (*window, 2, 3)
    out_size = shape(lambda x, k: F.conv(x, k, **options), channels, kernel)
    each = zip(size, window, options["stride"], options["dilation"], strict=True)
    left = tuple((n - d * (k - 1) - 1) % s for n, k, s, d in each)
    got = shape(
        lambda y, k: F.conv_transpose(y, k, output_padding=left, **options),
        out_size,
        kernel,
    )
    assert got == channels


@few
@given(windows())
def test_fold_of_unfold_counts_the_overlaps(drawn):
    size, window, options = drawn
    x = draw(np.random.default_rng(0), *size, 2)

    @jax.jit
    def there_and_back(x):
        return F.fold(F.unfold(x, window, **options), size, **options)

    assert_close(there_and_back(x), x * there_and_back(jnp.ones_like(x)))


@few
@given(windows(), st.integers(1, 2))
def test_conv_and_its_transpose_are_adjoint(drawn, groups):
    x, kernel, options = arrays(drawn, groups)
    out = conv(x, kernel, **options)
    y = draw(np.random.default_rng(1), *out.shape)
    size, window, _ = drawn
    del options["groups"]
    each = zip(size, window, *options.values(), strict=True)
    left = [(n + sum(p) - d * (k - 1) - 1) % s for n, k, s, d, p in each]
    options["groups"] = groups
    back = conv_transpose(y, kernel, output_padding=left, **options)
    assert back.shape == x.shape
    there, here = np.vdot(np.float64(out), y), np.vdot(np.float64(x), back)
    assert abs(there - here) <= 1e-5 * np.linalg.norm(out) * np.linalg.norm(y)


@pytest.mark.full
@few
@given(windows(strides=2))
def test_conv_equals_its_matrix(drawn):
    x, kernel, options = arrays(drawn)
    x = x[0]
    unit_inputs = jnp.eye(x.size).reshape(-1, *x.shape)
    matrix = conv(unit_inputs, kernel, **options).reshape(x.size, -1)
    out = conv(x, kernel, **options)
    assert_close(x.ravel() @ matrix, out.ravel())


@pytest.mark.full
@few
@given(windows(), st.floats(-2, 2))
def test_conv_is_linear(drawn, factor):
    x, kernel, options = arrays(drawn, groups=2)
    both = conv(x[0] + factor * x[1], kernel, **options)
    apart = conv(x[0], kernel, **options) + factor * conv(x[1], kernel, **options)
    assert np.abs(both - apart).max() < 1e-5 * max(np.abs(both).max(), 1)


@pytest.mark.full
@few
@given(windows(pads=0), st.integers(0, 3))
def test_conv_is_shift_equivariant(drawn, steps):
    x, kernel, options = arrays(drawn)
    moved = F.pad(x, [(steps * s, 0) for s in options["stride"]])
    inside = (slice(steps, None),) * len(options["stride"])
    assert_close(conv(moved, kernel, **options)[:, *inside], conv(x, kernel, **options))
