"""What the columns of a table of sensors are: named, or inferred where obvious; and the plan in words."""

from collections.abc import Iterable, Sequence

import numpy as np

from grus.data.roles import IDS, TIMES
from grus.errors import DataError, UsageError
from grus.preprocess.columns import Columns, is_text, listed, missing_column
from grus.preprocess.frequency import stamp
from grus.preprocess.records import DetectRoles, Records
from grus.preprocess.times import looks_like_times, time_parts

LABELS = ("anomaly", "is_anomaly", "anomalous", "label", "outlier", "is_outlier")


def infer_detect_roles(
    columns: Columns,
    *,
    id: str | None = None,
    time: str | None = None,
    label: str | None = None,
    watched: Sequence[str] = (),
    source: str = "data",
) -> DetectRoles:
    """Complete the columns that were named with those that are obvious.

    time: ds, date, timestamp ..., or the only column of dates. id: unique_id, id, series ... of text, or of numbers of
    which some come twice. label: anomaly, is_anomaly, label ..., of 0 and 1 alone. Watched are all numeric columns
    that are left.

    Raises:
        DataError: a named column is not there, or no numeric one is left.
        UsageError: a column is given two roles.
    """
    parts = time_parts(time, columns) if time is not None else ()
    named = [name for name in (id, *parts, label, *watched) if name is not None]
    for name in named:
        if name not in columns:
            raise missing_column(name, columns, source)
        if named.count(name) > 1:
            raise UsageError(f"column {name!r}: expected one role, got {named.count(name)}")
    free = {name: values for name, values in columns.items() if name not in named}

    def take(names: Iterable[str], fits: object) -> str | None:
        lower = {name.strip().lower(): name for name in reversed(free)}
        found = next((lower[n] for n in names if n in lower and fits(free[lower[n]])), None)  # type: ignore[operator]
        free.pop(found or "", None)
        return found

    if time is None:
        time = take(TIMES, lambda values: values.dtype.kind == "i" or looks_like_times(values))
        dates = [name for name, values in free.items() if looks_like_times(values)]
        if time is None and len(dates) == 1:
            time = dates[0]
            del free[time]
    if id is None:
        id = take(IDS, _repeats)
    if label is None:
        label = take(LABELS, _is_flag)
    found = tuple(watched) or tuple(name for name, values in free.items() if values.dtype.kind in "fi")
    if not found:
        raise DataError(
            f"{source}: expected columns of numbers to watch, got {listed(free) or 'no other column'}",
            "name them with columns",
        )
    return DetectRoles(found, id, time, label)


def _repeats(values: np.ndarray) -> bool:
    return is_text(values) or len(np.unique(values)) < len(values)


def _is_flag(values: np.ndarray) -> bool:
    return values.dtype.kind in "bif" and bool(np.isin(values, (0, 1)).all())


def plan_detect(
    records: Records, roles: DetectRoles, train_end: np.ndarray, columns: Iterable[str] = ()
) -> list[str]:
    """The plan in words: what is watched, which rows train and validate, what is not used.

    Args:
        records: the rows.
        roles: what the columns are.
        train_end: in each series the row after the last one that is trained on, int [N].
        columns: every column of the table, to list those that play no part.
    """
    names = listed(roles.columns).replace("'", "")
    series = f"{records.n_series:,} by {roles.id!r}" if roles.id else "one"
    rows = [("watched", names), ("series", series), ("time", _span(records, roles))]
    if records.anomalous is not None:
        rows.append(
            ("label", f"{roles.label!r}, {int(records.anomalous.sum()):,} rows of 1, not learned from")
        )
    used = {part for name in roles.names() for part in time_parts(name, {})} | set(roles.names())
    unused = [name for name in columns if name not in used]
    if unused:
        rows.append(("not used", listed(unused).replace("'", "")))
    train = int(train_end.sum())
    rows += [
        ("train", f"{train:,} rows"),
        ("validate", f"{len(records) - train:,} rows, the last of each series"),
    ]
    gone = np.isnan(records.values).sum(0)
    lost = [
        f"column {name!r}: {int(n):,} missing value{'s' if n > 1 else ''} masked"
        for name, n in zip(roles.columns, gone)
        if n
    ]
    return [*(f"{name:<9} {text}" for name, text in rows), *lost]


def _span(records: Records, roles: DetectRoles) -> str:
    if roles.time is None:
        return "none: rows in the order they come"
    shown = records.shown_stamps()
    return f"{roles.time!r}, from {stamp(shown.min())} to {stamp(shown.max())}"
