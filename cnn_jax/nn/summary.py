"""A table of a network's stages: sizes, costs and receptive fields."""

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

from cnn_jax.lowering import conv_p, input_gradient_p
from cnn_jax.nn import receptive_field
from cnn_jax.nn.chain import Block, Chain, Stage
from cnn_jax.nn.receptive_field import ReceptiveField
from cnn_jax.nn.walk import INPUT, Node, format_shape, walk


class Row(NamedTuple):
    """One stage of a network.

    Attributes:
        name: Its path.
        kind: Its class, or the name of its function.
        volume: Shape of its output, or a tuple of shapes.
        parameters: Number of trainable numbers.
        multiply_adds: Number of multiply-adds for one input.
        receptive_field: Of a unit of its output; None for the whole input.
    """

    name: str
    kind: str
    volume: Any
    parameters: int
    multiply_adds: int
    receptive_field: ReceptiveField | None


@dataclass(frozen=True)
class Summary:
    """The stages of a network, and their totals."""

    input_shape: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """Number of trainable numbers in all stages."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Number of multiply-adds for one input in all stages."""
        return sum(row.multiply_adds for row in self.rows)

    def headline(self) -> str:
        """Parameters and multiply-adds in a few words.

        Example:
            >>> row = Row("conv", "Conv", (7, 7, 4), 40, 1764, None)
            >>> Summary((9, 9, 1), (row,)).headline()
            '40 parameters, 1.76 k multiply-adds'
        """
        cost = f"{_short(self.multiply_adds)} multiply-adds"
        return f"{_short(self.parameters)} parameters, {cost}"

    def upto(self, depth: int) -> "Summary":
        """The summary with blocks that are nested deeper as one row each.

        Args:
            depth: The number of levels that have rows; 1 for one row per block.

        Returns:
            A summary with the same totals.

        Raises:
            ValueError: If `depth` is below 1.
        """
        if depth < 1:
            raise ValueError(f"`depth` is {depth}, but must be at least 1.")
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            path = "/".join(row.name.split("/")[:depth])
            groups.setdefault(path, []).append(row)
        merged = tuple(_merged(path, rows) for path, rows in groups.items())
        return Summary(self.input_shape, merged)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The names of the columns, and a row of text per stage and for the totals."""
        columns = ["stage", "volume", "parameters", "multiply-adds"]
        columns += ["receptive field", "stride"]
        first = ["input", format_shape(self.input_shape), "", "", "", ""]
        totals = [f"{self.parameters:,}", _short(self.multiply_adds)]
        last = ["total", "", *totals, "", ""]
        return columns, [first, *map(_cells, self.rows), last]

    def __rich__(self) -> Table:
        columns, rows = self.table()
        table = Table(box=None, pad_edge=False)
        for name in columns:
            justify = "left" if name == "stage" else "right"
            # In a narrow terminal, text continues on the next line instead of being
            # cut. A header of two words takes two lines.
            header = name.replace(" ", "\n").replace("-", "-\n")
            table.add_column(header, justify=justify, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))  # A name such as "[a]" is not markup.
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
    """Returns shape, parameters, multiply-adds and receptive field of every stage.

    Nothing is computed: shapes are followed through every stage, and the products of
    its convolutions and matrix products are counted. A stage with window k, dilation d,
    stride s and p padding elements before an axis maps the receptive field (r, j, o) of
    its input, of size r, stride j and offset o, to

        r + ⌈d·(k − 1)·j⌉,   j·s,   o + (d·(k − 1) / 2 − p)·j

    a transposed convolution to

        r + ⌈⌊d·(k − 1) / s⌋·j⌉,   j / s,   o − (d·(k − 1) / 2 − p)·j / s

    and a stage without a window preserves it if it preserves the spatial axes;
    otherwise its units depend on the whole input.

    Args:
        net: The network.
        input_shape: Of one input, without batch axes, such as (height, width,
            channels).

    Returns:
        A record with one row per stage; `print` and rich show it as a table.

    Raises:
        TypeError: If a stage refuses its input; the message has the stage's path.
        ValueError: Likewise.

    Example:
        >>> from cnn_jax import nn
        >>> net = Chain({"conv": nn.Conv(1, 4, (3, 3), rngs=nnx.Rngs(0))})
        >>> row, = summary(net, (9, 9, 1)).rows
        >>> row.volume, row.parameters, row.multiply_adds
        ((7, 7, 4), 40, 1764)
        >>> row.receptive_field
        ReceptiveField(size=(3, 3), stride=(1, 1), offset=(1.0, 1.0))

    Source:
        Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural
        Networks", Distill, 2019.
    """
    x = jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32)
    fields: dict[str, ReceptiveField | None] = {
        INPUT: receptive_field.of_pixels(len(input_shape) - 1)
    }
    rows = []
    for node in walk(net, x):
        fields[node.path] = _receptive_field(node, fields)
        rows.append(_row(node, fields[node.path]))
    return Summary(tuple(input_shape), tuple(rows))


def _receptive_field(
    node: Node, fields: dict[str, ReceptiveField | None]
) -> ReceptiveField | None:
    first, *branches = (fields[source] for source in node.sources)
    if branches:
        return receptive_field.union(branches)
    return receptive_field.after(node.stage, node.input, node.output, first)


def _row(node: Node, field: ReceptiveField | None) -> Row:
    stage = node.stage
    return Row(
        name=node.path,
        kind=getattr(stage, "__name__", type(stage).__name__),
        volume=jax.tree.map(jnp.shape, node.output),
        parameters=_parameters(stage),
        multiply_adds=sum(map(_multiply_adds, equations(node.jaxpr.jaxpr))),
        receptive_field=field,
    )


def _merged(path: str, rows: list[Row]) -> Row:
    """One row for a block: its output, and the sums of its stages."""
    if len(rows) == 1 and rows[0].name == path:
        return rows[0]
    own = [row.kind for row in rows if row.name == path]
    return rows[-1]._replace(
        name=path,
        kind=own[0] if own else path,
        parameters=sum(row.parameters for row in rows),
        multiply_adds=sum(row.multiply_adds for row in rows),
    )


def _short(number: int) -> str:
    """A count with three digits and k, M or G; counts below 1,000 as they are."""
    for factor, unit in (10**9, "G"), (10**6, "M"), (10**3, "k"):
        if number >= factor:
            digits = 2 - int(math.log10(number / factor))
            return f"{number / factor:.{digits}f} {unit}"
    return str(number)


def _cells(row: Row) -> list[str]:
    """The text of a row; numbers that are 0 are left out."""
    field = ["all", ""]
    if row.receptive_field:
        size, stride, _ = row.receptive_field
        field = [format_shape(size), _per_axis(stride)]
    return [
        row.name if row.kind == row.name else f"{row.name} {row.kind}",
        format_shape(row.volume),
        f"{row.parameters:,}" if row.parameters else "",
        _short(row.multiply_adds) if row.multiply_adds else "",
        *field,
    ]


def _per_axis(numbers: tuple[int | float, ...]) -> str:
    """One number where all axes agree."""
    return format_shape(numbers[:1] if len(set(numbers)) == 1 else numbers)


def _parameters(stage: Stage) -> int:
    """Number of trainable numbers of a stage, of a block without its branches."""
    own = _variables(stage)
    if isinstance(stage, Block):  # Its branches have rows of their own.
        for _, branch in stage.named_branches():
            own = {key: own[key] for key in own.keys() - _variables(branch).keys()}
    return sum(math.prod(variable.shape) for variable in own.values())


def _variables(stage: Stage) -> dict[int, nnx.Param]:
    """The trainable variables of a stage by identity, each once."""
    if not isinstance(stage, nnx.Module):
        return {}
    nodes = (node for _, node in nnx.iter_graph(stage))
    return {id(node): node for node in nodes if isinstance(node, nnx.Param)}


def equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation, also of functions called inside, once per execution.

    Args:
        jaxpr: As `jax.make_jaxpr` returns it, in its `jaxpr`.

    Yields:
        The equations.
    """
    for equation in jaxpr.eqns:
        yield equation
        is_scan = equation.primitive.name == "scan"
        times = equation.params["length"] if is_scan else 1
        for inner in jax.tree.leaves(tuple(equation.params.values())):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from list(equations(inner)) * times


def _multiply_adds(equation: Any) -> int:
    outputs = math.prod(equation.outvars[0].aval.shape)
    shapes = [v.aval.shape for v in equation.invars]
    if equation.primitive in (conv_p, input_gradient_p):
        maps, kernels = equation.params["networks"]
        taps = math.prod(shapes[1][kernels:-1])
        if equation.primitive is conv_p:
            return outputs * taps
        times = equation.outvars[0].aval.shape[0] if kernels and not maps else 1
        return times * math.prod(shapes[0]) * taps  # The primitive of conv_transpose.
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return outputs * math.prod(shapes[0][i] for i in contracted)
    if equation.primitive.name == "conv_general_dilated":
        out_channels = shapes[1][equation.params["dimension_numbers"].rhs_spec[0]]
        return outputs * math.prod(shapes[1]) // out_channels
    return 0
