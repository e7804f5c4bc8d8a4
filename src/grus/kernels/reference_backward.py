"""The oracle's gradient: back-propagation through time in plain NumPy, for ``reference``.

With dh the gradient of h_t and h the state the step started from, one step of the plain GRU reads

    dn = dh * (1 - z)          dz = dh * (h - n)          dA_n = dn * (1 - n^2)
    dr = dA_n * A_hn           dA_r = dr * r * (1 - r)    dA_z = dz * z * (1 - z)
    dh_{t-1} = dh * z + W_hr^T dA_r + W_hz^T dA_z + W_hn^T (dA_n * r)

for ``reset_after=True``; otherwise the last product is r * (W_hn^T dA_n), and dr = (W_hn^T dA_n) * h.
Where the step started from g_t * h_{t-1}, the last line is the gradient of that product.
Gradients of weights are summed over the whole sequence afterwards, in one product each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from grus.kernels.layout import Array, GRUWeights
from grus.kernels.reference import StackOptions, StackResult, Trace, gate_rows, normalise, rows


class DirectionGrads(NamedTuple):
    """Gradients of one direction: x [T, B, I], h_0 [B, H], one array for every weight that is there, and the decay."""

    x: Array
    h_0: Array
    weights: GRUWeights
    decay: Array | None = None


class StackGrads(NamedTuple):
    """Gradients of a stack: x [T, B, I], h_0 [L*D, B, H], one set of weights per entry, and the decays."""

    x: Array
    h_0: Array
    weights: tuple[GRUWeights, ...]
    decays: Array | None = None


class _AffineGrads(NamedTuple):
    """Gradients of ``reference.affine``: of v, W, b and gain (the last None without normalisation)."""

    v: Array
    weight: Array
    bias: Array
    gain: Array | None


def _affine_backward(d_out: Array, v: Array, weight: Array, gain: Array | None) -> _AffineGrads:
    """Back-propagate through W v + b, or gain * normalised(W v) + b; leading axes of v are summed over.

    For y = normalised(a) over m rows, da = (dy - mean(dy) - y * mean(dy * y)) / deviation(a).
    """
    summed = tuple(range(d_out.ndim - 1))
    d_bias = d_out.sum(axis=summed)
    d_gain = None
    if gain is not None:
        y, inverse = normalise(v @ weight.T)
        d_gain = (d_out * y).sum(axis=summed)
        dy = d_out * gain
        mean, slope = dy.mean(axis=-1, keepdims=True), (dy * y).mean(axis=-1, keepdims=True)
        d_out = inverse * (dy - mean - y * slope)
    d_weight = d_out.reshape(-1, d_out.shape[-1]).T @ v.reshape(-1, v.shape[-1])
    return _AffineGrads(d_out @ weight, d_weight, d_bias, d_gain)


def _recurrent_backward(d_a: Array, v: Array, weights: GRUWeights, part: slice) -> _AffineGrads:
    """Back-propagate through one group of rows of the recurrent product."""
    return _affine_backward(d_a, v, weights.weight_hh[part], rows(weights.gain_hh, part))


def _step_backward(dh: Array, t: int, trace: Trace) -> tuple[Array, Array, Array]:
    """One live step back: gradients of A_i [B, 3H], of A_hn [B, H], and of the state it started from."""
    weights, options = trace.weights, trace.options
    rz, n_rows = gate_rows(weights.hidden_size)
    r, z, n, h_prev, a_hn = (array[t] for array in (*trace.gates, trace.h_prev, trace.a_hn))
    mask = 1 if options.recurrent_mask is None else options.recurrent_mask
    k = trace.keep if trace.keep.ndim == 0 else trace.keep[t]
    dh_prev = k * dh
    dh = (1 - k) * dh
    dh_prev = dh_prev + dh * z
    d_n = dh * (1 - z) * (1 - n**2)
    if options.reset_after:
        dr, d_hn = d_n * a_hn, d_n * r
        d_seen = _recurrent_backward(d_hn, h_prev * mask, weights, n_rows).v
    else:
        d_hn = d_n
        d_product = _recurrent_backward(d_hn, r * h_prev * mask, weights, n_rows).v
        dr, d_seen = d_product * h_prev * mask, d_product * r
    d_r, d_z = dr * r * (1 - r), dh * (h_prev - n) * z * (1 - z)
    d_rz = np.concatenate([d_r, d_z], axis=1)
    d_seen = d_seen + _recurrent_backward(d_rz, h_prev * mask, weights, rz).v
    return np.concatenate([d_rz, d_n], axis=1), d_hn, dh_prev + d_seen * mask


def _through_time(d_output: Array, d_h_n: Array, trace: Trace) -> tuple[Array, Array, Array, Array | None]:
    """Gradients of A_i [T, B, 3H], of A_hn [T, B, H], of h_0 [B, H] and of the decay; steps in processing order."""
    steps, hidden = len(trace.x), trace.weights.hidden_size
    d_a_i = np.zeros((*d_output.shape[:2], 3 * hidden), d_output.dtype)
    d_a_hn = np.zeros(d_output.shape, d_output.dtype)
    d_decay = None if trace.decay is None else np.zeros_like(trace.decay)
    dh = d_h_n
    for t in reversed(range(steps)):
        live, drop = trace.valid[t][:, None], trace.drop[t][:, None]
        d_i, d_hn, dh_prev = _step_backward(np.where(live, dh + d_output[t], 0), t, trace)
        d_a_i[t], d_a_hn[t] = np.where(live, d_i, 0), np.where(live, d_hn, 0)
        if d_decay is not None and trace.decay is not None:
            d_decay[t] = np.where(live, dh_prev * trace.h_whole[t], 0)
            dh_prev = dh_prev * trace.decay[t]
        dh = np.where(live, np.where(drop, 0, dh_prev), dh)
    return d_a_i, d_a_hn, dh, d_decay


def _weight_grads(d_a_i: Array, d_a_hn: Array, trace: Trace) -> tuple[Array, GRUWeights]:
    """Gradients of x (in processing order) and of every weight, from those of the pre-activations."""
    weights, options = trace.weights, trace.options
    rz, n_rows = gate_rows(weights.hidden_size)
    seen = trace.h_prev if options.recurrent_mask is None else trace.h_prev * options.recurrent_mask
    into_n = seen if options.reset_after else trace.gates.r * seen
    inputs = [
        _affine_backward(d_a_i[..., part], trace.x, weights.weight_ih[part], rows(weights.gain_ih, part))
        for part in (rz, n_rows)
    ]
    recurrent = [
        _recurrent_backward(d_a_i[..., rz], seen, weights, rz),
        _recurrent_backward(d_a_hn, into_n, weights, n_rows),
    ]
    present = {name for name, _ in weights.items()}
    grads = {
        f"{field}_{suffix}": np.concatenate([getattr(part, field) for part in parts])
        for suffix, parts in (("ih", inputs), ("hh", recurrent))
        for field in ("weight", "bias", "gain")
        if f"{field}_{suffix}" in present
    }
    return inputs[0].v + inputs[1].v, GRUWeights(**grads)


def gru_direction_backward(d_output: Array, d_h_n: Array, trace: Trace) -> DirectionGrads:
    """Gradients of one direction, from the gradients of its output [T, B, H] and h_n [B, H].

    Gradients that reach padding in ``d_output`` are ignored; the gradient of x at padding is zero, and that
    of h_0 of an empty row is its ``d_h_n``.
    """
    order = trace.order[:, :, None]
    live = trace.valid[:, :, None]
    d_output = np.where(live, np.take_along_axis(d_output, order, axis=0), 0)
    d_a_i, d_a_hn, d_h_0, d_decay = _through_time(d_output, d_h_n, trace)
    d_x, d_weights = _weight_grads(d_a_i, d_a_hn, trace)
    d_x = np.take_along_axis(np.where(live, d_x, 0), order, axis=0)
    d_decay = None if d_decay is None else np.take_along_axis(d_decay, order, axis=0)
    return DirectionGrads(d_x, d_h_0, d_weights, d_decay)


def gru_stack_backward(
    d_output: Array, d_h_n: Array, result: StackResult, options: StackOptions | None = None
) -> StackGrads:
    """Gradients of a stack, from the gradients of its output [T, B, D*H] and h_n [L*D, B, H].

    Args:
        d_output: [T, B, D * H].
        d_h_n: [L * D, B, H].
        result: what ``reference.gru_stack`` returned.
        options: the options it was called with.
    """
    options = options or StackOptions()
    directions = 2 if options.bidirectional else 1
    layers: Sequence[int] = range(0, len(result.traces), directions)
    grads: list[DirectionGrads] = []
    for first in reversed(layers):
        if options.dropout_masks is not None and first + directions < len(result.traces):
            d_output = d_output * options.dropout_masks[first // directions]
        parts = np.split(d_output, directions, axis=2)
        layer = [
            gru_direction_backward(part, d_h_n[first + i], result.traces[first + i])
            for i, part in enumerate(parts)
        ]
        d_output = sum((grad.x for grad in layer[1:]), layer[0].x)
        grads = layer + grads
    decays = [grad.decay for grad in grads if grad.decay is not None]
    d_decays = np.stack(decays) if decays else None
    weights = tuple(grad.weights for grad in grads)
    return StackGrads(d_output, np.stack([grad.h_0 for grad in grads]), weights, d_decays)
