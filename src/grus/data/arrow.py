"""Arrow columns as NumPy arrays of the types that ``Columns`` allows."""

from typing import TYPE_CHECKING

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import Columns, to_nanoseconds

if TYPE_CHECKING:
    import pyarrow as pa


def table_columns(table: "pa.Table | pa.RecordBatch", source: str) -> Columns:
    """Every column of an Arrow table or batch as NumPy."""
    return {
        name: column_array(column, name, source) for name, column in zip(table.schema.names, table.columns)
    }


def zone_notes(schema: "pa.Schema") -> tuple[str, ...]:
    """A sentence for every column of time stamps with a time zone: they are read as UTC."""
    import pyarrow as pa

    return tuple(
        f"column {field.name!r}: time stamps carry a time zone and were read as UTC"
        for field in schema
        if pa.types.is_timestamp(field.type) and field.type.tz is not None
    )


def column_array(column: "pa.ChunkedArray | pa.Array", name: str, source: str) -> np.ndarray:
    """One Arrow column: float64 (NaN for null), int64, bool, datetime64[ns] or object text (None for null)."""
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if types.is_boolean(kind) and not column.null_count:
        return column.to_numpy(zero_copy_only=False)
    if types.is_boolean(kind):
        column, kind = column.cast(pa.int8()), pa.int8()
    if types.is_floating(kind) or types.is_decimal(kind) or types.is_integer(kind):
        whole = types.is_integer(kind) and not column.null_count and not types.is_uint64(kind)
        return column.cast(pa.int64() if whole else pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if types.is_date(kind):
        column, kind = column.cast(pa.timestamp("s" if types.is_date32(kind) else "ms")), pa.timestamp("s")
    if types.is_timestamp(kind):
        return to_nanoseconds(column.to_numpy(zero_copy_only=False), name, source)
    if is_text_type(kind):
        words, codes = text_codes(column)
        return np.array([*words, None], object)[codes]
    raise DataError(f"{source}, column {name!r}: expected numbers, text or dates, got values of type {kind}")


def is_text_type(kind: "pa.DataType") -> bool:
    """Whether an Arrow type becomes text: strings, also dictionary-coded, and times of day."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return is_text_type(kind.value_type)
    return (
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_time(kind)
    )


def text_codes(column: "pa.ChunkedArray | pa.Array") -> tuple[list[str], np.ndarray]:
    """The distinct texts of a column, and each row's number among them (the last + 1 for null), int64 [R]."""
    import pyarrow as pa

    plain = column.cast(pa.string())
    if isinstance(plain, pa.ChunkedArray):
        coded = plain.dictionary_encode().combine_chunks()
        # An empty column combines to no chunk at all in some versions of Arrow.
        coded = coded if isinstance(coded, pa.Array) else pa.array([], pa.string()).dictionary_encode()
    else:
        coded = plain.dictionary_encode()
    words = coded.dictionary.to_pylist()
    codes = coded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
    return words, codes
