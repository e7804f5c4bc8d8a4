"""The operations a graph is made of: typed frozen data, one class an op.

Every op says three things about itself, and nothing about any back end:

``infer(inputs)``    output shapes by suffix: ``""`` is the node itself, ``".h"`` a second output (a final state)
``weights(inputs)``  its tensors by name and shape, in PyTorch's layouts and gate order
``time``             how it behaves in time, which decides whether it can stream (see `Time`)

The back ends (torch in ``grus.models``, NumPy and native in ``grus.runtime``, later ONNX and C) each register an
implementation by op class; `grus.spec.capability` says which must exist, and a test holds them to it.
"""

from typing import ClassVar, Literal

from grus.errors import SpecError
from grus.spec.adaptive import AdaptiveSoftmax
from grus.spec.attentive import AttentiveGRU
from grus.spec.grud import GRUD
from grus.spec.mixing import Convolution, SelfAttention
from grus.spec.op import Inputs, Op, Outputs, Time, Weights
from grus.spec.recurrent import (
    GRU,
    LSTM,
    RNN,
    GRUStep,
    LSTMStep,
    MinGRU,
    MinGRUStep,
    Recurrent,
    RecurrentStep,
    RNNStep,
)
from grus.spec.shapes import Shape, check_rate, check_size, want


class Linear(Op, frozen=True, tag="linear"):
    """y = W x + b at every step; W is [size, input size]."""

    size: int
    bias: bool = True

    def infer(self, inputs: Inputs) -> Outputs:
        check_size("Linear: size", self.size)
        x = want("Linear", inputs[0], "seq", "vec")
        return {"": Shape(x.kind, self.size, x.clock)}

    def weights(self, inputs: Inputs) -> Weights:
        weight: Weights = {"weight": (self.size, inputs[0].size)}
        return weight | {"bias": (self.size,)} if self.bias else weight


class Activation(Op, frozen=True, tag="activation"):
    """An elementwise function: relu, tanh or sigmoid."""

    function: Literal["relu", "tanh", "sigmoid"]

    def infer(self, inputs: Inputs) -> Outputs:
        if self.function not in ("relu", "tanh", "sigmoid"):
            raise SpecError(f"Activation: function must be relu, tanh or sigmoid, got {self.function!r}")
        return {"": want("Activation", inputs[0], "seq", "vec")}


class Dropout(Op, frozen=True, tag="dropout"):
    """In training each element is zeroed with probability ``rate`` and the rest scaled by 1/(1-rate); else identity.

    With ``variational`` one mask serves all steps of a row in a call (Gal and Ghahramani 2016).
    """

    rate: float
    variational: bool = False

    def infer(self, inputs: Inputs) -> Outputs:
        check_rate("Dropout: rate", self.rate)
        return {"": want("Dropout", inputs[0], "seq", "vec")}


class Embedding(Op, frozen=True, tag="embedding"):
    """y = E[token]; E is [count, size]. Row 0 is for what was missing or never seen in training."""

    count: int
    size: int

    def infer(self, inputs: Inputs) -> Outputs:
        check_size("Embedding: count", self.count)
        check_size("Embedding: size", self.size)
        x = want("Embedding", inputs[0], "tokens")
        if x.size != self.count:
            raise SpecError(f"Embedding: count is {self.count}, but its tokens are below {x.size}")
        return {"": Shape("seq" if x.clock else "vec", self.size, x.clock)}

    def weights(self, inputs: Inputs) -> Weights:
        return {"weight": (self.count, self.size)}


class Position(Op, frozen=True, tag="position"):
    """A learned vector for each step number on the input's clock: y_t = P[t]; P is [count, size]."""

    count: int
    size: int

    @property
    def time(self) -> Time:
        return "causal"

    def infer(self, inputs: Inputs) -> Outputs:
        check_size("Position: count", self.count)
        check_size("Position: size", self.size)
        x = want("Position", inputs[0], "seq")
        return {"": Shape("seq", self.size, x.clock)}

    def weights(self, inputs: Inputs) -> Weights:
        return {"weight": (self.count, self.size)}


