"""The recurrent ops: GRU, LSTM, simple RNN, MinGRU, over a sequence or once from a state; part of `grus.spec.ops`."""

from typing import ClassVar, Literal

from grus.errors import SpecError
from grus.spec.op import Inputs, Op, Outputs, Time, Weights
from grus.spec.shapes import Shape, check_rate, check_size, want

NONLINEARITIES = ("tanh", "relu")


class Recurrent(Op, frozen=True):
    """Base of the layers of recurrent cells, stacked and optionally in both directions.

    Inputs: a seq, and optionally the initial state: a vec [layers * directions * hidden] for each of ``states``, layer
    by layer and the directions of a layer side by side. Outputs: the last layer at every step, its directions side by
    side, and the final ``states``. Tensors are named as in torch.nn. ``title`` is what people are told it is.
    """

    title: ClassVar[str]
    gates: ClassVar[int] = 1
    states: ClassVar[tuple[str, ...]] = (".h",)
    hidden: int
    layers: int = 1
    bidirectional: bool = False
    bias: bool = True

    @property
    def time(self) -> Time:
        return "whole" if self.bidirectional else "causal"

    @property
    def directions(self) -> int:
        """2 if bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def parts(self) -> int:
        """How many states of ``hidden`` units there are: layers times directions."""
        return self.layers * self.directions

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the tensors' names end in, in the order of the parts of a state."""
        ways = ("", "_reverse")[: self.directions]
        return tuple(f"l{layer}{way}" for layer in range(self.layers) for way in ways)

    def infer(self, inputs: Inputs) -> Outputs:
        check_size(f"{self.name}: hidden", self.hidden)
        check_size(f"{self.name}: layers", self.layers, high=64)
        x = want(self.name, inputs[0], "seq")
        state = Shape("vec", self.parts * self.hidden)
        _check_states(f"{self.name}: initial state", self.states, inputs[1:], state.size, optional=True)
        return {"": Shape("seq", self.directions * self.hidden, x.clock)} | dict.fromkeys(self.states, state)

    def weights(self, inputs: Inputs) -> Weights:
        shapes: Weights = {}
        size, rows = inputs[0].size, self.gates * self.hidden
        for layer in range(self.layers):
            for suffix in self.suffixes[layer * self.directions : (layer + 1) * self.directions]:
                shapes[f"weight_ih_{suffix}"] = (rows, size)
                shapes[f"weight_hh_{suffix}"] = (rows, self.hidden)
                if self.bias:
                    shapes[f"bias_ih_{suffix}"] = shapes[f"bias_hh_{suffix}"] = (rows,)
            size = self.directions * self.hidden
        return shapes


class GRU(Recurrent, frozen=True, tag="gru"):
    """Gated recurrent unit over a sequence, stacked and optionally in both directions; also outputs ``name.h``.

    Inputs: a seq, and optionally the initial state, a vec [layers * directions * hidden]. The equations and the gate
    order (r, z, n) stand in `grus.kernels.reference`; tensors are named as in torch.nn.GRU.
    """

    title: ClassVar[str] = "gated recurrent unit"
    arity: ClassVar[tuple[int, int]] = (1, 2)
    gates: ClassVar[int] = 3
    reset_after: bool = True
    layer_norm: bool = False
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0

    def infer(self, inputs: Inputs) -> Outputs:
        for what in ("dropout", "recurrent_dropout", "zoneout"):
            check_rate(f"GRU: {what}", getattr(self, what))
        return super().infer(inputs)

    def weights(self, inputs: Inputs) -> Weights:
        shapes = super().weights(inputs)
        for suffix in self.suffixes if self.layer_norm else ():
            shapes[f"gain_ih_{suffix}"] = shapes[f"gain_hh_{suffix}"] = (self.gates * self.hidden,)
        return shapes


