"""The oracle: the GRU in plain NumPy, forward.  Its gradient stands in ``reference_backward``.

It computes in the dtype it is given: float64 is the oracle that every other implementation is held to, and
float32 on the same case gives the error scale of the tolerance.  It is written to be read, not to be fast.

    r_t = sigmoid(A_ir + A_hr)                    reset gate
    z_t = sigmoid(A_iz + A_hz)                    update gate
    n_t = tanh(A_in + r_t * A_hn)                 candidate, reset_after=True (PyTorch, cuDNN)
    n_t = tanh(A_in + A_hn)                       candidate, reset_after=False (Cho et al. 2014)
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}

where A_i = W_i x_t + b_i and A_h = W_h h_{t-1} + b_h, except that with ``reset_after=False`` the candidate's
A_hn = W_hn (r_t * h_{t-1}) + b_hn.

Options, each with the exact form that all back ends share:

- *Layer normalisation* (Ba et al. 2016, arXiv:1607.06450, the GRU of the supplementary material): every
  product W v becomes gain * (W v - mean) / sqrt(var + 1e-5) before its bias is added.  Mean and (biased)
  variance are taken over the 2H rows of r and z together and over the H rows of n alone, for the input
  products and for the recurrent products separately.  With ``reset_after=False`` the product normalised for
  the candidate is W_hn (r_t * h_{t-1}).
- *Recurrent dropout* (Gal and Ghahramani 2016, arXiv:1512.05287): one mask m [B, H] a sequence, the same at
  every step and for all three gates; W_h sees m * h_{t-1} (or r_t * m * h_{t-1}).  The leak z_t * h_{t-1} is
  not masked.  m already holds the factor 1 / (1 - p).
- *Zoneout* (Krueger et al. 2017, arXiv:1606.01305): h_t <- k_t * h_{t-1} + (1 - k_t) * h_t, where k_t is a
  0/1 mask of each step in training and the zoneout probability, its expectation, in evaluation.
- *Decay* (Che et al. 2018, arXiv:1606.01865): the state that step t starts from is g_t * h_{t-1}, g [T, B, H], in
  all that the step does with it; see ``reference_grud``.
- *Resets*: a new sequence begins at step t of a row, and nothing crosses the boundary between t-1 and t in
  either direction.  Forwards the state is zeroed before step t; backwards, after step t.  A reset at the
  first step therefore drops the forward direction's h_0.
- *Lengths*: row b has ``lengths[b]`` valid steps, zero allowed.  Padding is never read, outputs and gates at
  padding are zero, h_n is the state after the last valid step, and h_0 for an empty row.  The reverse
  direction starts at each row's own last valid step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grus.errors import UsageError
from grus.kernels.layout import Array, GRUWeights

LAYER_NORM_EPS = 1e-5
"""Added to the variance in layer normalisation, as in Ba et al.'s code and ``torch.nn.LayerNorm``."""

Mask = NDArray[np.bool_]


class Gates(NamedTuple):
    """The gate activations r (reset), z (update) and n (candidate), each [..., T, B, H], zero at padding."""

    r: Array
    z: Array
    n: Array


@dataclass(frozen=True, eq=False)
class Options:
    """What one direction does beyond the plain equations; arrays are time-major, B rows, H units.

    Args:
        reset_after: where the reset gate acts; see the module's equations.
        lengths: integers [B], the valid steps of each row, or None for all.
        resets: bool [B, T], True where a new sequence begins, or None.
        recurrent_mask: [B, H], multiplied into h_{t-1} where it enters W_h, or None.
        keep: zoneout weight k of the previous state: a probability, or a 0/1 mask [T, B, H] aligned with the
            outputs; 0.0 is no zoneout.
        reverse: run each row from its last valid step to its first.
        decay: [T, B, H], aligned with the outputs, multiplied into the state before each step, or None.
    """

    reset_after: bool = True
    lengths: ArrayLike | None = None
    resets: ArrayLike | None = None
    recurrent_mask: Array | None = None
    keep: float | Array = 0.0
    reverse: bool = False
    decay: Array | None = None


