"""Tables in long form, a measurement a row (id, time, variable, value), laid out with a column for each variable."""

from collections.abc import Sequence

import numpy as np

from grus.errors import DataError, UsageError
from grus.preprocess.columns import (
    Columns,
    Source,
    as_numbers,
    as_source,
    cell_error,
    first_row,
    missing_column,
)
from grus.preprocess.grid import group
from grus.preprocess.labels import spelled_codes
from grus.preprocess.times import as_times, time_column, time_parts


def lay_out_long(
    columns: Columns,
    long: tuple[str, str],
    id: str | None,
    time: str | None,
    *,
    channels: Sequence[str] = (),
    label: str | None = None,
    source: str = "data",
) -> tuple[Columns, Source]:
    """One row for each id and time, NaN for what was not measured then.

    A row without a variable, or without a value, still says that there was something at its time. Of a variable given
    twice at one time the later row counts, and the source notes how many there were.

    Args:
        columns: the table.
        long: the columns of the variables' names and of their values.
        id, time: the columns that say whose a row is, and when.
        channels: variables that are kept, others are left out; all of them, by name, if there are none.
        label: a column that must say the same in all rows of one id and time.
        source: the table's name, for messages.

    Returns:
        Columns with those variables in place of the two, and the source, which still knows the rows' numbers.

    Raises:
        UsageError: no id or time. DataError: a column is missing, or one of that name is there already; a value is no
            number; the label differs.
    """
    variable, value = long
    if id is None or time is None:
        raise UsageError(
            f"variable: must be given with id and time, got {'no id' if id is None else 'no time'}"
        )
    given = [id, *time_parts(time, columns), variable, value, *([label] if label else [])]
    for name in given:
        if name not in columns:
            raise missing_column(name, columns, source)
    words, codes = spelled_codes(columns[variable], variable, source)
    wanted = list(channels) or sorted({word for word in words if word is not None})
    rest = {name: values for name, values in columns.items() if name not in long}
    for name in wanted:
        if name in rest:
            raise DataError(
                f"{source}: expected variables that are called as no column is, got {name!r} in {variable!r}"
            )
    if not wanted:
        raise DataError(f"{source}, column {variable!r}: expected names of variables, got only empty cells")
    place, first = _places(columns, id, time, source)
    if label is not None:
        _check_label(columns[label], label, place, first, source)
    number = {word: i for i, word in enumerate(wanted)}
    column = np.array([number.get(word, -1) if word is not None else -1 for word in words] or [-1], np.int64)[
        codes
    ]
    wide = np.full((len(first), len(wanted)), np.nan)
    numbers = as_numbers(columns[value], value, source)
    known = np.flatnonzero((column >= 0) & ~np.isnan(numbers))
    wide[place[known], column[known]] = numbers[known]  # of several the last one stays
    twice = len(known) - int((~np.isnan(wide)).sum())
    where = as_source(source)
    notes = [f"{twice:,} values of a variable given again at one time: the later row counts"] if twice else []
    laid = {name: values[first] for name, values in rest.items()}
    laid |= {name: wide[:, i].copy() for name, i in number.items()}
    return laid, Source(where, lambda row: where.row(int(first[row])), (*where.notes, *notes), where.padded)


def _places(columns: Columns, id: str, time: str, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the number of its id and time, int64 [R], and of each of those the first row that has it."""
    ids, _ = group(columns[id], len(columns[id]), id, source)
    stamps, _ = as_times(time_column(columns, time, source), time, source)
    _, stamps = np.unique(stamps.astype(np.int64), return_inverse=True)
    key = ids.astype(np.int64) * (int(stamps.max(initial=0)) + 1) + stamps
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(
        first, kind="stable"
    )  # as they come, not by name: labels beside the data are in that order
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[place], first[order]


def _check_label(values: np.ndarray, label: str, place: np.ndarray, first: np.ndarray, source: str) -> None:
    words, codes = spelled_codes(values, label, source)
    own = codes[first][place]
    other = first_row(codes != own)
    if other >= 0:
        before, now = (repr(words[int(code)]) for code in (own[other], codes[other]))
        raise cell_error(source, other, label, f"one label at one id and time, {before}", now)
