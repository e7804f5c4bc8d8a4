"""Tables in and out: read a file or stdin, write CSV, Parquet or JSON, whole or not at all."""

import csv
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from grus.artifact import write_file
from grus.errors import DataError, MissingExtraError, UsageError
from grus.inspection.wording import to_json
from grus.preprocess.columns import Columns, is_time

_STDIN = "-"
#: Bytes of stdin looked at for the brace that JSON lines begin with.
_PEEK = 1024
_SUFFIXES = (".csv", ".parquet", ".json")


@contextmanager
def table_file(data: str) -> Iterator[Path]:
    """The path of a table; for ``-`` that of a temporary copy of stdin, ``stdin.csv`` or (objects) ``stdin.jsonl``."""
    require("pyarrow", "reading tables")
    if data != _STDIN:
        yield Path(data)
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("stdin: expected a table in CSV, got a terminal", hint="name a file, or pipe one in")
    with tempfile.TemporaryDirectory(prefix="grus-") as folder:
        path = Path(folder, "stdin.csv")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        if not path.stat().st_size:
            raise DataError("stdin: expected a header and rows, got nothing")
        with path.open("rb") as file:
            is_json = file.read(_PEEK).lstrip().startswith(b"{")
        yield path.rename(path.with_suffix(".jsonl")) if is_json else path


@contextmanager
def text_files(data: list[str]) -> Iterator[list[Path]]:
    """The paths of texts; for ``-`` that of a temporary copy of stdin."""
    if _STDIN not in data:
        yield [Path(one) for one in data]
        return
    if len(data) > 1:
        raise UsageError("stdin: - must stand alone, got other files besides")
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("stdin: expected text, got a terminal", hint="name a file, or pipe one in")
    with tempfile.TemporaryDirectory(prefix="grus-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [path]


def require(package: str, purpose: str) -> None:
    """Raise MissingExtraError unless ``package`` is installed."""
    try:
        found = find_spec(package) is not None
    except ModuleNotFoundError:  # an import hook that forbids it
        found = False
    if not found:
        raise MissingExtraError(
            f"{purpose} needs the package {package}, which is not installed", hint="pip install 'grus[train]'"
        )


def check_output(path: Path, force: bool) -> None:
    """Raise UsageError, before any work is done, if the answer cannot go to ``path``."""
    if path.suffix not in _SUFFIXES:
        raise UsageError(f"{path}: expected a name ending in {', '.join(_SUFFIXES)}, got {path.suffix!r}")
    _check_new(path, force)


def check_page(page: Path, force: bool) -> None:
    """Raise UsageError, before any work is done, if an HTML page cannot be written."""
    if page.suffix not in (".html", ".htm"):
        raise UsageError(f"{page}: expected a name ending in .html, got {page.suffix!r}")
    _check_new(page, force)


def _check_new(path: Path, force: bool) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"{path}: no such folder: {path.parent}", hint="make it first")
    if path.exists() and not force:
        raise UsageError(
            f"{path}: already exists, and nothing is overwritten unasked",
            hint="name another file with -o, or add --force to replace it",
        )


def write_table(columns: Columns, path: Path) -> None:
    """Write columns in the format that the suffix says; the file appears whole or not at all."""
    if path.suffix == ".parquet":
        data = _parquet(columns)
    else:
        data = (to_csv(columns) if path.suffix == ".csv" else to_json(records(columns))).encode()
    write_file(path, data)


def put(text: str) -> None:
    """Write the answer to stdout."""
    if sys.stdout is None:
        raise UsageError("stdout is closed, so the answer cannot be written", hint="name a file with -o")
    sys.stdout.write(text)


def to_csv(columns: Columns) -> str:
    """A header and one line a row; floats in the shortest form that reads back the same, nothing for missing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(["" if v is None else v for v in _plain(values)] for values in columns.values())))
    return out.getvalue()


def records(columns: Columns) -> list[dict[str, Any]]:
    """One dict a row, of what JSON knows."""
    names = list(columns)
    return [dict(zip(names, row)) for row in zip(*(_plain(values) for values in columns.values()))]


def _plain(values: np.ndarray) -> list[Any]:
    """Python numbers, text and time stamps as text; None where a value is missing."""
    if is_time(values):
        return _stamps(values)
    return [None if v != v else v for v in values.tolist()]


def _stamps(times: np.ndarray) -> list[str | None]:
    """Dates, or dates with the time of day, all of them to the same precision."""
    known = times[~np.isnat(times)]
    unit = next((u for u in ("D", "s", "ms", "us") if (known == known.astype(f"M8[{u}]")).all()), "ns")
    texts = np.datetime_as_string(times, unit=unit)  # type: ignore[call-overload]
    return [None if t == "NaT" else t.replace("T", " ") for t in texts.tolist()]


def _parquet(columns: Columns) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), out)
    return out.getvalue()
