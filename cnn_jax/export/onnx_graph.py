"""An ONNX graph that is written node by node. Channels are the second axis."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.models.extras import required

CHANNELS = 1  # The axis of channels in ONNX.


def onnx_library() -> Any:
    """The module `onnx`.

    Raises:
        ModuleNotFoundError: If the extra `onnx` is not installed.
    """
    return required("onnx", "onnx", "ONNX files")


@dataclasses.dataclass
class Graph:
    """Nodes and constants of a graph, in the order in which they are computed.

    Attributes:
        opset: The version of ONNX's operators.
        path: The stage that is written; it begins the names of its values.
    """

    opset: int
    path: str = ""
    nodes: list[Any] = dataclasses.field(default_factory=list)
    constants: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    _names: set[str] = dataclasses.field(default_factory=lambda: {"input", "output"})

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Appends a node and returns the name of its output.

        Args:
            operator: One of ONNX's operators.
            *inputs: Names of values; "" for one that is left out.
            **attributes: The operator's attributes; None is left out.
        """
        given = {name: x for name, x in attributes.items() if x is not None}
        output = self._unused(operator)
        make = onnx_library().helper.make_node
        self.nodes.append(make(operator, list(inputs), [output], output, **given))
        return output

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        """Adds a constant, and returns its name, which begins with the path.

        Args:
            name: The end of its name, such as `weight`.
            array: Its value.
            dtype: Its dtype.
        """
        whole = self._unused(name)
        self.constants[whole] = np.asarray(array, dtype, order="C")
        return whole

    def axes(self, operator: str, x: str, axes: Sequence[int], **rest: Any) -> str:
        """A reduction over axes, which are an attribute before opset 18."""
        if self.opset < 18:
            return self.add(operator, x, axes=list(axes), **rest)
        return self.add(operator, x, self.constant("axes", axes, np.int64), **rest)

    def shaped(self, operator: str, x: str, sizes: Sequence[int]) -> str:
        """An operator whose second input are sizes or axes, such as `Reshape`."""
        return self.add(operator, x, self.constant("sizes", sizes, np.int64))

    def affine(self, x: str, scale: Any, shift: Any) -> str:
        """X · scale + shift, where both broadcast against `x`."""
        x = self.add("Mul", x, self.constant("scale", scale))
        return self.add("Add", x, self.constant("shift", shift))

    def _unused(self, name: str) -> str:
        """The path and the name, with a number where both are taken."""
        first = f"{self.path}/{name}".strip("/")
        numbered = (f"{first}_{i}" for i in itertools.count(2))
        free = (n for n in itertools.chain([first], numbered) if n not in self._names)
        unused = next(free)
        self._names.add(unused)
        return unused


def channels_first(array: Any) -> np.ndarray:
    """A kernel (*window, group channels, channels) with its last axes first."""
    array = np.asarray(array)
    return array.transpose(-1, -2, *range(array.ndim - 2))


def pads_of(pads: Sequence[tuple[int, int]]) -> list[int]:
    """Padding elements in ONNX's order: all before the axes, then all after."""
    return [before for before, _ in pads] + [after for _, after in pads]


def per_axis(value: Any, axes: int) -> list[int]:
    """A number, or one for each axis, as a list."""
    return [value] * axes if isinstance(value, int) else list(value)
