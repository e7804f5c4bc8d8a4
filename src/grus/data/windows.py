"""Which stretches of a panel a model sees, and in which order."""

import numpy as np

from grus.errors import UsageError
from grus.preprocess.row_tables import series_of
from grus.preprocess.storage import chunks, empty, on_disk

MOST_SORTED = 1 << 22
"""Permutations of more numbers than this are not sorted as a whole: 40 million would take a gigabyte."""
_ROUNDS = 8


def window_index(
    offsets: np.ndarray,
    first: np.ndarray | int,
    last: np.ndarray | int,
    lookback: int,
    horizon: int,
    stride: int = 1,
    observed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Every window whose targets lie in ``first:last`` of their series, after ``lookback`` rows of history.

    A window with origin o reads rows o - lookback .. o - 1 and is scored on o .. o + horizon - 1. Its history
    may begin before ``first``, never before the series. Origins are first, first + stride, ...; those that
    lack history are left out.

    Args:
        offsets: int64 [N + 1], rows of series i are ``offsets[i]:offsets[i + 1]``.
        first, last: positions inside each series, scalar or int64 [N]; last is exclusive.
        lookback, horizon: rows.
        stride: rows between origins.
        observed: bool [R]; windows without a single observed target are left out.

    Returns:
        series int32 [W] and origin int64 [W], the row (in the whole panel) of the first target; on disk if
        ``observed`` is.
    """
    if lookback < 0 or horizon < 1 or stride < 1:
        raise UsageError(
            f"windows: expected lookback >= 0, horizon >= 1, stride >= 1, got {lookback}, {horizon} and {stride}"
        )
    lengths = np.diff(offsets)
    lo = np.broadcast_to(np.asarray(first, np.int64), lengths.shape)
    lo = lo + stride * np.maximum(-((lo - lookback) // stride), 0)
    hi = np.minimum(np.broadcast_to(np.asarray(last, np.int64), lengths.shape), lengths) - horizon
    counts = np.maximum((hi - lo) // stride + 1, 0)
    ends = np.concatenate(([0], np.cumsum(counts)))
    begin, n = offsets[:-1] + lo, int(ends[-1])
    seen = None if observed is None else _running_count(observed)
    found = empty(n, np.int32, on_disk(observed)), empty(n, np.int64, on_disk(observed))
    kept = 0
    for piece in chunks(n):
        series = series_of(ends, piece)
        origin = (np.arange(piece.start, piece.stop) - ends[series]) * stride + begin[series]
        if seen is not None:
            some = seen[origin + horizon] > seen[origin]
            series, origin = series[some], origin[some]
        for out, values in zip(found, (series, origin)):
            out[kept : kept + len(values)] = values
        kept += len(origin)
    return found[0][:kept], found[1][:kept]


def _running_count(observed: np.ndarray) -> np.ndarray:
    """How many of the rows before each are observed, int64 [R + 1]."""
    out = empty(len(observed) + 1, np.int64, on_disk(observed))
    out[0] = 0
    for piece in chunks(len(observed)):
        out[piece.start + 1 : piece.stop + 1] = out[piece.start] + np.cumsum(observed[piece], dtype=np.int64)
    return out


def epoch_order(n: int, seed: int, epoch: int, most: int | None = None) -> np.ndarray:
    """The first ``most`` (default: all) numbers of a permutation of 0 .. n - 1, which (n, seed, epoch) settle."""
    # Philox keyed by (seed, epoch): epochs are independent streams, and no state is carried between them. NumPy
    # keeps the raw numbers the same from version to version, which it does not promise of Generator.permutation.
    random = np.random.Philox(key=np.array([seed & (2**64 - 1), epoch], np.uint64))
    most = n if most is None else min(most, n)
    if n > MOST_SORTED:
        return _scrambled(n, most, random.random_raw(_ROUNDS))
    number = np.arange(n, dtype=np.uint64)
    bits = np.uint64(max(n - 1, 1).bit_length())
    # Sorting random numbers that carry their position in the low bits takes half the time of argsort.
    drawn = random.random_raw(n) >> bits << bits | number
    drawn.sort()
    return (drawn[:most] & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)


def _scrambled(n: int, most: int, keys: np.ndarray) -> np.ndarray:
    """The first of a permutation of 0 .. n - 1 made number by number, so that memory goes with ``most`` and not with n.

    A Feistel network permutes the numbers of an even count of bits; what falls outside 0 .. n - 1 goes through it again
    until it is inside (Black and Rogaway 2002, Ciphers with arbitrary finite domains).
    """
    half = np.uint64(((n - 1).bit_length() + 1) // 2)
    mask = (np.uint64(1) << half) - np.uint64(1)
    found = np.arange(most, dtype=np.uint64)
    outside = np.arange(most)
    while len(outside):
        left, right = found[outside] >> half, found[outside] & mask
        for key in keys:
            mixed = (right + key) * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
            left, right = right, left ^ (mixed >> np.uint64(32) & mask)
        found[outside] = left << half | right
        outside = outside[found[outside] >= n]
    return found.astype(np.int64)


def epoch_batches(n: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of one epoch: ``epoch_order`` cut into runs of ``batch_size``; the last one may be shorter."""
    if batch_size < 1:
        raise UsageError(f"batch size: expected 1 or more, got {batch_size}")
    order = epoch_order(n, seed, epoch)
    return [order[i : i + batch_size] for i in range(0, n, batch_size)]
