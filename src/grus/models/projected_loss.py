"""The cross-entropy of a softmax over many outputs, a few rows at a time, so that the logits are never all there."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Rows whose logits are held at once. 1,024 rows of 128 features, 10,000 outputs, one thread of a busy machine: a
#: training step takes 420 ms with all of them (logits, log-softmax and both gradients go through memory), 170 ms so.
ROWS = 128


class _ProjectedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, truth: Tensor, smoothing: float) -> Tensor:
        rows, count = len(x), len(weight)
        wants = any(ctx.needs_input_grad)
        d_x, d_weight = torch.empty_like(x), torch.zeros_like(weight) if wants else None
        logits, shares = (x.new_empty(min(ROWS, rows), count) for _ in range(2))
        middle, total = weight.mean(0), x.new_zeros(())
        for begin in range(0, rows, ROWS):
            part, true = x[begin : begin + ROWS], truth[begin : begin + ROWS, None]
            some, share = logits[: len(part)], shares[: len(part)]
            torch.mm(part, weight.t(), out=some)
            torch.softmax(some, 1, out=share)
            # log sum exp, from the greatest logit, whose share is at least 1 / count.
            greatest, place = some.max(1, keepdim=True)
            whole = greatest - share.gather(1, place).log()
            total += (whole - (1 - smoothing) * some.gather(1, true)).sum() - smoothing * (
                part @ middle
            ).sum()
            if d_weight is not None:
                share.scatter_add_(1, true, share.new_full(true.shape, smoothing - 1))
                torch.mm(share, weight, out=d_x[begin : begin + len(part)])
                d_weight.addmm_(share.t(), part)
        if d_weight is not None:
            d_x -= smoothing * middle
            d_weight -= (smoothing / count) * x.sum(0)
            ctx.save_for_backward(d_x, d_weight)
        ctx.rows = rows
        return total / rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        scale = grad / ctx.rows
        return *(saved * scale for saved in ctx.saved_tensors), None, None


def projected_loss(x: Tensor, weight: Tensor, truth: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over rows of the cross-entropy of softmax(W x), where the truth t is (1 - e) t + e / N.

    Args:
        x: [R, F], at least one row.
        weight: W [N, F].
        truth: int64 [R], below N.
        smoothing: e, from 0 to below 1.

    Returns:
        The loss, a scalar; it can be differentiated once.
    """
    return _ProjectedLoss.apply(x, weight, truth, smoothing)  # pyright: ignore[reportReturnType]
