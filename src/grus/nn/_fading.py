"""A GRU layer whose state fades before every step, as GRU-D has it: h_t = GRU(x_t, g_t * h_{t-1}).

By the native kernels under an ``autograd.Function``, or in PyTorch operations where those cannot: other devices and
dtypes, derivatives of the gradient, torch.func, the compiler.
"""

from typing import Any

import torch
from torch import Tensor

from grus.kernels import native
from grus.nn import _composite, _native_cache, _native_layer, _native_path
from grus.nn._native_layer import How, Options
from grus.nn._types import CellWeights


def fading_gru(
    x: Tensor, h_0: Tensor, decay: Tensor, weights: CellWeights, batch_first: bool, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Output [T, B, H] in the layout of x, zero at padding, and the state after each row's last valid step.

    Args:
        x: [T, B, I], [B, T, I] if ``batch_first``; not read at padding.
        h_0: [B, H].
        decay: g, in the layout of x, [..., H].
        weights: without gains.
        batch_first: the layout.
        lengths: int64 [B] on the CPU, the valid steps of each row, or None for all.
    """
    held = list(weights)
    able = not torch.compiler.is_compiling() and decay.dtype is x.dtype and decay.device == x.device
    if not able or not _native_path.can_run(x, h_0, (held, (decay,)), ()):
        return _in_torch(x, h_0, decay, weights, batch_first, lengths)
    how = How(batch_first)
    if _native_path.records(x, h_0, (held, (decay,))):
        return _FadingGRU.apply(x, h_0, decay, how, lengths, *held)  # pyright: ignore[reportReturnType]
    return _run(x, h_0, decay, held, how, lengths, save=False)[:2]


def _in_torch(
    x: Tensor, h_0: Tensor, decay: Tensor, weights: CellWeights, batch_first: bool, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`fading_gru` in PyTorch operations."""
    if batch_first:
        x, decay = x.transpose(0, 1), decay.transpose(0, 1)
    valid = None
    if lengths is not None:
        valid = (torch.arange(len(x), device=x.device)[:, None] < lengths.to(x.device))[:, :, None]
        x = torch.where(valid, x, 0)  # so that not even NaN in padding can meet a gradient
        decay = torch.where(valid, decay, 1)
    a_i = _composite.input_products(x, weights)
    h, outputs = h_0, []
    for t in range(len(x)):
        new, _ = _composite.cell_step(a_i[t], decay[t] * h, weights, True)
        h = new if valid is None else torch.where(valid[t], new, h)
        outputs.append(new if valid is None else torch.where(valid[t], new, 0))
    output = torch.stack(outputs) if outputs else x.new_zeros(0, *h_0.shape)
    return output.transpose(0, 1) if batch_first else output, h


def _problem(
    x: Tensor, h_0: Tensor, decay: Tensor, output: Tensor, saved: Tensor | None, held: list[Tensor | None],
    how: How, lengths: Tensor | None,
) -> native.Problem:  # fmt: skip
    plain = _native_layer.problem_of(0, x, h_0[None], output, saved, held, how, Options(lengths))
    return plain._replace(decay=_native_layer.sequence_view(decay, how.batch_first))


def _run(
    x: Tensor, h_0: Tensor, decay: Tensor, weights: list[Tensor | None], how: How, lengths: Tensor | None,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Output, h_n and what backward needs."""
    _native_layer.Threads.follow()
    x, h_0, decay = map(_native_layer.rows, (x, h_0, decay))
    steps, batch = _native_layer.sizes(x, how)
    output, h_n = x.new_empty((*x.shape[:2], h_0.shape[1])), torch.empty_like(h_0)
    size = _native_layer.saved_size(h_0, how, norm=False)
    saved = x.new_empty((1, steps, batch, size)) if save else None
    packed = None if save else _native_cache.packed(weights, how)
    held = [None if w is None else _native_layer.whole(w) for w in weights]
    problem = _problem(x, h_0, decay, output, saved, held, how, lengths)
    last = (h_n.data_ptr(), h_n.stride(0), 0)
    if isinstance(packed, native.PackedGRU):
        packed.forward(problem, last)
    else:
        native.gru_forward_train(problem, last)
    return output, h_n, saved


class _FadingGRU(torch.autograd.Function):
    """Takes x, h_0, decay, ``How``, lengths and the weights; the output may be changed in place, as torch.nn.GRU's."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h_0: Tensor, decay: Tensor, how: How, lengths: Tensor | None, *weights: Tensor | None
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        output, h_n, saved = _run(x, h_0, decay, list(weights), how, lengths, save=True)
        ctx.how, ctx.output, ctx.version = how, output.detach(), output._version
        ctx.save_for_backward(x, h_0, decay, saved, lengths, *weights)
        ctx.set_materialize_grads(False)
        return output, h_n

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        how: How = ctx.how
        x, h_0, decay, saved, lengths, *weights = ctx.saved_tensors
        needs = [*ctx.needs_input_grad[:3], *ctx.needs_input_grad[5:]]
        # A batch of gradients (a vectorised jacobian) comes in tensors without memory of their own.
        batched = not all(d is None or torch._C._has_storage(d) for d in (d_output, d_h_n))
        if torch.is_grad_enabled() or batched:
            found = _torch_backward(x, h_0, decay, weights, how, lengths, (d_output, d_h_n), needs)
        else:
            output = ctx.output
            if output._version != ctx.version:
                output = _run(x, h_0, decay, weights, how, lengths, save=False)[0]
            found = _backward(x, h_0, decay, output, saved, weights, how, lengths, (d_output, d_h_n), needs)
        return (*found[:3], None, None, *found[3:])


_Grads = list[Tensor | None]


def _backward(
    x: Tensor, h_0: Tensor, decay: Tensor, output: Tensor, saved: Tensor, weights: list[Tensor | None], how: How,
    lengths: Tensor | None, given: tuple[Tensor | None, Tensor | None], needs: list[bool],
) -> _Grads:  # fmt: skip
    """Gradients of x, h_0, decay and the weights, None where not needed."""
    _native_layer.Threads.follow()
    x, h_0, decay = map(_native_layer.rows, (x, h_0, decay))
    held = [None if w is None else _native_layer.whole(w) for w in weights]
    problem = _problem(x, h_0, decay, output, saved, held, how, lengths)
    d_output, d_h_n = (None if d is None else _native_layer.rows(d) for d in given)
    targets = (x, h_0, decay, *weights)
    grads: _Grads = [
        t.new_empty(t.shape) if t is not None and need else None for t, need in zip(targets, needs)
    ]
    d_x, d_h_0, d_decay = grads[:3]
    native.gru_backward(
        problem,
        _native_layer.sequence_view(d_output, how.batch_first),
        None if d_h_n is None else (d_h_n.data_ptr(), d_h_n.stride(0), 0),
        _native_layer.sequence_view(d_x, how.batch_first),
        None if d_h_0 is None else (d_h_0.data_ptr(), d_h_0.stride(0), 0),
        tuple(map(_native_layer.address, grads[3:])),
        d_decay=_native_layer.sequence_view(d_decay, how.batch_first),
    )
    return grads


def _torch_backward(
    x: Tensor, h_0: Tensor, decay: Tensor, weights: list[Tensor | None], how: How, lengths: Tensor | None,
    given: tuple[Tensor | None, Tensor | None], needs: list[bool],
) -> _Grads:  # fmt: skip
    """What `_backward` gives, differentiable once more."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Through views, so that a decay (or h_0) made from x does not add to the gradient of x here.
        views = [None if t is None else t.view_as(t) for t in (x, h_0, decay, *weights)]
        x, h_0, decay, *held = views  # pyright: ignore[reportAssignmentType]
        cell = CellWeights(*held)  # pyright: ignore[reportArgumentType]
        outputs = _in_torch(x, h_0, decay, cell, how.batch_first, lengths)
    pairs = [(o, d) for o, d in zip(outputs, given) if d is not None]
    targets = [v for v, need in zip(views, needs) if need and v is not None]
    if not pairs or not targets:
        return [None] * len(views)
    found = iter(
        torch.autograd.grad(
            [o for o, _ in pairs],
            targets,
            [d for _, d in pairs],
            create_graph=create_graph,
            allow_unused=True,
        )
    )
    return [next(found) if need and v is not None else None for v, need in zip(views, needs)]
