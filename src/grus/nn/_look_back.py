"""What GRU-D makes of its inputs before its GRU runs: equations in ``grus.kernels.reference_grud``.

By the native kernels under an ``autograd.Function``, or in PyTorch operations where those cannot: other devices and
dtypes, derivatives of the gradient, torch.func, the compiler.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name everyone uses)

from grus.kernels import look_back as native
from grus.nn import _native_layer, _native_path


class Given(NamedTuple):
    """What has a gradient: x and gap, the states before the first step, and the decay's weight and bias."""

    x: Tensor
    gap: Tensor
    last: Tensor
    since: Tensor
    weight: Tensor
    bias: Tensor


class How(NamedTuple):
    """The rest: the mask in the dtype of x, the layout, and the valid steps of each row, int64 [B] on the CPU."""

    mask: Tensor
    batch_first: bool
    lengths: Tensor | None


class Seen(NamedTuple):
    """[xhat, m] [..., 2D] and s [..., D] of all steps, and last and since [B, D] after each row's last valid step."""

    inputs: Tensor
    elapsed: Tensor
    last: Tensor
    since: Tensor


def look_back(given: Given, how: How) -> Seen:
    """Look back from every step; x is not read where it was not observed, and nothing at padding."""
    held = (*given[1:], how.mask)
    if torch.compiler.is_compiling() or not _native_path.can_run(given.x, given.last, (held,), (how.mask,)):
        return _in_torch(given, how)
    if _native_path.records(given.x, given.last, (held,)):
        return Seen(*_LookBack.apply(how, *given))  # pyright: ignore[reportGeneralTypeIssues]
    return _run(given, how)[0]


def fade(a: Tensor) -> Tensor:
    """exp(-max(0, a))."""
    return torch.exp(-F.relu(a))


