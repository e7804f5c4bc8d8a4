"""What the ONNX lowerings of the ops work on, and what those of recurrent layers have in common.

A lowering adds its nodes and returns its outputs by suffix; see `grus.export.onnx_format.ops`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ValueInfoProto

from grus.export.onnx_format.build import Builder, Dims, value_info

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Value:
    """A tensor by name; ``lengths`` is the name of its rows' valid steps, int64 [B], or empty without a clock."""

    name: str
    size: int
    lengths: str = ""

    @property
    def is_seq(self) -> bool:
        """Whether it is [B, T, size] and not [B, size]."""
        return bool(self.lengths)


@dataclass(frozen=True)
class StatePort:
    """A state: the node it belongs to, its input and output, dtype and dimensions (text: symbolic)."""

    node: str
    input: str
    output: str
    dtype: str
    dims: Dims


@dataclass
class Lowering:
    """What a lowering works on.

    Attributes:
        b: the graph.
        streams: whether the graph can run in chunks, so that all ops carry states; else only GRUs take and give them.
        batch: the number of rows, int64 [1].
        full: by clock, the number of steps (int64 [1]) and the lengths (int64 [B]) of its inputs.
    """

    b: Builder
    streams: bool
    batch: str
    full: dict[str, tuple[str, str]]
    states: list[StatePort] = field(default_factory=list)

    def state(self, node: str, name: str, dtype: str, *dims: int | str) -> str:
        """A state input [B, *dims]."""
        port = f"{node}.{name}"
        self.states.append(StatePort(node, port, f"{port}.next", dtype, ("batch", *dims)))
        return port

    def before(self, node: str, name: str, dtype: str, *dims: int) -> str:
        """A state input where the graph streams, else zeros."""
        if self.streams:
            return self.state(node, name, dtype, *dims)
        return self.b.zeros(dtype, self.batch, *dims)

    def after(self, node: str, name: str, value: str) -> None:
        """What a state is afterwards."""
        if any(state.input == f"{node}.{name}" for state in self.states):
            self.b.name(value, f"{node}.{name}.next")

    def inputs(self) -> list[ValueInfoProto]:
        """The state inputs."""
        return [value_info(state.input, state.dtype, state.dims) for state in self.states]

    def outputs(self) -> list[ValueInfoProto]:
        """The state outputs."""
        return [value_info(state.output, state.dtype, state.dims) for state in self.states]

    def valid(self, x: Value) -> str:
        """Which steps are valid, bool [B, T]."""
        b = self.b
        return b.add("Less", self.steps(x.name), b.unsqueeze(x.lengths, 1))

    def steps(self, x: str) -> str:
        """0 to T - 1, int64 [T]."""
        b = self.b
        return b.add("Range", b.const(0, "int64"), b.squeeze(b.dim(x, 1), 0), b.const(1, "int64"))


@dataclass(frozen=True)
class Call:
    """A node to lower: its name, op, weights by their own names, inputs, and the size and clock of its output."""

    name: str
    op: Any
    weights: Weights
    inputs: tuple[Value, ...]
    size: int
    clock: str

    @property
    def x(self) -> Value:
        """The first input."""
        return self.inputs[0]

    def out(self, name: str) -> dict[str, Value]:
        """One output with the clock of the first input."""
        return {"": Value(name, self.size, self.x.lengths)}


Values = dict[str, Value]
Lower = Callable[[Lowering, Call], Values]

#: One layer: its number, x [T, B, I], its states [D, B, H] and lengths -> y [T, B, D * H], and its final states.
RunLayer = Callable[[int, str, list[str], str], tuple[str, list[str]]]


def run_stack(to: Lowering, call: Call, run_layer: RunLayer) -> Values:
    """Lower the layers of a recurrent op, one on top of the other."""
    b, op, x = to.b, call.op, call.x
    size = op.parts * op.hidden
    shape = b.ints(0, op.parts, op.hidden)
    before = [
        b.add("Transpose", b.add("Reshape", state, shape), perm=[1, 0, 2])
        for state in initial_states(to, call, (size,) * len(op.states), op.states, call.inputs[1:])
    ]
    y = b.add("Transpose", x.name, perm=[1, 0, 2])
    finals: list[list[str]] = []
    for layer in range(op.layers):
        begin = layer * op.directions
        start = [b.slice(s, begin, begin + op.directions, 0) if op.layers > 1 else s for s in before]
        y, final = run_layer(layer, y, start, x.lengths)
        finals.append(final)
    outputs = call.out(b.add("Transpose", y, perm=[1, 0, 2]))
    for suffix, parts in zip(op.states, zip(*finals, strict=True), strict=True):
        final = b.add("Concat", *parts, axis=0) if op.layers > 1 else parts[0]
        final = b.add("Reshape", b.add("Transpose", final, perm=[1, 0, 2]), b.ints(0, size))
        to.after(call.name, suffix[1:], final)
        outputs[suffix] = Value(final, size)
    return outputs


def initial_states(
    to: Lowering, call: Call, sizes: tuple[int, ...], states: tuple[str, ...], given: tuple[Value, ...]
) -> list[str]:
    """What a node starts from: what was carried, or until a row has begun, the initial states that it is given."""
    b, names = to.b, [suffix[1:] for suffix in states]
    if given and not to.streams:
        return [value.name for value in given]
    carried = [to.state(call.name, name, "float32", size) for name, size in zip(names, sizes, strict=True)]
    if not given:
        return carried
    begun = to.state(call.name, "begun", "bool")
    begins = b.add("Greater", call.x.lengths, b.const(0, "int64"))
    to.after(call.name, "begun", b.add("Or", begun, begins))
    column = b.unsqueeze(begun, 1)
    return [b.add("Where", column, c, value.name) for c, value in zip(carried, given, strict=True)]