@dataclass(frozen=True, eq=False)
class Trace:
    """What the backward pass needs of a forward pass; every array runs in processing order.

    ``order`` [T, B] maps processing step to time index (and back: it is its own inverse), ``drop`` marks
    steps before which the state was zeroed, ``h_prev`` is the state each step started from, after that
    zeroing and any decay, ``h_whole`` the same before the decay, and ``a_hn`` is A_hn.
    """

    weights: GRUWeights
    options: Options
    order: NDArray[np.integer]
    valid: Mask
    drop: Mask
    keep: Array
    x: Array
    h_prev: Array
    gates: Gates
    a_hn: Array
    h_whole: Array
    decay: Array | None


class DirectionResult(NamedTuple):
    """Result of one direction: output [T, B, H], h_n [B, H], gates [T, B, H] and the trace."""

    output: Array
    h_n: Array
    gates: Gates
    trace: Trace


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), evaluated so that neither end overflows or loses its relative accuracy."""
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, e) / (1 + e)


def normalise(a: Array) -> tuple[Array, Array]:
    """Subtract the mean of the last axis and divide by the deviation; returns both result and 1/deviation."""
    centred = a - a.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + a.dtype.type(LAYER_NORM_EPS))
    return centred * inverse, inverse


def affine(v: Array, weight: Array, bias: Array | None, gain: Array | None) -> Array:
    """W v + b, or gain * normalised(W v) + b where a gain is given, for one group of normalised rows."""
    a = v @ weight.T
    if gain is not None:
        a = gain * normalise(a)[0]
    return a if bias is None else a + bias


def rows(array: Array | None, part: slice) -> Array | None:
    """Some rows of an optional weight array."""
    return None if array is None else array[part]


def gate_rows(hidden_size: int) -> tuple[slice, slice]:
    """The two groups of rows that layer normalisation treats as one each: r with z, and n."""
    return slice(0, 2 * hidden_size), slice(2 * hidden_size, 3 * hidden_size)


def processing_order(steps: int, lengths: NDArray[np.integer], reverse: bool) -> NDArray[np.integer]:
    """Time index [T, B] of each processing step: each row's valid part reversed, padding left in place."""
    time = np.arange(steps)[:, None]
    return np.where(reverse & (time < lengths), lengths - 1 - time, time)


def plan(x: Array, options: Options) -> tuple[NDArray[np.integer], Mask, Mask, Array]:
    """Order, validity, dropped states and zoneout weights of every processing step, each [T, B, ...]."""
    steps, batch = x.shape[:2]
    lengths = np.full(batch, steps) if options.lengths is None else np.asarray(options.lengths)
    if lengths.shape != (batch,) or ((lengths < 0) | (lengths > steps)).any():
        raise UsageError(f"reference: lengths must be {batch} integers in 0..{steps}, got {lengths}")
    valid = np.arange(steps)[:, None] < lengths
    drop = np.zeros((steps, batch), bool)
    if options.resets is not None:
        resets = np.asarray(options.resets)
        if resets.shape != (batch, steps) or resets.dtype != bool:
            raise UsageError(
                f"reference: resets must be bool of shape {(batch, steps)}, got {resets.dtype} {resets.shape}"
            )
        drop = resets.T & valid
        if options.reverse:  # the boundary before t is met on the way from t to t-1
            drop = np.concatenate([drop[1:], np.zeros_like(drop[:1])])
    order = processing_order(steps, lengths, options.reverse)
    keep = np.asarray(options.keep, x.dtype)
    if keep.ndim:
        keep = np.take_along_axis(keep, order[:, :, None], axis=0)
    return order, valid, np.take_along_axis(drop, order, axis=0), keep


