"""The columns of a table that the roles name, each of the type that its part asks for."""

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import (
    Columns,
    as_column,
    as_covariate,
    as_source,
    cell_error,
    is_missing_text,
    is_text,
    missing_column,
)
from grus.preprocess.grid import Grid
from grus.preprocess.roles import Roles
from grus.preprocess.storage import chunks, distinct
from grus.preprocess.times import time_column


def typed_columns(columns: Columns, roles: Roles, source: str) -> Columns:
    """The columns that the roles name, typed, all there and of one length."""
    table: Columns = {}
    for name in roles.names():
        if name == roles.time:
            table[name] = time_column(columns, name, source)
        elif name in columns:
            table[name] = as_column(columns[name], name, source)
            if name == roles.id:
                table[name] = as_ids(table[name], name, source)
        else:
            raise missing_column(name, columns, source)
    n = len(table[roles.target])
    for name, values in table.items():
        if len(values) != n:
            must = f"{n:,} rows as in {roles.target!r}"
            raise DataError(f"{source}, column {name!r}: expected {must}, got {len(values):,}")
    if not n:
        raise DataError(f"{source}: expected rows, got a table without any")
    return table


def as_ids(values: np.ndarray, name: str, source: str) -> np.ndarray:
    """A column of ids as it is written: 007 is not the 7 that a reader of numbers makes of it."""
    padded = as_source(source).padded
    written = padded(name) if padded is not None and values.dtype.kind in "if" else None
    return values if written is None else written[: len(values)]


def static_values(column: np.ndarray, grid: Grid, name: str, source: str) -> np.ndarray:
    """The one value of each series [N]; two different ones are an error, missing ones are passed over."""
    values = as_covariate(column, name, source)
    words: list[str | None] = []
    if is_text(values):
        words, values = distinct(values)
    gone = np.array([is_missing_text(word) for word in words], bool)
    found = np.full(len(grid.ids), np.nan)
    for piece in chunks(len(values)):
        codes, part = grid.codes[piece], np.asarray(values[piece], np.float64)
        if words:
            part[gone[values[piece]]] = np.nan
        rows = np.flatnonzero(~np.isnan(part))
        new = rows[np.isnan(found[codes[rows]])]
        found[codes[new[::-1]]] = part[new[::-1]]
        differs = rows[part[rows] != found[codes[rows]]]
        if len(differs):
            row, series = piece.start + int(differs[0]), int(codes[differs[0]])
            old = words[int(found[series])] if words else found[series]
            raise cell_error(
                source,
                row,
                name,
                f"one value for the whole of series {grid.ids[series]!r}",
                f"{column[row]!s} after {old!s}",
                "a value that changes with time belongs under past or future",
            )
    if not words:
        return found
    return np.array([None if v != v else words[int(v)] for v in found], object)
