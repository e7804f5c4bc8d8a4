"""Sets of recordings with labels or transcripts: a folder for each label, names that say it, or a table of paths."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grus.data.audio_files import AUDIO_SUFFIXES, is_audio
from grus.data.readers import read_columns
from grus.errors import DataError
from grus.preprocess.categories import spell
from grus.preprocess.columns import Columns, Source, cell_error, is_text, listed, missing_column

#: Columns of a table that name a file, by their usual names.
PATHS = ("path", "file", "filename", "file_name", "audio", "wav", "clip")
#: ``{label}_{speaker}_{index}``, as in the Free Spoken Digit Dataset.
_NAMED = re.compile(r"(?P<label>[^_]+)_(?P<speaker>.+)_(?P<index>\d+)")


@dataclass(frozen=True)
class AudioSet:
    """Files, and what is known of them.

    Attributes:
        files: of the recordings.
        names: as people know them: from the folder on, or as the table spells them.
        words: the label or transcript of each, or None where there are none.
        column: of the table that the words come from, or "".
        notes: sentences for people.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    words: tuple[str, ...] | None
    column: str = ""
    notes: tuple[str, ...] = ()


def holds_audio(path: Path) -> bool:
    """Whether a path is a recording, or a folder with recordings in it or in its folders."""
    if not path.is_dir():
        return is_audio(path)
    return any(is_audio(p) for p in path.iterdir()) or any(
        is_audio(p) for folder in _folders(path) for p in folder.iterdir()
    )


def find_recordings(path: Path, words: Sequence[str], column: str | None, wanted: bool) -> AudioSet:
    """The recordings that a path stands for.

    A folder with folders in it: each is a label, and the recordings in it, also those further down, have its name. A
    folder of recordings alone: labels are read from names such as ``7_theo_12.wav`` if all are like that. A table (CSV,
    TSV, JSON lines or Parquet): it has a column of paths, taken from the table's own folder on.

    Args:
        path: a recording, a folder or a table.
        words: what a table's column of labels or transcripts may be called.
        column: its name, if given.
        wanted: whether the words are needed.

    Raises:
        DataError: there are no recordings, or not the column.
    """
    if not path.exists():
        raise DataError(f"no such file or folder: {path}")
    if path.is_dir():
        return _of_folder(path)
    if path.suffix.lower() in AUDIO_SUFFIXES:
        return AudioSet((path,), (path.name,), None)
    return _of_table(path, words, column, wanted)


def _of_folder(path: Path) -> AudioSet:
    loose = [p for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith(".")]
    inside = [
        (folder.name, p)
        for folder in _folders(path)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(path).parts)
    ]
    found = [(None, p) for p in loose if is_audio(p)] + [(name, p) for name, p in inside if is_audio(p)]
    if not found:
        raise DataError(
            f"{path}: expected recordings ({', '.join(AUDIO_SUFFIXES[:3])}, ...) in it or in a folder for each label, "
            "got none"
        )
    labels = [label for label, _ in found]
    if None in labels and any(labels):
        odd = next(p for label, p in found if label is None)
        raise DataError(
            f"{path}: expected every recording in a folder named by its label, got {odd.name!r} beside the folders"
        )
    files = tuple(p for _, p in found)
    words = _from_names(files) if None in labels else tuple(map(str, labels))
    others = [p for p in (*loose, *(p for _, p in inside)) if not is_audio(p)]
    notes = ()
    if others:
        what = "file that is no recording" if len(others) == 1 else "files that are no recordings"
        notes = (
            f"{path.name}: {len(others):,} {what} skipped ({others[0].name}{', ...' * (len(others) > 1)})",
        )
    return AudioSet(files, tuple(p.relative_to(path).as_posix() for p in files), words, notes=notes)


def _from_names(files: Sequence[Path]) -> tuple[str, ...] | None:
    """The labels in the names, if every name has one."""
    found = [_NAMED.fullmatch(file.stem) for file in files]
    labels = tuple(match["label"] for match in found if match is not None)
    return labels if len(labels) == len(files) else None


def _of_table(path: Path, words: Sequence[str], column: str | None, wanted: bool) -> AudioSet:
    columns, source = read_columns(path)
    lower = {name.strip().lower(): name for name in reversed(columns)}
    place = next((lower[name] for name in PATHS if name in lower and is_text(columns[lower[name]])), None)
    if place is None:
        raise DataError(
            f"{source}: expected a column of paths named {', '.join(map(repr, PATHS[:3]))}, ..., "
            f"got {listed(columns)}"
        )
    if column is not None and column not in columns:
        raise missing_column(column, columns, source)
    label = column or next((lower[name] for name in words if name in lower), None)
    if label is None and wanted:
        named = ", ".join(map(repr, words[:3]))
        raise DataError(f"{source}: expected a column named {named}, ..., got {listed(columns)}", "name it")
    paths = _cells(columns, place, source)
    files = tuple(path.parent / one for one in paths)
    said = None if label is None else tuple(_cells(columns, label, source))
    return AudioSet(files, tuple(paths), said, label or "", source.notes)


def _cells(columns: Columns, name: str, source: Source) -> list[str]:
    """The cells of a column as text, zeros in front of whole numbers too; raises DataError for an empty one."""
    values = columns[name]
    if values.dtype.kind in "iu" and source.padded is not None:
        padded = source.padded(name)
        values = values if padded is None else padded
    cells = [spell(cell) for cell in values.tolist()]
    for row, cell in enumerate(cells):
        if cell is None or not str(cell).strip():
            raise cell_error(source, row, name, "text", "an empty cell")
    return [str(cell) for cell in cells]


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
