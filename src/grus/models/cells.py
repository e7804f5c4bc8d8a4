"""Cells other than the GRU as modules of a graph: torch's own LSTM and RNN, and the MinGRU and GRU-D of `grus.nn`.

Lengths, which `torch.nn` wants as packed sequences, become those.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from grus import nn as grus_nn
from grus.spec import Shape, ops

Inputs = tuple[Tensor, ...]


class _Layers(nn.Module):
    """What LSTM and RNN share: batch first, states as vecs [batch, parts * hidden]; a row may have no steps."""

    op: ops.Recurrent

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> dict[str, Tensor]:
        """Run whole sequences; outputs at padding are zero."""
        x, *given = inputs
        time = x.shape[1]
        if not time:  # of which torch.nn refuses to make anything
            x, lengths = x.new_zeros(len(x), 1, x.shape[2]), torch.zeros(len(x), dtype=torch.int64)
        initial = self._initial(x, given)
        if lengths is None or bool((lengths == x.shape[1]).all()):
            y, final = self._run(x, initial)
        else:
            # A packed row has at least one step: one without is run over its padding, and then undone.
            packed = pack_padded_sequence(
                x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
            )
            y, final = self._run(packed, initial)
            y, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
            begun = (lengths > 0).to(x.device)
            y = torch.where(begun[:, None, None], y, 0.0)
            final = [torch.where(begun[:, None], new, old) for new, old in zip(final, initial, strict=True)]
        vecs = [state.transpose(0, 1).flatten(1) for state in final]
        return {"": y[:, :time]} | dict(zip(self.op.states, vecs, strict=True))

    def _initial(self, x: Tensor, given: list[Tensor]) -> list[Tensor]:
        """The states before the first step, [parts, batch, hidden]."""
        op = self.op
        if not given:
            return [x.new_zeros(op.parts, len(x), op.hidden) for _ in op.states]
        return [h.unflatten(1, (op.parts, op.hidden)).transpose(0, 1).contiguous() for h in given]

    def _run(self, x: Any, states: list[Tensor]) -> tuple[Any, list[Tensor]]:
        """What torch's module makes of a tensor or a packed sequence."""
        y, final = super().forward(x, states[0] if len(states) == 1 else tuple(states))  # type: ignore[misc]
        return y, list(final) if isinstance(final, tuple) else [final]


def _options(op: ops.LSTM | ops.RNN) -> dict[str, Any]:
    return {
        "num_layers": op.layers,
        "bias": op.bias,
        "batch_first": True,
        "dropout": op.dropout if op.layers > 1 else 0.0,  # torch warns where there is nothing between layers
        "bidirectional": op.bidirectional,
    }


class LSTM(_Layers, nn.LSTM):  # pyright: ignore[reportIncompatibleMethodOverride]
    """`grus.spec.ops.LSTM`."""

    def __init__(self, op: ops.LSTM, inputs: tuple[Shape, ...]) -> None:
        nn.LSTM.__init__(self, inputs[0].size, op.hidden, **_options(op))
        self.op = op


class RNN(_Layers, nn.RNN):  # pyright: ignore[reportIncompatibleMethodOverride]
    """`grus.spec.ops.RNN`."""

    def __init__(self, op: ops.RNN, inputs: tuple[Shape, ...]) -> None:
        nn.RNN.__init__(self, inputs[0].size, op.hidden, nonlinearity=op.nonlinearity, **_options(op))
        self.op = op


class _Step(nn.Module):
    """Every step of the input once from the same states; parameters are those of one layer."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        for name, parameter in list(layer.named_parameters()):
            self.register_parameter(name, parameter)

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> dict[str, Tensor]:
        """Step."""
        x, *states = inputs
        time = x.shape[1]
        repeated = [state.repeat_interleave(time, 0) for state in states]
        parameters = dict(self.named_parameters())
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        y = self._next(x.flatten(0, 1), repeated, [parameters.get(name) for name in names])
        return {"": y.view(len(x), time, y.shape[-1])}

    def _next(self, x: Tensor, states: list[Tensor], weights: list[Any]) -> Tensor:
        raise NotImplementedError


class LSTMStep(_Step):
    """`grus.spec.ops.LSTMStep`."""

    def __init__(self, op: ops.LSTMStep, inputs: tuple[Shape, ...]) -> None:
        super().__init__(nn.LSTM(inputs[0].size, op.hidden, bias=op.bias))

    def _next(self, x: Tensor, states: list[Tensor], weights: list[Any]) -> Tensor:
        return torch.lstm_cell(x, states, *weights)[0]


class RNNStep(_Step):
    """`grus.spec.ops.RNNStep`."""

    def __init__(self, op: ops.RNNStep, inputs: tuple[Shape, ...]) -> None:
        super().__init__(nn.RNN(inputs[0].size, op.hidden, bias=op.bias))
        self._cell = torch.rnn_tanh_cell if op.nonlinearity == "tanh" else torch.rnn_relu_cell

    def _next(self, x: Tensor, states: list[Tensor], weights: list[Any]) -> Tensor:
        return self._cell(x, states[0], *weights)


class MinGRU(grus_nn.MinGRU):
    """`grus.spec.ops.MinGRU`."""

    def __init__(self, op: ops.MinGRU, inputs: tuple[Shape, ...]) -> None:
        super().__init__(
            inputs[0].size, op.hidden, op.layers, op.bias, batch_first=True, dropout=op.dropout,
            bidirectional=op.bidirectional,
        )  # fmt: skip
        self.op = op

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> dict[str, Tensor]:  # type: ignore[override]
        """Run whole sequences; outputs at padding are zero."""
        initial = None
        if len(inputs) == 2:
            initial = inputs[1].unflatten(1, (self.op.parts, self.hidden_size)).transpose(0, 1).contiguous()
        y, h = super().forward(inputs[0], initial, lengths=lengths)
        return {"": y, ".h": h.transpose(0, 1).flatten(1)}


class MinGRUStep(grus_nn.MinGRU):
    """`grus.spec.ops.MinGRUStep`: every step of the input is a row of one step."""

    def __init__(self, op: ops.MinGRUStep, inputs: tuple[Shape, ...]) -> None:
        super().__init__(inputs[0].size, op.hidden, bias=op.bias, batch_first=True)

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> dict[str, Tensor]:  # type: ignore[override]
        """Step."""
        x, h = inputs
        repeated = h.repeat_interleave(x.shape[1], 0)[None]
        y, _ = super().forward(x.flatten(0, 1)[:, None], repeated)
        return {"": y.view(*x.shape[:2], self.hidden_size)}


class GRUD(grus_nn.GRUD):
    """`grus.spec.ops.GRUD`."""

    def __init__(self, op: ops.GRUD, inputs: tuple[Shape, ...]) -> None:
        super().__init__(inputs[0].size, op.hidden, batch_first=True)
        self.op = op

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> dict[str, Tensor]:  # type: ignore[override]
        """Run whole sequences; outputs at padding are zero."""
        x, mask, gap, *initial = inputs
        y, states = super().forward(x, mask, gap, initial or None, lengths=lengths)
        return {"": y} | dict(zip(self.op.states, states, strict=True))
