"""Reference implementations: the definitions as loops in float64."""

import itertools
import math

import numpy as np


def out_size(n, k, s, d, before, after):
    return (n + before + after - d * (k - 1) - 1) // s + 1


def conv(x, kernel, bias=None, *, stride, padding, dilation, groups):
    """Σ kernel[u, c, o] · x[i·s + u·d − p, c], one product at a time; no batch axes."""
    *window, group_channels, out_channels = kernel.shape
    size = x.shape[:-1]
    each = zip(size, window, stride, dilation, padding, strict=True)
    shape = tuple(out_size(n, k, s, d, *p) for n, k, s, d, p in each)
    out = np.zeros((*shape, out_channels))
    for i in np.ndindex(*shape):
        for o in range(out_channels):
            group = o // (out_channels // groups)
            for u in np.ndindex(*window):
                at = tuple(
                    a * s + b * d - p[0]
                    for a, b, s, d, p in zip(
                        i, u, stride, dilation, padding, strict=True
                    )
                )
                if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                    for c in range(group_channels):
                        value = x[(*at, group * group_channels + c)]
                        out[(*i, o)] += kernel[(*u, c, o)] * value
            if bias is not None:
                out[(*i, o)] += bias[o]
    return out


def conv_and_transposes(x, kernel, y, *, stride, padding, dilation, groups):
    """`conv` of a batch, its input gradient and its kernel gradient, tap by tap."""
    *window, group_channels, out_channels = kernel.shape
    out, dx, dkernel = np.zeros_like(y), np.zeros_like(x), np.zeros_like(kernel)
    for i in np.ndindex(*y.shape[1:-1]):
        for u in np.ndindex(*window):
            each = zip(i, u, stride, dilation, padding, strict=True)
            at = tuple(a * s + b * d - p[0] for a, b, s, d, p in each)
            if not all(0 <= a < n for a, n in zip(at, x.shape[1:-1], strict=True)):
                continue
            for g in range(groups):
                c = slice(g * group_channels, (g + 1) * group_channels)
                many = out_channels // groups
                o = slice(g * many, (g + 1) * many)
                inputs, outputs = x[:, *at, c], y[:, *i, o]
                taps = kernel[(*u, slice(None), o)]
                out[:, *i, o] += inputs @ taps
                dx[:, *at, c] += outputs @ taps.T
                dkernel[(*u, slice(None), o)] += inputs.T @ outputs
    return out, dx, dkernel


def pool(kind, x, window, *, stride, padding, dilation, ceil_mode, include_pad=True):
    """Maximum, sum, average or 3-norm of each window, one at a time; no batch axes."""
    size, shape = x.shape[:-1], []
    for n, k, s, d, p in zip(size, window, stride, dilation, padding, strict=True):
        count = out_size(n, k, s, d, *p)
        if ceil_mode and (n + sum(p) - d * (k - 1) - 1) % s:
            # One more window, unless it would start in the padding at the end.
            count += count * s < n + p[0]
        shape.append(count)
    out = np.zeros((*shape, x.shape[-1]))
    for i in np.ndindex(*shape):
        values, counted = [], 0
        for u in np.ndindex(*window):
            at = [
                a * s + b * d - p[0]
                for a, b, s, d, p in zip(i, u, stride, dilation, padding, strict=True)
            ]
            if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                values.append(x[tuple(at)])
                counted += 1
            elif include_pad and all(
                -p[0] <= a < n + p[1] for a, n, p in zip(at, size, padding, strict=True)
            ):
                counted += 1
        total = np.sum(values, axis=0)
        out[i] = {
            "max": np.max(values, axis=0),
            "sum": total,
            "avg": total / counted,
            "lp": np.cbrt(np.sum(np.power(values, 3), axis=0)),
        }[kind]
    return out


