"""JSON lines, plain or gzipped: one object a line, its values flat."""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from grus.data.arrow import table_columns
from grus.data.spool import Spool
from grus.errors import DataError
from grus.preprocess.columns import Columns, Source, missing_column

if TYPE_CHECKING:
    import pyarrow as pa

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
BLOCK = 1 << 22
"""Bytes of text that Arrow converts at a time."""
_DECODER = msgspec.json.Decoder(dict[str, Any])
_LINES_HINT = "write one object a line (pandas: to_json(path, orient='records', lines=True))"


def read_json_lines(path: Path, names: Sequence[str] | None, memory_limit: int) -> tuple[Columns, Source]:
    """Read a file with one JSON object a line; a key is a column, and a key that a line lacks is missing there.

    Values are text, numbers, true, false or null; a list of texts (the labels of a row) comes as its JSON text.
    Text stays text, also where it is spelled like a date.

    Args:
        path: the file; gzip is recognised by its first bytes.
        names: the columns to read, None for all but those with nested values (a note names them).
        memory_limit: bytes; a file that would take more is read block by block onto disk.

    Raises:
        DataError: a line is no JSON object, a column mixes types, or a named column is nested or not there.
    """
    with _faults(path):
        schema, tables = _survey(path, memory_limit)
        for name in names or ():
            if name not in schema.names:
                raise missing_column(name, schema.names, path.name)
        flat = [field.name for field in schema if _is_flat(field.type)]
        nested = [name for name in names or () if name not in flat]
        if nested:
            raise _explain(path, nested)
        keep = flat if names is None else list(names)
        notes = _left_out(schema, flat) if names is None else ()
        source = Source(path.name, lambda index: f"line {_line_number(path, index)}", notes)
        if tables is not None:
            return table_columns(spell_lists(_fit(tables, schema).select(keep)), source), source
        with Spool(path.name) as spool:
            for _, table in _tables(path):
                spool.extend(spell_lists(_fit([table], schema).select(keep)).to_batches())
            columns = spool.finish()
        return columns, Source(path.name, source.locate, (*notes, *spool.notes))


def spell_lists(table: "pa.Table") -> "pa.Table":
    """Columns of lists of texts as JSON text: ``["a", "b"]``; all others as they are."""
    import pyarrow as pa

    for i, field in enumerate(table.schema):
        if _is_list_of_text(field.type):
            cells = table.column(i).to_pylist()
            spelled = [None if cell is None else json.dumps(cell, ensure_ascii=False) for cell in cells]
            table = table.set_column(i, field.name, pa.array(spelled, pa.string()))
    return table


def _is_list_of_text(kind: "pa.DataType") -> bool:
    from pyarrow import types

    if not (types.is_list(kind) or types.is_large_list(kind)):
        return False
    return any(test(kind.value_type) for test in (types.is_string, types.is_large_string, types.is_null))


