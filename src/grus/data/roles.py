"""Column roles: as the user names them, the obvious ones inferred, and the plan in words."""

from collections.abc import Iterable, Sequence

import numpy as np

from grus.data.splits import Split
from grus.errors import DataError, UsageError
from grus.preprocess.columns import Columns, is_missing_text, is_text, is_time, listed, missing_column
from grus.preprocess.frequency import stamp
from grus.preprocess.oddities import value_range
from grus.preprocess.panel import Panel
from grus.preprocess.roles import Roles
from grus.preprocess.scaling import extent
from grus.preprocess.storage import chunks, distinct
from grus.preprocess.times import looks_like_times, time_parts

IDS = ("unique_id", "id", "series_id", "series", "item_id", "item")
TIMES = ("ds", "date", "datetime", "timestamp", "time")
TARGETS = ("y", "target", "value")
_CALENDAR = (("year",), ("month", "mnth", "mon"), ("day",), ("hour", "hr"), ("minute", "min"))
_COUNTED = ("week", "month", "quarter", "year", "step", "t")


def infer_roles(
    columns: Columns,
    *,
    id: str | None = None,
    time: str | None = None,
    target: str | None = None,
    past: Sequence[str] = (),
    future: Sequence[str] = (),
    static: Sequence[str] = (),
    source: str = "data",
) -> Roles:
    """Complete the roles that were named with those that are obvious; covariates are never guessed.

    id: a column called unique_id, id, series ... whose values come more than once, otherwise none. time: ds,
    date, timestamp ..., the only column of dates, dates with an ``hour`` beside them (``date+hour``), or
    ``year+month+day``; otherwise none, and the rows are in order. target: y, target, value, or the only numeric
    column left.

    Args:
        columns: the table.
        id, time, target: names given by the user; ``time`` may join columns with ``+``.
        past, future, static: covariates given by the user.
        source: the table's name, for messages.

    Raises:
        DataError: a named column is not there, or empty, or no column is obviously the target.
        UsageError: a column is given two roles.
    """
    times = time_parts(time, columns) if time is not None else ()
    named = [n for n in (id, *times, target, *past, *future, *static) if n is not None]
    for name in named:
        if name not in columns:
            raise missing_column(name, columns, source)
        if named.count(name) > 1:
            raise UsageError(f"column {name!r}: expected one role, got {named.count(name)}")
    for name in (*past, *future, *static):
        if _is_blank(columns[name]):
            raise DataError(
                f"{source}, column {name!r}: expected values, got only empty cells", "leave it out"
            )
    free = {name: values for name, values in columns.items() if name not in named}
    if time is None:
        time = _time(free)
        for name in time_parts(time, columns) if time else ():
            del free[name]
    if id is None:
        id = _by_name({name: values for name, values in free.items() if _repeats(values)}, IDS)
        free.pop(id or "", None)
    if target is None:
        target = _target(free, source)
    return Roles(target, id, time, tuple(past), tuple(future), tuple(static))


def _is_blank(values: np.ndarray) -> bool:
    """Whether every cell is missing."""
    if is_text(values):
        return all(is_missing_text(word) for word in distinct(values)[0])
    return all(bool((values[piece] != values[piece]).all()) for piece in chunks(len(values)))


def _target(free: Columns, source: str) -> str:
    numeric = [n for n, values in free.items() if values.dtype.kind in "fi"]
    found = _by_name(free, TARGETS) or (numeric[0] if len(numeric) == 1 else None)
    if found is None:
        got = listed(numeric) or "none"
        must = "a column named 'y', 'target' or 'value', or a single numeric one, as the target"
        raise DataError(f"{source}: expected {must}, got {got}", "name the target")
    return found


def _time(free: Columns) -> str | None:
    """The time axis, if there is one plain candidate."""
    dates = {name: values for name, values in free.items() if looks_like_times(values)}
    whole = {n: v for n, v in free.items() if v.dtype.kind == "i"}
    hour = _by_name(whole, _CALENDAR[3])
    found = _by_name({**dates, **whole}, TIMES) or (next(iter(dates)) if len(dates) == 1 else None)
    if found is not None:
        return (
            f"{found}+{hour}" if hour and found in dates and _is_daily(dates[found], whole[hour]) else found
        )
    parts = [_by_name(whole, names) for names in _CALENDAR]
    if parts[0] and parts[1]:
        known = parts[: parts.index(None)] if None in parts else parts
        return "+".join(part for part in known if part)
    return None if dates else _by_name(whole, _COUNTED)