def conv_transpose(
    x, kernel, bias=None, *, stride, padding, output_padding, dilation, groups
):
    """Each value times the kernel, added to its window; no batch axes."""
    *window, group_channels, in_channels = kernel.shape
    each = zip(x.shape, window, stride, dilation, padding, output_padding, strict=False)
    shape = tuple(
        (n - 1) * s - sum(p) + d * (k - 1) + more + 1 for n, k, s, d, p, more in each
    )
    out = np.zeros((*shape, groups * group_channels))
    for i in np.ndindex(*x.shape[:-1]):
        for u in np.ndindex(*window):
            at = tuple(
                a * s + b * d - p[0]
                for a, b, s, d, p in zip(i, u, stride, dilation, padding, strict=True)
            )
            if not all(0 <= a < n for a, n in zip(at, shape, strict=True)):
                continue
            for c in range(in_channels):
                group = c // (in_channels // groups)
                for o in range(group_channels):
                    value = kernel[(*u, o, c)] * x[(*i, c)]
                    out[(*at, group * group_channels + o)] += value
    return out if bias is None else out + bias


def unfold(x, window, *, stride, padding, dilation):
    """The patch under each window, one value at a time; no batch axes."""
    each = zip(x.shape[:-1], window, stride, dilation, padding, strict=True)
    shape = tuple(out_size(n, k, s, d, *p) for n, k, s, d, p in each)
    out = np.zeros((*shape, *window, x.shape[-1]))
    for i in np.ndindex(*shape):
        for u in np.ndindex(*window):
            at = tuple(
                a * s + b * d - p[0]
                for a, b, s, d, p in zip(i, u, stride, dilation, padding, strict=True)
            )
            if all(0 <= a < n for a, n in zip(at, x.shape[:-1], strict=True)):
                out[(*i, *u)] = x[at]
    return out


def fold(patches, size, *, stride, padding, dilation):
    """The sum of all patches at their positions; no batch axes."""
    axes = len(size)
    shape, window = patches.shape[:axes], patches.shape[axes:-1]
    out = np.zeros((*size, patches.shape[-1]))
    for i in np.ndindex(*shape):
        for u in np.ndindex(*window):
            at = tuple(
                a * s + b * d - p[0]
                for a, b, s, d, p in zip(i, u, stride, dilation, padding, strict=True)
            )
            if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                out[at] += patches[(*i, *u)]
    return out


def max_indices(x, window, *, stride, padding, dilation, shape):
    """The flat index of the first maximum of each window."""
    size, out = x.shape[:-1], np.zeros((*shape, x.shape[-1]), int)
    for i in np.ndindex(*out.shape):
        best = -1
        for u in np.ndindex(*window):
            at = [
                a * s + b * d - p[0]
                for a, b, s, d, p in zip(
                    i[:-1], u, stride, dilation, padding, strict=True
                )
            ]
            if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                new = np.ravel_multi_index(at, size)
                flat = x.reshape(-1, x.shape[-1])[:, i[-1]]
                best = new if best < 0 or flat[new] > flat[best] else best
        out[i] = best
    return out


def adaptive(kind, x, size):
    """The mean, the maximum or its index in each bin, one bin at a time."""
    out = np.zeros((*size, x.shape[-1]))
    index = np.arange(x[..., 0].size).reshape(x.shape[:-1])
    for i in np.ndindex(*size):
        part = tuple(
            slice(math.floor(a * n / m), math.ceil((a + 1) * n / m))
            for a, n, m in zip(i, x.shape[:-1], size, strict=True)
        )
        values = x[part].reshape(-1, x.shape[-1])
        first = values.argmax(axis=0)
        out[i] = {
            "avg": values.mean(axis=0),
            "max": values.max(axis=0),
            "indices": index[part].reshape(-1)[first],
        }[kind]
    return out


def pad(x, padding, *, mode, value=0.0):
    """Each position of the result by the rule of its mode; no batch axes."""
    size = x.shape[:-1]
    shape = [
        n + before + after for n, (before, after) in zip(size, padding, strict=True)
    ]
    out = np.full((*shape, x.shape[-1]), value, np.float64)
    for i in itertools.product(*map(range, shape)):
        at = [a - p[0] for a, p in zip(i, padding, strict=True)]
        if mode == "replicate":
            at = [min(max(a, 0), n - 1) for a, n in zip(at, size, strict=True)]
        if mode == "circular":
            at = [a % n for a, n in zip(at, size, strict=True)]
        if mode == "reflect":
            at = [
                (n - 1) - abs((n - 1) - abs(a)) for a, n in zip(at, size, strict=True)
            ]
        if all(0 <= a < n for a, n in zip(at, size, strict=True)):
            out[i] = x[tuple(at)]
    return out
