"""A piece of music on a grid of steps: what a MIDI file says, up to what the grid can hold."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from grus.spec.steps import bar_steps

#: Microseconds a beat where a file names no tempo: MIDI's own default, 120 beats a minute.
DEFAULT_TEMPO = 500_000
#: Time signature where a file names none.
DEFAULT_METER = (4, 4)
#: No piece may be longer; a file of a few bytes can claim any length.
MOST_STEPS = 1 << 20

_SHARP = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")


class Note(NamedTuple):
    """One note: the step where it begins, its part, its pitch (MIDI number), and the step where it is over."""

    start: int
    part: int
    pitch: int
    end: int


@dataclass(frozen=True)
class Piece:
    """Notes on a grid, in the order of their steps, parts and pitches.

    Attributes:
        notes: each at least one step long; in one part no pitch sounds twice at a time.
        length: steps, the last end of a note at least.
        steps_per_beat: a beat is a quarter note.
        parts: their names.
        tempos: microseconds a beat from a step on, in order.
        meters: time signatures from a step on, in order.
    """

    notes: tuple[Note, ...]
    length: int
    steps_per_beat: int
    parts: tuple[str, ...]
    tempos: tuple[tuple[int, int], ...] = ()
    meters: tuple[tuple[int, tuple[int, int]], ...] = ()


def pitch_name(pitch: int) -> str:
    """``C4`` for 60, as in scientific pitch notation; sharps only."""
    return f"{_SHARP[pitch % 12]}{pitch // 12 - 1}"


def without_overlaps(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Notes in order; a pitch that begins anew in a part while it sounds there ends its note before, and of two that
    begin together the longer one stays.
    """
    out: list[Note] = []
    last: dict[tuple[int, int], int] = {}
    for note in sorted(notes):
        before = last.get((note.part, note.pitch))
        if before is not None and out[before].start == note.start:
            out[before] = out[before]._replace(end=max(out[before].end, note.end))
            continue
        if before is not None and out[before].end > note.start:
            out[before] = out[before]._replace(end=note.start)
        last[note.part, note.pitch] = len(out)
        out.append(note)
    return tuple(out)


def merged(piece: Piece, name: str = "all") -> Piece:
    """The piece with all parts in one."""
    if len(piece.parts) == 1:
        return piece
    notes = without_overlaps(note._replace(part=0) for note in piece.notes)
    return replace(piece, notes=notes, parts=(name,))


def overlap(piece: Piece) -> Note | None:
    """The first note that begins while another one of its part sounds; None: every part is a voice."""
    until = dict.fromkeys(range(len(piece.parts)), 0)
    for note in piece.notes:
        if note.start < until[note.part]:
            return note
        until[note.part] = note.end
    return None


def bar_lines(piece: Piece) -> list[int]:
    """The step where every bar begins; none where the piece has no time signature.

    A time signature takes effect at the next bar; one whose bar is no whole number of steps is passed over.
    """
    found: list[int] = []
    at, size, changes = 0, 0, list(piece.meters)
    while piece.meters and at < max(piece.length, 1):
        while changes and changes[0][0] <= at:
            size = bar_steps(changes.pop(0)[1], piece.steps_per_beat) or size
        size = size or bar_steps(DEFAULT_METER, piece.steps_per_beat)
        found.append(at)
        at += size
    return found
