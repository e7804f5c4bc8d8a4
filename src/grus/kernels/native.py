"""The native CPU kernels, on NumPy arrays and without torch.

``PackedGRU`` and ``PackedLinear`` hold weights in the order in which the kernels read them: packed once, read-only,
shared between threads. In one instruction set and version a row gives the same bits alone, in any batch, in any
chunks and at any thread count. Environment: ``GRUS_ISA`` forces an instruction set, ``GRUS_NUM_THREADS`` the
number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from grus.kernels import _native

__all__ = [
    "PackedGRU",
    "PackedLinear",
    "PackedMinGRU",
    "Problem",
    "View",
    "available_isas",
    "gru_backward",
    "gru_forward_train",
    "isa",
    "limit_threads",
    "mingru_backward",
    "mingru_forward_train",
    "num_threads",
    "same_memory",
    "saved_size",
    "set_num_threads",
]

Array = np.ndarray

View = tuple[int, int, int]
"""An array by address: (address, row stride, time stride), strides in elements, last axis contiguous."""


class PackedLinear(_native.PackedLinear):
    """A dense layer, y = x W^T + b.

    Args:
        weight: W ``[N, K]``, float32 or float64.
        bias: b ``[N]`` of the same dtype, or None.
        weights: ``"bf16"`` stores W in 16 bits, ``"int8"`` in 8, see ``PackedGRU``; None as it is.
        isa: an instruction set by name; default: ``GRUS_ISA``, else the best of this machine.

    Raises:
        UsageError: a wrong shape, an unknown ``weights`` or ``isa``, or int8 weights that are not finite.
        TypeError: a wrong dtype (with ``weights`` also float64), or not an array.
    """

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        *,
        weights: str | None = None,
        isa: str | None = None,
    ) -> None:
        super().__init__(weight, bias, weights=weights or "", isa=isa or "")

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
        norm: ``(gain_ih, gain_hh)``, each ``[3H]``: layer normalisation of the products of x and of h, the biases
            being the shifts; or None.
        zoneout: share of the old state that every step keeps (the expectation taken in evaluation), 0 to 1.
        weights: ``"bf16"`` stores weight_ih and weight_hh in 16 bits, rounded once to bfloat16 (to nearest, ties to
            even: at most 2^-8, or 0.4 %, of each weight). Biases, gains, state and arithmetic stay float32: the results
            are bit for bit those of weights that were rounded beforehand. It takes half the memory, and less time
            where weights come from beyond the first cache. ``"int8"`` stores each row of a matrix as whole numbers from
            -127 to 127 and a scale (an error of at most 1/254 of the row's largest weight); a product takes x and h
            as whole numbers of 16 bits (1/65534 of the largest in the row of x or h), sums exactly and then scales;
            biases, gains, gates and state stay float32. It takes a quarter of the memory, and from H=128 on a step
            takes about half the time or less. A row of x or h that is not finite gives NaN. None: as they are.
        isa: an instruction set by name; default: ``GRUS_ISA``, else the best of this machine.

    Raises:
        UsageError: a wrong shape, an unknown ``weights`` or ``isa``, or int8 weights that are not finite.
        TypeError: a wrong dtype (with ``weights`` also float64), or not an array.
    """

    def __init__(
        self,
        weight_ih: Array,
        weight_hh: Array,
        bias_ih: Array | None = None,
        bias_hh: Array | None = None,
        *,
        reset_after: bool = True,
        norm: tuple[Array, Array] | None = None,
        zoneout: float = 0.0,
        weights: str | None = None,
        isa: str | None = None,
    ) -> None:
        gain_ih, gain_hh = (None, None) if norm is None else norm
        super().__init__(
            weight_ih,
            weight_hh,
            bias_ih,
            bias_hh,
            reset_after=reset_after,
            gain_ih=gain_ih,
            gain_hh=gain_hh,
            zoneout=zoneout,
            weights=weights or "",
            isa=isa or "",
        )

    def run(
        self,
        x: Array,
        h0: Array | None = None,
        *,
        lengths: Array | None = None,
        resets: Array | None = None,
        decay: Array | None = None,
        reverse: bool = False,
        out: Array | None = None,
    ) -> tuple[Array, Array]:
        """Run whole sequences.

        Args:
            x: ``[B, T, I]``, any strides (copied once when the last axis is not contiguous).
            h0: ``[B, H]``, or None for zeros.
            lengths: int64 ``[B]``, valid steps of each row, 0 to T in any order; padding is never read, padded
                outputs are zero, and a row of length 0 gives ``h_n = h0``.
            resets: bool ``[B, T]``; a sequence begins at such a step: the state is zeroed before it (backwards:
                after it).
            decay: ``[B, T, H]``; multiplied into the state before each step, in all that the step does with it. Only
                with ``reset_after=True``.
            reverse: each row runs backwards over its own valid steps.
            out: ``[B, T, H]`` to fill and return as y; may not overlap x.

        Returns:
            ``(y [B, T, H], h_n [B, H])``.

        Raises:
            UsageError: a wrong shape, a length outside 0..T, or a decay with ``reset_after=False``.
            TypeError: a wrong dtype, or not an array.
        """
        return super().run(x, h0, lengths=lengths, resets=resets, decay=decay, reverse=reverse, out=out)

    def forward(self, problem: Problem, h_n: View) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Run a layer as ``gru_forward_train`` does, with these weights; those of ``problem`` are not read.

        Raises:
            UsageError: sizes, lengths or alignment do not fit, or a needed array is missing.
        """
        super().forward(problem, h_n)


class PackedMinGRU(_native.PackedMinGRU):
    """One MinGRU layer in one direction, with the equations of ``grus.kernels.reference_mingru``.

        z = sigmoid(W_z x + b_z);  n = W_n x + b_n;  h' = (1 - z) * n + z * h

    Args:
        weight_ih: ``[2H, I]``, gates in the order z, n; float32 or float64.
        bias_ih: ``[2H]`` of the same dtype, or None.
        weights: ``"bf16"`` or ``"int8"`` stores weight_ih in 16 or 8 bits, see ``PackedGRU``; None as it is.
        isa: an instruction set by name; default: ``GRUS_ISA``, else the best of this machine.

    Raises:
        UsageError: a wrong shape, an unknown ``weights`` or ``isa``, or int8 weights that are not finite.
        TypeError: a wrong dtype (with ``weights`` also float64), or not an array.
    """

    def __init__(
        self,
        weight_ih: Array,
        bias_ih: Array | None = None,
        *,
        weights: str | None = None,
        isa: str | None = None,
    ) -> None:
        super().__init__(weight_ih, bias_ih, weights=weights or "", isa=isa or "")

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
        """Run whole sequences; arguments, results and errors are those of ``PackedGRU.run``."""
        return super().run(x, h0, lengths=lengths, resets=resets, reverse=reverse, out=out)

    def forward(self, problem: Problem, h_n: View) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Run a layer as ``mingru_forward_train`` does, with these weights; those of ``problem`` are not read.

        Raises:
            UsageError: sizes, lengths or alignment do not fit, or a needed array is missing.
        """
        super().forward(problem, h_n)


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


