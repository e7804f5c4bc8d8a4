"""The oracle of GRU-D in plain NumPy, forward and backward; in the dtype it is given, as ``reference``.

A GRU over D variables, each observed at some steps only, which come at uneven times. m_t says which were observed and
gap_t how long ago the step before was:

    s_t = gap_t + since_{t-1}                           how long ago each variable was observed, [D]
    gx_t = exp(-max(0, w * s_t + b))                    decay of the inputs, [D]
    gh_t = exp(-max(0, W s_t + c))                      decay of the state, [H]
    xhat_t = m_t ? x_t : gx_t * last_{t-1}              [D]
    h_t = GRU([xhat_t, m_t], gh_t * h_{t-1})            reset_after=True, see ``reference``
    last_t = m_t ? x_t : last_{t-1}                     the last value observed
    since_t = m_t ? 0 : s_t

s_t is the paper's delta_t = time_t - time_{t-1} + (1 - m_{t-1}) * delta_{t-1} (delta_1 = 0, which gap_1 = 0 makes it).
A missing value decays from the last one to 0, the paper's mean of a variable once the inputs are standardised. The
paper adds V m_t to the sums of each gate; here V stands as the columns of m_t in W_i. Its GRU resets the state before
the product (``reset_after=False``); this one is Grus's and PyTorch's.

With q the gradient of xhat_t, p that of gh_t, and those of last_t and since_t carried back,

    d_a = -q * last_{t-1} * gx_t where m_t is 0 and a > 0    of a = w * s_t + b
    d_e = -p * gh_t where e > 0                              of e = W s_t + c
    d_s = w * d_a + W^T d_e + (1 - m_t) * d_since_t          d_gap = sum over the variables of d_s;  d_since_{t-1} = d_s
    d_x = m_t * (q + d_last_t)                               d_last_{t-1} = (1 - m_t) * (d_last_t + q * gx_t)

Reference: Che et al. 2018, "Recurrent Neural Networks for Multivariate Time Series with Missing Values",
Scientific Reports 8:6085, arXiv:1606.01865, equations 3 to 9.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from grus.errors import UsageError
from grus.kernels import reference
from grus.kernels.layout import Array, GRUWeights
from grus.kernels.reference import Mask, Options, gru_direction
from grus.kernels.reference_backward import gru_direction_backward


@dataclass(frozen=True, eq=False)
class GRUDWeights:
    """The weights.

    Args:
        gru: of the GRU, whose weight_ih is [3H, 2D]: columns of xhat, then of m.
        input_decay_weight, input_decay_bias: w and b [D].
        state_decay_weight: W [H, D].
        state_decay_bias: c [H].

    Raises:
        UsageError: a shape or a dtype does not fit.
    """

    gru: GRUWeights
    input_decay_weight: Array
    input_decay_bias: Array
    state_decay_weight: Array
    state_decay_bias: Array

    def __post_init__(self) -> None:
        """Refuse shapes and dtypes that do not belong together."""
        hidden, size = self.gru.hidden_size, self.gru.input_size // 2
        wanted = {"input_decay_weight": (size,), "input_decay_bias": (size,)}
        wanted |= {"state_decay_weight": (hidden, size), "state_decay_bias": (hidden,)}
        if self.gru.input_size % 2:
            raise UsageError(f"GRUDWeights: weight_ih must have an even width, got {self.gru.input_size}")
        for name, shape in wanted.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != self.gru.dtype:
                raise UsageError(
                    f"GRUDWeights: {name} must be {self.gru.dtype} of shape {shape}, "
                    f"got {array.dtype} {array.shape}"
                )

    def astype(self, dtype: Any) -> "GRUDWeights":
        """The same weights, copied to another floating dtype."""
        return GRUDWeights(**{f.name: getattr(self, f.name).astype(dtype) for f in fields(self)})


class States(NamedTuple):
    """What is carried from step to step: h [B, H], last [B, D] and since [B, D]."""

    h: Array
    last: Array
    since: Array


@dataclass(frozen=True, eq=False)
class Trace:
    """What the backward pass needs: of all steps, last and s as the step took them, and what was made of them."""

    weights: GRUDWeights
    valid: Mask
    observed: Mask
    last: Array
    elapsed: Array
    a: Array
    e: Array
    gru: reference.Trace


class Result(NamedTuple):
    """Output [T, B, H], the states after each row's last valid step, and the trace."""

    output: Array
    states: States
    trace: Trace