def state_decay(elapsed: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """exp(-max(0, W s + c)) of all steps: [..., D] -> [..., H]."""
    compiling = torch.compiler.is_compiling()
    if compiling or not _native_path.can_run(elapsed, elapsed, ((weight, bias),), ()):
        return fade(F.linear(elapsed, weight, bias))
    return _StateDecay.apply(elapsed, weight, bias)  # pyright: ignore[reportReturnType]


class _StateDecay(torch.autograd.Function):
    """As ``fade(linear(s))`` in fewer passes over arrays as large as the output: two forwards, two backwards."""

    @staticmethod
    def forward(ctx: Any, elapsed: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        a = F.linear(elapsed, weight, bias).clamp_min_(0)
        fading = torch.neg(a).exp_()
        ctx.save_for_backward(elapsed, weight, a, fading)
        return fading

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        elapsed, weight, a, fading = ctx.saved_tensors
        falling = torch.ops.aten.threshold_backward(d * fading, a, 0)
        flat = falling.flatten(0, 1)
        d_elapsed = -(falling @ weight) if ctx.needs_input_grad[0] else None
        return d_elapsed, -(flat.t() @ elapsed.flatten(0, 1)), -flat.sum(0)


def _in_torch(given: Given, how: How) -> Seen:
    """`look_back` in PyTorch operations, a step at a time."""
    dim = 1 if how.batch_first else 0
    x, gap, last, since, weight, bias = given
    observed = how.mask > 0.5
    if how.lengths is not None:
        valid = torch.arange(x.shape[dim], device=x.device)[:, None] < how.lengths.to(x.device)
        valid = (valid.transpose(0, 1) if how.batch_first else valid)[:, :, None]
        observed, gap = observed & valid, torch.where(valid, gap, 0)
    before: list[Tensor] = []
    elapsed: list[Tensor] = []
    for value, seen, wait in zip(x.unbind(dim), observed.unbind(dim), gap.unbind(dim), strict=True):
        s = since + wait
        before.append(last)
        elapsed.append(s)
        last, since = torch.where(seen, value, last), torch.where(seen, 0, s)
    s = torch.stack(elapsed, dim)
    filled = torch.where(observed, x, fade(weight * s + bias) * torch.stack(before, dim))
    return Seen(torch.cat([filled, observed.to(x.dtype)], -1), s, last, since)


def _call(given: Given, how: How, made: Seen, before: Tensor) -> native.LookBack:
    x, first, lengths = given.x, how.batch_first, how.lengths
    steps, batch = (x.shape[1], x.shape[0]) if first else (x.shape[0], x.shape[1])
    named = {"x": x, "mask": how.mask, "gap": given.gap}
    named |= {"inputs": made.inputs, "elapsed": made.elapsed, "before": before}
    views: dict[str, Any] = {name: _native_layer.sequence_view(t, first) for name, t in named.items()}
    rows = {"last": given.last, "since": given.since, "last_n": made.last, "since_n": made.since}
    views |= {name: _row_view(t) for name, t in rows.items()}
    return native.LookBack(
        itemsize=x.element_size(),
        sizes=(batch, steps, x.shape[2]),
        decay=(given.weight.data_ptr(), given.bias.data_ptr()),
        lengths=None if lengths is None else (lengths.data_ptr(), 1, 0),
        **views,
    )


def _row_view(t: Tensor | None) -> tuple[int, int, int] | None:
    """A [B, D] tensor by address."""
    return None if t is None else (t.data_ptr(), t.stride(0), 0)


def _readable(given: Given, how: How) -> tuple[Given, How]:
    """The same with tensors that the kernels can read in place."""
    rows, whole = _native_layer.rows, _native_layer.whole
    x, gap, last, since = map(rows, given[:4])
    return Given(x, gap, last, since, whole(given.weight), whole(given.bias)), how._replace(
        mask=rows(how.mask)
    )


def _run(given: Given, how: How) -> tuple[Seen, Tensor]:
    """What was seen, and the last value before every step."""
    given, how = _readable(given, how)
    x, size = given.x, given.x.shape[2]
    inputs, elapsed = x.new_empty((*x.shape[:2], 2 * size)), x.new_empty(x.shape)
    made = Seen(inputs, elapsed, torch.empty_like(given.last), torch.empty_like(given.since))
    before = x.new_empty(x.shape)
    native.look_back(_call(given, how, made, before))
    return made, before


class _LookBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, how: How, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = Given(*tensors)
        made, before = _run(given, how)
        ctx.how = how
        ctx.save_for_backward(*given, *made, before)
        ctx.set_materialize_grads(False)
        # So that nobody makes gradients that lead nowhere: usually the inputs of a model have none.
        x, gap, last, since = ctx.needs_input_grad[1:5]
        fixed = [] if gap or since else [made.elapsed, made.since]
        ctx.mark_non_differentiable(*fixed, *([] if x or last else [made.last]))
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        saved = ctx.saved_tensors
        given, made, before = Given(*saved[:6]), Seen(*saved[6:10]), saved[10]
        needs = ctx.needs_input_grad[1:]
        batched = not all(d is None or torch._C._has_storage(d) for d in grads)
        if torch.is_grad_enabled() or batched:
            return None, *_torch_backward(given, ctx.how, grads, needs)
        return None, *_backward(given, ctx.how, made, before, grads, needs)


def _backward(
    given: Given, how: How, made: Seen, before: Tensor, grads: tuple[Tensor | None, ...], needs: tuple[bool, ...]
) -> list[Tensor | None]:  # fmt: skip
    given, how = _readable(given, how)
    rows, view, row = _native_layer.rows, _native_layer.sequence_view, _row_view
    d_inputs, d_elapsed, d_last_n, d_since_n = (None if d is None else rows(d) for d in grads)
    d_inputs = torch.zeros_like(given.x) if d_inputs is None else d_inputs
    found = [t.new_empty(t.shape) if need else None for t, need in zip(given[:4], needs, strict=False)]
    d_weight, d_bias = torch.empty_like(given.weight), torch.empty_like(given.bias)
    d_x, d_gap, d_last, d_since = found
    native.look_back_gradient(
        _call(given, how, made, before),
        view(d_inputs, how.batch_first),  # pyright: ignore[reportArgumentType]
        view(d_elapsed, how.batch_first),
        (row(d_last_n), row(d_since_n)),
        (d_weight.data_ptr(), d_bias.data_ptr()),
        d_x=view(d_x, how.batch_first),
        d_gap=view(d_gap, how.batch_first),
        d_last=row(d_last),
        d_since=row(d_since),
    )
    return [*found, d_weight, d_bias]


def _torch_backward(
    given: Given, how: How, grads: tuple[Tensor | None, ...], needs: tuple[bool, ...]
) -> list[Tensor | None]:
    """What `_backward` gives, differentiable once more."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Through views, so that one that is made from another does not add to the gradient of that here.
        views = Given(*(t.view_as(t) for t in given))
        made = _in_torch(views, how)
    pairs = [(o, d) for o, d in zip(made, grads, strict=True) if d is not None and o.requires_grad]
    targets = [v for v, need in zip(views, needs, strict=True) if need]
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
    return [next(found) if need else None for need in needs]
