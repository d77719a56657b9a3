"""What a network is, stage by stage, without running it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnn_jax.functional.checks import Number
from cnn_jax.functional.padding import as_pads
from cnn_jax.lowering import Geometry, conv_p, input_gradient_p
from cnn_jax.nn.blocks import identity
from cnn_jax.nn.chain import Block, Chain, Stage
from cnn_jax.nn.layers import ConvTranspose


class ReceptiveField(NamedTuple):
    """The receptive field of a unit, per spatial axis, in pixels of the input.

    `size` is how far a unit sees, `stride` the step from one unit's field to the next,
    and `offset` the centre of the first unit's field, where 0 is the first pixel's
    centre. Behind a `ConvTranspose` units differ, none sees further than `size`, and
    `stride` may be a fraction.
    """

    size: tuple[int, ...]
    stride: tuple[Number, ...]
    offset: tuple[Number, ...]


class Row(NamedTuple):
    """One stage. `field` is None where a unit sees the whole input."""

    name: str
    kind: str
    volume: Any
    parameters: int
    multiply_adds: int
    field: ReceptiveField | None


@dataclass(frozen=True)
class Summary:
    """The stages of a network, and their sums."""

    input_shape: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """How many products are added up for one input."""
        return sum(row.multiply_adds for row in self.rows)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The names of the columns, and a row of text per stage and for the sums."""
        rows = [["input", _volume(self.input_shape), "", "", "", "", ""]]
        for row in self.rows:
            field = ["all", "", ""]
            if row.field:
                size, stride, offset = row.field
                field = [_volume(size), _short(stride), _short(offset)]
            rows.append(
                [
                    row.name if row.kind == row.name else f"{row.name} {row.kind}",
                    _volume(row.volume),
                    f"{row.parameters:,}" if row.parameters else "",
                    f"{row.multiply_adds:,}" if row.multiply_adds else "",
                    *field,
                ]
            )
        sums = f"{self.parameters:,}", f"{self.multiply_adds:,}"
        columns = ["stage", "volume", "parameters", "multiply-adds"]
        columns += ["sees", "stride", "offset"]
        return columns, [*rows, ["total", "", *sums, "", "", ""]]

    def __rich__(self) -> Table:
        columns, rows = self.table()
        table = Table(box=None, pad_edge=False)
        for name in columns:
            justify = "left" if name == "stage" else "right"
            # On a narrow screen, text continues in the next line instead of being cut.
            table.add_column(name, justify=justify, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))  # A name such as "[a]" is no markup.
        return table

    def __str__(self) -> str:
        columns, rows = self.table()
        cells = zip(columns, *rows, strict=True)
        widths = [max(map(cell_len, column)) for column in cells]
        console = Console(width=sum(widths) + 2 * len(widths))  # 2 for the gap.
        with console.capture() as capture:
            console.print(self)
        return capture.get()


def summary(net: Chain, input_shape: tuple[int, ...]) -> Summary:
    """The volume after every stage, its parameters, multiply-adds and receptive field.

    Nothing is computed: shapes are followed through every stage, and the products of
    its convolutions and matrix products counted. With window k, dilation d, stride s
    and p places before an axis, a stage turns the field (r, j, o) of what it reads into

        r + ⌈d·(k − 1)·j⌉,   j·s,   o + (d·(k − 1) / 2 − p)·j

    a transposed convolution into

        r + ⌈⌊d·(k − 1) / s⌋·j⌉,   j / s,   o − (d·(k − 1) / 2 − p)·j / s

    and a stage without a window leaves it, if it leaves the spatial axes; otherwise its
    units see the whole input.

    Args:
        net: The network.
        input_shape: Of one input, without batch axes: (height, width, channels), say.

    Returns:
        A record with one row per stage; `print` and rich show it as a table.

    Raises:
        ValueError: If a stage refuses what the one before gives; the message names it.

    Example:
        >>> from cnn_jax import nn
        >>> net = Chain({"conv": nn.Conv(1, 4, (3, 3), rngs=nnx.Rngs(0))})
        >>> row, = summary(net, (9, 9, 1)).rows
        >>> row.volume, row.parameters, row.multiply_adds
        ((7, 7, 4), 40, 1764)
        >>> row.field
        ReceptiveField(size=(3, 3), stride=(1, 1), offset=(1.0, 1.0))

    Source:
        Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural
        Networks", Distill, 2019.
    """
    axes = len(input_shape) - 1
    net = nnx.view(
        net,
        raise_if_not_found=False,
        deterministic=True,
        use_running_average=True,
    )
    x = jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32)
    field = ReceptiveField((1,) * axes, (1,) * axes, (0.0,) * axes)
    rows, _, _ = _walk("", net, x, field)
    return Summary(tuple(input_shape), tuple(rows))


Walked = tuple[list[Row], Any, ReceptiveField | None]


def _walk(path: str, stage: Any, x: Any, field: ReceptiveField | None) -> Walked:
    """The rows of a stage and of those inside, what it gives, and the field of that."""
    if isinstance(stage, Chain):
        rows = []
        for name in stage.names:
            inner = f"{path}/{name}".strip("/")
            more, x, field = _walk(inner, stage.stages[name], x, field)
            rows += more
        return rows, x, field
    if isinstance(stage, Block):
        ways = [
            _walk(f"{path}/{name}".strip("/"), way, x, field)
            for name, way in stage.ways()
        ]
        rows = [row for more, _, _ in ways for row in more]
        _, out = _followed(path, stage, x)
        joined = _joined([field for _, _, field in ways])
        return [*rows, Row(path, _kind(stage), out.shape, 0, 0, joined)], out, joined
    jaxpr, out = _followed(path, stage, x)
    field = _field_after(stage, x, out, field)
    row = Row(
        name=path,
        kind=_kind(stage),
        volume=jax.tree.map(jnp.shape, out),
        parameters=_parameters(stage),
        multiply_adds=sum(map(_multiply_adds, _equations(jaxpr.jaxpr))),
        field=field,
    )
    return [] if stage is identity else [row], out, field


