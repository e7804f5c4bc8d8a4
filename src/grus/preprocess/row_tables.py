"""Tables with one line for every row of a panel, in memory or on disk, worked through in pieces."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from grus.preprocess.storage import chunks, empty, on_disk


def forward_fill(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Carry the last known value of each series forward over NaN; what stands before the first stays NaN."""
    out = empty(len(values), values.dtype, on_disk(values))
    carried = np.nan
    for piece in chunks(len(values)):
        part = np.asarray(values[piece])
        first = offsets[series_of(offsets, piece)] - piece.start
        last = np.maximum.accumulate(np.where(np.isnan(part), -1, np.arange(len(part))))
        before = np.where(first < 0, carried, np.nan)
        out[piece] = np.where(last >= np.maximum(first, 0), part[np.maximum(last, 0)], before)
        carried = out[piece.stop - 1]
    return out


def series_of(offsets: np.ndarray, piece: slice) -> np.ndarray:
    """The series of each row of a slice, int64."""
    first = int(np.searchsorted(offsets, piece.start, side="right")) - 1
    last = int(np.searchsorted(offsets, piece.stop, side="left"))
    bounds = np.clip(offsets[first : last + 1], piece.start, piece.stop)
    return np.repeat(np.arange(first, last), np.diff(bounds))


def take_rows(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``table[rows]`` for rows [B, T] that rise by at most one; one copy a window where they rise by one throughout.

    At batch 64, 168 steps and 17 features: 0.04 ms against 0.25 ms for the plain index, which is 3% of a training step.
    """
    length = rows.shape[1]
    if not rows.size or (rows[:, -1] - rows[:, 0] != length - 1).any() or not table.flags.c_contiguous:
        return table.take(rows, axis=0)
    row, item = table.strides
    runs = as_strided(
        table, (len(table) - length + 1, length, table.shape[1]), (row, row, item), writeable=False
    )
    return runs[rows[:, 0]]


def joined(*parts: np.ndarray) -> np.ndarray:
    """Windows [B, T, k] of one type joined along their last axis.

    As records of so many bytes: 0.10 ms for 64 windows of 168 steps and 2 + 21 features, `numpy.concatenate` 0.27 ms.
    """
    some = [part for part in parts if part.shape[-1]]
    kinds = [(str(i), f"V{part.shape[-1] * part.itemsize}") for i, part in enumerate(some)]
    out = np.empty(some[0].shape[:2], np.dtype(kinds))
    for part, (name, kind) in zip(some, kinds):
        out[name] = part.view(kind)[..., 0]
    return out.view(some[0].dtype).reshape(*out.shape, sum(part.shape[-1] for part in some))


def side_by_side(columns: list[np.ndarray], rows: int, disk: bool = False) -> np.ndarray:
    """Columns [R], or several at once [R, n], side by side, float32 [R, k], 0 for NaN."""
    ends = np.cumsum([0, *(1 if column.ndim == 1 else column.shape[1] for column in columns)])
    out = empty(rows * int(ends[-1]), np.float32, disk).reshape(rows, int(ends[-1]))
    for piece in chunks(rows):
        part = out[piece]
        for column, first, last in zip(columns, ends[:-1], ends[1:]):
            part[:, first:last] = column[piece] if column.ndim > 1 else column[piece, None]
        np.copyto(part, 0, where=np.isnan(part))  # once: nan_to_num column by column took half of a live step
    return out
