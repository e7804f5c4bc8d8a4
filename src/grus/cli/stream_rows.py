"""Rows from stdin as they come, and answers to stdout: CSV or JSON lines, never more than is waiting."""

import codecs
import csv
import os
import select
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from grus.errors import DataError

#: Bytes asked for at once; a pipe holds 64 KB.
_READ = 1 << 18
#: A line longer than this is no row.
LONGEST = 1 << 24


def ready(handle: int, seconds: float | None) -> bool:
    """Whether a file descriptor has something to read (or its end) within so many seconds; None: for ever."""
    return seconds is None or bool(select.select([handle], [], [], max(seconds, 0.0))[0])


class Lines:
    """Whole lines of a file descriptor, as many as are waiting."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._rest = b""
        self._ended = self._skipping = False

    def wait(self, seconds: float | None) -> bool:
        """Whether there is something to read (or the end) within so many seconds; None: for ever."""
        return self._ended or ready(self._handle, seconds)

    def read(self) -> list[bytes | None] | None:
        """The lines that are waiting, without their ends, or None after the last; waits for some bytes at least.

        A line longer than `LONGEST` is None in the list.
        """
        if self._ended:
            return None
        data = os.read(self._handle, _READ)
        if not data:
            self._ended = True
            return [None] if self._skipping else [self._rest] if self._rest else []
        lines: list[bytes | None] = list((self._rest + data).split(b"\n")) if b"\n" in data else []
        self._rest = (lines.pop() or b"") if lines else self._rest + data
        if lines and (self._skipping or len(lines[0] or b"") > LONGEST):
            lines[0], self._skipping = None, False
        if len(self._rest) > LONGEST:
            self._rest, self._skipping = b"", True
        return [line[:-1] if line is not None and line.endswith(b"\r") else line for line in lines]


class RowReader:
    """Lines as rows: JSON lines if the first begins with a brace, else CSV with a header."""

    def __init__(self) -> None:
        self.header: list[str] | None = None
        self.is_json: bool | None = None
        self._comma = ","
        self._decoder = msgspec.json.Decoder(dict)

    def rows(self, lines: list[bytes | None]) -> Iterator[Mapping[str, Any] | DataError]:
        """The rows of some lines, or what is wrong with them; empty lines and the header are none."""
        for line in lines:
            if line is not None and not line.strip():
                continue
            if self.is_json is None and line is not None:
                line = line.removeprefix(codecs.BOM_UTF8)
                self.is_json = line.lstrip().startswith(b"{")
                if not self.is_json:
                    self._head(line)
                    continue
            yield (
                DataError(f"expected a row of at most {LONGEST:,} bytes") if line is None else self._row(line)
            )

    def _head(self, line: bytes) -> None:
        """Take the header.

        Raises:
            DataError: it cannot be one, such as with two columns of one name.
        """
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise DataError("stdin: expected a header in UTF-8, got other bytes") from None
        self._comma = max(",;\t", key=text.count)
        self.header = [name.strip() for name in next(csv.reader([text], delimiter=self._comma))]
        twice = next((name for name in self.header if self.header.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"stdin: expected a header of names that differ, got {twice!r} twice")

    def _row(self, line: bytes) -> Mapping[str, Any] | DataError:
        if self.is_json:
            try:
                return self._decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                return DataError(f"expected an object in JSON: {str(error) or 'nested too deeply'}")
        assert self.header is not None
        try:
            text = line.decode()
            cells = (
                text.split(self._comma)
                if '"' not in text
                else next(csv.reader([text], delimiter=self._comma, strict=True))
            )
        except UnicodeDecodeError:
            return DataError("expected a row in UTF-8, got other bytes")
        except csv.Error as error:
            return DataError(f"expected a row in CSV on one line: {error}")
        if len(cells) != len(self.header):
            return DataError(f"expected {len(self.header)} cells as in the header, got {len(cells)}")
        return dict(zip(self.header, cells, strict=True))


class JsonAnswers:
    """One JSON object a line; NaN is null."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()

    def encode(self, records: list[dict[str, Any]]) -> bytes:
        """Answers as bytes."""
        return self._encoder.encode_lines(records)


class CsvAnswers:
    """A header, and one line for every step of an answer's horizon; the last column holds what was wrong."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._begun = False

    def encode(self, records: list[dict[str, Any]]) -> bytes:
        """Answers as bytes, after the header the first time."""
        import io

        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if not self._begun:
            writer.writerow(self._columns)
            self._begun = True
        for record in records:
            several = next((len(v) for v in record.values() if isinstance(v, list)), 1)
            cells = [_column(record.get(name), several) for name in self._columns]
            writer.writerows(zip(*cells, strict=True))
        return out.getvalue().encode()


def _column(value: Any, several: int) -> list[Any]:
    values = value if isinstance(value, list) else [value] * several
    return ["" if v is None or v != v else v for v in values]
