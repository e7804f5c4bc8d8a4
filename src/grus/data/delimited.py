"""CSV and TSV files, plain or gzipped, in the spellings that spreadsheets write."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from grus.data.arrow import column_array, table_columns, text_codes, zone_notes
from grus.data.spool import Spool
from grus.errors import DataError
from grus.preprocess.columns import (
    MISSING_TEXT,
    Columns,
    Source,
    is_missing_cell,
    missing_column,
    parse_number,
)

if TYPE_CHECKING:
    import pyarrow as pa

_HEAD = 1 << 16
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_PADDED = re.compile("0[0-9]")
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_ENCODINGS = {"utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "cp1252": "Windows-1252"}
BLOCK = 1 << 22
"""Bytes of text that Arrow converts at a time."""
EXPANSION = 5
"""Bytes that reading and training take in memory for one byte of text: Arrow's columns, ours, the panel, features."""


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written."""

    encoding: str
    delimiter: str
    decimal: str

    def note(self, name: str) -> tuple[str, ...]:
        """A sentence on what differs from a plain CSV file in UTF-8, if anything does."""
        parts = [_ENCODINGS[self.encoding]] if self.encoding in _ENCODINGS else []
        if self.delimiter not in ",\t":
            parts.append(f"{_DELIMITERS[self.delimiter]} between cells")
        if self.decimal == ",":
            parts.append("decimal commas")
        return (f"{name}: read as a file with {', '.join(parts)}",) if parts else ()


def read_delimited(path: Path, names: Sequence[str] | None, memory_limit: int) -> tuple[Columns, Source]:
    """Read a CSV or TSV file whose first row names the columns.

    Args:
        path: the file; gzip is recognised by its first bytes.
        names: the columns to read, None for all.
        memory_limit: bytes; a file that would take more is read batch by batch onto disk.
    """
    with _faults(path):
        head = _head(path)
        dialect = sniff(head, path)
        try:
            columns, source = _read(path, dialect, names, memory_limit)
        except _NotUtf8Error:
            dialect = replace(dialect, encoding="cp1252")
            columns, source = _read(path, dialect, names, memory_limit)
    return _without_empty_end(columns, source)


def _without_empty_end(columns: Columns, source: Source) -> tuple[Columns, Source]:
    """Leave out the rows of nothing but delimiters that spreadsheets write below a table."""
    end = rows = len(next(iter(columns.values())))
    while end and all(is_missing_cell(values[end - 1]) for values in columns.values()):
        end -= 1
    if end == rows:
        return columns, source
    if not end:
        raise DataError(f"{source}: expected rows after the header, got only empty ones")
    note = f"{source}: {rows - end:,} empty row{'s' * (rows - end > 1)} at the end left out"
    kept = {name: values[:end] for name, values in columns.items()}
    return kept, source.noting(note)


def _read(
    path: Path, dialect: Dialect, names: Sequence[str] | None, memory_limit: int
) -> tuple[Columns, Source]:
    import pyarrow as pa

    labels = header(path, dialect)
    for name in names or ():
        if name not in labels.values():
            raise missing_column(name, labels.values(), path.name)
    keep = [raw for raw, name in labels.items() if names is None or name in names]
    source = Source(
        path.name,
        lambda index: f"row {row_number(path, dialect, index)}",
        dialect.note(path.name),
        partial(padded, path, dialect, {name: raw for raw, name in labels.items()}, memory_limit),
    )
    try:
        if _size(path) * EXPANSION > memory_limit:
            columns, notes = _spool(path, dialect, keep, labels)
            return columns, source.noting(*notes)
        table = _table(path, dialect, keep)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise _explain(path, dialect, error) from error
    if not table.num_rows:
        raise DataError(f"{path.name}: expected rows after the header, got none")
    table = table.rename_columns([labels[raw] for raw in table.column_names])
    return table_columns(table, source), source.noting(*zone_notes(table.schema))


def padded(
    path: Path, dialect: Dialect, raw_names: dict[str, str], memory_limit: int, name: str
) -> np.ndarray | None:
    """A column of whole numbers as text, if any of them is written with zeros in front (007); otherwise None."""
    import pyarrow as pa
    import pyarrow.csv

    raw = raw_names[name]
    types = {raw: pa.string()}
    with _open(path) as file, pyarrow.csv.open_csv(file, **_options(dialect, [raw], types)) as batches:
        if not any(_PADDED.match(word) for batch in batches for word in text_codes(batch.column(0))[0]):
            return None
    if _size(path) * EXPANSION > memory_limit:
        return _spool(path, dialect, [raw], {raw: name}, types)[0].get(name)
    return column_array(_table(path, dialect, [raw], types).column(0), name, path.name)


class _NotUtf8Error(Exception):
    """The file turned out to hold bytes that are not UTF-8."""


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Say in one sentence what a damaged or unreadable file is."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a whole gzip file, got one that is damaged or cut short"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected text in UTF-8, UTF-16 or Windows-1252, got bytes of none"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: expected a file that can be read, got {error.strerror or error}") from error


def _open(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked if it is gzipped whatever its name says."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _head(path: Path) -> bytes:
    with _open(path) as file:
        head = file.read(_HEAD)
    if not head.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
        raise DataError(f"{path.name}: expected a header and rows, got an empty file")
    return head


def _size(path: Path) -> int:
    """Bytes of text in the file; of a gzipped one, by how far its beginning unpacks."""
    packed = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(1 << 18)
    if start[:2] != b"\x1f\x8b":
        return packed
    return int(packed * len(zlib.decompressobj(31).decompress(start)) / len(start))


def sniff(head: bytes, path: Path) -> Dialect:
    """Find encoding, delimiter and decimal sign from the beginning of a file."""
    encoding = _encoding(head)
    text = head.decode(encoding, errors="ignore").lstrip("\ufeff")
    # The last line may be cut off.
    lines = text.splitlines(keepends=True)
    lines = lines[:-1] if len(head) == _HEAD and len(lines) > 1 else lines
    delimiter = "\t" if ".tsv" in path.suffixes else max(_DELIMITERS, key=lambda d: _fit(lines[:100], d))
    cells = [cell for row in csv.reader(lines[1:1000], delimiter=delimiter) for cell in row]
    comma = delimiter != "," and any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)
    return Dialect(encoding, delimiter, "," if comma else ".")


def _encoding(head: bytes) -> str:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\x00" in head[:4]:  # the comma or letter of a header in UTF-16 without its mark
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    try:
        head[: max(len(head) - 4, 1) if len(head) == _HEAD else None].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _fit(lines: list[str], delimiter: str) -> tuple[int, int]:
    """How well a delimiter explains the first lines: rows as wide as the header, then the header's width."""
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    width = len(rows[0]) if rows else 0
    return (sum(len(row) == width for row in rows), width) if width > 1 else (0, width)