class Columns(Op, frozen=True, tag="columns"):
    """The features from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int

    def infer(self, inputs: Inputs) -> Outputs:
        x = want("Columns", inputs[0], "seq", "vec")
        if not 0 <= self.start < self.stop <= x.size:
            raise SpecError(
                f"Columns: [{self.start}, {self.stop}) must lie within the {x.size} features of its input"
            )
        return {"": Shape(x.kind, self.stop - self.start, x.clock)}


class Concat(Op, frozen=True, tag="concat"):
    """Features side by side; a vec beside a seq is repeated at every step."""

    arity: ClassVar[tuple[int, int]] = (1, 256)

    def infer(self, inputs: Inputs) -> Outputs:
        kind, clock = _broadcast("Concat", inputs)
        size = sum(shape.size for shape in inputs)
        check_size("Concat: total size", size)
        return {"": Shape(kind, size, clock)}


class Add(Op, frozen=True, tag="add"):
    """x + y, elementwise; a vec beside a seq is repeated at every step."""

    arity: ClassVar[tuple[int, int]] = (2, 2)

    def infer(self, inputs: Inputs) -> Outputs:
        return {"": _same_size("Add", inputs)}


class Subtract(Op, frozen=True, tag="subtract"):
    """x - y, elementwise; a vec beside a seq is repeated at every step."""

    arity: ClassVar[tuple[int, int]] = (2, 2)

    def infer(self, inputs: Inputs) -> Outputs:
        return {"": _same_size("Subtract", inputs)}


class Multiply(Op, frozen=True, tag="multiply"):
    """x * y, elementwise; a vec beside a seq is repeated at every step."""

    arity: ClassVar[tuple[int, int]] = (2, 2)

    def infer(self, inputs: Inputs) -> Outputs:
        return {"": _same_size("Multiply", inputs)}


class Last(Op, frozen=True, tag="last"):
    """The mean of the last ``steps`` valid steps of each row (of all, if there are fewer), as a vec.

    With ``steps=1`` it is the last valid step. A row of length zero gives zeros.
    """

    steps: int = 1

    @property
    def time(self) -> Time:
        return "pool"

    def infer(self, inputs: Inputs) -> Outputs:
        check_size("Last: steps", self.steps)
        return {"": Shape("vec", want("Last", inputs[0], "seq").size)}


class Pool(Op, frozen=True, tag="pool"):
    """The mean or the greatest value of each feature over the valid steps of each row, as a vec.

    A row of length zero gives zeros.
    """

    how: Literal["mean", "max"]

    @property
    def time(self) -> Time:
        return "pool"

    def infer(self, inputs: Inputs) -> Outputs:
        if self.how not in ("mean", "max"):
            raise SpecError(f"Pool: how must be mean or max, got {self.how!r}")
        return {"": Shape("vec", want("Pool", inputs[0], "seq").size)}


class AttentionPool(Op, frozen=True, tag="attention_pool"):
    """y = sum_t softmax(a)_t h_t over the valid steps, a_t = v . tanh(W h_t + b); W is [size, input size].

    A row of length zero gives zeros. Yang et al. 2016, Hierarchical attention networks, equations 5 to 7.
    """

    size: int

    @property
    def time(self) -> Time:
        return "pool"

    def infer(self, inputs: Inputs) -> Outputs:
        check_size("AttentionPool: size", self.size)
        return {"": Shape("vec", want("AttentionPool", inputs[0], "seq").size)}

    def weights(self, inputs: Inputs) -> Weights:
        return {"weight": (self.size, inputs[0].size), "bias": (self.size,), "vector": (self.size,)}


class Segment(Op, frozen=True, tag="segment"):
    """Blocks of ``length`` steps become one step each: [T, C] -> [T/length, length*C], step-major.

    The result ticks on the clock ``"<clock>/<length>"``. T must be a multiple of ``length``; while streaming, a
    partial block waits for its missing steps.
    """

    length: int

    @property
    def time(self) -> Time:
        return "window"

    def infer(self, inputs: Inputs) -> Outputs:
        check_size("Segment: length", self.length)
        x = want("Segment", inputs[0], "seq")
        check_size("Segment: length * size", self.length * x.size)
        return {"": Shape("seq", self.length * x.size, f"{x.clock}/{self.length}")}


class Unsegment(Op, frozen=True, tag="unsegment"):
    """The inverse of `Segment`: [M, length*C] -> [M*length, C], back on the clock that was cut."""

    length: int

    @property
    def time(self) -> Time:
        return "window"

    def infer(self, inputs: Inputs) -> Outputs:
        check_size("Unsegment: length", self.length)
        x = want("Unsegment", inputs[0], "seq")
        clock, _, tail = x.clock.rpartition("/")
        if tail != str(self.length) or x.size % self.length:
            raise SpecError(f"Unsegment: input must be cut into segments of {self.length}, got {x}")
        return {"": Shape("seq", x.size // self.length, clock)}


__all__ = [
    "GRU",
    "GRUD",
    "LSTM",
    "OPS",
    "RNN",
    "Activation",
    "AdaptiveSoftmax",
    "Add",
    "AnyOp",
    "AttentionPool",
    "AttentiveGRU",
    "Columns",
    "Concat",
    "Convolution",
    "Dropout",
    "Embedding",
    "GRUStep",
    "LSTMStep",
    "Last",
    "Linear",
    "MinGRU",
    "MinGRUStep",
    "Multiply",
    "Op",
    "Pool",
    "Position",
    "RNNStep",
    "Recurrent",
    "RecurrentStep",
    "Segment",
    "SelfAttention",
    "Subtract",
    "Time",
    "Unsegment",
    "Weights",
]

OPS: tuple[type[Op], ...] = (
    Linear, Activation, Dropout, Embedding, Position, Columns, Concat, Add, Subtract, Multiply, Last, Pool,
    AttentionPool, Segment, Unsegment, GRU, GRUStep, LSTM, LSTMStep, RNN, RNNStep, MinGRU, MinGRUStep,
    Convolution, SelfAttention, AttentiveGRU, GRUD, AdaptiveSoftmax,
)  # fmt: skip

AnyOp = (
    Linear | Activation | Dropout | Embedding | Position | Columns | Concat | Add | Subtract | Multiply | Last
    | Pool | AttentionPool | Segment | Unsegment | GRU | GRUStep | LSTM | LSTMStep | RNN | RNNStep
    | MinGRU | MinGRUStep | Convolution | SelfAttention | AttentiveGRU | GRUD | AdaptiveSoftmax
)  # fmt: skip


def _broadcast(op: str, inputs: Inputs) -> tuple[Literal["seq", "vec"], str]:
    clocks = {want(op, shape, "seq", "vec").clock for shape in inputs if shape.kind == "seq"}
    if len(clocks) > 1:
        raise SpecError(f"{op}: inputs must tick on one clock, got {', '.join(map(repr, sorted(clocks)))}")
    for shape in inputs:
        want(op, shape, "seq", "vec")
    return ("seq", clocks.pop()) if clocks else ("vec", "")


def _same_size(op: str, inputs: Inputs) -> Shape:
    kind, clock = _broadcast(op, inputs)
    if inputs[0].size != inputs[1].size:
        raise SpecError(f"{op}: inputs must have one size, got {inputs[0].size} and {inputs[1].size}")
    return Shape(kind, inputs[0].size, clock)
