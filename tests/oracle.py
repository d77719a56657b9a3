"""The definitions, as loops in float64. Slow, and easy to believe."""

import itertools

import numpy as np


def places(n, k, s, d, before, after):
    return (n + before + after - d * (k - 1) - 1) // s + 1


def conv(x, kernel, bias=None, *, stride, padding, dilation, groups):
    """Σ kernel[u, c, o] · x[i·s + u·d − p, c], one number at a time; no batch axes."""
    *window, group_channels, out_channels = kernel.shape
    size = x.shape[:-1]
    each = zip(size, window, stride, dilation, padding, strict=True)
    shape = tuple(places(n, k, s, d, *p) for n, k, s, d, p in each)
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


def pool(kind, x, window, *, stride, padding, dilation, ceil_mode, include_pad=True):
    """Maximum, sum or average of each window, one window at a time; no batch axes."""
    size, shape = x.shape[:-1], []
    for n, k, s, d, p in zip(size, window, stride, dilation, padding, strict=True):
        count = places(n, k, s, d, *p)
        if ceil_mode and (n + sum(p) - d * (k - 1) - 1) % s:
            # One more window hangs over, unless it would start in the far padding.
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
        out[i] = {"max": np.max(values, axis=0), "sum": total, "avg": total / counted}[
            kind
        ]
    return out


def pad(x, padding, *, mode, value=0.0):
    """Each new place looked up by the rule of its mode; no batch axes."""
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