def header(path: Path, dialect: Dialect) -> dict[str, str]:
    """The column names as written, and without the spaces around them."""
    row = next((row for row in _rows(path, dialect) if row), [])
    names = [cell.strip() for cell in row]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path.name}, row 1: expected column names that differ, got {name!r} twice")
    if all(name and parse_number(name) is not None for name in names):
        got = dialect.delimiter.join(row)
        raise DataError(
            f"{path.name}, row 1: expected the names of the columns, got {got[:80]!r}",
            "add a header as first row",
        )
    return dict(zip(row, names))


def _options(
    dialect: Dialect, keep: list[str], types: "dict[str, pa.DataType] | None" = None
) -> dict[str, Any]:
    import pyarrow.csv as pc

    encoding = {"utf-8": "utf8"}.get(dialect.encoding, dialect.encoding)
    return {
        "read_options": pc.ReadOptions(encoding=encoding, block_size=BLOCK),
        "parse_options": pc.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
        "convert_options": pc.ConvertOptions(
            null_values=sorted(MISSING_TEXT),
            strings_can_be_null=True,
            decimal_point=dialect.decimal,
            include_columns=keep,
            column_types=types or {},
        ),
    }


def _table(
    path: Path, dialect: Dialect, keep: list[str], types: "dict[str, pa.DataType] | None" = None
) -> "pa.Table":
    import pyarrow.csv as pc

    with _open(path) as file:
        table = pc.read_csv(file, **_options(dialect, keep, types))
    _check_text(table.schema)
    return table