def _repeats(values: np.ndarray) -> bool:
    """Whether some value comes twice, as the name of a series does and the number of a row does not."""
    head = values[:1000].tolist()
    again = any(
        np.count_nonzero(values[piece] == values[0]) > (piece.start == 0) for piece in chunks(len(values))
    )
    return again or len(set(head)) < len(head) or len(values) == 1


def _is_daily(dates: np.ndarray, hours: np.ndarray) -> bool:
    """Whether an hour column completes the dates: they say nothing of the clock, and hours are 0 to 23."""
    if is_time(dates):
        bare = bool(np.all(dates == dates.astype("M8[D]")))
    else:
        bare = not any(":" in str(cell) for cell in dates[:1000].tolist())
    return bare and hours.min() >= 0 and hours.max() <= 23 and bool(np.any(hours != hours[0]))


def _by_name(free: Iterable[str], names: tuple[str, ...]) -> str | None:
    lower = {name.strip().lower(): name for name in reversed(list(free))}
    return next((lower[name] for name in names if name in lower), None)


def plan_lines(panel: Panel, split: Split, columns: Iterable[str] = ()) -> list[str]:
    """The plan in words: which column is what, the time axis, what trains, validates and tests, what is unused.

    Args:
        panel: the series that will be used.
        split: where their parts end.
        columns: every column of the table, to list those that play no part.
    """
    roles = panel.roles
    series = f"{panel.n_series:,} by {roles.id!r}" if roles.id else "one"
    seen = int(np.count_nonzero(panel.observed))
    rows = [
        ("target", f"{roles.target!r}, {seen:,} values on {panel.n_rows:,} steps"),
        ("series", series),
        (
            "time",
            f"{roles.time!r}, {'uneven' if panel.stamps is not None else f'every {panel.frequency.words}'}"
            if roles.time
            else "none: rows in the order they come",
        ),
        ("past", _named(panel.past, "known up to now only")),
        ("future", _named(panel.future, "known for the horizon too")),
        ("static", _named(panel.static, "one value per series")),
    ]
    used = {part for name in roles.names() for part in time_parts(name, {})} | set(roles.names())
    unused = [name for name in columns if name not in used]
    if unused:
        rows.append(("not used", listed(unused).replace("'", "")))
    words = {"train": "train", "val": "validate", "test": "test"}
    rows += [(words[part], _span(panel, *ends)) for part, ends in split.ranges().items()]
    return [*(f"{name:<9} {text}" for name, text in rows), *_constants(panel)]


def _constants(panel: Panel) -> list[str]:
    """A sentence on series, and on covariates, that never change."""
    count, low, high = extent(panel.target, panel.offsets)
    still = np.flatnonzero((count > 1) & (low == high))
    name, found = panel.roles.target, []
    if len(still) and panel.n_series == 1:
        found.append(f"column {name!r}: {low[0]:g} in every row, so that there is nothing to learn")
    elif len(still):
        which = listed([panel.ids[i] for i in still], most=3)
        change = "changes" if len(still) == 1 else "change"
        found.append(f"column {name!r}: {len(still):,} of {panel.n_series:,} series never {change} ({which})")
    for name, values in {**panel.past, **panel.future}.items():
        least, greatest = (np.nan, np.nan) if is_text(values) else value_range(values)
        if least == greatest:
            found.append(f"column {name!r}: {least:g} in every row, so that it tells nothing")
    return found


def _named(columns: Columns, meaning: str) -> str:
    """``temp, wind (category); known up to now only``; ``none``."""
    if not columns:
        return "none"
    return f"{', '.join(n + ' (category)' * is_text(v) for n, v in columns.items())}; {meaning}"


def _span(panel: Panel, first: np.ndarray, last: np.ndarray) -> str:
    """``1,344 hours from 2012-11-06 to 2012-12-31 23:00:00``; rows of all series where there are several."""
    some = np.flatnonzero(last > first)
    if not len(some):
        return "none"
    begin, end = panel.when(some, first[some]).min(), panel.when(some, last[some] - 1).max()
    n = int((last - first).sum())
    count = panel.frequency.count(n) if panel.n_series == 1 else f"{n:,} rows of {len(some):,} series"
    return f"{count} from {stamp(begin)} to {stamp(end)}"
