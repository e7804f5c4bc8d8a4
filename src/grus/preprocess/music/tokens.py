"""From a piece to its tokens and back: each piece has one spelling, each well-formed spelling is a piece."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from grus.errors import DataError
from grus.preprocess.music.codes import END, Codes, Kind, codes_of
from grus.preprocess.music.grammar import Grammar
from grus.preprocess.music.piece import DEFAULT_METER, DEFAULT_TEMPO, Piece, merged, overlap, pitch_name
from grus.spec import Music
from grus.spec.steps import bar_steps


def encode_piece(piece: Piece, step: Music, source: str = "piece") -> np.ndarray:
    """The tokens of a piece, int32 [T], from its tempo to END.

    Parts are put together for polyphony, and the last beat is made whole. A tempo is rounded to the nearest that is
    known and takes effect at the next beat; a time signature does so at the next bar, and one that is not known is
    taken for a known one of as many steps, else for the most frequent.

    Raises:
        DataError: another grid, other voices, a pitch outside its part's range, or nothing at all.
    """
    piece = merged(piece, step.parts[0].name) if step.layout == "polyphony" else piece
    _check(piece, step, source)
    codes = codes_of(step)
    out: list[int] = []
    piece = replace(piece, length=_whole_beats(piece, codes))
    content = _voices(piece, codes) if step.layout == "voices" else _events(piece, codes)
    tempo = -1
    for first, room, bar in _beats(piece, codes):
        now = codes.tempo + _tempo(piece, first, step)
        if now != tempo:
            out.append(now)
            tempo = now
        out.append(codes.beat if bar is None else codes.bar + bar)
        for place in range(room if first < piece.length else 1):
            found = content[first + place]
            if step.layout == "polyphony" and place and found:
                out.append(codes.at + place - 1)
            out += found
    out.append(END)
    return np.array(out, np.int32)


def encode_prime(piece: Piece, step: Music, source: str = "prime") -> np.ndarray:
    """The tokens of a piece that shall go on, int32 [T], up to its last step; see `encode_piece`."""
    tokens, codes = encode_piece(piece, step, source), codes_of(step)
    events = np.flatnonzero(codes.kinds[tokens] >= Kind.REST)
    return tokens[: events[piece.length * len(step.parts) - 1 if step.layout == "voices" else -1] + 1]


def encode_fitting(
    pieces: Sequence[Piece], step: Music, sources: Sequence[str] = ()
) -> tuple[list[np.ndarray], list[str]]:
    """The tokens of the pieces that fit a vocabulary, and of each of the others a sentence why it does not.

    Args:
        pieces: some. step: the vocabulary. sources: names of the pieces, for the sentences.
    """
    tokens: list[np.ndarray] = []
    left_out: list[str] = []
    for number, piece in enumerate(pieces):
        try:
            tokens.append(encode_piece(piece, step, sources[number] if sources else f"piece {number + 1}"))
        except DataError as error:
            left_out.append(str(error))
    return tokens, left_out


def decode_tokens(tokens: Sequence[int] | np.ndarray, step: Music) -> Piece:
    """The piece that tokens spell; raises DataError unless they are one well-formed piece."""
    walk = Grammar(step)
    for code in tokens:
        walk.push(int(code))
    return walk.piece()


def _check(piece: Piece, step: Music, source: str) -> None:
    if piece.steps_per_beat != step.steps_per_beat:
        raise DataError(f"{source}: must have {step.steps_per_beat} steps a beat, got {piece.steps_per_beat}")
    if not piece.length:
        raise DataError(f"{source}: expected music, got an empty piece")
    if len(piece.parts) != len(step.parts):
        wanted = f"{len(step.parts)} ({', '.join(part.name for part in step.parts)})"
        raise DataError(f"{source}: must have as many parts as in training, {wanted}, got {len(piece.parts)}")
    note = overlap(piece) if step.layout == "voices" else None
    if note is not None:
        raise DataError(
            f"{source}: a part must have one note at a time, but in part {piece.parts[note.part]!r} "
            f"{pitch_name(note.pitch)} begins at step {note.start} while another sounds"
        )
    for note in piece.notes:
        part = step.parts[note.part]
        if not part.low <= note.pitch <= part.high:
            raise DataError(
                f"{source}: part {part.name!r} must lie in {pitch_name(part.low)} to {pitch_name(part.high)} "
                f"as in training, got {pitch_name(note.pitch)} at step {note.start}",
                "transpose it, or train on pieces with such notes",
            )


def _beats(piece: Piece, codes: Codes) -> Iterator[tuple[int, int, int | None]]:
    """First step and steps of every beat, and the number of the meter of a bar that begins there.

    A beat that begins at the end of the piece is one in polyphony, where it says how long the piece is.
    """
    step, first, left = codes.step, 0, 0
    while first < piece.length or (step.layout == "polyphony" and first == piece.length):
        bar, room = None, step.steps_per_beat
        if step.meters:
            if not left:
                bar = _meter(piece, first, step)
                left = codes.bar_steps[bar]
            room = min(room, left)
            left -= room
        yield first, room, bar
        first += room


def _whole_beats(piece: Piece, codes: Codes) -> int:
    """The step where the beat ends in which the piece does."""
    end = 0
    for first, room, _ in _beats(piece, codes):
        if first < piece.length:
            end = first + room
    return end


def _voices(piece: Piece, codes: Codes) -> list[list[int]]:
    """Tokens of every step: what each part does."""
    out = [list(codes.rest) for _ in range(piece.length)]
    for start, part, pitch, end in piece.notes:
        number = pitch - codes.step.parts[part].low
        out[start][part] = codes.on[part] + number
        for now in range(start + 1, end):
            out[now][part] = codes.held[part] + number
    return out


def _events(piece: Piece, codes: Codes) -> list[list[int]]:
    """Tokens of every step, and of the place after the last: which pitches end, and which begin."""
    off: list[list[int]] = [[] for _ in range(piece.length + 1)]
    on: list[list[int]] = [[] for _ in range(piece.length + 1)]
    low = codes.step.parts[0].low
    for start, _, pitch, end in piece.notes:
        on[start].append(codes.on[0] + pitch - low)
        off[end].append(codes.held[0] + pitch - low)
    return [sorted(before) + sorted(after) for before, after in zip(off, on, strict=True)]


def _tempo(piece: Piece, now: int, step: Music) -> int:
    """Number of the known tempo nearest to the one in force at a step, as a ratio."""
    found = bisect_right(piece.tempos, now, key=lambda change: change[0])
    bpm = 60e6 / (piece.tempos[found - 1][1] if found else DEFAULT_TEMPO)
    return int(np.abs(np.log(np.array(step.tempos) / bpm)).argmin())


def _meter(piece: Piece, now: int, step: Music) -> int:
    """Number of the known meter that stands for the one in force at a step."""
    found = bisect_right(piece.meters, now, key=lambda change: change[0])
    meter = piece.meters[found - 1][1] if found else DEFAULT_METER
    if meter in step.meters:
        return step.meters.index(meter)
    bars = [bar_steps(known, step.steps_per_beat) for known in step.meters]
    length = bar_steps(meter, step.steps_per_beat)
    return bars.index(length) if length in bars else 0