class Grads(NamedTuple):
    """Gradients of x [T, B, D], gap [T, B, 1], the states before the first step, and the weights."""

    x: Array
    gap: Array
    states: States
    weights: GRUDWeights


def grud(
    x: Array, mask: Array, gap: Array, states: States, weights: GRUDWeights, lengths: ArrayLike | None = None
) -> Result:
    """Run over a batch of sequences.

    Args:
        x: [T, B, D], in the dtype of the weights; never read where it was not observed, nor at padding.
        mask: [T, B, D]; above 1/2 is observed.
        gap: [T, B, 1], time since the step before.
        states: before the first step.
        weights: see `GRUDWeights`.
        lengths: integers [B], the valid steps of each row, or None for all.

    Raises:
        UsageError: shapes, dtypes or lengths do not fit.
    """
    _check(x, mask, gap, states, weights)
    valid = reference.plan(x, Options(lengths=lengths))[1]
    observed = (mask > 0.5) & valid[:, :, None]
    last, since = states.last, states.since
    before, elapsed = np.zeros_like(x), np.zeros_like(x)
    for t in range(len(x)):
        live = valid[t][:, None]
        before[t], elapsed[t] = last, np.where(live, gap[t] + since, 0)
        last = np.where(observed[t], x[t], last)
        since = np.where(live, np.where(observed[t], 0, elapsed[t]), since)
    a = elapsed * weights.input_decay_weight + weights.input_decay_bias
    e = elapsed @ weights.state_decay_weight.T + weights.state_decay_bias
    inputs = np.concatenate([np.where(observed, x, _fade(a) * before), observed.astype(x.dtype)], axis=2)
    result = gru_direction(inputs, states.h, weights.gru, Options(lengths=lengths, decay=_fade(e)))
    trace = Trace(weights, valid, observed, before, elapsed, a, e, result.trace)
    return Result(result.output, States(result.h_n, last, since), trace)


def grud_backward(d_output: Array, d_states: States, trace: Trace) -> Grads:
    """Gradients from those of the output [T, B, H] (at padding they are ignored) and of the final states."""
    w = trace.weights
    inner = gru_direction_backward(d_output, d_states.h, trace.gru)
    assert inner.decay is not None
    size = trace.last.shape[2]
    q, observed, live = inner.x[:, :, :size], trace.observed, trace.valid[:, :, None]
    gx = _fade(trace.a)
    d_a = np.where(observed | (trace.a <= 0), 0, -q * trace.last * gx)
    d_e = np.where(trace.e <= 0, 0, -inner.decay * _fade(trace.e))
    d_s = d_a * w.input_decay_weight + d_e @ w.state_decay_weight
    d_x, d_last, d_since = np.zeros_like(q), d_states.last, d_states.since
    for t in reversed(range(len(q))):
        d_x[t] = np.where(observed[t], q[t] + d_last, 0)
        d_last = np.where(observed[t], 0, d_last + q[t] * gx[t])
        d_s[t] += np.where(observed[t], 0, d_since)
        d_since = np.where(live[t], d_s[t], d_since)
        d_s[t] = np.where(live[t], d_s[t], 0)
    flat = d_e.reshape(-1, d_e.shape[2])
    weights = replace(
        w,
        gru=inner.weights,
        input_decay_weight=(d_a * trace.elapsed).sum((0, 1)),
        input_decay_bias=d_a.sum((0, 1)),
        state_decay_weight=flat.T @ trace.elapsed.reshape(-1, size),
        state_decay_bias=flat.sum(0),
    )
    return Grads(d_x, d_s.sum(2, keepdims=True), States(inner.h_0, d_last, d_since), weights)


def _fade(a: Array) -> Array:
    return np.exp(-np.maximum(a, 0))


def _check(x: Array, mask: Array, gap: Array, states: States, weights: GRUDWeights) -> None:
    """Refuse inputs or states that do not belong to the weights."""
    size, hidden = len(weights.input_decay_weight), weights.gru.hidden_size
    if x.ndim != 3 or x.shape[2] != size or x.dtype != weights.gru.dtype:
        raise UsageError(
            f"reference: x must be {weights.gru.dtype} of shape (T, B, {size}), got {x.dtype} {x.shape}"
        )
    shapes = {"mask": (mask, x.shape), "gap": (gap, (*x.shape[:2], 1))}
    for name, width in (("h", hidden), ("last", size), ("since", size)):
        shapes[name] = (getattr(states, name), (x.shape[1], width))
    for name, (array, wanted) in shapes.items():
        if array.shape != wanted:
            raise UsageError(f"reference: {name} must have shape {wanted}, got {array.shape}")
