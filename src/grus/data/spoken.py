"""Recordings with their transcripts, from folders, tables or plain Python data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from grus.data.audio_files import AudioOptions, read_recordings
from grus.data.audio_sets import find_recordings
from grus.errors import DataError, UsageError
from grus.preprocess.log_mel import as_samples
from grus.preprocess.storage import take_runs

#: Columns of transcripts, by their usual names.
TRANSCRIPTS = ("transcript", "transcription", "text", "sentence", "words", "label")


@dataclass(frozen=True)
class Spoken:
    """R recordings at one rate.

    Attributes:
        samples: float32 [N]; offsets: recording r is ``samples[offsets[r]:offsets[r + 1]]``, int64 [R + 1].
        rate: in Hz.
        names: of each, for messages.
        texts: the transcripts, or None where they are not known.
        column: of the table that they come from, or "".
        notes: sentences for people.
    """

    samples: np.ndarray
    offsets: np.ndarray
    rate: int
    names: tuple[str, ...]
    texts: tuple[str, ...] | None = None
    column: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: np.ndarray) -> "Spoken":
        """Some of the recordings."""
        index = np.asarray(rows, np.int64)
        lengths = np.diff(self.offsets)[index]
        return replace(
            self,
            samples=take_runs(self.samples, self.offsets[:-1][index], lengths),
            offsets=np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))),
            names=tuple(self.names[i] for i in index),
            texts=None if self.texts is None else tuple(self.texts[i] for i in index),
        )

    def recordings(self) -> list[np.ndarray]:
        """The samples of each."""
        return [self.samples[a:b] for a, b in zip(self.offsets[:-1], self.offsets[1:])]

    @property
    def seconds(self) -> float:
        """Of all of them."""
        return len(self.samples) / self.rate


def read_spoken(
    data: Any,
    texts: Sequence[str] | None,
    options: AudioOptions,
    column: str | None = None,
    wanted: bool = True,
) -> Spoken:
    """Read recordings.

    Args:
        data: a table with a column of paths and one of transcripts; a folder, where a transcript is the name of the
            folder, or the first part of a name such as ``7_theo_12.wav``; a list of paths, or of samples at
            ``options.rate``.
        texts: the transcripts beside a list.
        options: how they are read.
        column: of the transcripts in a table.
        wanted: whether transcripts are needed.

    Raises:
        DataError: the recordings cannot be read, or have no transcripts. UsageError: arguments that do not fit.
    """
    if isinstance(data, str | Path):
        if texts is not None:
            raise UsageError("texts: must be None where data is a path, whose transcripts are read")
        found = find_recordings(Path(data), TRANSCRIPTS, column, wanted)
        read = read_recordings(found.files, options, str(data))
        words = None if found.words is None else tuple(found.words[i] for i in read.kept)
        names = tuple(found.names[i] for i in read.kept)
        notes = (*found.notes, *read.notes)
        spoken = Spoken(read.samples, read.offsets, read.rate, names, words, found.column, notes)
    else:
        spoken = _given(data, texts, options)
    if wanted and spoken.texts is None:
        raise DataError(
            "data: expected transcripts to learn from, got none",
            "give them as texts, or name a table that has them",
        )
    return spoken


def _given(data: Any, texts: Sequence[str] | None, options: AudioOptions) -> Spoken:
    if not isinstance(data, Sequence | np.ndarray) or not len(data):
        raise DataError("data: expected recordings: a table, a folder, or a list of paths or samples")
    if texts is not None and len(texts) != len(data):
        raise DataError(f"texts: expected {len(data):,}, one a recording, got {len(texts):,}")
    words = None if texts is None else tuple(map(str, texts))
    if isinstance(data[0], str | Path):
        read = read_recordings([Path(file) for file in data], options, "data")
        names = tuple(str(data[i]) for i in read.kept)
        kept = None if words is None else tuple(words[i] for i in read.kept)
        return Spoken(read.samples, read.offsets, read.rate, names, kept, notes=read.notes)
    if options.rate is None:
        raise UsageError("rate: must be named where recordings are given as samples, got None")
    names = tuple(f"row {row} (counting from 0)" for row in range(len(data)))
    parts = [as_samples(one, f"data, {name}") for one, name in zip(data, names)]
    for part, name in zip(parts, names):
        if len(part) < options.least * options.rate:
            raise DataError(
                f"data, {name}: expected at least {1000 * options.least:g} ms of samples, one step, got {len(part):,} "
                "samples"
            )
    offsets = np.concatenate(([0], np.cumsum([len(part) for part in parts], dtype=np.int64)))
    return Spoken(np.concatenate(parts), offsets, options.rate, names, words)
