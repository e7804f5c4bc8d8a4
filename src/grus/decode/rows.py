"""Rows as a user has them, as columns; without pandas, polars or pyarrow, but welcoming theirs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grus.errors import DataError, UsageError
from grus.preprocess.columns import Columns, as_column


def to_columns(rows: Any, source: str = "rows") -> Columns:
    """Bring a mapping of arrays, a list of records, or a data frame into columns.

    Args:
        rows: ``{"ds": [...], "y": [...]}``, ``[{"ds": ..., "y": ...}, ...]``, or any frame with ``.columns`` (or
            ``.column_names``) and ``frame[name]``; an index of time stamps is a column too, by its name or ``ds``.
        source: what to call it in messages.

    Raises:
        UsageError: for anything else; DataError: for records that do not agree on their fields.
    """
    if isinstance(rows, Mapping):
        return {str(name): as_column(values, str(name), source) for name, values in rows.items()}
    if isinstance(rows, Sequence) and not isinstance(rows, str | bytes):
        return _from_records(rows, source)
    names = getattr(rows, "column_names", None)
    names = getattr(rows, "columns", None) if names is None else names
    if names is None or not hasattr(rows, "__getitem__"):
        raise UsageError(f"{source}: must be columns, records or a data frame, got {type(rows).__name__}")
    columns = {str(name): as_column(_values(rows[name]), str(name), source) for name in names}
    index = getattr(rows, "index", None)
    if index is not None and getattr(getattr(index, "dtype", None), "kind", "") == "M":
        name = str(index.name or "ds")
        columns.setdefault(name, as_column(_values(index), name, source))
    return columns


def _values(column: Any) -> np.ndarray:
    if not hasattr(column, "to_numpy"):
        return np.asarray(column)
    if getattr(getattr(column, "dtype", None), "tz", None) is not None:
        return column.to_numpy("M8[ns]")  # in UTC; without a dtype pandas gives objects
    if str(getattr(column, "type", "")).startswith("dictionary"):
        column = column.cast(
            column.type.value_type
        )  # pyarrow's own to_numpy gives the dictionary, not the values
    return np.asarray(column.to_numpy())


def _from_records(rows: Sequence[Any], source: str) -> Columns:
    if not rows:
        raise DataError(f"{source}: expected rows, got none")
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise UsageError(
                f"{source}: must be columns, records or a data frame, got {type(row).__name__} in a list"
            )
        if row.keys() != rows[0].keys():
            odd = sorted(map(str, row.keys() ^ rows[0].keys()))[0]
            raise DataError(
                f"{source}, row {number} (counting from 0): field {odd!r} must stand in every row or none"
            )
    return {str(name): as_column([row[name] for row in rows], str(name), source) for name in rows[0]}
