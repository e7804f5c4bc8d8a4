"""Chronological splits: train, then validation, then test, series by series."""

from dataclasses import dataclass

import numpy as np

from grus.errors import DataError, UsageError
from grus.preprocess.frequency import stamp
from grus.preprocess.panel import Panel


@dataclass(frozen=True)
class Split:
    """Where the parts of each series end, as positions inside it, int64 [N].

    Rows ``0:train_end`` train, ``train_end:val_end`` validate, ``val_end:test_end`` test. The windows of a part
    may read history from before it; their targets lie inside it, so no target is ever seen early.
    """

    train_end: np.ndarray
    val_end: np.ndarray
    test_end: np.ndarray

    def ranges(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Target positions (first, last exclusive) of ``train``, ``val``, ``test``, for ``window_index``."""
        zero = np.zeros_like(self.train_end)
        return {
            "train": (zero, self.train_end),
            "val": (self.train_end, self.val_end),
            "test": (self.val_end, self.test_end),
        }


def split_panel(
    panel: Panel, lookback: int, horizon: int, val_size: int | None = None, test_size: int | None = None
) -> tuple[Panel, Split, tuple[str, ...]]:
    """Cut every series by time: its last ``test_size`` steps test, the ``val_size`` before validate, the rest train.

    By default each is a tenth of the shortest usable series in whole horizons, at least one horizon; 0 leaves a
    part out. A series too short for lookback + horizon rows of training is left out with a note; if all are, that
    is an error. Every series is cut by its own end; a note says so if the ends differ.

    Returns:
        the panel without the series left out, the split, and notes.
    Raises:
        DataError: no series is long enough.
    """
    if lookback < 1 or horizon < 1:
        raise UsageError(f"lookback and horizon: expected at least 1 each, got {lookback} and {horizon}")
    for name, size in (("val_size", val_size), ("test_size", test_size)):
        if size is not None and size != 0 and size < horizon:
            raise UsageError(f"{name}: expected 0 or at least the horizon of {horizon}, got {size}")
    lengths = panel.lengths
    default = _default_size(lengths, lookback, horizon)
    val = default if val_size is None else val_size
    test = default if test_size is None else test_size
    needed = lookback + horizon + val + test
    enough = lengths >= needed
    if not enough.any():
        raise _too_short(panel, int(np.argmax(lengths)), lookback, horizon, val, test)
    notes: tuple[str, ...] = ()
    if not enough.all():
        short = np.flatnonzero(~enough)
        some = ", ".join(repr(panel.ids[i]) for i in short[:3]) + (", ..." if len(short) > 3 else "")
        notes = (f"{len(short):,} series shorter than {needed:,} rows left out of training ({some})",)
        panel = panel.select(np.flatnonzero(enough))
    end = panel.lengths
    last = panel.when(np.arange(panel.n_series), end - 1)
    if (val or test) and last.min() != last.max():
        ends = f"between {stamp(last.min())} and {stamp(last.max())}"
        notes += (f"series end at different times, {ends}: each is split by its own end",)
    return panel, Split(end - test - val, end - test, end), notes


def _default_size(lengths: np.ndarray, lookback: int, horizon: int) -> int:
    """A tenth of the shortest series that can hold all parts, in whole horizons, at least one horizon."""
    usable = lengths[lengths >= lookback + 3 * horizon]
    if not len(usable):
        return horizon
    tenth = int(usable.min()) // 10
    room = (int(usable.min()) - lookback - horizon) // 2
    return max(min(tenth, room) // horizon, 1) * horizon


def _too_short(panel: Panel, i: int, lookback: int, horizon: int, val: int, test: int) -> DataError:
    parts = f"lookback {lookback} + horizon {horizon}"
    if val:
        parts += f" + validation {val}"
    if test:
        parts += f" + test {test}"
    return DataError(
        f"series {panel.ids[i]!r}: {panel.length(i)} rows, but {parts} need at least {lookback + horizon + val + test}",
        "shorten the lookback or the horizon, or give longer series",
    )