def _is_flat(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return not types.is_nested(kind) or _is_list_of_text(kind)


def _left_out(schema: "pa.Schema", flat: list[str]) -> tuple[str, ...]:
    return tuple(
        f"column {name!r}: left out, as it holds nested values" for name in schema.names if name not in flat
    )


def _survey(path: Path, memory_limit: int) -> "tuple[pa.Schema, list[pa.Table] | None]":
    """The schema of the whole file, and its tables block by block, None where they are too large to keep."""
    import pyarrow as pa

    schema, size = pa.schema([]), 0
    tables: list[pa.Table] | None = []
    for first, table in _tables(path):
        try:
            schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
        except pa.ArrowException as error:
            raise _explain(path, (), f"the lines from {first:,} do not fit those before ({error})") from error
        size += table.nbytes
        if tables is not None and 2 * size <= memory_limit:
            tables.append(table)
        else:
            tables = None
    if not schema.names:
        raise DataError(f"{path.name}: expected a JSON object with names and values on every line, got none")
    return schema, tables


def _fit(tables: "list[pa.Table]", schema: "pa.Schema") -> "pa.Table":
    """Tables one under the other, every one with all columns of the schema."""
    import pyarrow as pa

    return pa.concat_tables([schema.empty_table(), *tables], promote_options="permissive")


def _tables(path: Path) -> "Iterator[tuple[int, pa.Table]]":
    """Block after block as Arrow: the number of its first line, and the rows."""
    import pyarrow as pa

    with _open(path) as file:
        for first, block in _blocks(file):
            lines = [line for line in block.split(b"\n") if line.strip()]
            try:
                rows = _rows(block, lines)
                names = dict.fromkeys(name for row in rows for name in row)
                table = pa.table({name: _column([row.get(name) for row in rows]) for name in names})
            except (pa.ArrowException, ValueError, TypeError, OverflowError, RecursionError) as error:
                raise _explain(path, (), str(error)) from error
            if table.num_rows:
                yield first, table


def _column(cells: list[Any]) -> "pa.Array":
    import pyarrow as pa

    column = pa.array(cells)
    if pa.types.is_floating(column.type) and any(cell is True or cell is False for cell in cells):
        raise ValueError("true and false among numbers")  # which Arrow takes for 1 and 0, if they come first
    return column


def _rows(block: bytes, lines: list[bytes]) -> list[dict[str, Any]]:
    """The objects of a block; Arrow's own parser of JSON is not used, as some damaged lines crash the process."""
    try:
        rows = _DECODER.decode_lines(block)
    except (msgspec.DecodeError, UnicodeDecodeError):
        rows = [json.loads(line) for line in lines]  # also takes NaN and Infinity, which Python writes
    if len(rows) != len(lines) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("lines that are not one object each")
    return rows


def _blocks(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Whole lines, about ``BLOCK`` bytes at a time, with the number of the first (from 1)."""
    first, rest, start = 1, b"", True
    while chunk := file.read(BLOCK):
        if start:
            chunk, start = chunk.removeprefix(b"\xef\xbb\xbf"), False
        block, end, rest = (rest + chunk).rpartition(b"\n")
        if end:
            yield first, block + end
            first += block.count(b"\n") + 1
    if rest:
        yield first, rest


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a whole gzip file, got one that is damaged or cut short"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: expected a file that can be read, got {error.strerror or error}") from error


def _line_number(path: Path, index: int) -> int:
    """The line of the file that holds record ``index`` (from 0); blank lines count."""
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            index -= bool(line.strip())
            if index < 0:
                return number
    raise AssertionError("a record is on a line of the file")


def _explain(path: Path, wanted: Sequence[str], why: str = "") -> DataError:
    """Find the first line that Arrow could not take and say what is wrong with it.

    Args:
        path: the file.
        wanted: columns that must not hold nested values.
        why: what Arrow said, in case nothing is found.
    """
    kinds: dict[str, str] = {}
    with _open(path) as file:
        for number, raw in enumerate(file, start=1):
            line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if line.strip():
                fault = _fault(line, kinds, wanted)
                if fault is not None:
                    said, hint = fault
                    return DataError(f"{path.name}, line {number}{said}", hint)
    return DataError(f"{path.name}: expected a JSON object on every line, got {why}")


def _fault(line: bytes, kinds: dict[str, str], wanted: Sequence[str]) -> tuple[str, str] | None:
    """What is wrong with a line and what to do about it; ``kinds`` learns each column's type from line to line."""
    try:
        text = line.decode().strip()
    except UnicodeDecodeError as error:
        return f": expected text in UTF-8, got the byte 0x{line[error.start]:02x}", ""
    try:
        row = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        shown = text if len(text) <= 60 else text[:60] + "..."
        hint = _LINES_HINT if text == "{" or text[0] == "[" else ""
        return f": expected a JSON object, got {shown!r} ({error.msg}, character {error.pos + 1})", hint
    except RecursionError:
        return ": expected a JSON object of flat values, got one that is nested too deeply", ""
    if not isinstance(row, _Pairs):
        return f": expected a JSON object, got {_kind(row)}", _LINES_HINT if isinstance(row, list) else ""
    for name, value in row:
        kind, where = _kind(value), f", column {name!r}"
        if name in wanted and kind in ("an object", "a list"):
            return f"{where}: expected text, a number, true, false or null, got {kind}", ""
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return f"{where}: expected a number of at most 64 bits, got {_short(value)}", ""
        if not _is_unicode(value):
            return f"{where}: expected text in Unicode, got half of a surrogate pair", ""
        before = kinds.setdefault(name, kind) if kind != "null" else kind
        if before != kind and "an empty list" not in (before, kind):
            shown = f"{kind} ({_short(value)})" if kind in ("text", "a number", "true or false") else kind
            return f"{where}: expected {before} as on the lines before, got {shown}", ""
    return None


def _short(value: object) -> str:
    spelled = json.dumps(value, ensure_ascii=False)
    return spelled if len(spelled) <= 40 else spelled[:40] + "..."


def _is_unicode(value: object) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in json.dumps(value, ensure_ascii=False))


class _Pairs(list[tuple[str, Any]]):
    """A JSON object, told from a list."""


def _kind(value: object) -> str:
    """The type of a JSON value in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, _Pairs):
        return "an object"
    assert isinstance(value, list)
    if not value:
        return "an empty list"
    return "a list of text" if all(isinstance(v, str) for v in value) else "a list"
