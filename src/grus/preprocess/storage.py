"""Arrays in memory or on disk, worked through in pieces, so that a table may be larger than memory."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np

from grus.errors import GrusError

CHUNK = 1 << 20
"""Rows handled at a time: 8 MB of float64, small beside any table that is worth cutting up."""


def chunks(n: int, size: int | None = None) -> Iterator[slice]:
    """Slices that cover 0 .. n - 1 in order."""
    step = size or CHUNK
    for first in range(0, n, step):
        yield slice(first, min(first + step, n))


def on_disk(*arrays: np.ndarray | None) -> bool:
    """Whether any of the arrays is mapped from a file."""
    return any(isinstance(a, np.memmap) for a in arrays)


@contextmanager
def temporary_room() -> Iterator[None]:
    """Say in one sentence that the folder of temporary files has no room left, or cannot be written."""
    try:
        yield
    except OSError as error:
        import tempfile

        raise GrusError(
            f"{tempfile.gettempdir()}: cannot hold the temporary files of a table larger than memory: "
            f"{(error.strerror or str(error)).lower()}",
            "name a folder with more room in TMPDIR",
        ) from error


def nameless() -> IO[bytes]:
    """A temporary file that never has a name in its folder (``TMPDIR``), so that SIGKILL leaves nothing there."""
    import tempfile

    with temporary_room():
        return tempfile.TemporaryFile(
            buffering=0
        )  # what a buffer could not write it would try again on closing


def append(file: IO[bytes], values: np.ndarray) -> None:
    """Write the bytes of an array at the end of a `nameless` file."""
    with temporary_room():  # ndarray.tofile would lose the reason why the system refused
        rest = np.ascontiguousarray(values).view(np.uint8).data
        while rest:
            rest = rest[file.write(rest) :]


def empty(n: int, dtype: np.dtype | type | str, disk: bool = False) -> np.ndarray:
    """An uninitialised array [n], in memory or in a nameless temporary file, which is gone when the array is."""
    kind = np.dtype(dtype)
    if not disk or not n or kind.hasobject:
        return np.empty(n, kind)
    with nameless() as file, temporary_room():
        _reserve(file, n * kind.itemsize)
        return np.memmap(file, kind, "r+", shape=(n,))


def _reserve(file: IO[bytes], size: int) -> None:
    """Make a file so long, and its room on the disk certain: a mapped page without room would be a SIGBUS."""
    file.truncate(size)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise


def full(n: int, value: object, dtype: np.dtype | type | str, disk: bool = False) -> np.ndarray:
    """``empty`` filled with one value."""
    out = empty(n, dtype, disk)
    for piece in chunks(n):
        out[piece] = value
    return out


def mapped(function: Callable[..., np.ndarray], *arrays: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """``function`` of the rows of arrays [R], piece by piece; on disk if one of them is."""
    out = empty(len(arrays[0]), dtype, on_disk(*arrays))
    for piece in chunks(len(out)):
        out[piece] = function(*(values[piece] for values in arrays))
    return out


def take_runs(values: np.ndarray, first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Rows ``first[i] : first[i] + lengths[i]`` for every i, one after the other; a view where they are adjoining."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    some = np.flatnonzero(lengths)
    if not len(some):
        return values[:0]
    if np.all(first[some][1:] == (first + lengths)[some][:-1]):
        return values[first[some[0]] : first[some[0]] + total]
    if not on_disk(values):
        return values[np.arange(total) + np.repeat(first - (ends - lengths), lengths)]
    out = empty(total, values.dtype, disk=True)
    for i in some:
        out[ends[i] - lengths[i] : ends[i]] = values[first[i] : first[i] + lengths[i]]
    return out


def take(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``table[index]``, on disk if the index is."""
    out = empty(len(index), table.dtype, on_disk(index))
    for piece in chunks(len(index)):
        out[piece] = table[index[piece]]
    return out


def distinct(values: np.ndarray) -> tuple[list[str | None], np.ndarray]:
    """The different texts of a column in the order they first appear, and each row's number among them.

    Args:
        values: text [R].

    Returns:
        words, and codes int32 [R] with ``words[codes[r]] == values[r]``.
    """
    numbers: dict[str | None, int] = {}
    codes = empty(len(values), np.int32, on_disk(values))
    # Fixed-width text makes a new Python object for every row it is asked for: ask for fewer at a time.
    for piece in chunks(len(values), 1 << 17 if values.dtype.kind == "U" else None):
        part = values[piece]
        # Neighbours are often alike, as in an id column: look up each run once (10 million rows: 0.7 s, not 2.4).
        heads = np.flatnonzero(np.append(True, part[1:] != part[:-1]))
        cells = part[heads].tolist()
        for word in dict.fromkeys(cells):
            numbers.setdefault(word, len(numbers))
        found = np.fromiter(map(numbers.__getitem__, cells), np.int32, len(cells))
        codes[piece] = np.repeat(found, np.diff(np.append(heads, len(part))))
    return list(numbers), codes
