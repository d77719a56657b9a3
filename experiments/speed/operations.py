"""Single convolutions: forward and both gradients of every shape."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from scipy import stats

import cnn_jax
import cnn_jax.functional as F
from cnn_jax import report
from experiments.speed.config import Config
from experiments.speed.libraries import pytorch
from experiments.speed.shapes import OPS, Op
from experiments.speed.timing import (
    Times,
    installed,
    libraries_of,
    ratio,
    show_times,
    take_turns,
)

OPERATIONS = {"y": "forward", "dx": "input gradient", "dk": "kernel gradient"}
SLOWER = 1.1  # Ratio from which an operation is listed as slower than XLA's.


def operations(config: Config, page: report.Page) -> dict[str, Times]:
    """Times this library, XLA's own convolution and PyTorch on every shape."""
    times = {}
    for op in OPS[:: 9 if config.quick else 1]:
        calls = _calls(op)
        for i, operation in enumerate(OPERATIONS):
            turns = {library: each[i] for library, each in calls.items()}
            times[f"{op.name} {operation}"] = take_turns(turns, config.rounds)
    note = (
        "y, dx and dk: forward, input gradient and kernel gradient. *: not used when "
        "methods were chosen."
    )
    show_times(page, "Single operations", times, note=note)
    _show_means(page, times)
    _show_slower(page, times)
    return times


def _calls(op: Op) -> dict[str, list[Callable]]:
    """Library → the three operations of one shape."""
    fast = cnn_jax.compiler_options()
    calls = {
        "cnn_jax": _jax_calls(_our_conv, op, fast),
        "plain": _jax_calls(_our_conv, op, {}),
        "XLA": _jax_calls(_xla_conv, op, {}),
        "XLA−YNN": _jax_calls(_xla_conv, op, fast),
    }
    if installed("PyTorch"):
        calls["PyTorch"] = pytorch.conv_calls(op)
    return calls


def _our_conv(x: jax.Array, kernel: jax.Array, op: Op) -> jax.Array:
    return F.conv(
        x,
        kernel,
        stride=op.stride,
        padding=op.padding,
        dilation=op.dilation,
        groups=op.groups,
    )


def _xla_conv(x: jax.Array, kernel: jax.Array, op: Op) -> jax.Array:
    axes = len(op.window)
    spatial = "DHW"[-axes:]
    return lax.conv_general_dilated(
        x,
        kernel,
        (op.stride,) * axes,
        [(op.padding, op.padding)] * axes,
        rhs_dilation=(op.dilation,) * axes,
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
        feature_group_count=op.groups,
    )


def _jax_calls(conv: Callable, op: Op, options: dict[str, str]) -> list[Callable]:
    x, kernel, y = map(jnp.asarray, op.arrays())

    def input_gradient(y: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda x: conv(x, kernel, op), x)(y)[0]

    def kernel_gradient(x: jax.Array, y: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda kernel: conv(x, kernel, op), kernel)(y)[0]

    pairs = (
        (lambda x, kernel: conv(x, kernel, op), (x, kernel)),
        (input_gradient, (y, kernel)),
        (kernel_gradient, (x, y)),
    )
    calls = []
    for function, arrays in pairs:
        compiled = jax.jit(function, compiler_options=options).lower(*arrays).compile()
        calls.append(lambda f=compiled, a=arrays: f(*a).block_until_ready())
    return calls


def _show_means(page: report.Page, times: dict[str, Times]) -> None:
    """Adds geometric means of the ratios, with held-out shapes in rows of their own."""
    others = libraries_of(times)[1:]
    rows = []
    for operation, label in OPERATIONS.items():
        for held_out in (False, True):
            series = [
                each
                for name, each in times.items()
                if name.endswith(f" {operation}") and ("*" in name) == held_out
            ]
            if series:
                means = [_mean_ratio(series, other) for other in others]
                row = [f"{label}{', held out' * held_out}", str(len(series))]
                rows.append([*row, *(f"{mean:.2f}" for mean in means)])
    page.table(["time of cnn_jax over", "shapes", *others], rows)


def _mean_ratio(series: list[Times], other: str) -> float:
    return float(stats.gmean([ratio(times, "cnn_jax", other) for times in series]))


def _show_slower(page: report.Page, times: dict[str, Times]) -> None:
    """Adds the operations that are slower than the faster of the two by XLA itself."""
    ratios = {
        name: max(ratio(series, "cnn_jax", other) for other in ("XLA", "XLA−YNN"))
        for name, series in times.items()
    }
    slower = [f"{name} ({r:.2f} times)" for name, r in ratios.items() if r > SLOWER]
    page.text(
        f"More than {SLOWER - 1:.0%} slower than the faster of XLA and XLA−YNN: "
        f"{'; '.join(slower) or 'none'}."
    )
