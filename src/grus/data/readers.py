"""Tables from files and frames as columns: the one door through which data comes in."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.data.arrow import table_columns, zone_notes
from grus.data.delimited import read_delimited
from grus.data.json_lines import JSON_SUFFIXES, read_json_lines
from grus.data.parquet import SUFFIXES, read_parquet
from grus.data.spool import available_memory
from grus.errors import DataError, UsageError
from grus.preprocess.columns import Columns, Source, as_column, missing_column

if TYPE_CHECKING:
    import narwhals as nw

_DELIMITED = (".csv", ".tsv", ".txt")


def read_columns(
    table: object, columns: Sequence[str] | None = None, memory_limit: int | None = None
) -> tuple[Columns, Source]:
    """Read a table into columns.

    Args:
        table: a path to a CSV, TSV or JSON lines file (also ``.gz``), to a Parquet file or a folder of them; or
            a pandas, polars or pyarrow table; or a dict of arrays; or a list of dicts, one per row.
        columns: the names to keep (default: all), in this order.
        memory_limit: bytes (default: half of the memory available); a file that would take more is read batch
            by batch, and the columns are ``np.memmap`` on nameless temporary files under ``TMPDIR``.

    Returns:
        the columns, and the source: a name for messages that also knows the file's row numbers.
    Raises:
        DataError: the file is missing, empty, cut short or not a table, or lacks a named column.
    """
    limit = available_memory() // 2 if memory_limit is None else memory_limit
    if isinstance(table, (str, Path)):
        found, source = _read_path(Path(table), columns, limit)
    else:
        found, source = _read_object(table)
    if columns is None:
        return found, source
    for name in columns:
        if name not in found:
            raise missing_column(name, found, source)
    return {name: found[name] for name in columns}, source


def is_table_path(path: str | Path) -> bool:
    """Whether a path is read as a table by its name (or is stdin, ``-``), and not as plain text, a sentence a line."""
    path = Path(path)
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    return str(path) == "-" or kind.lower() in (".csv", ".tsv", *JSON_SUFFIXES, *SUFFIXES)


def _read_path(path: Path, names: Sequence[str] | None, limit: int) -> tuple[Columns, Source]:
    if not path.exists():
        raise DataError(f"no such file: {path}", _close_files(path))
    if path.is_dir() or path.suffix in SUFFIXES:
        return read_parquet(path, names, limit)
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if kind.lower() in JSON_SUFFIXES:
        return read_json_lines(path, names, limit)
    if kind.lower() not in _DELIMITED:
        kinds = ", ".join((*_DELIMITED, *JSON_SUFFIXES, *SUFFIXES))
        raise DataError(f"{path}: expected a file ending in {kinds} (or .csv.gz), got {path.name!r}")
    return read_delimited(path, names, limit)


def _close_files(path: Path) -> str:
    folder = path.parent
    there = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, there, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(str(folder / name) for name in close)}?" if close else ""


def _read_object(table: object) -> tuple[Columns, Source]:
    source = Source("data")
    if isinstance(table, Mapping):
        columns = {str(name): as_column(values, str(name)) for name, values in table.items()}
    elif isinstance(table, Sequence) and not isinstance(table, (bytes, bytearray)):
        columns = _read_records(table)
    else:
        columns, source = _read_frame(table)
    lengths = {name: len(values) for name, values in columns.items()}
    for name, length in lengths.items():
        if length != next(iter(lengths.values())):
            first, rows = next(iter(lengths.items()))
            raise DataError(
                f"{source}, column {name!r}: expected {rows:,} rows as in {first!r}, got {length:,}"
            )
    if not any(lengths.values()):
        raise DataError(f"{source}: expected rows, got a table without any")
    return columns, source


def _read_records(rows: Sequence[object]) -> Columns:
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise UsageError(f"data, row {number}: expected a dict, got {type(row).__name__}")
    records: Sequence[Mapping[str, object]] = rows  # type: ignore[assignment]
    columns = {}
    for name in dict.fromkeys(name for row in records for name in row):
        cells = np.empty(len(records), object)
        cells[:] = [row.get(name) for row in records]
        columns[str(name)] = as_column(cells, str(name))
    return columns


def _read_frame(table: object) -> tuple[Columns, Source]:
    import narwhals as nw
    import pyarrow as pa

    try:
        frame = nw.from_native(table)  # type: ignore[call-overload]
    except TypeError as error:
        raise UsageError(
            "data: expected a path, a pandas, polars or pyarrow table, a dict of arrays or a list of dicts, "
            f"got {type(table).__name__}"
        ) from error
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    try:
        arrow = _with_index(frame).to_arrow()
        # pandas adds an index without a name; one with a name (often the series id) is a column like others.
        arrow = arrow.select([name for name in arrow.column_names if not name.startswith("__index_level_")])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"data: expected columns of one type each, got a mixture ({error})") from error
    source = Source("data", None, zone_notes(arrow.schema))
    return table_columns(arrow, source), source


def _with_index(frame: "nw.DataFrame[Any]") -> "nw.DataFrame[Any]":
    """A pandas frame indexed by time stamps with them as a column, named as the index is, or ``ds``."""
    native = frame.to_native()
    index = getattr(native, "index", None)
    if getattr(getattr(index, "dtype", None), "kind", "") != "M" or index is None:
        return frame
    import narwhals as nw

    name = index.name or "ds"
    return frame if name in frame.columns else nw.from_native(native.rename_axis(name).reset_index())
