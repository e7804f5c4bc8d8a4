"""Tables from files and frames as columns: the one door through which data comes in."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grus.data.arrow import table_columns
from grus.data.delimited import read_delimited
from grus.errors import DataError, UsageError
from grus.preprocess.columns import Columns, Source, as_column

if TYPE_CHECKING:
    import pyarrow as pa

_DELIMITED = {".csv", ".tsv", ".txt"}
_PARQUET = {".parquet", ".pq"}


def read_columns(table: object, columns: Sequence[str] | None = None) -> tuple[Columns, Source]:
    """Read a table into columns.

    Args:
        table: a path to a CSV or TSV file (also ``.gz``), to a Parquet file or a folder of them; or a pandas,
            polars or pyarrow table; or a dict of arrays; or a list of dicts, one per row.
        columns: the names to keep (default: all), in this order.

    Returns:
        the columns, and the source: a name for messages that also knows the file's row numbers.
    Raises:
        DataError: the file is missing, empty, cut short or not a table, or lacks a named column.
    """
    if isinstance(table, (str, Path)):
        found, source = _read_path(Path(table))
    else:
        found, source = _read_object(table), Source("data")
    if columns is None:
        return found, source
    for name in columns:
        if name not in found:
            raise missing_column(name, found, source)
    return {name: found[name] for name in columns}, source


def _read_path(path: Path) -> tuple[Columns, Source]:
    if not path.exists():
        raise DataError(f"no such file: {path}", _close_files(path))
    suffixes = path.suffixes
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else path.suffix
    if path.is_dir() or kind.lower() in _PARQUET:
        return _read_parquet(path)
    if kind.lower() not in _DELIMITED:
        raise DataError(
            f"{path}: expected a file ending in .csv, .tsv, .txt (also .gz) or .parquet, got {kind!r}"
        )
    return read_delimited(path)


def _close_files(path: Path) -> str:
    folder = path.parent
    there = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, there, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(str(folder / name) for name in close)}?" if close else ""


def _read_parquet(path: Path) -> tuple[Columns, Source]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(p for p in path.rglob("*") if p.suffix in _PARQUET) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: expected Parquet files in the folder, got none")
    tables: list[pa.Table] = []
    for file in files:
        try:
            tables.append(pq.read_table(file, partitioning=None))
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(
                f"{file}: expected a Parquet file, got one that cannot be read ({error})"
            ) from error
    table = pa.concat_tables(tables, promote_options="permissive")
    return _from_arrow(table, str(path), Source(path.name))


def _from_arrow(table: "pa.Table", name: str, source: Source) -> tuple[Columns, Source]:
    columns, notes = table_columns(table, source)
    if not table.num_rows:
        raise DataError(f"{name}: expected rows, got a table without any")
    return columns, Source(source, source._locate, (*source.notes, *notes))


def _read_object(table: object) -> Columns:
    if isinstance(table, Mapping):
        return {str(name): as_column(values, str(name)) for name, values in table.items()}
    if isinstance(table, Sequence) and all(isinstance(row, Mapping) for row in table):
        names = dict.fromkeys(name for row in table for name in row)
        return {str(n): as_column(_cells([row.get(n) for row in table]), str(n)) for n in names}
    try:
        import narwhals as nw

        frame = nw.from_native(table, eager_only=True)
    except TypeError as error:
        raise UsageError(
            "data: expected a path, a pandas, polars or pyarrow table, a dict of arrays or a list of dicts, "
            f"got {type(table).__name__}"
        ) from error
    return table_columns(frame.to_arrow(), Source("data"))[0]


def _cells(cells: list[object]) -> np.ndarray:
    out = np.empty(len(cells), object)
    out[:] = cells
    return out


def missing_column(name: str, columns: Columns, source: str) -> DataError:
    """The error for a column that is not there."""
    from grus.preprocess.panel import missing_column as error

    return error(name, columns, source)
