"""What the tokens of a model of music are, from its training pieces."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from grus.errors import DataError, UsageError
from grus.preprocess.music.piece import DEFAULT_METER, DEFAULT_TEMPO, Piece, merged, overlap
from grus.spec import Music, Part
from grus.spec.steps import bar_steps

Layout = Literal["auto", "voices", "polyphony"]

#: Tempos are rounded to a multiple of this, in beats a minute, so that training meets each often.
_TEMPO_STEP = 5
_SLOWEST, _FASTEST = 20, 300


def fit_music(pieces: Sequence[Piece], layout: Layout = "auto", margin: int = 0) -> Music:
    """The step `Music` of training pieces, all on one grid.

    The range of every part, the tempos (to the nearest 5 beats a minute, from 20 to 300) and the time signatures are
    those of the pieces. Where none has a time signature, bars are not known, and tokens tell of beats only.

    Args:
        pieces: of training only.
        layout: auto is ``voices`` where all pieces have the same number of parts, each with one note at a time.
        margin: semitones by which polyphony may go beyond the pieces, down and up, for pieces in other keys; voices may
            not, since a singer's range is what it is.

    Raises:
        DataError: no pieces, or none with notes.
        UsageError: ``voices`` of pieces that have none.
    """
    if not pieces:
        raise DataError("music: expected pieces to learn from, got none")
    counts = {len(piece.parts) for piece in pieces}
    fault = next((piece for piece in pieces if overlap(piece)), None)
    are_voices = len(counts) == 1 and fault is None
    if layout == "voices" and not are_voices:
        got = (
            "one whose notes overlap"
            if len(counts) == 1
            else f"pieces of {min(counts)} to {max(counts)} parts"
        )
        raise UsageError(
            f"layout: voices needs pieces with the same number of parts, one note at a time in each, got {got}",
            hint="take --layout polyphony",
        )
    layout = ("voices" if are_voices else "polyphony") if layout == "auto" else layout
    if layout == "polyphony":
        pieces = [merged(piece) for piece in pieces]
    resolution = pieces[0].steps_per_beat
    bars = pieces if any(piece.meters for piece in pieces) else ()
    meters = Counter(meter for piece in bars for meter in _meters(piece, resolution))
    tempos = Counter(_rounded(tempo) for piece in pieces for tempo in _tempos(piece))
    return Music(
        layout,
        resolution,
        _parts(pieces, layout, margin if layout == "polyphony" else 0),
        _frequent(tempos)[:1000],
        _frequent(meters),
    )


def _parts(pieces: Sequence[Piece], layout: Layout, margin: int) -> tuple[Part, ...]:
    found: list[Part] = []
    for number in range(len(pieces[0].parts)):
        pitches = [note.pitch for piece in pieces for note in piece.notes if note.part == number]
        if not pitches:
            pitches = [60]  # a part that is silent throughout still needs a range
        names = {piece.parts[number] for piece in pieces}
        name = names.pop() if len(names) == 1 and layout == "voices" else f"voice {number + 1}"
        low, high = max(min(pitches) - margin, 0), min(max(pitches) + margin, 127)
        found.append(Part("all" if layout == "polyphony" else name, low, high))
    return tuple(found)


def _meters(piece: Piece, resolution: int) -> list[tuple[int, int]]:
    found = [meter for _, meter in piece.meters if bar_steps(meter, resolution)]
    if not piece.meters or piece.meters[0][0]:
        found.insert(0, DEFAULT_METER)
    return found


def _tempos(piece: Piece) -> list[int]:
    found = [tempo for _, tempo in piece.tempos]
    return found if piece.tempos and not piece.tempos[0][0] else [DEFAULT_TEMPO, *found]


def _rounded(tempo: int) -> int:
    """Beats a minute of microseconds a beat."""
    bpm = _TEMPO_STEP * round(60e6 / tempo / _TEMPO_STEP)
    return min(max(bpm, _SLOWEST), _FASTEST)


def _frequent(counts: Counter) -> tuple:  # type: ignore[type-arg]
    """What was counted, the most frequent first, and of equals the smallest."""
    return tuple(sorted(counts, key=lambda value: (-counts[value], value)))
