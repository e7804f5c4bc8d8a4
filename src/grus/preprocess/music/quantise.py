"""From notes in the ticks of a MIDI file to notes on a grid of steps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeVar

from grus.errors import DataError
from grus.preprocess.music.piece import MOST_STEPS, Note, Piece, without_overlaps

_Value = TypeVar("_Value")


class TickNote(NamedTuple):
    """One note in ticks: where it begins, its part, its pitch, and where it is over."""

    start: int
    part: int
    pitch: int
    end: int


@dataclass(frozen=True)
class Ticks:
    """What a file says, in ticks.

    Attributes:
        notes: of all parts.
        end: of the longest track.
        ticks_per_beat: of a quarter note.
        parts: their names.
        tempos: microseconds a beat, from a tick on.
        meters: time signatures, from a tick on.
    """

    notes: tuple[TickNote, ...]
    end: int
    ticks_per_beat: int
    parts: tuple[str, ...]
    tempos: tuple[tuple[int, int], ...]
    meters: tuple[tuple[int, tuple[int, int]], ...]


def to_steps(ticks: Ticks, steps_per_beat: int, source: str) -> Piece:
    """Move all to the nearest step, the later one of two; a note is at least one step long.

    A part whose notes do not overlap, or by no more than half a step as in legato, is made a voice: a note ends where
    the next begins, and of those that begin in one step the longest stays.

    Raises:
        DataError: a piece longer than `MOST_STEPS`.
    """

    def step(tick: int) -> int:
        return (2 * tick * steps_per_beat + ticks.ticks_per_beat) // (2 * ticks.ticks_per_beat)

    length = max([step(ticks.end), *(max(step(note.end), step(note.start) + 1) for note in ticks.notes)])
    if length > MOST_STEPS:
        raise DataError(f"{source}: must be at most {MOST_STEPS:,} steps long, got {length:,}")
    notes: list[Note] = []
    for part in range(len(ticks.parts)):
        own = sorted(note for note in ticks.notes if note.part == part)
        voice = _is_voice(own, ticks.ticks_per_beat / (2 * steps_per_beat))
        if voice:
            longest: dict[int, TickNote] = {}
            for note in own:
                rival = longest.get(step(note.start))
                if rival is None or note.end - note.start > rival.end - rival.start:
                    longest[step(note.start)] = note
            own = list(longest.values())
        moved = [
            Note(step(note.start), part, note.pitch, max(step(note.end), step(note.start) + 1))
            for note in own
        ]
        notes += _cut(moved) if voice else moved
    return Piece(
        without_overlaps(notes),
        length,
        steps_per_beat,
        ticks.parts,
        _changes((step(tick), tempo) for tick, tempo in ticks.tempos),
        _changes((step(tick), meter) for tick, meter in ticks.meters),
    )


def _is_voice(notes: Sequence[TickNote], most: float) -> bool:
    """Whether no two notes overlap by more than ``most`` ticks, or more than half of the shorter one."""
    for before, note in pairwise(notes):
        shorter = min(before.end - before.start, note.end - note.start)
        if before.end - note.start > min(most, shorter / 2):
            return False
    return True


def _cut(notes: Sequence[Note]) -> list[Note]:
    """Notes of a voice, each ending where the next begins at the latest."""
    cut = [note._replace(end=min(note.end, after.start)) for note, after in pairwise(notes)]
    return [*cut, *notes[-1:]]


def _changes(found: Iterable[tuple[int, _Value]]) -> tuple[tuple[int, _Value], ...]:
    """Changes in order; of several in one step the last, and none that changes nothing."""
    by_step = dict(sorted(found, key=lambda change: change[0]))
    out: list[tuple[int, _Value]] = []
    for now, value in by_step.items():
        if not out or out[-1][1] != value:
            out.append((now, value))
    return tuple(out)
