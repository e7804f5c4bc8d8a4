"""Sequences to one vector a row: torch modules of the pooling ops; see `grus.models.ops` for what a module is."""

import torch
from torch import Tensor, nn

from grus.spec import Shape, ops

Outputs = dict[str, Tensor]
Inputs = tuple[Tensor, ...]


def _padding(x: Tensor, lengths: Tensor | None) -> Tensor | None:
    """Where x [B, T, C] is padding, as [B, T, 1]; None if nowhere."""
    if lengths is None:
        return None
    return (torch.arange(x.shape[1], device=x.device) >= lengths[:, None])[..., None]


class Last(nn.Module):
    """`grus.spec.ops.Last`."""

    def __init__(self, op: ops.Last, inputs: tuple[Shape, ...]) -> None:
        super().__init__()
        self._steps = op.steps

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:
        """Average the last valid steps."""
        x = inputs[0]
        if lengths is None:
            return {"": x[:, -self._steps :].mean(1) if x.shape[1] else x.new_zeros(x.shape[0], x.shape[2])}
        step = torch.arange(x.shape[1], device=x.device)
        wanted = (step < lengths[:, None]) & (step >= lengths[:, None] - self._steps)
        count = lengths.clamp(1, self._steps).to(x.dtype)
        return {"": x.masked_fill(~wanted[..., None], 0.0).sum(1) / count[:, None]}


class Pool(nn.Module):
    """`grus.spec.ops.Pool`."""

    def __init__(self, op: ops.Pool, inputs: tuple[Shape, ...]) -> None:
        super().__init__()
        self._how = op.how

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:
        """Average, or take the greatest of, the valid steps."""
        x, padding = inputs[0], _padding(inputs[0], lengths)
        if not x.shape[1]:
            return {"": x.new_zeros(x.shape[0], x.shape[2])}
        if lengths is None or padding is None:
            return {"": x.mean(1) if self._how == "mean" else x.amax(1)}
        if self._how == "mean":
            return {"": x.masked_fill(padding, 0.0).sum(1) / lengths.clamp(min=1).to(x.dtype)[:, None]}
        return {"": x.masked_fill(padding, -torch.inf).amax(1).masked_fill((lengths == 0)[:, None], 0.0)}


class AttentionPool(nn.Linear):
    """`grus.spec.ops.AttentionPool`; W and b are those of the linear layer."""

    def __init__(self, op: ops.AttentionPool, inputs: tuple[Shape, ...]) -> None:
        super().__init__(inputs[0].size, op.size)
        bound = op.size**-0.5
        self.vector = nn.Parameter(torch.empty(op.size).uniform_(-bound, bound))

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:  # type: ignore[override]
        """Average the valid steps by their attention."""
        x, padding = inputs[0], _padding(inputs[0], lengths)
        x = x if padding is None else x.masked_fill(padding, 0.0)
        scores = torch.tanh(super().forward(x)) @ self.vector[:, None]
        if padding is None:
            return {"": (torch.softmax(scores, 1) * x).sum(1)}
        # The least finite number, not -inf: a row of padding alone would be NaN, and so would its gradient.
        weights = torch.softmax(scores.masked_fill(padding, torch.finfo(x.dtype).min), 1)
        return {"": (weights.masked_fill(padding, 0.0) * x).sum(1)}
