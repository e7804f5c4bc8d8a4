"""The oracle of the MinGRU in plain NumPy, forward and backward; in the dtype it is given, as ``reference``.

    z_t = sigmoid(W_z x_t + b_z)                  update gate
    n_t = W_n x_t + b_n                           candidate
    h_t = (1 - z_t) * n_t + z_t * h_{t-1}

The gates see the input only, so all of them are known before the first step, and what is left is a linear recurrence.
It is computed in linear space: the candidate and the state may be of either sign. With dh the gradient of h_t,

    dn_t = dh * (1 - z_t)      dA_z = dh * (h_{t-1} - n_t) * z_t * (1 - z_t)      dh_{t-1} = dh * z_t

Here z keeps the old state, as everywhere in this package. The paper writes it the other way round, h_t = (1 - z_t) *
h_{t-1} + z_t * n_t: the same function once W_z and b_z are negated. It also has a form in log space, whose candidates
and states must be positive (n_t = g(W_n x_t + b_n) with g > 0): another function, which is not this one.

Reference: Feng et al. 2024, "Were RNNs All We Needed?", arXiv:2410.01201.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from grus.errors import UsageError
from grus.kernels.layout import Array
from grus.kernels.reference import Options, affine, plan, sigmoid


@dataclass(frozen=True, eq=False)
class MinGRUWeights:
    """The weights of one direction of one layer.

    Args:
        weight_ih: [2H, I], the matrices W_z, W_n.
        bias_ih: [2H] or None for zeros.

    Raises:
        UsageError: a shape or a dtype does not fit.
    """

    weight_ih: Array
    bias_ih: Array | None = None

    def __post_init__(self) -> None:
        """Refuse shapes and dtypes that do not belong together."""
        weight, bias = self.weight_ih, self.bias_ih
        if weight.ndim != 2 or len(weight) % 2 or not len(weight):
            raise UsageError(f"MinGRUWeights: weight_ih must have shape (2*H, I), got {weight.shape}")
        if bias is not None and (bias.shape != (len(weight),) or bias.dtype != weight.dtype):
            raise UsageError(
                f"MinGRUWeights: bias_ih must be {weight.dtype} of shape ({len(weight)},), "
                f"got {bias.dtype} {bias.shape}"
            )

    @property
    def hidden_size(self) -> int:
        """The number of hidden units, H."""
        return len(self.weight_ih) // 2

    def astype(self, dtype: type) -> "MinGRUWeights":
        """The same weights, copied to another floating dtype."""
        bias = self.bias_ih
        return MinGRUWeights(self.weight_ih.astype(dtype), None if bias is None else bias.astype(dtype))


@dataclass(frozen=True, eq=False)
class Trace:
    """What the backward pass needs; arrays run in processing order, see ``reference.Trace``."""

    weights: MinGRUWeights
    order: np.ndarray
    valid: np.ndarray
    drop: np.ndarray
    x: Array
    h_prev: Array
    z: Array
    n: Array


class Result(NamedTuple):
    """Result of one direction: output [T, B, H], h_n [B, H] and the trace."""

    output: Array
    h_n: Array
    trace: Trace


class Grads(NamedTuple):
    """Gradients of one direction: x [T, B, I], h_0 [B, H] and the weights."""

    x: Array
    h_0: Array
    weights: MinGRUWeights


def mingru_direction(x: Array, h_0: Array, weights: MinGRUWeights, options: Options | None = None) -> Result:
    """Run one direction of one layer over a batch of sequences.

    Args:
        x: [T, B, I], in the dtype of the weights.
        h_0: [B, H].
        weights: of this direction.
        options: its lengths, resets and reverse; the rest is the GRU's.

    Returns:
        output [T, B, H], h_n [B, H], and the trace for ``mingru_direction_backward``.

    Raises:
        UsageError: shapes, dtypes, lengths or resets do not fit.
    """
    _check(x, h_0, weights)
    order, valid, drop, _ = plan(x, options or Options())
    x = np.where(valid[:, :, None], np.take_along_axis(x, order[:, :, None], axis=0), 0)
    a_z, n = np.split(affine(x, weights.weight_ih, weights.bias_ih, None), 2, axis=2)
    z, h, states, h_prev = sigmoid(a_z), h_0, np.zeros_like(n), np.zeros_like(n)
    for t in range(len(x)):
        live = valid[t][:, None]
        h_prev[t] = np.where(drop[t][:, None], 0, h)
        states[t] = np.where(live, (1 - z[t]) * n[t] + z[t] * h_prev[t], 0)
        h = np.where(live, states[t], h)
    output = np.take_along_axis(states, order[:, :, None], axis=0)
    return Result(output, h, Trace(weights, order, valid, drop, x, h_prev, z, n))


def mingru_direction_backward(d_output: Array, d_h_n: Array, trace: Trace) -> Grads:
    """Gradients of one direction, from the gradients of its output [T, B, H] and h_n [B, H].

    Gradients that reach padding in ``d_output`` are ignored; the gradient of x at padding is zero, and that
    of h_0 of an empty row is its ``d_h_n``.
    """
    order, live = trace.order[:, :, None], trace.valid[:, :, None]
    d_output = np.where(live, np.take_along_axis(d_output, order, axis=0), 0)
    d_z, d_n, carried = np.zeros_like(trace.z), np.zeros_like(trace.n), d_h_n
    for t in reversed(range(len(trace.x))):
        z, dh = trace.z[t], np.where(live[t], carried + d_output[t], 0)
        d_n[t] = dh * (1 - z)
        d_z[t] = dh * (trace.h_prev[t] - trace.n[t]) * z * (1 - z)
        carried = np.where(live[t], np.where(trace.drop[t][:, None], 0, dh * z), carried)
    d_a = np.concatenate([d_z, d_n], axis=2)
    weights = trace.weights
    flat, inputs = d_a.reshape(-1, d_a.shape[2]), trace.x.reshape(-1, trace.x.shape[2])
    d_bias = None if weights.bias_ih is None else flat.sum(axis=0)
    d_x = np.take_along_axis(np.where(live, d_a @ weights.weight_ih, 0), order, axis=0)
    return Grads(d_x, carried, MinGRUWeights(flat.T @ inputs, d_bias))


def mingru_stack(
    x: Array, h_0: Array, weights: Sequence[MinGRUWeights], options: Sequence[Options]
) -> tuple[Array, Array]:
    """Run layers on top of each other: output [T, B, D * H] and h_n [L * D, B, H].

    Args:
        x: [T, B, I].
        h_0: [L * D, B, H].
        weights: L * D sets, directions of a layer next to each other.
        options: of the D directions, the same in every layer.
    """
    states: list[Array] = []
    for first in range(0, len(weights), len(options)):
        results = [
            mingru_direction(x, h_0[first + d], weights[first + d], each) for d, each in enumerate(options)
        ]
        x = np.concatenate([result.output for result in results], axis=2)
        states += [result.h_n for result in results]
    return x, np.stack(states)


def _check(x: Array, h_0: Array, weights: MinGRUWeights) -> None:
    """Refuse an input or a state that does not belong to the weights."""
    inputs, dtype = weights.weight_ih.shape[1], weights.weight_ih.dtype
    if x.ndim != 3 or x.shape[2] != inputs or x.dtype != dtype:
        raise UsageError(f"reference: x must be {dtype} of shape (T, B, {inputs}), got {x.dtype} {x.shape}")
    shape = (x.shape[1], weights.hidden_size)
    if h_0.shape != shape or h_0.dtype != dtype:
        raise UsageError(f"reference: h_0 must be {dtype} of shape {shape}, got {h_0.dtype} {h_0.shape}")
