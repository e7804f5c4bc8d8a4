"""Rows at uneven times: laid one after the other in the order of time, however far apart they are."""

import numpy as np

from grus.preprocess.axis import Alike, Axis, check_repeats, label
from grus.preprocess.columns import as_source, is_time
from grus.preprocess.frequency import Frequency
from grus.preprocess.grid import Grid, group
from grus.preprocess.times import as_times

#: The column of answers that counts rows after the last one, where no one knows when they come.
STEP = "step"


def lay_rows(
    id_column: np.ndarray | None,
    time_column: np.ndarray,
    id_name: str | None,
    time_name: str,
    source: str,
    alike: Alike | None = None,
) -> tuple[Grid, np.ndarray]:
    """Number the series, and put the rows of each in the order of time.

    Args:
        id_column, time_column: of the table.
        id_name, time_name: what they are called.
        source: the table's name, for messages.
        alike: compares rows; of rows of one time that hold the same, one is kept.

    Returns:
        The places of the rows, on a grid that counts them; and when each place is, datetime64[ns] or int64.

    Raises:
        DataError: a row has no time, or two different rows of a series have the same.
    """
    codes, id_values = group(id_column, len(time_column), id_name or "", source)
    times, said = as_times(time_column, time_name, source)
    stamps = np.asarray(times).astype("M8[ns]" if is_time(times) else np.int64)
    ids = tuple(label(value) for value in id_values)
    order = np.lexsort((stamps, codes))
    own, when = np.asarray(codes)[order], stamps[order]
    new = np.append(True, (own[1:] != own[:-1]) | (when[1:] != when[:-1]))
    place = np.empty(len(order), np.int64)
    place[order] = np.cumsum(new) - 1
    notes = list(said)
    given = np.argsort(codes, kind="stable")  # the rows of each series as they came
    late = given[1:][(np.diff(stamps[given].astype(np.int64)) < 0) & (own[1:] == own[:-1])]
    if len(late):
        row = as_source(source).row(int(late.min()))
        notes.append(f"rows were not in the order of time (first at {row}) and have been sorted")
    counts = np.bincount(own[new], minlength=len(ids))
    if not new.all():
        axis = Axis(stamps, codes, ids, time_name, id_name, source)
        notes.append(check_repeats(axis, place, int(new.sum()), alike))
    notes.append("rows come at uneven times: a step is a row, however far from the one before")
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    starts = np.zeros(len(ids), np.int64)
    grid = Grid(ids, id_values, starts, Frequency("step"), offsets, codes, place, 0, tuple(notes))
    return grid, when[new]
