"""The oracle of attention and of the best outputs in plain NumPy; in the dtype it is given, as ``reference``.

score_j = v . tanh(q + k_j)       additive (Bahdanau et al. 2015)
score_j = q . k_j                 multiplicative (Luong et al. 2015)
a = softmax over the valid j of score_j;  c = sum over j of a_j m_j
"""

import numpy as np

from grus.kernels.layout import Array


def attend(
    query: Array, vector: Array | None, keys: Array, memory: Array, lengths: Array
) -> tuple[Array, Array]:
    """Context [B, M] and attention [B, S]; see `grus.kernels.search.attend`."""
    each = len(query) // max(len(keys), 1)
    context = np.zeros((len(query), memory.shape[2]), query.dtype)
    attention = np.zeros((len(query), keys.shape[1]), query.dtype)
    for row, q in enumerate(query):
        steps = int(lengths[row // each])
        if not steps:
            continue
        k, m = keys[row // each, :steps], memory[row // each, :steps]
        scores = k @ q if vector is None else np.tanh(q + k) @ vector
        share = np.exp(scores - scores.max())
        share /= share.sum()
        attention[row, :steps] = share
        context[row] = share @ m
    return context, attention


def best(values: Array, count: int, banned: tuple[int, ...] = ()) -> tuple[Array, Array, Array]:
    """Codes and values [B, count] of the greatest, and log sum exp [B] of all; see `grus.kernels.search.best`."""
    most = values.max(axis=1)
    total = np.log(np.exp(values - most[:, None]).sum(axis=1)) + most
    left = values.copy()
    left[:, list(banned)] = -np.inf
    codes = np.argsort(-left, axis=1, kind="stable")[:, :count]
    best_values = np.take_along_axis(left, codes, axis=1)
    return np.where(np.isneginf(best_values), 0, codes), best_values, total
