"""Tables larger than memory: batches written column by column to temporary files and mapped from there."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from grus.data.arrow import column_array, is_text_type, text_codes
from grus.errors import DataError
from grus.preprocess.columns import Columns
from grus.preprocess.storage import append, chunks, empty, nameless

if TYPE_CHECKING:
    import pyarrow as pa

MOST_WORDS = 1_000_000
"""A text column with more different values than this cannot be a role; it is left out of a spooled table."""
WIDEST = 100
"""Nor can one with a value of more characters than this."""


def available_memory() -> int:
    """Bytes that can be used without swapping, by the account of the machine, the container and ``ulimit -d``."""
    found: list[int | None] = [_room_for_data()]
    info = Path("/proc/meminfo")
    if info.exists():
        fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        if "MemAvailable" in fields:
            found.append(int(fields["MemAvailable"].split()[0]) * 1024)
    group = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if all(path.exists() for path in group):
        most, used = (path.read_text().strip() for path in group)
        if most != "max":
            found.append(max(int(most) - int(used), 0))
    known = [room for room in found if room is not None]
    return min(known) if known else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _room_for_data() -> int | None:
    """What ``ulimit -d`` leaves, which counts all memory but mapped files; None without a limit."""
    limits, status = Path("/proc/self/limits"), Path("/proc/self/status")
    if not limits.exists() or not status.exists():
        return None
    most = next(line for line in limits.read_text().splitlines() if line.startswith("Max data size")).split()[
        3
    ]
    used = next(line for line in status.read_text().splitlines() if line.startswith("VmData")).split()[1]
    return None if most == "unlimited" else max(int(most) - int(used) * 1024, 0)


class Spool:
    """Collects record batches on disk; nothing of the files is left when the columns are gone.

    A context manager: leaving it closes the files, of which only what ``finish`` has mapped lives on.
    """

    def __init__(self, source: str) -> None:
        """Begin an empty table; ``source`` names it in messages."""
        self.source = source
        self.notes: list[str] = []
        self._columns: dict[str, _Numbers | _Text] = {}
        self._rows = 0

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        for kept in self._columns.values():
            kept.close()

    def append(self, batch: "pa.RecordBatch") -> None:
        """Add the rows of a batch; its columns must be those of the first."""
        for name, column in zip(batch.schema.names, batch.columns):
            kept = self._columns.get(name)
            if kept is None or (isinstance(kept, _Numbers) and kept.blank and is_text_type(column.type)):
                if kept is not None:
                    kept.close()
                kept = self._columns[name] = _Text(self._rows) if is_text_type(column.type) else _Numbers()
            kept.append(column, name, self.source)
        self._rows += batch.num_rows

    def extend(self, batches: "Iterable[pa.RecordBatch]") -> None:
        """Add batch after batch."""
        for batch in batches:
            self.append(batch)

    def finish(self) -> Columns:
        """The columns as arrays mapped from disk."""
        columns: Columns = {}
        for name, kept in self._columns.items():
            array = kept.finish()
            if array is None:
                limits = f"more than {MOST_WORDS:,} different texts, or one of more than {WIDEST} characters"
                self.notes.append(f"column {name!r}: left out, as it holds {limits}")
            else:
                columns[name] = array
        return columns


class _Numbers:
    """Numbers or dates of one column, as bytes in a file of one type that widens as it must."""

    def __init__(self) -> None:
        self.blank = True
        self._kind = np.dtype(np.float64)
        self._file: IO[bytes] = nameless()
        self._rows = 0

    def append(self, column: "pa.Array", name: str, source: str) -> None:
        if is_text_type(column.type):
            raise DataError(f"{source}, column {name!r}: expected one type throughout, got numbers and text")
        part = column_array(column, name, source)
        if column.null_count < len(part) or (part.dtype.kind == "f" and not np.isnan(part).all()):
            wide = part.dtype if self.blank and not self._rows else _wider(self._kind, part.dtype, self.blank)
            if wide is None:
                raise DataError(
                    f"{source}, column {name!r}: expected one type throughout, got numbers and dates"
                )
            self._widen(wide)
            self.blank = False
        elif self._kind.kind in "ib":
            self._widen(np.dtype(np.float64))
        if part.dtype.kind == "f" and self._kind.kind == "M":
            part = np.full(len(part), "NaT", self._kind)
        append(self._file, part.astype(self._kind, copy=False))
        self._rows += len(part)

    def _widen(self, kind: np.dtype) -> None:
        if kind == self._kind:
            return
        old, self._file = self._file, nameless()
        if self._rows:
            values = np.memmap(old, self._kind, "r", shape=(self._rows,))
            for piece in chunks(self._rows):
                part = np.full(len(values[piece]), "NaT", kind) if kind.kind == "M" else values[piece]
                append(self._file, part.astype(kind))
        old.close()
        self._kind = kind

    def finish(self) -> np.ndarray:
        return np.memmap(self._file, self._kind, "r+", shape=(self._rows,)) if self._rows else np.empty(0)

    def close(self) -> None:
        self._file.close()


def _wider(a: np.dtype, b: np.dtype, blank: bool) -> np.dtype | None:
    """The type that holds both; ``blank``: the first has held nothing but missing values."""
    if a == b:
        return a
    if "M" in (a.kind, b.kind):
        return b if blank else None
    return np.dtype(np.float64)


class _Text:
    """Text of one column: its distinct words in memory, their numbers in a file."""

    def __init__(self, rows_before: int) -> None:
        self._numbers: dict[str, int] = {"": 0}
        self._file: IO[bytes] | None = nameless()
        self._rows = rows_before
        append(self._file, np.zeros(rows_before, np.int32))

    def append(self, column: "pa.Array", name: str, source: str) -> None:
        self._rows += len(column)
        if self._file is None:
            return
        if not is_text_type(column.type) and column.null_count < len(column):
            raise DataError(f"{source}, column {name!r}: expected one type throughout, got text and numbers")
        words, codes = text_codes(column)
        for word in words:
            self._numbers.setdefault(word, len(self._numbers))
        if len(self._numbers) > MOST_WORDS or any(len(word) > WIDEST for word in words):
            self.close()
            self._numbers = {}
            return
        table = np.array([*map(self._numbers.__getitem__, words), 0], np.int32)
        append(self._file, table[codes])

    def finish(self) -> np.ndarray | None:
        if self._file is None:
            return None
        words = np.array(list(self._numbers))
        out = empty(self._rows, words.dtype, disk=True)
        if self._rows:
            codes = np.memmap(self._file, np.int32, "r", shape=(self._rows,))
            for piece in chunks(self._rows):
                out[piece] = words[codes[piece]]
        return out

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None
