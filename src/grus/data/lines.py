"""Plain text, a sentence a line, from files (also gzipped) and pipes; bad bytes are named by line and offset."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from grus.errors import DataError

_BOM = b"\xef\xbb\xbf"


def read_lines(path: Path) -> list[str]:
    """The lines of a file, without their ends; only a line feed, with or without a carriage return, ends one.

    Raises:
        DataError: the file is missing, cut short, or no text in UTF-8.
    """
    if not path.is_file():
        raise DataError(
            f"no such file: {path}" if not path.exists() else f"{path}: expected a file, got a folder"
        )
    try:
        with _open(path) as file:
            return list(lines_of(file, path.name))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a whole gzip file, got one that is damaged or cut short"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: expected a file that can be read, got {error.strerror or error}") from error


def lines_of(file: Iterable[bytes], name: str, first: int = 1, offset: int = 0) -> Iterator[str]:
    """Line after line of a binary file, which is called ``name`` in messages.

    Args:
        file: lines with their ends.
        first, offset: number and place of the first, where the file is a part of another.

    Raises:
        DataError: a line is no text in UTF-8, or holds a zero byte, which text does not.
    """
    for number, raw in enumerate(file, start=first):
        line = raw.removeprefix(_BOM) if number == 1 else raw
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            place = offset + len(raw) - len(line) + error.start
            raise DataError(
                f"{name}, line {number:,}: expected text in UTF-8, got the byte 0x{line[error.start]:02x} "
                f"at offset {place:,}"
            ) from None
        if "\0" in text:
            place = offset + raw.index(b"\0")
            raise DataError(f"{name}, line {number:,}: expected text, got a zero byte at offset {place:,}")
        offset += len(raw)
        yield text.removesuffix("\n").removesuffix("\r")


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]
