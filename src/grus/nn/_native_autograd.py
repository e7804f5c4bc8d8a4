"""One direction of one GRU layer through the native kernel, with its gradient, as an ``autograd.Function``.

The kernel takes addresses: reading one costs a fraction of a microsecond, converting a tensor several.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from grus.kernels import native
from grus.nn._types import CellWeights


class Direction(NamedTuple):
    """How one direction of one layer runs; tensors here get no gradient.

    Args:
        batch_first: x and the output have the batch before time.
        reset_after: where the reset gate acts.
        reverse: each row runs backwards over its own valid steps.
        lengths: int64 [B] on the CPU, or None.
        resets: bool [B, T], or None.
        mask: recurrent dropout [B, H] in the dtype of x, or None.
        zoneout: bool [T, B, H], True where a unit keeps its state; or a probability.
    """

    batch_first: bool = False
    reset_after: bool = True
    reverse: bool = False
    lengths: Tensor | None = None
    resets: Tensor | None = None
    mask: Tensor | None = None
    zoneout: Tensor | float = 0.0


def can_run(x: Tensor, weights: CellWeights) -> bool:
    """Whether the native kernel takes these tensors: float32 or float64 on the CPU, strided."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and x.layout == torch.strided
        and all(w is None or (w.dtype == x.dtype and w.device == x.device) for w in weights)
    )


def gru_direction(x: Tensor, h_0: Tensor, weights: CellWeights, how: Direction) -> tuple[Tensor, Tensor]:
    """Run one direction.

    Args:
        x: ``[T, B, I]`` (``[B, T, I]`` if ``how.batch_first``), float32 or float64 on the CPU.
        h_0: ``[B, H]``.
        weights: in the dtype of x.
        how: options.

    Returns:
        ``(output, h_n)``: ``[T, B, H]`` (or ``[B, T, H]``) and ``[B, H]``.
    """
    return _GRUDirection.apply(x, h_0, how, *weights)  # pyright: ignore[reportReturnType]


class _GRUDirection(torch.autograd.Function):
    """Saves the gates of the forward pass in one block of the kernel's own layout."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h_0: Tensor, how: Direction, *weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        x, h_0 = _dense(x), _dense(h_0)
        held = tuple(None if w is None else w.contiguous() for w in weights)
        batch, steps = (x.shape[0], x.shape[1]) if how.batch_first else (x.shape[1], x.shape[0])
        hidden = h_0.shape[1]
        output = x.new_empty((*x.shape[:2], hidden))
        h_n = x.new_empty((batch, hidden))
        saved = None
        if any(ctx.needs_input_grad):
            size = native.saved_size(hidden, how.reset_after, held[4] is not None)
            saved = x.new_empty((steps, batch, size))
        problem = _problem(x, h_0, output, saved, held, how)
        native.gru_forward_train(problem, (h_n.data_ptr(), hidden, 0))
        ctx.how = how
        ctx.save_for_backward(x, h_0, output, saved, *held)
        ctx.set_materialize_grads(False)
        return output, h_n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        how: Direction = ctx.how
        x, h_0, output, saved, *held = ctx.saved_tensors
        needs = ctx.needs_input_grad
        d_output = None if d_output is None else _dense(d_output)
        d_h_n = None if d_h_n is None else _dense(d_h_n)
        d_x = torch.empty_like(x, memory_format=torch.contiguous_format) if needs[0] else None
        d_h_0 = torch.empty_like(h_0, memory_format=torch.contiguous_format) if needs[1] else None
        grads = [None if w is None or not need else torch.empty_like(w) for w, need in zip(held, needs[3:])]
        native.gru_backward(
            _problem(x, h_0, output, saved, held, how),
            None if d_output is None else _sequence(d_output, how.batch_first),
            None if d_h_n is None else (d_h_n.data_ptr(), d_h_n.stride(0), 0),
            None if d_x is None else _sequence(d_x, how.batch_first),
            None if d_h_0 is None else (d_h_0.data_ptr(), d_h_0.stride(0), 0),
            tuple(map(_address, grads)),
        )
        return d_x, d_h_0, None, *grads


def _dense(t: Tensor) -> Tensor:
    """The tensor itself if its last axis is contiguous, otherwise a copy."""
    return t if t.stride(-1) == 1 or t.shape[-1] <= 1 else t.contiguous()


def _address(t: Tensor | None) -> int:
    return 0 if t is None else t.data_ptr()


def _sequence(t: Tensor, batch_first: bool) -> native.View:
    """Address, row stride and time stride of a [T, B, *] or [B, T, *] tensor."""
    first, second = t.stride(0), t.stride(1)
    return (t.data_ptr(), first, second) if batch_first else (t.data_ptr(), second, first)


def _problem(
    x: Tensor,
    h_0: Tensor,
    output: Tensor,
    saved: Tensor | None,
    weights: Sequence[Tensor | None],
    how: Direction,
) -> native.Problem:
    """The addresses of everything that forward and backward share."""
    batch, steps = (x.shape[0], x.shape[1]) if how.batch_first else (x.shape[1], x.shape[0])
    resets, mask, zoneout = how.resets, how.mask, how.zoneout
    masked = isinstance(zoneout, Tensor)
    return native.Problem(
        x.element_size(),
        (batch, steps, x.shape[2], h_0.shape[1]),
        how.reset_after,
        how.reverse,
        tuple(map(_address, weights)),
        _sequence(x, how.batch_first),
        (h_0.data_ptr(), h_0.stride(0), 0),
        _sequence(output, how.batch_first),
        None if saved is None else _sequence(saved, False),
        None if how.lengths is None else (how.lengths.data_ptr(), 1, 0),
        (
            None if resets is None else (resets.data_ptr(), resets.stride(0), resets.stride(1)),
            None if mask is None else (mask.data_ptr(), mask.stride(0), 0),
            _sequence(zoneout, False) if masked else None,
        ),
        0.0 if masked else float(zoneout),
    )
