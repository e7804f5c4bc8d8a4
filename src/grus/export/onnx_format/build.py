"""Writes an ONNX graph node by node: names, constants, and the few shapes of operators that recur."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

#: The oldest opset in which every operator used here has the form used here (ReduceMax with its axes as an input).
OPSET = 18
IR_VERSION = 8

Dims = Sequence[int | str]
_TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
}


def value_info(name: str, dtype: str, dims: Dims) -> ValueInfoProto:
    """A typed name; a dimension that is text is symbolic."""
    return helper.make_tensor_value_info(name, _TYPES[dtype], list(dims))


@dataclass
class Builder:
    """Collects nodes and constants; every method that adds a node returns the name of its first output.

    Attributes:
        prefix: of all names.
        outer: the graph around this one, where this one is the body of a Scan; constants are kept there.
    """

    prefix: str = ""
    outer: "Builder | None" = None
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = field(default_factory=dict)
    _count: int = 0

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node and return its first output; the others are called ``<first>:1`` and so on."""
        self._count += 1
        first = f"{self.prefix}{op}_{self._count}"
        names = [first, *(f"{first}:{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=first, **attributes))
        return first

    def name(self, value: str, name: str) -> None:
        """Give a value another name."""
        self.nodes.append(helper.make_node("Identity", [value], [name], name=f"name_{name}"))

    def const(self, value: Any, dtype: str, name: str = "constant") -> str:
        """A constant; equal ones (tied weights) are stored once."""
        if self.outer is not None:
            return self.outer.const(value, dtype, name)
        array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        key = (dtype, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, f"{name}:{len(self.constants)}")
        return self.constants[key].name

    def ints(self, *values: int) -> str:
        """A constant list of whole numbers."""
        return self.const(values, "int64", "ints")

    def cast(self, value: str, dtype: str) -> str:
        """Another dtype."""
        return self.add("Cast", value, to=_TYPES[dtype])

    def dim(self, value: str, axis: int) -> str:
        """The size of an axis, int64 [1]."""
        return self.add("Shape", value, start=axis, end=axis + 1)

    def shape(self, *dims: str | int) -> str:
        """A shape from sizes that are known and sizes from `dim`."""
        parts = [self.ints(d) if isinstance(d, int) else d for d in dims]
        return self.add("Concat", *parts, axis=0)

    def unsqueeze(self, value: str, *axes: int) -> str:
        """Insert axes of size 1."""
        return self.add("Unsqueeze", value, self.ints(*axes))

    def squeeze(self, value: str, axis: int) -> str:
        """Drop an axis of size 1."""
        return self.add("Squeeze", value, self.ints(axis))

    def slice(self, value: str, start: int | str, stop: int | str, axis: int) -> str:
        """The part [start, stop) of an axis."""
        ends = [self.ints(end) if isinstance(end, int) else end for end in (start, stop)]
        return self.add("Slice", value, *ends, self.ints(axis))

    def zeros(self, dtype: str, *dims: str | int) -> str:
        """Zeros of a shape."""
        return self.add("Expand", self.const(0, dtype), self.shape(*dims))

    def graph(
        self, name: str, inputs: Iterable[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> GraphProto:
        """The graph of what the outputs need; nodes and inputs that nothing needs are left out."""
        wanted = {output.name for output in outputs}
        kept: list[NodeProto] = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
                wanted.update(_outer_names(node))
        used = [tensor for tensor in self.constants.values() if tensor.name in wanted]
        return helper.make_graph(
            kept[::-1], name, [value for value in inputs if value.name in wanted], list(outputs), used
        )


def _outer_names(node: NodeProto) -> set[str]:
    """What the bodies inside a node read; their own names do no harm, all names being different."""
    return {
        name
        for attribute in node.attribute
        if attribute.HasField("g")
        for inner in attribute.g.node
        for name in inner.input
    }
