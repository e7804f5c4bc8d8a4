"""What a search needs of a decoder beside its layers, by the native kernels; equations in ``reference_search``.

A row has the same bits alone, in any batch and at any thread count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grus.kernels import _native
from grus.kernels.native import PackedLinear

_NONE = np.empty(0, np.int64)


class Best(NamedTuple):
    """The greatest outputs of rows.

    Attributes:
        codes: int64 [B, count], of the greatest outputs, the greatest first, of equal ones the first; 0 where there are
            no more.
        values: [B, count], the outputs; minus infinity where there are no more.
        picked: [B], one output of every row.
        total: float64 [B], log sum exp of all outputs: what is taken off an output to make it a log-probability.
    """

    codes: np.ndarray
    values: np.ndarray
    picked: np.ndarray
    total: np.ndarray


def best(
    values: np.ndarray, count: int, *, banned: np.ndarray = _NONE, picked: int = 0, isa: str = ""
) -> Best:
    """The ``count`` greatest of each row's values, and log sum exp of all of them.

    Args:
        values: [B, N], float32 or float64.
        count: 1 to N.
        banned: int64, codes that are not among the greatest; they do count in the total.
        picked: a code whose value is wanted in any case.
        isa: an instruction set by name.

    Raises:
        UsageError: a wrong shape, or a count or a code that is not there. TypeError: a wrong dtype.
    """
    return Best(*_native.best(values, count, banned, picked, isa))


def best_outputs(
    layer: PackedLinear, x: np.ndarray, count: int, *, banned: np.ndarray = _NONE, picked: int = 0
) -> Best:
    """`best` of the outputs of a layer for x [B, K], bit for bit, without keeping them."""
    return Best(*layer.best(x, count, banned, picked))


def attend(
    query: np.ndarray,
    vector: np.ndarray | None,
    keys: np.ndarray,
    memory: np.ndarray,
    lengths: np.ndarray,
    *,
    isa: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """Look at memories: softmax over the valid steps of v . tanh(q + k), or of q . k, and the sum of the steps by it.

    Args:
        query: [B, A], float32 or float64, as the others.
        vector: v [A]; None: scores are products of query and keys.
        keys: [N, S, A]. Row i of the B looks at memory i // (B / N): rows that look at one stand together.
        memory: [N, S, M].
        lengths: int64 [N], valid steps, 0 to S; what lies beyond is never read.
        isa: an instruction set by name.

    Returns:
        Context [B, M] and attention [B, S], zeros where there is no valid step.

    Raises:
        UsageError: a wrong shape or length. TypeError: a wrong dtype.
    """
    return _native.attend(query, vector, keys, memory, lengths, isa)