def _kind(stage: Any) -> str:
    return getattr(stage, "__name__", type(stage).__name__)


def _followed(path: str, stage: Stage, x: Any) -> tuple[Any, Any]:
    """What a stage computes and gives, by shapes alone."""
    try:
        follow = jax.make_jaxpr(_pure(stage), return_shape=True)
        return follow(_state(stage), x)
    except (TypeError, ValueError) as error:
        seen = _volume(jax.tree.map(jnp.shape, x))
        raise type(error)(f"stage {path!r}, given {seen}: {error}") from error


def _joined(fields: list[ReceptiveField | None]) -> ReceptiveField | None:
    """The field of a unit that reads several ways: from the nearest to the farthest."""
    if None in fields:
        return None
    axes = zip(*(zip(*field, strict=True) for field in fields if field), strict=True)
    joined = []
    for ways in axes:
        low = min(o - (r - 1) / 2 for r, _, o in ways)
        high = max(o + (r - 1) / 2 for r, _, o in ways)
        joined.append((int(high - low) + 1, ways[0][1], (low + high) / 2))
    return ReceptiveField(*zip(*joined, strict=True))


def _state(stage: Stage) -> Any:
    return nnx.split(stage)[1] if isinstance(stage, nnx.Module) else None


def _pure(stage: Stage) -> Any:
    """The stage as a function of its state and its input, so that shapes will do."""
    if not isinstance(stage, nnx.Module):
        return lambda _, x: stage(x)
    graph = nnx.split(stage)[0]
    return lambda state, x: nnx.merge(graph, state)(x)


def _parameters(stage: Stage) -> int:
    if not isinstance(stage, nnx.Module):
        return 0
    leaves = jax.tree.leaves(nnx.state(stage, nnx.Param))
    return sum(math.prod(leaf.shape) for leaf in leaves)


def _equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation, also of functions called inside, as often as they run."""
    for equation in jaxpr.eqns:
        yield equation
        times = (
            equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        )
        for inner in jax.tree.leaves(tuple(equation.params.values())):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from list(_equations(inner)) * times


def _multiply_adds(equation: Any) -> int:
    outputs = math.prod(equation.outvars[0].aval.shape)
    shapes = [v.aval.shape for v in equation.invars]
    if equation.primitive in (conv_p, input_gradient_p):
        maps, kernels = equation.params["networks"]
        taps = math.prod(shapes[1][kernels:-1])
        if equation.primitive is conv_p:
            return outputs * taps
        times = equation.outvars[0].aval.shape[0] if kernels and not maps else 1
        return times * math.prod(shapes[0]) * taps  # What `conv_transpose` runs.
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return outputs * math.prod(shapes[0][i] for i in contracted)
    if equation.primitive.name == "conv_general_dilated":
        out_channels = shapes[1][equation.params["dimension_numbers"].rhs_spec[0]]
        return outputs * math.prod(shapes[1]) // out_channels
    return 0


def _field_after(
    stage: Any, x: Any, out: Any, field: ReceptiveField | None
) -> ReceptiveField | None:
    out = out[0] if isinstance(out, tuple) else out  # Maxima come with their indices.
    if field is None or not hasattr(x, "shape") or out.ndim != x.ndim:
        return None
    axes, size = len(field.size), x.shape[:-1]
    if not isinstance(getattr(stage, "window", None), tuple):
        return field if out.shape[:-1] == size and len(size) == axes else None
    # A window of fewer axes leaves the first ones as they are.
    single = [(1, 1, 1, 0)] * (axes - len(stage.window))
    windows = single + _windows(stage, size[len(single) :])
    spread = isinstance(stage, ConvTranspose)
    each = zip(*field, windows, strict=True)
    return ReceptiveField(
        *zip(*(_after(*axis, spread=spread) for axis in each), strict=True)
    )


def _windows(stage: Any, size: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Window, stride, dilation and near pad of a stage, for each of its axes."""

    def every(value: Any) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * len(size)

    window, dilation = stage.window, every(stage.dilation)
    stride = window if stage.stride is None else every(stage.stride)
    if stage.padding == "same" and isinstance(stage, ConvTranspose):
        size = tuple(n * s for n, s in zip(size, stride, strict=True))
    pads = as_pads(stage.padding, Geometry(size, window, stride, (), dilation))
    near = [before for before, _ in pads]
    return list(zip(window, stride, dilation, near, strict=True))


def _after(
    r: int,
    j: Number,
    o: Number,
    window: tuple[int, int, int, int],
    *,
    spread: bool,
) -> tuple[int, Number, Number]:
    """The field (r, j, o) along one axis, seen through one more window."""
    k, s, d, p = window
    reach, shift = d * (k - 1), d * (k - 1) / 2 - p
    if spread:  # One value in s of what it writes; the others take turns.
        step = j // s if j % s == 0 else j / s
        return r + math.ceil(reach // s * j), step, o - shift * j / s
    return r + math.ceil(reach * j), j * s, o + shift * j


def _short(numbers: tuple[int | float, ...]) -> str:
    """One number where all axes agree."""
    return _volume(numbers[:1] if len(set(numbers)) == 1 else numbers)


def _volume(shape: Any) -> str:
    """Sizes as people write them: 28×28×1."""
    if not isinstance(shape, tuple):
        return str(shape)
    return "×".join(
        f"{n:g}" if isinstance(n, int | float) else _volume(n) for n in shape
    )
