"""From pieces of music to what a model trains on, validates and is tested on: tokens, split by whole pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grus.data.music_files import MusicParts, NamedPiece, read_music, split_pieces
from grus.decode.language_scores import count_codes
from grus.decode.music.scores import count_pairs
from grus.errors import UsageError
from grus.inspection.wording import count
from grus.preprocess.music.codes import END, codes_of, shifts
from grus.preprocess.music.fit import Layout, fit_music
from grus.preprocess.music.piece import Piece, pitch_name
from grus.preprocess.music.tokens import encode_fitting
from grus.spec import Generate, Music, Port
from grus.spec.generate import MOST_PAIRS

#: Semitones beyond the pieces of training that polyphony may reach: half an octave, so that every key can be had.
_MARGIN = 6


@dataclass(frozen=True)
class MusicOptions:
    """How music is read and divided; see `grus.MusicModel`."""

    layout: Layout
    steps_per_beat: int
    transpose: bool
    val_size: float
    test_size: float
    seed: int


@dataclass(frozen=True)
class PreparedMusic:
    """What a model of music is trained from.

    Attributes:
        task, step: the spec of all but the network; arrays: their numbers, by the names of the model file.
        port: the network's input.
        train, val, test: tokens int32 [T] of each piece.
        shifts: by training piece, the semitones by which it may be transposed.
        plan: what was read and how it was cut, in words.
    """

    task: Generate
    step: Music
    arrays: dict[str, np.ndarray]
    port: Port
    train: list[np.ndarray]
    val: list[np.ndarray]
    test: list[np.ndarray]
    shifts: list[range]
    plan: list[str]


def prepare_music(data: Any, validation: Any, test: Any, options: MusicOptions) -> PreparedMusic:
    """Read pieces, learn their vocabulary from those of training, and make tokens of all.

    Args:
        data, validation, test: see `pieces_of`; the last two may be None, then parts of ``data`` are taken, or those
            that an archive has.
        options: how.

    Raises:
        DataError: no music to learn from.
    """
    parts = _divide(data, validation, test, options)
    step = fit_music([n.piece for n in parts.train], options.layout, _MARGIN if options.transpose else 0)
    codes = codes_of(step)
    (train, _), (val, val_out), (found, test_out) = (
        encode_fitting([n.piece for n in part], step, [n.source for n in part])
        for part in (parts.train, parts.val, parts.test)
    )
    task = Generate("midi", step.size(), END, step.size() <= MOST_PAIRS)
    arrays = {"task.unigram": sum((count_codes(t, len(codes)) for t in train), np.zeros(len(codes)))}
    if task.pairs:
        arrays["task.bigram"] = count_pairs(train, codes)
    allowed = [shifts(tokens, codes) if options.transpose else range(1) for tokens in train]
    plan = _plan(parts, step, train, allowed, data) + _left_out(validate=val_out, test=test_out)
    return PreparedMusic(task, step, arrays, step.port(), train, val, found, allowed, plan)


def pieces_of(data: Any, steps_per_beat: int) -> MusicParts:
    """Pieces from a path (see `read_music`), a list of paths, or a list of pieces.

    Raises:
        UsageError: something else.
    """
    if isinstance(data, str | Path):
        return read_music(data, steps_per_beat)
    if isinstance(data, Sequence) and all(isinstance(one, Piece) for one in data):
        return MusicParts(tuple(NamedPiece(one, f"piece {number + 1}") for number, one in enumerate(data)))
    if isinstance(data, Sequence) and all(isinstance(one, str | Path) for one in data):
        return read_music([Path(one) for one in data], steps_per_beat)
    raise UsageError(f"music: must be a path, a list of paths or a list of pieces, got {type(data).__name__}")


def all_pieces(parts: MusicParts) -> tuple[NamedPiece, ...]:
    """The pieces to score where all of some data is meant: those for a test, where an archive has such."""
    return parts.test or parts.train


def _divide(data: Any, validation: Any, test: Any, options: MusicOptions) -> MusicParts:
    parts = pieces_of(data, options.steps_per_beat)
    own = {
        name: all_pieces(pieces_of(given, options.steps_per_beat))
        for name, given in (("val", validation), ("test", test))
        if given is not None
    }
    val_size, test_size = (
        0 if name in own or parts.val or parts.test else size
        for name, size in (("val", options.val_size), ("test", options.test_size))
    )
    cut = split_pieces(parts.train, val_size, test_size, options.seed) if val_size or test_size else parts
    return MusicParts(cut.train, own.get("val", cut.val), own.get("test", cut.test), parts.notes)


def _left_out(**reasons: list[str]) -> list[str]:
    """Of the pieces that cannot be scored how many there are, and why the first cannot."""
    return [
        f"note      {count(len(found), 'piece')} to {part} left out: {found[0]}"
        for part, found in reasons.items()
        if found
    ]


def _plan(
    parts: MusicParts, step: Music, train: list[np.ndarray], allowed: list[range], data: Any
) -> list[str]:
    name = str(data) if isinstance(data, str | Path) else "given"
    steps = {part: sum(n.piece.length for n in getattr(parts, part)) for part in ("train", "val", "test")}
    said = {"train": "train", "val": "validate", "test": "test"}
    ranges = [f"{part.name} {pitch_name(part.low)} to {pitch_name(part.high)}" for part in step.parts]
    meters = ", ".join(f"{count_}/{unit}" for count_, unit in step.meters) or "not known"
    keys = sum(map(len, allowed)) / len(allowed)
    lines = [
        f"music     {name}: {count(sum(len(getattr(parts, p)) for p in steps), 'piece')}",
        f"layout    {step.layout}: {', '.join(ranges)}",
        f"grid      {step.steps_per_beat} steps a beat (a quarter note); {step.size() - 1} tokens",
        f"bars      {meters}",
        f"tempos    {', '.join(map(str, sorted(step.tempos)))} beats a minute",
        "parts     "
        + ", ".join(
            f"{count(len(getattr(parts, part)), 'piece')} ({number:,} steps) {said[part]}"
            for part, number in steps.items()
            if number
        ),
        f"training  {sum(map(len, train)):,} tokens; each epoch in another key, {keys:.1f} of them a piece"
        if keys > 1
        else f"training  {sum(map(len, train)):,} tokens, in the keys they are in",
    ]
    return [*lines, *(f"note      {note}" for note in parts.notes)]
