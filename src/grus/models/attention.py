"""The attentive decoder in torch, with a backward pass of its own; see `grus.models.ops` for what a module is.

autograd would add up the gradient of every weight step by step, where here one product of all steps makes it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from grus.nn import GRU
from grus.spec import Shape, ops

_sigmoid_backward: Callable[..., Tensor] = torch.ops.aten.sigmoid_backward
_tanh_backward: Callable[..., Tensor] = torch.ops.aten.tanh_backward


class AttentiveGRU(nn.Module):
    """`grus.spec.ops.AttentiveGRU`; it can be differentiated once."""

    def __init__(self, op: ops.AttentiveGRU, inputs: tuple[Shape, ...]) -> None:
        super().__init__()
        self._op = op
        x, memory, keys = (shape.size for shape in inputs[:3])
        for number, (layer, size) in enumerate(op.cells(x, memory)):
            for name, parameter in list(GRU(size, layer.hidden).named_parameters()):
                self.register_parameter(name.replace("_l0", f"_l{number}"), parameter)
        if op.score == "additive":
            for name, shape in (("query", (keys, op.hidden)), ("vector", (keys,))):
                bound = shape[-1] ** -0.5
                self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))

    def forward(
        self, inputs: tuple[Tensor, ...], lengths: Tensor | None, memory_lengths: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Run whole sequences; after its last step a row's state stays as it is."""
        x, memory, keys, *initial = inputs
        h = initial[0] if initial else x.new_zeros(len(x), self._op.hidden)
        padding = live = None
        if memory_lengths is not None:
            padding = torch.arange(memory.shape[1], device=x.device) >= memory_lengths[:, None]
            memory, keys = (values.masked_fill(padding[..., None], 0.0) for values in (memory, keys))
        if lengths is not None:
            live = (torch.arange(x.shape[1], device=x.device)[:, None] < lengths)[..., None]
            x = x.masked_fill(~live.transpose(0, 1), 0.0)
        held = self._parameters
        order = [name for name in _ORDER if name in held]
        plain = self._op.form == "plain"
        out = _Attentive.apply(plain, padding, live, x, memory, keys, h, *(held[name] for name in order))
        return dict(zip(("", ".context", ".attention", ".h"), out, strict=True))  # pyright: ignore[reportArgumentType]


#: The parameters as `_Attentive` takes them; those that an op does not have are left out.
_ORDER = (
    "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih_l1", "weight_hh_l1", "bias_ih_l1",
    "bias_hh_l1", "query", "vector",
)  # fmt: skip


class _Weights(NamedTuple):
    """The same weights by what they do: on x, on the context, on the state; ``first`` and ``query`` may be absent."""

    x: Tensor
    x_bias: Tensor
    context: Tensor
    context_bias: Tensor | None
    first: tuple[Tensor, Tensor] | None
    last: tuple[Tensor, Tensor]
    query: Tensor | None
    vector: Tensor | None

    @staticmethod
    def of(plain: bool, size: int, weights: tuple[Tensor, ...]) -> "_Weights":
        cells = 4 if plain else 8
        query, vector = weights[cells:] or (None, None)
        w_ih, w_hh, b_ih, b_hh = weights[:4]
        if plain:
            return _Weights(w_ih[:, :size], b_ih, w_ih[:, size:], None, None, (w_hh, b_hh), query, vector)
        other = weights[4:8]
        return _Weights(w_ih, b_ih, other[0], other[2], (w_hh, b_hh), (other[1], other[3]), query, vector)


class _Saved(NamedTuple):
    """What backward needs of all steps [T, B, ...]: gates r, z, n and U_n h of each GRU, and the values between."""

    first: Tensor | None
    last: Tensor
    seen: (
        Tensor | None
    )  # tanh(W q + k) [T, B, S, A], where the score is additive: half of a step goes into this
    q: Tensor
    c: Tensor
    a: Tensor
    s: Tensor