def limit_threads(n: int) -> None:
    """Let calls of the calling thread use at most ``n`` threads, 0 to 1024; 0: as many as others.

    For a thread that is itself one of several that share the processors.
    """
    _native.limit_threads(n)


class Problem(NamedTuple):
    """One layer in one direction, by addresses: what forward and backward share.

    Every address must point at memory of the right dtype and size that stays alive during the call: that cannot be
    checked here. Sizes, alignment, missing arrays and lengths are.

    Args:
        itemsize: 4 for float32, 8 for float64; of every array but lengths, resets and keep_mask.
        sizes: (B, T, I, H).
        reset_after: which equation of n, see ``PackedGRU``.
        reverse: each row runs backwards over its own valid steps.
        weights: addresses of weight_ih [3H, I], weight_hh [3H, H], bias_ih, bias_hh, gain_ih, gain_hh [3H], all
            contiguous; 0 for absent ones. A MinGRU has weight_ih [2H, I] and bias_ih [2H] alone.
        x: [B, T, I].
        h_0: [B, H], or None for zeros.
        output: [B, T, H]; written by forward, read by backward.
        saved: [B, T, ``saved_size``]; written by forward, read by backward; None if there will be no backward.
        lengths: int64 [B], or None.
        options: views of resets (bool [B, T]), the recurrent dropout mask [B, H], the zoneout mask (bool [B, T, H]);
            None for absent ones.
        keep: zoneout probability, 0 to 1; ignored if there is a zoneout mask.
        decay: [B, T, H], multiplied into the state before each step, or None; only with reset_after.
    """

    itemsize: int
    sizes: tuple[int, int, int, int]
    reset_after: bool
    reverse: bool
    weights: tuple[int, ...]
    x: View
    h_0: View | None
    output: View
    saved: View | None
    lengths: View | None = None
    options: tuple[View | None, View | None, View | None] = (None, None, None)
    keep: float = 0.0
    decay: View | None = None


