"""Recordings in which it is known how often a word is said, or where: what a wake word is judged by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grus.data.audio_files import AudioOptions
from grus.data.audio_sets import AUDIO_SUFFIXES
from grus.data.readers import read_columns
from grus.data.spoken import Spoken, read_spoken
from grus.errors import UsageError
from grus.preprocess.categories import spell
from grus.preprocess.columns import Source, cell_error, missing_column
from grus.preprocess.text import clean, split

_PLACE = re.compile(r"(\d{1,9}(?:\.\d*)?)-(\d{1,9}(?:\.\d*)?)", re.ASCII)


@dataclass(frozen=True)
class WakeSet:
    """Recordings, the places (begin, end) of the word in each in seconds, and how often it is ``somewhere`` besides."""

    spoken: Spoken
    places: tuple[tuple[tuple[float, float], ...], ...]
    somewhere: tuple[int, ...]

    @property
    def words(self) -> int:
        """How often the word is said."""
        return sum(map(len, self.places)) + sum(self.somewhere)


def read_wake_set(
    path: Path, word: str, options: AudioOptions, *, lower: bool, transcript: str | None, times: str | None
) -> WakeSet:
    """Read recordings for a wake word.

    With ``times``, a column of a table, its cells say where the word is in a recording: ``0.52-0.97 2.1-2.6`` in
    seconds, or nothing. Without, transcripts say how often: a recording of which the word is all is the word from end
    to end, and in a longer one it is somewhere.

    Args:
        path: as for `grus.data.spoken.read_spoken`.
        word: clean; lower: whether transcripts are brought to lower case.
        options: how recordings are read; none may be left out.
        transcript: the column of transcripts in a table, if it is known.
        times: see above.

    Raises:
        DataError: the recordings cannot be read, or what is said of them. UsageError: times of what is no table.
    """
    if times is None:
        spoken = read_spoken(path, None, options, transcript)
        assert spoken.texts is not None
        said = [split(clean(text, lower), "word") for text in spoken.texts]
        return _of_texts(spoken, said, word)
    if path.is_dir() or path.suffix.lower() in AUDIO_SUFFIXES:
        raise UsageError(f"{path}: times must be a column of a table, got recordings without one")
    columns, source = read_columns(path)
    if times not in columns:
        raise missing_column(times, columns, source)
    spoken = read_spoken(path, None, options, wanted=False)
    seconds = np.diff(spoken.offsets) / spoken.rate
    cells = [spell(cell) for cell in columns[times].tolist()]
    places = [_places(cells[row], source, row, times, float(seconds[row])) for row in range(len(spoken))]
    return WakeSet(spoken, tuple(places), (0,) * len(spoken))


def _of_texts(spoken: Spoken, said: Sequence[list[str]], word: str) -> WakeSet:
    seconds = (np.diff(spoken.offsets) / spoken.rate).tolist()
    alone = [units == [word] for units in said]
    places = tuple(((0.0, end),) if one else () for one, end in zip(alone, seconds))
    somewhere = tuple(0 if one else units.count(word) for one, units in zip(alone, said))
    return WakeSet(spoken, places, somewhere)


def _places(
    cell: object, source: Source, row: int, column: str, seconds: float
) -> tuple[tuple[float, float], ...]:
    found: list[tuple[float, float]] = []
    for part in str("" if cell is None else cell).split():
        match = _PLACE.fullmatch(part)
        begin, end = (float(match[1]), float(match[2])) if match is not None else (0.0, 0.0)
        # A place that was rounded may end a little after the recording.
        if not begin < end <= seconds + 0.01:
            must = f"places within {seconds:.2f} s, in seconds, such as 0.52-0.97"
            raise cell_error(source, row, column, must, repr(part))
        found.append((begin, end))
    return tuple(found)