def _step(
    a_i: Array, h_prev: Array, weights: GRUWeights, options: Options
) -> tuple[Array, Array, Array, Array, Array]:
    """One step: r, z, n, A_hn and the new state from A_i [B, 3H] and h_{t-1} [B, H]."""
    hidden = weights.hidden_size
    rz, n_rows = gate_rows(hidden)
    seen = h_prev if options.recurrent_mask is None else h_prev * options.recurrent_mask

    def recurrent(v: Array, part: slice) -> Array:
        bias, gain = rows(weights.bias_hh, part), rows(weights.gain_hh, part)
        return affine(v, weights.weight_hh[part], bias, gain)

    r, z = np.split(sigmoid(a_i[:, rz] + recurrent(seen, rz)), 2, axis=1)
    if options.reset_after:
        a_hn = recurrent(seen, n_rows)
        n = np.tanh(a_i[:, n_rows] + r * a_hn)
    else:
        a_hn = recurrent(r * seen, n_rows)
        n = np.tanh(a_i[:, n_rows] + a_hn)
    return r, z, n, a_hn, (1 - z) * n + z * h_prev


def input_products(x: Array, weights: GRUWeights) -> Array:
    """A_i of all steps at once: [T, B, I] -> [T, B, 3H]."""
    parts = [
        affine(x, weights.weight_ih[part], rows(weights.bias_ih, part), rows(weights.gain_ih, part))
        for part in gate_rows(weights.hidden_size)
    ]
    return np.concatenate(parts, axis=-1)


def gru_direction(
    x: Array, h_0: Array, weights: GRUWeights, options: Options | None = None
) -> DirectionResult:
    """Run one direction of one layer over a batch of sequences.

    Args:
        x: [T, B, I], in the dtype of the weights.
        h_0: [B, H].
        weights: the weights; gains in them switch layer normalisation on.
        options: see `Options`; by default the plain GRU.

    Returns:
        output [T, B, H], h_n [B, H], gates [T, B, H], and the trace for ``gru_direction_backward``.

    Raises:
        UsageError: shapes, dtypes, lengths or resets do not fit.
    """
    options = options or Options()
    steps, batch = x.shape[:2]
    _check(x, h_0, (batch, weights.hidden_size), weights)
    order, valid, drop, keep = plan(x, options)
    x = np.where(valid[:, :, None], np.take_along_axis(x, order[:, :, None], axis=0), 0)
    a_i = input_products(x, weights)
    names = ("h_whole", "h_prev", "r", "z", "n", "a_hn", "out")
    seq = {name: np.zeros((steps, *h_0.shape), x.dtype) for name in names}
    decay = options.decay
    decay = None if decay is None else np.take_along_axis(decay, order[:, :, None], axis=0)
    h = h_0
    for t in range(steps):
        live = valid[t][:, None]
        h_whole = np.where(drop[t][:, None], 0, h)
        h_prev = h_whole if decay is None else decay[t] * h_whole
        r, z, n, a_hn, h_new = _step(a_i[t], h_prev, weights, options)
        k = keep if keep.ndim == 0 else keep[t]
        h_new = k * h_prev + (1 - k) * h_new
        h = np.where(live, h_new, h)
        for name, value in zip(names, (h_whole, h_prev, r, z, n, a_hn, h_new)):
            seq[name][t] = np.where(live, value, 0)
    gates = Gates(seq["r"], seq["z"], seq["n"])
    trace = Trace(
        weights,
        options,
        order,
        valid,
        drop,
        keep,
        x,
        seq["h_prev"],
        gates,
        seq["a_hn"],
        seq["h_whole"],
        decay,
    )
    in_time = [np.take_along_axis(a, order[:, :, None], axis=0) for a in (seq["out"], *gates)]
    return DirectionResult(in_time[0], h, Gates(*in_time[1:]), trace)


