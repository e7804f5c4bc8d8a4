"""The native CPU kernels, on NumPy arrays and without torch.

``PackedGRU`` and ``PackedLinear`` hold weights in the order in which the kernels read them: packed once, read-only,
shared between threads. In one instruction set and version a row gives the same bits alone, in any batch, in any
chunks and at any thread count. Environment: ``GRUS_ISA`` forces an instruction set, ``GRUS_NUM_THREADS`` the
number of threads.
"""

from __future__ import annotations

import math

import numpy as np

from grus.errors import UnsupportedError
from grus.kernels import _native

__all__ = ["PackedGRU", "PackedLinear", "available_isas", "isa", "num_threads", "set_num_threads"]

Array = np.ndarray


class PackedLinear(_native.PackedLinear):
    """A dense layer, y = x W^T + b.

    Args:
        weight: W ``[N, K]``, float32 or float64.
        bias: b ``[N]`` of the same dtype, or None.
        isa: an instruction set by name; default: ``GRUS_ISA``, else the best of this machine.

    Raises:
        UsageError: a wrong shape or an unknown ``isa``.
        TypeError: a wrong dtype, or not an array.
    """

    def __init__(self, weight: Array, bias: Array | None = None, *, isa: str | None = None) -> None:
        super().__init__(weight, bias, isa=isa or "")

    def __call__(self, x: Array) -> Array:
        """Return x W^T + b: ``[..., K]`` -> ``[..., N]``, dtype of the weights."""
        if isinstance(x, np.ndarray) and x.ndim != 2 and x.ndim > 0 and x.shape[-1] == self.in_features:
            flat = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
            return self.run(flat).reshape(*x.shape[:-1], self.out_features)
        return self.run(x)


class PackedGRU(_native.PackedGRU):
    """One GRU layer in one direction, with the equations of ``grus.kernels.reference``.

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))    reset_after=True (PyTorch, cuDNN)
        n = tanh(W_in x + b_in + W_hn (r * h) + b_hn)    reset_after=False (Cho et al. 2014)
        h' = (1 - z) * n + z * h

    Args:
        weight_ih: ``[3H, I]``, gates in the order r, z, n; float32 or float64.
        weight_hh: ``[3H, H]`` of the same dtype.
        bias_ih: ``[3H]`` or None.
        bias_hh: ``[3H]`` or None.
        reset_after: which of the two equations of n.
        norm: layer-norm parameters; not supported yet.
        isa: an instruction set by name; default: ``GRUS_ISA``, else the best of this machine.

    Raises:
        UsageError: a wrong shape or an unknown ``isa``.
        TypeError: a wrong dtype, or not an array.
    """

    def __init__(
        self,
        weight_ih: Array,
        weight_hh: Array,
        bias_ih: Array | None = None,
        bias_hh: Array | None = None,
        *,
        reset_after: bool = True,
        norm: object | None = None,
        isa: str | None = None,
    ) -> None:
        if norm is not None:
            raise UnsupportedError(
                "PackedGRU: norm must be None in the native kernel, got layer-norm parameters"
            )
        super().__init__(weight_ih, weight_hh, bias_ih, bias_hh, reset_after=reset_after, isa=isa or "")

    def run(
        self,
        x: Array,
        h0: Array | None = None,
        *,
        lengths: Array | None = None,
        resets: Array | None = None,
        reverse: bool = False,
        out: Array | None = None,
    ) -> tuple[Array, Array]:
        """Run whole sequences.

        Args:
            x: ``[B, T, I]``, any strides (copied once when the last axis is not contiguous).
            h0: ``[B, H]``, or None for zeros.
            lengths: int64 ``[B]``, valid steps of each row, 0 to T in any order; padding is never read, padded
                outputs are zero, and a row of length 0 gives ``h_n = h0``.
            resets: bool ``[B, T]``; the state is zeroed before such a step.
            reverse: each row runs backwards over its own valid steps.
            out: ``[B, T, H]`` to fill and return as y; may not overlap x.

        Returns:
            ``(y [B, T, H], h_n [B, H])``.

        Raises:
            UsageError: a wrong shape, a length outside 0..T.
            TypeError: a wrong dtype, or not an array.
        """
        return super().run(x, h0, lengths=lengths, resets=resets, reverse=reverse, out=out)


def isa() -> str:
    """Return the instruction set that new layers use: ``GRUS_ISA`` if set, else the best of this machine."""
    return _native.isa()


def available_isas() -> tuple[str, ...]:
    """Return the instruction sets that this build contains and this machine can run, best first."""
    return _native.available_isas()


def num_threads() -> int:
    """Return how many threads a call may use (default ``GRUS_NUM_THREADS``, else the processors allowed)."""
    return _native.num_threads()


def set_num_threads(n: int) -> None:
    """Set how many threads a call may use, 1 to 1024; small calls use one."""
    _native.set_num_threads(n)