class LSTM(Recurrent, frozen=True, tag="lstm"):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with a forget gate) over a sequence, as torch.nn.LSTM.

        i, f, o = sigmoid(W_i x + b_i + U_i h + d_i), the same with f, the same with o
        g = tanh(W_g x + b_g + U_g h + d_g)
        c' = f * c + i * g
        h' = o * tanh(c')

    Also outputs ``name.h`` and ``name.c``. Inputs: a seq, and optionally the initial h and c, both or neither. Gate
    order i, f, g, o; ``dropout`` acts between layers.
    """

    title: ClassVar[str] = "long short-term memory"
    arity: ClassVar[tuple[int, int]] = (1, 3)
    gates: ClassVar[int] = 4
    states: ClassVar[tuple[str, ...]] = (".h", ".c")
    dropout: float = 0.0

    def infer(self, inputs: Inputs) -> Outputs:
        check_rate("LSTM: dropout", self.dropout)
        return super().infer(inputs)


class RNN(Recurrent, frozen=True, tag="rnn"):
    """The simple recurrent network (Elman 1990) over a sequence, as torch.nn.RNN: h' = f(W x + b + U h + d).

    f is ``nonlinearity``, tanh or relu. Also outputs ``name.h``; ``dropout`` acts between layers.
    """

    title: ClassVar[str] = "simple recurrent network"
    arity: ClassVar[tuple[int, int]] = (1, 2)
    dropout: float = 0.0
    nonlinearity: Literal["tanh", "relu"] = "tanh"

    def infer(self, inputs: Inputs) -> Outputs:
        check_rate("RNN: dropout", self.dropout)
        _check_nonlinearity("RNN", self.nonlinearity)
        return super().infer(inputs)


class MinGRU(Recurrent, frozen=True, tag="mingru"):
    """Minimal gated recurrent unit (Feng et al. 2024) over a sequence: gates that see the input only.

        z = sigmoid(W_z x + b_z);  n = W_n x + b_n;  h' = (1 - z) * n + z * h

    Also outputs ``name.h``. Inputs: a seq, and optionally the initial state. Gate order z, n; there are no recurrent
    weights; z keeps the old state, see `grus.kernels.reference_mingru`. ``dropout`` acts between layers.
    """

    title: ClassVar[str] = "minimal gated recurrent unit"
    arity: ClassVar[tuple[int, int]] = (1, 2)
    gates: ClassVar[int] = 2
    dropout: float = 0.0

    def infer(self, inputs: Inputs) -> Outputs:
        check_rate("MinGRU: dropout", self.dropout)
        return super().infer(inputs)

    def weights(self, inputs: Inputs) -> Weights:
        return {name: shape for name, shape in super().weights(inputs).items() if "_ih_" in name}


class RecurrentStep(Op, frozen=True):
    """Base of single steps: one for every step of the input, each from the same state, y_m = cell(x_m, state).

    Inputs: a seq x and a vec [hidden] for each of the cell's states. Steps do not see each other, so a whole horizon
    is decoded at once (Lin et al. 2023, SegRNN, parallel multi-step forecasting). Usually tied to an encoder of equal
    sizes.
    """

    hidden: int
    bias: bool = True

    @property
    def layer(self) -> Recurrent:
        """The one layer whose step this is."""
        raise NotImplementedError

    def infer(self, inputs: Inputs) -> Outputs:
        check_size(f"{self.name}: hidden", self.hidden)
        x = want(self.name, inputs[0], "seq")
        _check_states(f"{self.name}: state", self.layer.states, inputs[1:], self.hidden)
        return {"": Shape("seq", self.hidden, x.clock)}

    def weights(self, inputs: Inputs) -> Weights:
        return self.layer.weights(inputs[:1])


class GRUStep(RecurrentStep, frozen=True, tag="gru_step"):
    """One GRU step for every step of the input, each from the same state: y_m = GRU(x_m, h).

    Inputs: a seq x and a vec h [hidden].
    """

    arity: ClassVar[tuple[int, int]] = (2, 2)
    reset_after: bool = True

    @property
    def layer(self) -> GRU:
        """The one layer whose step this is."""
        return GRU(self.hidden, bias=self.bias, reset_after=self.reset_after)


class LSTMStep(RecurrentStep, frozen=True, tag="lstm_step"):
    """One LSTM step for every step of the input, each from the same state: y_m = LSTM(x_m, h, c).

    Inputs: a seq x and vecs h and c [hidden].
    """

    arity: ClassVar[tuple[int, int]] = (3, 3)

    @property
    def layer(self) -> LSTM:
        """The one layer whose step this is."""
        return LSTM(self.hidden, bias=self.bias)


class RNNStep(RecurrentStep, frozen=True, tag="rnn_step"):
    """One step of a simple RNN for every step of the input, each from the same state: y_m = RNN(x_m, h).

    Inputs: a seq x and a vec h [hidden].
    """

    arity: ClassVar[tuple[int, int]] = (2, 2)
    nonlinearity: Literal["tanh", "relu"] = "tanh"

    @property
    def layer(self) -> RNN:
        """The one layer whose step this is."""
        return RNN(self.hidden, bias=self.bias, nonlinearity=self.nonlinearity)

    def infer(self, inputs: Inputs) -> Outputs:
        _check_nonlinearity("RNNStep", self.nonlinearity)
        return super().infer(inputs)


class MinGRUStep(RecurrentStep, frozen=True, tag="mingru_step"):
    """One MinGRU step for every step of the input, each from the same state: y_m = MinGRU(x_m, h).

    Inputs: a seq x and a vec h [hidden].
    """

    arity: ClassVar[tuple[int, int]] = (2, 2)

    @property
    def layer(self) -> MinGRU:
        """The one layer whose step this is."""
        return MinGRU(self.hidden, bias=self.bias)


def _check_states(
    what: str, states: tuple[str, ...], given: Inputs, size: int, *, optional: bool = False
) -> None:
    """Raise SpecError unless the given vecs are one of ``size`` for each state; or none, where that is allowed."""
    if len(given) != len(states) and (given or not optional):
        raise SpecError(f"{what} must be {' and '.join(s[1:] for s in states)}, got {len(given)} of them")
    for shape in given:
        if want(what, shape, "vec").size != size:
            raise SpecError(f"{what} must have size {size}, got {shape.size}")


def _check_nonlinearity(op: str, nonlinearity: str) -> None:
    if nonlinearity not in NONLINEARITIES:
        raise SpecError(f"{op}: nonlinearity must be tanh or relu, got {nonlinearity!r}")