def _check(x: Array, h_0: Array, h_shape: tuple[int, ...], weights: GRUWeights) -> None:
    """Refuse an input or initial state whose shape or dtype does not fit the weights."""
    if x.ndim != 3 or x.shape[2] != weights.input_size or x.dtype != weights.dtype:
        raise UsageError(
            f"reference: x must be {weights.dtype} of shape (T, B, {weights.input_size}), "
            f"got {x.dtype} {x.shape}"
        )
    if h_0.shape != h_shape or h_0.dtype != weights.dtype:
        raise UsageError(
            f"reference: h_0 must be {weights.dtype} of shape {h_shape}, got {h_0.dtype} {h_0.shape}"
        )


@dataclass(frozen=True, eq=False)
class StackOptions:
    """Options of a whole stack of L layers and D directions; entry l * D + d belongs to layer l, direction d.

    Args:
        bidirectional: D = 2, the second direction reversed, outputs concatenated.
        reset_after, lengths, resets: as in `Options`.
        recurrent_masks: [L * D, B, H] or None.
        keep: zoneout: a probability, or 0/1 masks [L * D, T, B, H].
        dropout_masks: [L - 1, T, B, D * H], multiplied into the output of all layers but the last (they
            already hold the factor 1 / (1 - p)), or None.
        decays: [L * D, T, B, H] or None.
    """

    bidirectional: bool = False
    reset_after: bool = True
    lengths: ArrayLike | None = None
    resets: ArrayLike | None = None
    recurrent_masks: Array | None = None
    keep: float | Array = 0.0
    dropout_masks: Array | None = None
    decays: Array | None = None

    def direction(self, index: int) -> Options:
        """The options of entry ``index`` of the stack."""
        masks = self.recurrent_masks
        return Options(
            reset_after=self.reset_after,
            lengths=self.lengths,
            resets=self.resets,
            recurrent_mask=None if masks is None else masks[index],
            keep=self.keep if np.ndim(self.keep) == 0 else np.asarray(self.keep)[index],
            reverse=self.bidirectional and index % 2 == 1,
            decay=None if self.decays is None else self.decays[index],
        )


class StackResult(NamedTuple):
    """Result of a stack: output [T, B, D*H], h_n [L*D, B, H], gates [L*D, T, B, H] and one trace each."""

    output: Array
    h_n: Array
    gates: Gates
    traces: tuple[Trace, ...]


def gru_stack(
    x: Array, h_0: Array, weights: Sequence[GRUWeights], options: StackOptions | None = None
) -> StackResult:
    """Run a stack of layers, each in one or two directions, over a batch of sequences.

    Args:
        x: [T, B, I].
        h_0: [L * D, B, H].
        weights: L * D sets of weights, directions of a layer next to each other.
        options: see `StackOptions`.

    Returns:
        output [T, B, D * H] of the last layer, h_n [L * D, B, H], gates [L * D, T, B, H] and the traces.

    Raises:
        UsageError: shapes, dtypes, lengths or resets do not fit.
    """
    options = options or StackOptions()
    directions = 2 if options.bidirectional else 1
    if not weights or len(weights) % directions or len(h_0) != len(weights):
        raise UsageError(
            f"reference: weights and h_0 must have a positive multiple of {directions} entries, the same "
            f"number each, got {len(weights)} and {len(h_0)}"
        )
    results: list[DirectionResult] = []
    for first in range(0, len(weights), directions):
        layer = [
            gru_direction(x, h_0[i], weights[i], options.direction(i))
            for i in range(first, first + directions)
        ]
        x = np.concatenate([result.output for result in layer], axis=2)
        if options.dropout_masks is not None and first + directions < len(weights):
            x = x * options.dropout_masks[first // directions]
        results += layer
    gates = Gates(*(np.stack(values) for values in zip(*(result.gates for result in results))))
    h_n = np.stack([result.h_n for result in results])
    return StackResult(x, h_n, gates, tuple(result.trace for result in results))
