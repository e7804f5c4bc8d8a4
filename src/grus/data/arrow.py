"""Arrow columns as NumPy arrays of the types that ``Columns`` allows."""

from typing import TYPE_CHECKING

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import Columns, to_nanoseconds

if TYPE_CHECKING:
    import pyarrow as pa


def table_columns(table: "pa.Table", source: str) -> tuple[Columns, tuple[str, ...]]:
    """Every column of an Arrow table as NumPy, and sentences on what was converted."""
    import pyarrow as pa

    notes = []
    columns: Columns = {}
    for name, column in zip(table.column_names, table.columns):
        if name in columns:
            raise DataError(f"{source}: expected column names that differ, got {name!r} twice")
        columns[name] = column_array(column, name, source)
        if pa.types.is_timestamp(column.type) and column.type.tz is not None:
            notes.append(f"column {name!r}: time stamps carry a time zone and were read as UTC")
    return columns, tuple(notes)


def column_array(column: "pa.ChunkedArray | pa.Array", name: str, source: str) -> np.ndarray:
    """One Arrow column: float64 (NaN for null), int64, bool, datetime64[ns] or object text (None for null)."""
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if types.is_boolean(kind):
        return (
            column.cast(pa.float64()).to_numpy()
            if column.null_count
            else column.to_numpy(zero_copy_only=False)
        )
    if types.is_floating(kind) or types.is_decimal(kind) or types.is_integer(kind):
        whole = types.is_integer(kind) and not column.null_count and not types.is_uint64(kind)
        return np.array(
            column.cast(pa.int64() if whole else pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        )
    if types.is_timestamp(kind) or types.is_date(kind):
        if types.is_date(kind):
            column = column.cast(pa.timestamp("s"))
        return to_nanoseconds(column.to_numpy(zero_copy_only=False), name, source)
    if (
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_time(kind)
    ):
        return _text(column)
    raise DataError(f"{source}, column {name!r}: expected numbers, text or dates, got values of type {kind}")


def _text(column: "pa.ChunkedArray") -> np.ndarray:
    """Text with one Python object per distinct value, however many rows share it."""
    import pyarrow as pa

    whole = column.cast(pa.string())
    coded = (
        pa.chunked_array(whole).combine_chunks() if isinstance(whole, pa.Array) else whole.combine_chunks()
    )
    coded = (coded if isinstance(coded, pa.Array) else coded.chunk(0)).dictionary_encode()
    words = np.array([*coded.dictionary.to_pylist(), None], object)
    return words[coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)]
