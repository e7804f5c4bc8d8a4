"""Torch modules for the ops, one row an op, by op class.

A module is called as ``module(inputs, lengths)`` with the node's input tensors and the valid length of each row on
their clock (None: all rows are full), and returns its outputs by suffix. One that looks at a memory is also given the
valid length of each row of that. Parameters are named as `Op.weights` says.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from grus.errors import DataError
from grus.models import adaptive, attention, cells, mixing, pools
from grus.nn import GRU
from grus.nn.functional import CellWeights, gru_cell
from grus.spec import Op, Shape, ops

Outputs = dict[str, Tensor]
Inputs = tuple[Tensor, ...]


class _Pointwise(nn.Module):
    """A function of the inputs, step by step, without weights."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:
        return {"": self._function(*inputs)}


class _Linear(nn.Linear):
    def __init__(self, op: ops.Linear, inputs: tuple[Shape, ...]) -> None:
        super().__init__(inputs[0].size, op.size, bias=op.bias)

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:  # type: ignore[override]
        return {"": super().forward(inputs[0])}


class _Dropout(nn.Dropout):
    def __init__(self, op: ops.Dropout, inputs: tuple[Shape, ...]) -> None:
        super().__init__(op.rate)
        self._one_mask = op.variational

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:  # type: ignore[override]
        x = inputs[0]
        if self._one_mask and x.ndim == 3 and self.training:
            return {"": x * super().forward(x.new_ones(len(x), 1, x.shape[2]))}
        return {"": super().forward(x)}


class _Embedding(nn.Embedding):
    def __init__(self, op: ops.Embedding, inputs: tuple[Shape, ...]) -> None:
        super().__init__(op.count, op.size)

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:  # type: ignore[override]
        return {"": super().forward(inputs[0].long())}


class _Position(nn.Module):
    def __init__(self, op: ops.Position, inputs: tuple[Shape, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(op.count, op.size))

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:
        batch, time = inputs[0].shape[:2]
        if time > len(self.weight):
            raise DataError(f"Position: has {len(self.weight)} steps, got a sequence of {time}")
        return {"": self.weight[:time].expand(batch, -1, -1)}


class _Segment(nn.Module):
    def __init__(self, op: ops.Segment, inputs: tuple[Shape, ...]) -> None:
        super().__init__()
        self._length = op.length

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:
        batch, time, size = inputs[0].shape
        if time % self._length:
            raise DataError(f"Segment: the number of steps must be a multiple of {self._length}, got {time}")
        return {"": inputs[0].reshape(batch, time // self._length, self._length * size)}


class _GRU(GRU):
    """Batch first; the state is a vec [batch, layers * directions * hidden]."""

    def __init__(self, op: ops.GRU, inputs: tuple[Shape, ...]) -> None:
        super().__init__(
            inputs[0].size, op.hidden, op.layers, bias=op.bias, batch_first=True, dropout=op.dropout,
            bidirectional=op.bidirectional, reset_after=op.reset_after, layer_norm=op.layer_norm,
            recurrent_dropout=op.recurrent_dropout, zoneout=op.zoneout,
        )  # fmt: skip
        self._parts = op.layers * op.directions

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:  # type: ignore[override]
        initial = None
        if len(inputs) == 2:
            initial = inputs[1].unflatten(1, (self._parts, self.hidden_size)).transpose(0, 1).contiguous()
        y, h = super().forward(inputs[0], initial, lengths=lengths)
        return {"": y, ".h": h.transpose(0, 1).flatten(1)}


class _GRUStep(nn.Module):
    """One step from the same state for every step of the input."""

    def __init__(self, op: ops.GRUStep, inputs: tuple[Shape, ...]) -> None:
        super().__init__()
        self._reset_after = op.reset_after
        own = GRU(inputs[0].size, op.hidden, bias=op.bias)
        for name, parameter in list(own.named_parameters()):
            self.register_parameter(name, parameter)

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:
        x, h = inputs
        time = x.shape[1]
        weights = CellWeights(**{n.removesuffix("_l0"): p for n, p in self.named_parameters()})
        y, _ = gru_cell(x.flatten(0, 1), h.repeat_interleave(time, 0), weights, reset_after=self._reset_after)
        return {"": y.view(*x.shape[:2], y.shape[-1])}


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def _broadcast(arrays: Inputs) -> list[Tensor]:
    """Repeat each vec at every step of the seqs beside it."""
    time = next((array.shape[1] for array in arrays if array.ndim == 3), None)
    return [a if time is None or a.ndim == 3 else a[:, None].expand(-1, time, -1) for a in arrays]


def _elementwise(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., nn.Module]:
    return lambda op, inputs: _Pointwise(lambda *arrays: function(*_broadcast(arrays)))


MODULES: dict[type[Op], Callable[[Any, tuple[Shape, ...]], nn.Module]] = {
    ops.Linear: _Linear,
    ops.Activation: lambda op, inputs: _Pointwise(_FUNCTIONS[op.function]),
    ops.Dropout: _Dropout,
    ops.Embedding: _Embedding,
    ops.Position: _Position,
    ops.Columns: lambda op, inputs: _Pointwise(lambda x: x[..., op.start : op.stop]),
    ops.Concat: lambda op, inputs: _Pointwise(lambda *arrays: torch.cat(_broadcast(arrays), dim=-1)),
    ops.Add: _elementwise(torch.add),
    ops.Subtract: _elementwise(torch.sub),
    ops.Multiply: _elementwise(torch.mul),
    ops.Last: pools.Last,
    ops.Pool: pools.Pool,
    ops.AttentionPool: pools.AttentionPool,
    ops.Segment: _Segment,
    ops.Unsegment: lambda op, inputs: _Pointwise(
        lambda x: x.reshape(x.shape[0], x.shape[1] * op.length, x.shape[2] // op.length)
    ),
    ops.GRU: _GRU,
    ops.GRUStep: _GRUStep,
    ops.LSTM: cells.LSTM,
    ops.LSTMStep: cells.LSTMStep,
    ops.RNN: cells.RNN,
    ops.RNNStep: cells.RNNStep,
    ops.MinGRU: cells.MinGRU,
    ops.MinGRUStep: cells.MinGRUStep,
    ops.Convolution: mixing.Convolution,
    ops.SelfAttention: mixing.SelfAttention,
    ops.AttentiveGRU: attention.AttentiveGRU,
    ops.GRUD: cells.GRUD,
    ops.AdaptiveSoftmax: adaptive.AdaptiveSoftmax,
}
