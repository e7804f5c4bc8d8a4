"""CSV and TSV files, plain or gzipped, in the spellings that spreadsheets write."""

import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from grus.data.arrow import table_columns
from grus.errors import DataError
from grus.preprocess.columns import MISSING_TEXT, Columns, Source

if TYPE_CHECKING:
    import pyarrow.csv as pc

_HEAD = 1 << 16


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written."""

    encoding: str
    delimiter: str
    decimal: str


def read_delimited(path: Path) -> tuple[Columns, Source]:
    """Read a CSV or TSV file whose first row names the columns."""
    import pyarrow as pa
    import pyarrow.csv as pc

    dialect = sniff(path)
    source = Source(path.name, lambda index: row_number(path, dialect, index))
    options = _options(dialect)
    try:
        with _open(path) as file:
            table = pc.read_csv(file, **options)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a whole gzip file, got one that is damaged or cut short"
        ) from error
    except pa.ArrowInvalid as error:
        raise _explain(path, dialect, error) from error
    if not table.num_rows:
        raise DataError(f"{path.name}: expected rows after the header, got none")
    table = table.rename_columns([name.strip() for name in table.column_names])
    columns, notes = table_columns(table, source)
    return columns, Source(path.name, source._locate, notes)


def _open(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked if it is gzipped whatever its name says."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def sniff(path: Path) -> Dialect:
    """Find encoding, delimiter and decimal sign from the first 64 KB; an empty file is a ``DataError``."""
    try:
        with _open(path) as file:
            head = file.read(_HEAD)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a whole gzip file, got one that is damaged or cut short"
        ) from error
    if not head.strip():
        raise DataError(f"{path}: expected a header and rows, got an empty file")
    return Dialect("utf-8", "\t" if ".tsv" in path.suffixes else ",", ".")


def _options(dialect: Dialect) -> dict[str, object]:
    import pyarrow.csv as pc

    return {
        "read_options": pc.ReadOptions(encoding=dialect.encoding, block_size=1 << 22),
        "parse_options": pc.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
        "convert_options": pc.ConvertOptions(
            null_values=sorted(MISSING_TEXT), strings_can_be_null=True, decimal_point=dialect.decimal
        ),
    }


def row_number(path: Path, dialect: Dialect, index: int) -> int:
    """The row of the file that holds record ``index`` (from 0): the header is row 1, empty lines count."""
    seen = -1
    for number, row in enumerate(_rows(path, dialect), start=1):
        if row:
            if seen == index:
                return number
            seen += 1
    return index + 2


def _rows(path: Path, dialect: Dialect):  # noqa: ANN202
    with _open(path) as raw, io.TextIOWrapper(raw, dialect.encoding, newline="") as text:
        yield from csv.reader(text, delimiter=dialect.delimiter)


def _explain(path: Path, dialect: Dialect, error: Exception) -> DataError:
    """Find the row that Arrow refused and say what is wrong with it."""
    width = 0
    for number, row in enumerate(_rows(path, dialect), start=1):
        width = width or len(row)
        if row and len(row) != width:
            cells = "cell" if len(row) == 1 else "cells"
            return DataError(
                f"{path.name}, row {number}: expected {width} cells as in the header, got {len(row)} {cells}"
            )
    return DataError(
        f"{path.name}: expected a table of comma-separated values, got one that cannot be read ({error})"
    )
