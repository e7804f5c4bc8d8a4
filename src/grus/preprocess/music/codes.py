"""Which code of a token means what: a table of kinds, values and parts out of the step `Music`.

code                       kind
0                          END of a piece
one a tempo                TEMPO: so many beats a minute from here on; a piece begins with one
one                        BEAT: the next beat of the bar (or the next beat, where there are no bars)
one a meter                BAR: a beat that begins a bar of that time signature
polyphony: one a place     AT: on to that step of the beat, from 1
polyphony: one a pitch     ON, then as many OFF: it begins, it ends
voices: for each part      REST, then one ON a pitch, then one HELD a pitch: what the part does in this step
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from grus.preprocess.music.piece import pitch_name
from grus.spec import Music
from grus.spec.steps import bar_steps


class Kind(IntEnum):
    """What a token says."""

    NOTHING = 0
    END = 1
    TEMPO = 2
    BEAT = 3
    BAR = 4
    AT = 5
    REST = 6
    ON = 7
    HELD = 8
    OFF = 9


#: The code of the end of a piece.
END = 1


@dataclass(frozen=True)
class Codes:
    """The table, and where its blocks begin.

    Attributes:
        step: what it was made of.
        kinds, values, parts: of every code, int16 [V]; a value is a tempo, a meter's number, a place or a pitch.
        tempo, beat, bar, at: first code of each block.
        rest, on, held: first code of each block, by part; ``held`` is OFF in polyphony, which has no ``rest``.
        bar_steps: by meter.
    """

    step: Music
    kinds: np.ndarray
    values: np.ndarray
    parts: np.ndarray
    tempo: int
    beat: int
    bar: int
    at: int
    rest: tuple[int, ...]
    on: tuple[int, ...]
    held: tuple[int, ...]
    bar_steps: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def names(self) -> tuple[str, ...]:
        """Every token in words, such as ``bar 3/4`` or ``soprano C4 held``."""
        return tuple(self._name(code) for code in range(len(self)))

    def _name(self, code: int) -> str:
        kind, value, part = Kind(self.kinds[code]), int(self.values[code]), int(self.parts[code])
        if kind == Kind.BAR:
            return "bar {}/{}".format(*self.step.meters[value])
        if kind in (Kind.TEMPO, Kind.AT):
            return f"{kind.name.lower()} {value}"
        if kind in (Kind.NOTHING, Kind.END, Kind.BEAT):
            return kind.name.lower()
        said = {Kind.REST: "silent", Kind.ON: "", Kind.HELD: "held", Kind.OFF: "ends"}[kind]
        pitch = "" if kind == Kind.REST else pitch_name(value)
        name = self.step.parts[part].name if self.rest else ""
        return " ".join(word for word in (name, pitch, said) if word)


def codes_of(step: Music) -> Codes:
    """The table of a step's codes."""
    rows: list[tuple[Kind, int, int]] = [(Kind.NOTHING, 0, 0), (Kind.END, 0, 0)]
    rows += [(Kind.TEMPO, tempo, 0) for tempo in step.tempos]
    tempo, beat = END + 1, len(rows)
    rows += [(Kind.BEAT, 0, 0), *((Kind.BAR, number, 0) for number in range(len(step.meters)))]
    at, voices = len(rows), step.layout == "voices"
    if not voices:
        rows += [(Kind.AT, place, 0) for place in range(1, step.steps_per_beat)]
    rest: list[int] = []
    on: list[int] = []
    held: list[int] = []
    for number, part in enumerate(step.parts):
        if voices:
            rest.append(len(rows))
            rows.append((Kind.REST, 0, number))
        for kind, first in ((Kind.ON, on), (Kind.HELD if voices else Kind.OFF, held)):
            first.append(len(rows))
            rows += [(kind, pitch, number) for pitch in range(part.low, part.high + 1)]
    table = np.array(rows, np.int16)
    bars = tuple(bar_steps(meter, step.steps_per_beat) for meter in step.meters)
    blocks = (tempo, beat, beat + 1, at, tuple(rest), tuple(on), tuple(held), bars)
    return Codes(step, table[:, 0], table[:, 1], table[:, 2], *blocks)


def transposed(tokens: np.ndarray, semitones: int, codes: Codes) -> np.ndarray:
    """The same piece so much higher; `shifts` says which are possible."""
    return tokens + (semitones * (codes.kinds[tokens] >= Kind.ON)).astype(tokens.dtype)


def shifts(tokens: np.ndarray, codes: Codes, most: int = 6) -> range:
    """Semitones down and up, fewer than an octave in all, by which no part leaves its range."""
    down, up = -(most - 1), most
    pitched = tokens[codes.kinds[tokens] >= Kind.ON]
    for number, part in enumerate(codes.step.parts):
        found = codes.values[pitched[codes.parts[pitched] == number]]
        if len(found):
            down, up = max(down, part.low - int(found.min())), min(up, part.high - int(found.max()))
    return range(down, up + 1)
