"""Convolution and self-attention: torch modules; see `grus.models.ops` for what a module is."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from grus.spec import Shape, ops

Outputs = dict[str, Tensor]
Inputs = tuple[Tensor, ...]


class Convolution(nn.Conv1d):
    """`grus.spec.ops.Convolution`; a valid step looks back only, so it meets no padding."""

    def __init__(self, op: ops.Convolution, inputs: tuple[Shape, ...]) -> None:
        super().__init__(inputs[0].size, op.size, op.kernel, dilation=op.dilation, bias=op.bias)
        self._reach = op.reach

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:  # type: ignore[override]
        """Convolve whole sequences."""
        x = inputs[0]
        if not x.shape[1]:  # of which torch refuses to make anything
            return {"": x.new_zeros(len(x), 0, self.out_channels)}
        padded = functional.pad(x.transpose(1, 2), (self._reach, 0))
        return {"": super().forward(padded).transpose(1, 2)}


class SelfAttention(nn.Module):
    """`grus.spec.ops.SelfAttention`, with the first weights of torch.nn.MultiheadAttention."""

    def __init__(self, op: ops.SelfAttention, inputs: tuple[Shape, ...]) -> None:
        super().__init__()
        self.op = op
        for name, parameter in nn.MultiheadAttention(
            inputs[0].size, op.heads, bias=op.bias
        ).named_parameters():
            self.register_parameter(name.replace(".", "_"), parameter)

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:
        """Attend over whole sequences; outputs at padding are zero."""
        x, padding, mask = inputs[0], None, None
        if lengths is not None:
            steps = torch.arange(x.shape[1], device=x.device)
            padding = (steps >= lengths[:, None])[..., None]
            x = x.masked_fill(padding, 0.0)
            # A row of padding alone looks at its first step: a softmax over nothing would be NaN.
            mask = (steps < lengths.clamp(min=1)[:, None])[:, None, None]
            mask = mask & (steps <= steps[:, None]) if self.op.causal else mask
        weights = dict(self.named_parameters())
        projected = functional.linear(x, weights["in_proj_weight"], weights.get("in_proj_bias"))
        q, k, v = projected.unflatten(2, (3, self.op.heads, x.shape[2] // self.op.heads)).permute(
            2, 0, 3, 1, 4
        )
        y = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=self.op.causal and mask is None
        )
        y = y.transpose(1, 2).flatten(2)
        y = functional.linear(y, weights["out_proj_weight"], weights.get("out_proj_bias"))
        return {"": y if padding is None else y.masked_fill(padding, 0.0)}
