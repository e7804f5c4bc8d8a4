"""Which stretches of a panel a model sees, and in which order."""

import numpy as np

from grus.errors import UsageError


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
        series int32 [W] and origin int64 [W], the row (in the whole panel) of the first target.
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
    heads = np.cumsum(counts) - counts
    series = np.repeat(np.arange(len(lengths), dtype=np.int32), counts)
    origin = np.arange(counts.sum()) - np.repeat(heads, counts)
    origin = origin * stride + np.repeat(offsets[:-1] + lo, counts)
    if observed is None:
        return series, origin
    seen = np.concatenate(([0], np.cumsum(observed, dtype=np.int64)))
    some = seen[origin + horizon] > seen[origin]
    return series[some], origin[some]


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """A permutation of 0 .. n - 1, int64 [n], that depends on (n, seed, epoch) alone."""
    # Philox keyed by (seed, epoch): epochs are independent streams, and no state is carried between them. NumPy
    # keeps the raw numbers the same from version to version, which it does not promise of Generator.permutation.
    key = np.array([seed & (2**64 - 1), epoch], np.uint64)
    number = np.arange(n, dtype=np.uint64)
    bits = np.uint64(max(n - 1, 1).bit_length())
    # Sorting random numbers that carry their position in the low bits takes half the time of argsort.
    drawn = np.random.Philox(key=key).random_raw(n) >> bits << bits | number
    return (np.sort(drawn) & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)


def epoch_batches(n: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of one epoch: ``epoch_order`` cut into runs of ``batch_size``; the last one may be shorter."""
    if batch_size < 1:
        raise UsageError(f"batch size: expected 1 or more, got {batch_size}")
    order = epoch_order(n, seed, epoch)
    return [order[i : i + batch_size] for i in range(0, n, batch_size)]
