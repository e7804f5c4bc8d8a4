"""Music from MIDI files, folders of them, or an archive of voices, split by whole pieces."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from grus.data.windows import epoch_order
from grus.errors import DataError, UsageError
from grus.preprocess.music.midi import read_midi
from grus.preprocess.music.piece import MOST_STEPS, Note, Piece

MIDI_SUFFIXES = (".mid", ".midi")
#: Parts of an archive of voices, and what they are for.
_SPLITS = {"train": "train", "valid": "val", "test": "test"}
_QUARTET = ("soprano", "alto", "tenor", "bass")


@dataclass(frozen=True)
class NamedPiece:
    """A piece and where it came from, for messages."""

    piece: Piece
    source: str


@dataclass(frozen=True)
class MusicParts:
    """Pieces that train, validate and test; no piece is in two of them.

    Attributes:
        train, val, test: pieces; the last two may be empty.
        notes: sentences for people on what was left out.
    """

    train: tuple[NamedPiece, ...]
    val: tuple[NamedPiece, ...] = ()
    test: tuple[NamedPiece, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Tally:
    """What was left out while reading."""

    drums: int = 0
    open_notes: int = 0
    skipped: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    def notes(self) -> tuple[str, ...]:
        found: list[str] = []
        if self.drums:
            found.append(f"{_counted(self.drums, 'note')} of drums (channel 10) left out")
        if self.open_notes:
            found.append(f"{_counted(self.open_notes, 'note')} without an end: stopped with the file")
        for names, what in (
            (self.skipped, "skipped, no MIDI"),
            (self.repeated, "left out, the same music as another, in its key or transposed"),
        ):
            if names:
                some = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
                found.append(f"{_counted(len(names), 'file')} {what} ({some})")
        return tuple(found)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def holds_music(path: Path) -> bool:
    """Whether a path is a MIDI file, or a folder with one somewhere in it."""
    if path.is_dir():
        return any(_is_midi(file) for file in path.rglob("*"))
    return _is_midi(path)


def read_music(data: str | Path | Sequence[Path], steps_per_beat: int = 4) -> MusicParts:
    """All pieces, as training pieces; those of an archive as it says.

    Args:
        data: a MIDI file, a folder (with the folders in it, in the order of the names), or a list of files; or an
            archive ``.npz`` with ``train_voices`` int [steps, V] (MIDI pitches, -1 for silence, a column a voice) and
            ``train_lengths`` (steps of each piece, one after the other), likewise ``valid`` and ``test``.
        steps_per_beat: of the grid; the steps of an archive are so many a beat.

    Raises:
        DataError: nothing there, or a file that cannot be read.
    """
    if isinstance(data, str | Path) and Path(data).suffix == ".npz":
        return _archive(Path(data), steps_per_beat)
    tally = _Tally()
    pieces: list[NamedPiece] = []
    for path in _files(data, tally):
        found = read_midi(path, steps_per_beat)
        tally.drums += found.drums
        tally.open_notes += found.open_notes
        pieces.append(NamedPiece(found.piece, str(path)))
    return MusicParts(_once(pieces, tally), notes=tally.notes())


def split_pieces(pieces: Sequence[NamedPiece], val_size: float, test_size: float, seed: int) -> MusicParts:
    """Set pieces aside for validation and test at random, as (number of pieces, seed) settle.

    Args:
        pieces: all of them.
        val_size, test_size: a share below 1, at least one piece if it is not 0, or a number of pieces.

    Raises:
        UsageError: nothing would be left to train on.
    """
    n = len(pieces)
    val, test = (
        max(round(n * size), int(size > 0)) if size < 1 else int(size) for size in (val_size, test_size)
    )
    if val + test >= n:
        raise UsageError(
            f"music: validation and test take {val} and {test} pieces, which must leave some to train on, got {n}",
            hint="give more pieces, or set the sizes of validation and test",
        )
    order = epoch_order(n, seed, 0)
    parts = (order[val + test :], order[:val], order[val : val + test])
    return MusicParts(*(tuple(pieces[i] for i in np.sort(rows)) for rows in parts))


def _files(data: str | Path | Sequence[Path], tally: _Tally) -> list[Path]:
    if not isinstance(data, str | Path):
        if not data:
            raise DataError("music: expected MIDI files, got an empty list")
        return [file for one in data for file in _files(one, tally)]
    path = Path(data)
    if not path.exists():
        raise DataError(f"no such file or folder: {path}")
    if not path.is_dir():
        return [path]
    files = sorted(
        file for file in path.rglob("*") if file.is_file() and not _is_hidden(file.relative_to(path))
    )
    found = [file for file in files if _is_midi(file)]
    if not found:
        raise DataError(f"{path}: expected MIDI files ({', '.join(MIDI_SUFFIXES)}), got a folder without any")
    tally.skipped += [file.relative_to(path).as_posix() for file in files if not _is_midi(file)]
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_midi(path: Path) -> bool:
    return path.suffix.lower() in MIDI_SUFFIXES


def _once(pieces: Sequence[NamedPiece], tally: _Tally) -> tuple[NamedPiece, ...]:
    """Each piece once; a copy, in any key, could be trained on and tested on."""
    seen: set[tuple[tuple[int, int, int, int], ...]] = set()
    kept: list[NamedPiece] = []
    for named in pieces:
        first = named.piece.notes[0].pitch
        key = tuple((note.start, note.part, note.pitch - first, note.end) for note in named.piece.notes)
        if key in seen:
            tally.repeated.append(Path(named.source).name)
            continue
        seen.add(key)
        kept.append(named)
    return tuple(kept)


def _archive(path: Path, steps_per_beat: int) -> MusicParts:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            parts = {
                part: _voices(path, split, archive, steps_per_beat)
                for split, part in _SPLITS.items()
                if f"{split}_voices" in archive
            }
    except FileNotFoundError:
        raise DataError(f"no such file: {path}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read as an archive of NumPy arrays ({error})") from None
    if "train" not in parts:
        raise DataError(f"{path}: expected arrays train_voices and train_lengths, got none of that name")
    return MusicParts(parts["train"], parts.get("val", ()), parts.get("test", ()))


def _voices(
    path: Path, split: str, archive: np.lib.npyio.NpzFile, steps_per_beat: int
) -> tuple[NamedPiece, ...]:
    voices = archive[f"{split}_voices"]
    lengths = archive[f"{split}_lengths"] if f"{split}_lengths" in archive else np.array([len(voices)])
    if voices.ndim != 2 or voices.dtype.kind not in "iu" or not 0 < voices.shape[1] < 16:
        got = f"{voices.dtype} {list(voices.shape)}"
        raise DataError(f"{path}, {split}_voices: expected whole numbers [steps, 1 to 15 voices], got {got}")
    if (
        lengths.ndim != 1
        or lengths.dtype.kind not in "iu"
        or (lengths < 1).any()
        or lengths.sum() != len(voices)
    ):
        raise DataError(
            f"{path}, {split}_lengths: expected lengths above 0 that sum to {len(voices):,} steps"
        )
    odd = np.argwhere((voices < -1) | (voices > 127))
    if len(odd):
        row, column = odd[0]
        raise DataError(
            f"{path}, {split}_voices, step {row}, voice {column + 1}: expected a MIDI pitch from 0 to 127, or -1 for "
            f"silence, got {voices[row, column]}"
        )
    ends = np.cumsum(lengths)
    return tuple(
        NamedPiece(piece_of_voices(rows, steps_per_beat), f"{path.name}, {split} piece {number + 1}")
        for number, rows in enumerate(np.split(voices, ends[:-1]))
    )


def piece_of_voices(voices: np.ndarray, steps_per_beat: int = 4) -> Piece:
    """A piece from the pitch of every voice in every step; a pitch that stays is one note.

    Args:
        voices: MIDI pitches int [T, V], -1 for silence.
        steps_per_beat: of the grid.

    Raises:
        DataError: longer than any piece may be.
    """
    if len(voices) > MOST_STEPS:
        raise DataError(f"voices: must be at most {MOST_STEPS:,} steps long, got {len(voices):,}")
    notes: list[Note] = []
    for part in range(voices.shape[1]):
        column = voices[:, part]
        heads = np.flatnonzero(np.append(True, column[1:] != column[:-1]))
        for start, end in zip(heads, np.append(heads[1:], len(column)), strict=True):
            if column[start] >= 0:
                notes.append(Note(int(start), part, int(column[start]), int(end)))
    names = _QUARTET if voices.shape[1] == 4 else tuple(f"voice {i + 1}" for i in range(voices.shape[1]))
    return Piece(tuple(sorted(notes)), len(voices), steps_per_beat, names)
