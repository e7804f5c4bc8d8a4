"""What a piece is begun with: a prime read and cut, and its own tempos and time signatures kept in what goes on."""

from dataclasses import replace
from pathlib import Path

from grus.errors import DataError
from grus.preprocess.music.midi import read_midi
from grus.preprocess.music.piece import DEFAULT_TEMPO, Piece
from grus.spec import Music


def read_prime(prime: "Piece | str | Path", step: Music, beats: float | None = None) -> tuple[Piece, str]:
    """A prime up to its last note, or to so many beats; and what to call it.

    Raises:
        DataError: a file that cannot be read, or nothing before that beat.
    """
    if isinstance(prime, Piece):
        piece, source = prime, "prime"
    else:
        piece, source = read_midi(prime, step.steps_per_beat).piece, str(prime)
    end = max((note.end for note in piece.notes), default=0)
    if beats is not None:
        end = min(end, round(beats * step.steps_per_beat))
    piece = cut(piece, end)
    if not piece.notes:
        raise DataError(f"{source}: expected notes to go on from, got none before step {end}")
    return piece, source


def cut(piece: Piece, length: int) -> Piece:
    """The first steps of a piece; what sounds at the end of them ends there."""
    return replace(
        piece,
        notes=tuple(note._replace(end=min(note.end, length)) for note in piece.notes if note.start < length),
        length=min(length, piece.length),
        tempos=tuple(change for change in piece.tempos if change[0] < length),
        meters=tuple(change for change in piece.meters if change[0] < length),
    )


def with_its_own(found: Piece, prime: Piece, bars: bool) -> Piece:
    """What goes on from a prime, with the prime's own tempos, to the microsecond, up to the first that was drawn.

    Args:
        found: the prime and what follows, from tokens.
        prime: as it was read.
        bars: whether the tokens tell of bars; without, the prime's time signatures are kept.
    """
    tempos = prime.tempos if prime.tempos and not prime.tempos[0][0] else ((0, DEFAULT_TEMPO), *prime.tempos)
    later = tuple(change for change in found.tempos if change[0] >= prime.length)
    return replace(found, tempos=(*tempos, *later), meters=found.meters if bars else prime.meters)


def at_tempo(piece: Piece, tempo: int) -> Piece:
    """The whole piece at one tempo, in beats a minute."""
    return replace(piece, tempos=((0, round(60e6 / tempo)),))
