"""The time axis of a table: stamps and series row by row, and the sentences about rows that do not fit on it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import as_source, cell_error
from grus.preprocess.frequency import Frequency, full_stamp, stamp
from grus.preprocess.storage import chunks, full, on_disk

Alike = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Which of the rows a [D] hold in every column what the rows b [D] hold: bool [D]."""


def label(value: object) -> str:
    """The name of a series as text, whatever its id is; 7.0 is 7, as a column of ids with a gap in it is of floats."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return stamp(value)


@dataclass(frozen=True)
class Axis:
    """Stamps and series of the table's rows, and how to speak of them."""

    times: np.ndarray
    codes: np.ndarray
    ids: tuple[str, ...]
    time_name: str | None
    id_name: str | None
    source: str

    @property
    def where(self) -> str:
        """``sales.csv, column 'ds'``."""
        return f"{self.source}, column {self.time_name!r}"

    def check(self, given: Frequency) -> Frequency:
        """The frequency itself, if it is one of dates or of whole numbers as the stamps are."""
        dates = self.times.dtype.kind == "M"
        if given.is_integer == dates:
            got, need = ("dates", "whole numbers") if dates else ("whole numbers", "dates")
            raise DataError(f"{self.where}: expected {need} for frequency '{given}', got {got}")
        return given

    def row(self, index: int) -> str:
        """``row 18``; see `Source.row`."""
        return as_source(self.source).row(index)


def off_grid(axis: Axis, frequency: Frequency, row: int, share: float) -> DataError:
    """Name a row that is off the grid, and the one before it in time.

    Args:
        axis: the stamps.
        frequency: the step that was named, or guessed from the commonest distance of two rows.
        row: the first that does not fit.
        share: how many of the distances are that step, 1 if it was named: of few, the rows have no step at all.
    """
    hint = "name the frequency, or bring the rows to even steps first"
    if share < 0.5:
        got = f"uneven ones (the commonest, {frequency}, is {share:.1%} of them)"
        return DataError(
            f"{axis.where}: expected rows in even steps, got {got}",
            "bring the rows to even steps first, such as the mean of each hour, or name irregular",
        )
    same = np.flatnonzero(axis.codes == axis.codes[row])
    earlier = same[axis.times[same] < axis.times[row]]
    after = ""
    if len(earlier):
        before = int(earlier[np.argmax(axis.times[earlier])])
        after = f" after {full_stamp(axis.times[before])!r} ({axis.row(before)})"
    got = f"{full_stamp(axis.times[row])!r}{after}"
    return cell_error(axis.source, row, axis.time_name or "", f"steps of {frequency}", got, hint)


def check_repeats(axis: Axis, place: np.ndarray, n_places: int, alike: Alike | None) -> str:
    """A sentence on rows that repeat others in every cell; the first that does not is an error.

    Args:
        axis: the stamps.
        place: a number of each row [R] that rows of one series and stamp share.
        n_places: one more than the greatest.
        alike: compares rows; None: no repeat is tolerated.

    Raises:
        DataError: a series has two different rows for one stamp; both are named.
    """
    later, first = find_repeats(place, n_places)
    for piece in chunks(len(later)):
        same = np.zeros(len(later[piece]), bool) if alike is None else alike(later[piece], first[piece])
        if not same.all():
            at = piece.start + int(np.argmin(same))
            raise _conflict(axis, int(later[at]), int(first[at]), later[piece][~same])
    n = len(later)
    which = "1 row that repeats an earlier one" if n == 1 else f"{n:,} rows that repeat earlier ones"
    return f"{which} in every cell left out ({'' if n == 1 else 'first at '}{axis.row(int(later[0]))})"


def find_repeats(place: np.ndarray, n_places: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose place an earlier row has, in order, and the first row that has it, both int64 [D]."""
    taken = full(n_places, False, np.bool_, on_disk(place))
    found = []
    for piece in chunks(len(place)):
        part = np.asarray(place[piece])
        head = np.unique(part, return_index=True)[1]
        again = np.ones(len(part), bool)
        again[head] = taken[part[head]]
        taken[part] = True
        found.append(piece.start + np.flatnonzero(again))
    later = np.concatenate(found)
    if not len(later):
        return later, later
    shared, which = np.unique(place[later], return_inverse=True)
    first = np.full(len(shared), len(place))
    for piece in chunks(len(place)):
        part = np.asarray(place[piece])
        at = np.minimum(np.searchsorted(shared, part), len(shared) - 1)
        rows = np.flatnonzero(shared[at] == part)
        np.minimum.at(first, at[rows], piece.start + rows)
    return later, first[which]


def _conflict(axis: Axis, row: int, first: int, all_rows: np.ndarray) -> DataError:
    """Name a row whose stamp its series has had before, and the row that had it."""
    of = f" for series {axis.ids[axis.codes[row]]!r}" if axis.id_name else ""
    hint = "keep one of the rows"
    if not axis.id_name:
        hint = "name the column that tells the series apart, if there are several; else keep one of the rows"
    if axis.times.dtype.kind == "M" and _clock_set_back(axis.times[all_rows]):
        hint = "clocks seem to have been set back in that hour: give every time stamp its UTC offset, as in 02:00+01:00"
    got = f"{full_stamp(axis.times[row])!r} twice (first in {axis.row(first)})"
    return cell_error(axis.source, row, axis.time_name or "", f"one row per time stamp{of}", got, hint)


def _clock_set_back(times: np.ndarray) -> bool:
    """Whether all the stamps that come twice lie in the small hours of Sundays in autumn or, down south, April."""
    days = times.astype("M8[D]")
    hours = (times - days) // np.timedelta64(1, "h")
    month = days.astype("M8[M]").astype(np.int64) % 12 + 1
    sunday = days.astype(np.int64) % 7 == 3  # 1970-01-01 was a Thursday
    return bool(np.all(sunday & (hours <= 3) & np.isin(month, (4, 9, 10, 11))))
