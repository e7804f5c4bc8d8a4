"""From scores of rows to events: when something began and ended, how severe it was, and in which columns."""

from typing import Any

import numpy as np

from grus.decode.likelihood import to_score, to_severity
from grus.preprocess.columns import Columns
from grus.preprocess.records import Records
from grus.spec import Detect


def event_rows(severity: np.ndarray, least: float, quiet: int) -> list[tuple[int, int]]:
    """First and last row of every event of one series: rows above ``least`` with fewer than ``quiet`` others between.

    Args:
        severity: of each row, float64 [T].
        least: rows above it belong to an event.
        quiet: so many rows that are not above it, and one at least, end an event.
    """
    above = np.flatnonzero(severity > least)
    if not len(above):
        return []
    ends = np.flatnonzero(np.diff(above) > max(quiet, 1))
    firsts, lasts = np.append(0, ends + 1), np.append(ends, len(above) - 1)
    return [(int(above[i]), int(above[j])) for i, j in zip(firsts, lasts)]


def find_events(task: Detect, threshold: float, records: Records, severity: np.ndarray) -> Columns:
    """The events of all series.

    Args:
        task: names the columns.
        threshold: of the score.
        records: the rows; severity: of each of their columns, float64 [R, C].

    Returns:
        Columns: the id (if any), ``start`` and ``end`` (stamps; numbers of the rows of a series without a time column),
        ``severity`` (the largest), ``score`` and ``columns`` (those above the threshold, the most severe first).
    """
    least, found = to_severity(threshold), []
    for i in range(records.n_series):
        own = severity[records.rows(i)]
        for first, last in event_rows(own.max(1), least, task.quiet):
            most = own[first : last + 1].max(0)
            order = [c for c in np.argsort(-most, kind="stable").tolist() if most[c] > least]
            found.append((i, first, last, float(most.max()), "|".join(task.columns[c] for c in order)))
    series, first, last = (np.array([row[k] for row in found], np.int64) for k in range(3))
    ends: dict[str, Any] = {"start": first, "end": last}
    if task.time is not None:
        ends = {name: records.shown_stamps(records.offsets[series] + rows) for name, rows in ends.items()}
    columns: Columns = {} if records.ids is None else {task.id or "id": records.ids[series]}
    most = np.array([row[3] for row in found])
    names = np.empty(len(found), object)
    names[:] = [row[4] for row in found]
    return columns | ends | {"severity": most, "score": to_score(most), "columns": names}