def same_memory(a: tuple[int, ...], b: tuple[int, ...], sizes: tuple[int, ...]) -> bool:
    """Return whether the bytes at each pair of addresses are the same; as with ``Problem``, addresses are trusted."""
    return _native.same_memory(a, b, sizes)


def saved_size(hidden: int, reset_after: bool, norm: bool) -> int:
    """Return how many numbers backward needs of every row and step."""
    return _native.saved_size(hidden, reset_after, norm)


def gru_forward_train(problem: Problem, h_n: View, *, isa: str = "") -> None:
    """Run one direction of one layer: fills output, saved and h_n [B, H].

    Raises:
        UsageError: sizes, lengths or alignment do not fit, or a needed array is missing.
    """
    _native.forward_train(problem, h_n, isa)


def gru_backward(
    problem: Problem,
    d_output: View | None,
    d_h_n: View | None,
    d_x: View | None,
    d_h_0: View | None,
    grads: tuple[int, ...],
    *,
    add_d_x: bool = False,
    d_decay: View | None = None,
    d_x_size: int = 0,
    isa: str = "",
) -> None:
    """Back-propagate through one direction of one layer: fills d_x, d_h_0, grads and d_decay.

    Args:
        problem: the one of the forward call.
        d_output: gradient [B, T, H] of the output, or None for zeros; never read at padding.
        d_h_n: gradient [B, H] of h_n, or None for zeros.
        d_x: [B, T, I] to fill (zero at padding), or None if not wanted.
        d_h_0: [B, H] to fill, or None if not wanted.
        grads: addresses of the weights' gradients, in the order of ``problem.weights``; 0 if not wanted.
        add_d_x: add to d_x instead of filling it.
        d_decay: [B, T, H] to fill (zero at padding), or None if not wanted.
        d_x_size: how many columns of x, from the first on, d_x is filled for; 0 for all.
        isa: an instruction set by name.

    Raises:
        UsageError: sizes, lengths or alignment do not fit, or a needed array is missing.
    """
    _native.backward(problem, d_output, d_h_n, d_x, d_h_0, grads, add_d_x, d_decay, d_x_size, isa)


def mingru_forward_train(problem: Problem, h_n: View, *, isa: str = "") -> None:
    """Run one direction of a MinGRU layer: fills output and h_n [B, H]; nothing else is needed for backward.

    Of ``problem`` it takes all but reset_after, saved, keep, decay, and of the options only resets.

    Raises:
        UsageError: sizes, lengths or alignment do not fit, or a needed array is missing.
    """
    _native.min_forward_train(problem, h_n, isa)


def mingru_backward(
    problem: Problem,
    d_output: View | None,
    d_h_n: View | None,
    d_x: View | None,
    d_h_0: View | None,
    grads: tuple[int, ...],
    *,
    add_d_x: bool = False,
    isa: str = "",
) -> None:
    """Back-propagate through one direction of a MinGRU layer; the arguments are those of ``gru_backward``."""
    _native.min_backward(problem, d_output, d_h_n, d_x, d_h_0, grads, add_d_x, isa)