def _check_text(schema: "pa.Schema") -> None:
    """Arrow gives bytes instead of text where the first block is not UTF-8."""
    import pyarrow as pa

    if any(pa.types.is_binary(field.type) for field in schema):
        raise _NotUtf8Error


def _spool(
    path: Path,
    dialect: Dialect,
    keep: list[str],
    labels: dict[str, str],
    known: "dict[str, pa.DataType] | None" = None,
) -> tuple[Columns, tuple[str, ...]]:
    """Read batch by batch onto disk; a column whose type the first block did not show is widened and re-read."""
    import pyarrow as pa
    import pyarrow.csv as pc

    types: dict[str, pa.DataType] = dict(known or {})
    while True:
        try:
            with (
                Spool(path.name) as spool,
                _open(path) as file,
                pc.open_csv(file, **_options(dialect, keep, types)) as batches,
            ):
                schema = batches.schema
                _check_text(schema)
                for batch in batches:
                    spool.append(batch.rename_columns([labels[raw] for raw in batch.schema.names]))
                columns = spool.finish()
            break
        except pa.ArrowInvalid as error:
            name, wider = _widened(error, dialect, list(labels))
            if wider is None:
                raise
            types[name] = wider
    if not any(map(len, columns.values())):
        raise DataError(f"{path.name}: expected rows after the header, got none")
    return columns, (*zone_notes(schema), *spool.notes)


def _widened(error: Exception, dialect: Dialect, names: list[str]) -> "tuple[str, pa.DataType | None]":
    """The column that Arrow could not convert and the type to try next, None if that was not the trouble."""
    import pyarrow as pa

    match = re.search(r"In CSV column #(\d+): .*?CSV conversion error to ([\w\[\], =:/]+?): ", str(error))
    if match is None:
        return "", None
    if match[2] == "string" and dialect.encoding == "utf-8":
        raise _NotUtf8Error
    wider = {
        "null": pa.float64(),
        "int64": pa.float64(),
        "date32[day]": pa.timestamp("ns"),
        "timestamp[s]": pa.timestamp("ns"),
        "string": None,
    }.get(match[2], pa.string())
    return names[int(match[1])], wider


def row_number(path: Path, dialect: Dialect, index: int) -> int:
    """The row of the file that holds record ``index`` (from 0), as a spreadsheet counts.

    The header is row 1; empty lines count; a cell with line breaks in it is still one row.
    """
    seen = -1
    for number, row in enumerate(_rows(path, dialect), start=1):
        if row:
            if seen == index:
                return number
            seen += 1
    return index + 2


def _rows(path: Path, dialect: Dialect) -> Iterator[list[str]]:
    encoding = "utf-8-sig" if dialect.encoding == "utf-8" else dialect.encoding
    with _open(path) as raw, io.TextIOWrapper(raw, encoding, newline="") as text:
        yield from csv.reader(text, delimiter=dialect.delimiter)


def _explain(path: Path, dialect: Dialect, error: Exception) -> DataError:
    """Find the row that Arrow refused and say what is wrong with it."""
    width = rows = 0
    for number, row in enumerate(_rows(path, dialect), start=1):
        width, rows = width or len(row), rows + bool(row)
        if row and len(row) != width:
            must, got = (f"{n} cell{'s' * (n > 1)}" for n in (width, len(row)))
            hint = "the first row must name the columns: remove what stands above it" if width == 1 else ""
            return DataError(f"{path.name}, row {number}: expected {must} as in the header, got {got}", hint)
    if rows == 1:
        return DataError(f"{path.name}: expected rows after the header, got none")
    said = str(error).splitlines()[0]
    return DataError(
        f"{path.name}: expected a table of separated values, got one that cannot be read ({said})"
    )
