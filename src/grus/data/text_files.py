"""Plain text from files, folders or memory, read in pieces: the text may be larger than memory."""

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from grus.errors import DataError, UsageError
from grus.preprocess.language import LINE_END, TextCodec
from grus.preprocess.tokens import Tokens, spool

#: Bytes read at once.
_BLOCK = 1 << 20
_BOM = "\ufeff"


@dataclass(frozen=True)
class TextSource:
    """Text in one piece to its reader, wherever it lies; it can be read any number of times.

    Attributes:
        name: what to call it in messages.
        files: read one after the other; a line end is put after one that does not end in one.
        texts: in place of files.
        start, stop: the characters that count; None: to the end.
    """

    name: str
    files: tuple[Path, ...] = ()
    texts: tuple[str, ...] = ()
    start: int = 0
    stop: int | None = None

    def pieces(self) -> Iterator[str]:
        """The text, piece by piece.

        Raises:
            DataError: a file that is missing, empty, cut short or no text in UTF-8; the offset is named.
        """
        at = 0
        for piece in self._all():
            end = at + len(piece)
            low = max(self.start - at, 0)
            high = len(piece) if self.stop is None else min(self.stop - at, len(piece))
            if low < high:
                yield piece[low:high]
            at = end
            if self.stop is not None and at >= self.stop:
                return

    def part(self, start: int, stop: int | None) -> "TextSource":
        """Some of the characters of a source that has all of them."""
        return TextSource(self.name, self.files, self.texts, start, stop)

    def characters(self) -> int:
        """How many there are."""
        return sum(map(len, self.pieces()))

    def cut_after(self, place: int, most: int) -> int:
        """Where a line begins at or after a place, at most so many characters on; else a word; else the place."""
        near = "".join(self.part(max(place - 1, 0), place + most).pieces())
        for mark in (LINE_END, " "):
            found = near.find(mark)
            if found >= 0:
                return max(place - 1, 0) + found + 1
        return place

    def _all(self) -> Iterator[str]:
        parts: Iterable[Iterable[str]] = (
            ([text] for text in self.texts) if self.texts else map(_read, self.files)
        )
        last = LINE_END
        for part in parts:
            if last != LINE_END:
                yield LINE_END
            for piece in part:
                last = piece[-1]
                yield piece


def read_source(data: str | Path | Sequence[str] | Sequence[Path]) -> TextSource:
    """Where the text is.

    Args:
        data: the path of a file (also ``.gz``) or of a folder, all files in which are read in the order of their
            names; or a list of files as Path objects; or a list of texts.

    Raises:
        DataError: no such file, or nothing in it.
        UsageError: something else.
    """
    if isinstance(data, str | Path):
        path = Path(data)
        if not path.exists():
            raise DataError(f"no such file: {path}")
        files = _files_in(path) if path.is_dir() else (path,)
        return TextSource(str(path), files)
    if not isinstance(data, Sequence) or not data:
        got = "an empty list" if isinstance(data, Sequence) else type(data).__name__
        raise UsageError(f"text: must be a path, a list of files or a list of texts, got {got}")
    if all(isinstance(one, Path) for one in data):
        files = tuple(file for one in data for file in read_source(one).files)
        return TextSource(files[0].name + (", ..." if len(files) > 1 else ""), files)
    for number, one in enumerate(data):
        if not isinstance(one, str):
            raise UsageError(f"text {number + 1}: must be text, got {type(one).__name__}")
    texts = tuple(str(one) for one in data if one)
    if not texts:
        raise DataError("texts: expected at least one that is not empty, got none")
    return TextSource("texts", texts=texts)


def _files_in(folder: Path) -> tuple[Path, ...]:
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise DataError(f"{folder}: expected files of text, got a folder without any")
    return tuple(found)


def _read(path: Path) -> Iterator[str]:
    """The text of one file in pieces that are not empty."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, begun = 0, False
    with _open(path) as file:
        while True:
            block = _block(file, path)
            held = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                place = offset - held + error.start
                reason = "a file cut short" if error.reason == "unexpected end of data" else "another byte"
                raise DataError(
                    f"{path}, byte {place:,}: expected text in UTF-8, got {reason} ({error.object[error.start]:#04x})",
                    hint="convert it first, as with iconv -f latin1 -t utf-8, or leave binary files out",
                ) from None
            if b"\0" in block:
                raise DataError(
                    f"{path}, byte {offset + block.index(0):,}: expected text, got a NUL byte, as binary files have"
                )
            offset += len(block)
            text = text.removeprefix(_BOM) if not begun else text
            begun = begun or bool(text)
            if text:
                yield text
            if not block:
                break
    if not begun:
        raise DataError(f"{path}: expected text, got an empty file")


def _open(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    try:
        return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def _block(file: IO[bytes], path: Path) -> bytes:
    try:
        return file.read(_BLOCK)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a whole gzip file, got one that is damaged ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None


def read_tokens(source: TextSource, codec: TextCodec) -> Tokens:
    """The codes of a text, on disk."""
    counted = 0

    def pieces() -> Iterator[str]:
        nonlocal counted
        for piece in source.pieces():
            counted += len(piece)
            yield piece

    return replace(spool(codec.encode_pieces(pieces())), characters=counted)