class _Attentive(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, plain: bool, padding: Tensor | None, live: Tensor | None, x: Tensor, memory: Tensor, keys: Tensor,
        h: Tensor, *weights: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        w = _Weights.of(plain, x.shape[2], weights)
        saved = _run(w, x, memory, keys, h, padding, live)
        ctx.plain, ctx.live = plain, live
        ctx.save_for_backward(x, memory, keys, h, *weights)
        ctx.saved = saved
        final = saved.s[-1] if len(saved.s) else h
        return *(values.transpose(0, 1).contiguous() for values in (saved.s, saved.c, saved.a)), final.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, memory, keys, h, *weights = ctx.saved_tensors
        w = _Weights.of(ctx.plain, x.shape[2], tuple(weights))
        back = _Backward(w, ctx.saved, memory, keys, h, ctx.live)
        d_x, d_memory, d_keys, d_h = back.run(*grads)
        return None, None, None, d_x, d_memory, d_keys, d_h, *back.weights(x)


def _run(
    w: _Weights,
    x: Tensor,
    memory: Tensor,
    keys: Tensor,
    h: Tensor,
    padding: Tensor | None,
    live: Tensor | None,
) -> _Saved:
    batch, time = x.shape[:2]
    hidden = h.shape[1]
    sums = torch.addmm(w.x_bias, x.transpose(0, 1).flatten(0, 1), w.x.t()).view(time, batch, 3 * hidden)

    def room(*size: int) -> Tensor:
        return x.new_empty(time, batch, *size)

    saved = _Saved(
        None if w.first is None else room(4 * hidden), room(4 * hidden),
        None if w.query is None else room(*keys.shape[1:]), room(hidden), room(memory.shape[2]), room(memory.shape[1]),
        room(hidden),
    )  # fmt: skip
    hh = x.new_empty(batch, 3 * hidden)
    for t in range(time):
        q, c = saved.q[t], saved.c[t]
        if w.first is None or saved.first is None:
            q.copy_(h)
        else:
            _cell(sums[t], h, w.first, saved.first[t], hh, q)
        _attend(w, q, memory, keys, padding, saved, t)
        base = sums[t] if w.context_bias is None else w.context_bias
        s = saved.s[t]
        _cell(torch.addmm(base, c, w.context.t()), q, w.last, saved.last[t], hh, s)
        if live is not None:
            s.copy_(torch.where(live[t], s, h))
        h = s
    return saved


def _cell(
    a_i: Tensor, h: Tensor, weights: tuple[Tensor, Tensor], gates: Tensor, hh: Tensor, out: Tensor
) -> None:
    """One GRU step from A_i [B, 3H] and h [B, H]: fills gates [B, 4H] with r, z, n and U_n h, and out with h'."""
    hidden = h.shape[1]
    rz, n, hn = gates[:, : 2 * hidden], gates[:, 2 * hidden : 3 * hidden], gates[:, 3 * hidden :]
    torch.addmm(weights[1], h, weights[0].t(), out=hh)
    torch.add(a_i[:, : 2 * hidden], hh[:, : 2 * hidden], out=rz).sigmoid_()
    hn.copy_(hh[:, 2 * hidden :])
    torch.addcmul(a_i[:, 2 * hidden :], rz[:, :hidden], hn, out=n).tanh_()
    z = rz[:, hidden:]
    torch.sub(h, n, out=out).mul_(z).add_(n)


def _cell_back(d: Tensor, h: Tensor, u: Tensor, gates: Tensor, d_i: Tensor, d_h: Tensor) -> Tensor:
    """From the gradient of h': fills that of A_i and of U h + b, both [B, 3H], and returns that of h."""
    hidden = h.shape[1]
    r, z, n, hn = gates.chunk(4, 1)
    d_n = _tanh_backward(d - d * z, n)
    d_i[:, 2 * hidden :] = d_n
    d_i[:, hidden : 2 * hidden] = _sigmoid_backward(d * (h - n), z)
    d_i[:, :hidden] = _sigmoid_backward(d_n * hn, r)
    d_h[:, : 2 * hidden] = d_i[:, : 2 * hidden]
    torch.mul(d_n, r, out=d_h[:, 2 * hidden :])
    return torch.addmm(d * z, d_h, u)


def _attend(
    w: _Weights, q: Tensor, memory: Tensor, keys: Tensor, padding: Tensor | None, saved: _Saved, t: int
) -> None:
    """Fill attention and context of a step."""
    if w.query is None or w.vector is None or saved.seen is None:
        scores = torch.bmm(keys, q[:, :, None])[..., 0]
    else:
        scores = torch.add(keys, (q @ w.query.t())[:, None], out=saved.seen[t]).tanh_() @ w.vector
    if padding is not None:
        # The least finite number, not -inf: a row of padding alone would be NaN, and so would its gradient.
        scores = scores.masked_fill(padding, torch.finfo(scores.dtype).min)
    torch.softmax(scores, 1, out=saved.a[t])
    if padding is not None:
        saved.a[t].masked_fill_(padding, 0.0)
    torch.bmm(saved.a[t][:, None], memory, out=saved.c[t][:, None])


class _Backward:
    """The gradients of one call: ``run`` goes back through the steps, ``weights`` sums over all of them."""

    def __init__(
        self, w: _Weights, saved: _Saved, memory: Tensor, keys: Tensor, h: Tensor, live: Tensor | None
    ) -> None:
        self._w, self._saved, self._live = w, saved, live
        self._memory, self._keys, self._start = memory, keys, h
        time, batch, hidden = saved.s.shape
        self._d_i, self._d_h = (h.new_empty(time, batch, 3 * hidden) for _ in range(2))
        self._d_i0, self._d_h0 = (
            (None, None) if w.first is None else (torch.empty_like(self._d_i) for _ in range(2))
        )
        self._d_query = h.new_empty(time, batch, keys.shape[2])
        self._d_vector = None if w.vector is None else torch.zeros_like(w.vector)
        self._d_keys = torch.zeros_like(keys)

    def run(self, d_s: Tensor, d_c: Tensor, d_a: Tensor, d_final: Tensor) -> tuple[Tensor, ...]:
        """Gradients of x, memory, keys and the first state."""
        w, saved = self._w, self._saved
        d_c = d_c.transpose(0, 1).contiguous()
        carry = d_final
        for t in range(len(saved.s) - 1, -1, -1):
            d = carry + d_s[:, t]
            kept = None
            if self._live is not None:
                kept = d.masked_fill(self._live[t], 0.0)
                d = d.masked_fill(~self._live[t], 0.0)
            d_q = _cell_back(d, saved.q[t], w.last[0], saved.last[t], self._d_i[t], self._d_h[t])
            d_c[t].addmm_(self._d_i[t], w.context)
            d_q += self._attend_back(d_c[t], d_a[:, t], t)
            if w.first is not None and saved.first is not None:
                assert self._d_i0 is not None
                assert self._d_h0 is not None
                before = saved.s[t - 1] if t else self._start
                d_q = _cell_back(d_q, before, w.first[0], saved.first[t], self._d_i0[t], self._d_h0[t])
            carry = d_q if kept is None else d_q + kept
        d_first = self._d_i if self._d_i0 is None else self._d_i0
        d_memory = torch.bmm(saved.a.permute(1, 2, 0), d_c.transpose(0, 1))
        return (d_first @ w.x).transpose(0, 1), d_memory, self._d_keys, carry

    def _attend_back(self, d_c: Tensor, d_a: Tensor, t: int) -> Tensor:
        """From the gradients of the context and of the attention of a step: that of q; adds to those of the keys."""
        w, a = self._w, self._saved.a[t]
        d_a = d_a + torch.bmm(self._memory, d_c[:, :, None])[..., 0]
        d_e = a * (d_a - (a * d_a).sum(1, keepdim=True))
        seen = None if self._saved.seen is None else self._saved.seen[t]
        if w.query is None or w.vector is None or self._d_vector is None or seen is None:
            self._d_keys.baddbmm_(d_e[:, :, None], self._saved.q[t][:, None])
            return torch.bmm(d_e[:, None], self._keys)[:, 0]
        self._d_vector += torch.bmm(d_e[:, None], seen).sum((0, 1))
        d_sum = _tanh_backward(d_e[:, :, None] * w.vector, seen)
        self._d_keys += d_sum
        self._d_query[t] = d_sum.sum(1)
        return self._d_query[t] @ w.query

    def weights(self, x: Tensor) -> list[Tensor]:
        """Gradients of the weights, in the order of `_ORDER`."""
        saved = self._saved
        q, c, rows = saved.q.flatten(0, 1), saved.c.flatten(0, 1), x.transpose(0, 1).flatten(0, 1)
        d_i, d_h = self._d_i.flatten(0, 1).t(), self._d_h.flatten(0, 1).t()
        recurrent = [d_h @ q, d_i.sum(1), d_h.sum(1)]
        if self._d_i0 is None or self._d_h0 is None:
            found = [torch.cat([d_i @ rows, d_i @ c], 1), *recurrent]
        else:
            before = torch.cat([self._start[None], saved.s[:-1]]) if len(saved.s) else saved.s
            d_i0, d_h0 = self._d_i0.flatten(0, 1).t(), self._d_h0.flatten(0, 1).t()
            found = [d_i0 @ rows, d_h0 @ before.flatten(0, 1), d_i0.sum(1), d_h0.sum(1), d_i @ c, *recurrent]
        if self._d_vector is not None:
            found += [self._d_query.flatten(0, 1).t() @ q, self._d_vector]
        return found
