"""What GRU-D makes of its inputs before its GRU runs, by the native kernels; equations in ``reference_grud``.

    s = gap + since;  xhat = m ? x : decay(w s + b) * last;  last' = m ? x : last;  since' = m ? 0 : s

A row has the same bits alone, in any batch and in any chunks.
"""

from __future__ import annotations

from typing import NamedTuple

from grus.kernels import _native
from grus.kernels.native import View


class LookBack(NamedTuple):
    """One call, by addresses, as `grus.kernels.native.Problem` is; strides in elements, last axis contiguous.

    Args:
        itemsize: 4 for float32, 8 for float64; of every array but lengths.
        sizes: (B, T, D).
        decay: addresses of the weight and the bias of the inputs' decay, [D] each.
        x: [B, T, D]; only taken where it was observed.
        mask: [B, T, D], above 1/2 where observed.
        gap: [B, T].
        last, since: [B, D] before the first step.
        inputs: [B, T, 2D], xhat and m, written, as is all that follows; zero at padding.
        elapsed: [B, T, D], s.
        before: [B, T, D], the last value observed before each step.
        last_n, since_n: [B, D] after each row's last valid step.
        lengths: int64 [B], or None.
    """

    itemsize: int
    sizes: tuple[int, int, int]
    decay: tuple[int, int]
    x: View
    mask: View
    gap: View
    last: View
    since: View
    inputs: View
    elapsed: View
    before: View
    last_n: View
    since_n: View
    lengths: View | None = None


def look_back(given: LookBack, *, isa: str = "") -> None:
    """Fill inputs, elapsed, before and the states after the last step.

    Raises:
        UsageError: sizes, lengths or alignment do not fit, or a needed array is missing.
    """
    _native.look_back(given, isa)


def look_back_gradient(
    given: LookBack,
    d_inputs: View,
    d_elapsed: View | None,
    d_states: tuple[View | None, View | None],
    d_decay: tuple[int, int],
    *,
    d_x: View | None = None,
    d_gap: View | None = None,
    d_last: View | None = None,
    d_since: View | None = None,
    isa: str = "",
) -> None:
    """Back-propagate through `look_back`: fills d_decay, and what of d_x to d_since is given.

    Args:
        given: that of the forward call.
        d_inputs: gradient [B, T, D] of xhat (rows may be wider).
        d_elapsed: gradient [B, T, D] of s from elsewhere, or None for zeros.
        d_states: gradients [B, D] of last_n and since_n, or None for zeros.
        d_decay: addresses of the gradients of the decay's weight and bias, [D].
        d_x: [B, T, D], zero at padding.
        d_gap: [B, T], zero at padding.
        d_last, d_since: [B, D].
        isa: an instruction set by name.

    Raises:
        UsageError: sizes, lengths or alignment do not fit, or a needed array is missing.
    """
    _native.look_back_gradient(
        given, d_inputs, d_elapsed, *d_states, d_decay, d_x, d_gap, d_last, d_since, isa
    )
