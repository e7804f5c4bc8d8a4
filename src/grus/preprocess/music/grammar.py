"""What a well-formed piece is: which token may follow which, and the notes that come of it.

    piece   = TEMPO, beat, { [TEMPO], beat }, END                     (voices)
    beat    = (BAR | BEAT), { step }              as many steps as a beat has, fewer at the end of a bar
    step    = one token of each part, in order
    piece   = TEMPO, beat, { [TEMPO], beat }, (BAR | BEAT), OFFs, END        (polyphony)
    beat    = (BAR | BEAT), events, { AT, events }                    AT only forwards
    events  = OFFs, lowest first, then ONs, lowest first

A HELD or OFF pitch must sound, an ON pitch of polyphony must not, and at the END none may; a BAR comes where the bar
before is full, a TEMPO only where it changes. A piece ends with a beat: the last mark of polyphony is where it is over.
So every piece has one spelling, and every sequence that is allowed is a piece.
"""

import copy

import numpy as np

from grus.errors import DataError
from grus.preprocess.music.codes import END, Kind, codes_of
from grus.preprocess.music.piece import Note, Piece
from grus.spec import Music


class Grammar:
    """Walks through a piece token by token; `allowed` says which may come next.

    Args:
        step: says what the tokens mean.

    Attributes:
        codes: the table of the tokens.
        over: whether the end of the piece has come.
    """

    def __init__(self, step: Music) -> None:
        self.codes = codes_of(step)
        self.over = False
        self._voices = step.layout == "voices"
        self._last = -1  # the token before
        self._tempo = -1  # the tempo in force, as its token
        self._bar_left = 0  # steps of the bar after the present beat
        self._first, self._room, self._place = (
            0,
            0,
            0,
        )  # the beat's first step, its steps, and where in it we are
        self._part = 0  # voices: whose turn it is
        self._floor = (Kind.OFF, -1)  # polyphony: kind and pitch of the last event at this place
        self._sounding: list[dict[int, int]] = [{} for _ in step.parts]  # pitch -> the step where it began
        self._notes: list[Note] = []
        self._tempos: list[tuple[int, int]] = []
        self._bars: list[tuple[int, int]] = []

    @property
    def length(self) -> int:
        """Steps so far; in polyphony, the place that was reached."""
        return self._first + self._place

    @property
    def beat_end(self) -> int:
        """The step where the next beat would begin."""
        return self._first + self._room

    def begins_beat(self, code: int) -> bool:
        """Whether a token belongs to the next beat: it begins it, or is its tempo."""
        return self.codes.kinds[code] in (Kind.TEMPO, Kind.BEAT, Kind.BAR)

    def copy(self) -> "Grammar":
        """Another walk that goes on from here."""
        other = copy.copy(self)
        other._sounding = [dict(part) for part in self._sounding]
        other._notes, other._tempos, other._bars = [*self._notes], [*self._tempos], [*self._bars]
        return other

    def allowed(self) -> np.ndarray:
        """Whether each token may come next, bool [V]; after END none may."""
        out = np.zeros(len(self.codes), bool)
        if self.over:
            return out
        if self._tempo < 0:
            out[self.codes.tempo : self.codes.beat] = True
        elif self._wants_beat():
            self._allow_beat(out)
        elif self._voices:
            self._allow_voice(out)
        else:
            self._allow_events(out)
        return out

    def push(self, code: int) -> None:
        """Take in a token.

        Raises:
            DataError: it may not stand here.
        """
        code = int(code)
        if not 0 <= code < len(self.codes) or not self.allowed()[code]:
            what = self.codes.names()[code] if 0 <= code < len(self.codes) else "no token"
            raise DataError(f"music: at step {self.length}, token {code} ({what}) may not stand there")
        kind, value = Kind(self.codes.kinds[code]), int(self.codes.values[code])
        self._last = code
        if kind == Kind.END:
            self.over = True
            for part in range(len(self._sounding)):
                self._silence(part)
        elif kind == Kind.TEMPO:
            self._tempo = code
            self._tempos.append((self.beat_end, value))  # of the beat that must follow
        elif kind in (Kind.BEAT, Kind.BAR):
            self._begin_beat(value if kind == Kind.BAR else None)
        elif kind == Kind.AT:
            self._place, self._floor = value, (Kind.OFF, -1)
        elif self._voices:
            self._take_voice(kind, value)
        else:
            self._take_event(kind, value)

    def closing(self) -> list[int]:
        """Tokens that end the piece soon: a beat of voices is filled up, and what sounds ends where it may.

        After an AT something has to begin first, the lowest pitch; nothing that is closed between beats needs that.
        """
        walk, out = self.copy(), []
        while not walk.over:
            out.append(walk._closing_token())
            walk.push(out[-1])
        return out

    def piece(self) -> Piece:
        """What was taken in; it must be over."""
        if not self.over:
            raise DataError("music: expected tokens up to the end of a piece")
        step = self.codes.step
        meters: list[tuple[int, tuple[int, int]]] = []
        for first, number in self._bars:
            if not meters or meters[-1][1] != step.meters[number]:
                meters.append((first, step.meters[number]))
        return Piece(
            tuple(sorted(self._notes)),
            self.length,
            step.steps_per_beat,
            tuple(part.name for part in step.parts),
            tuple((first, round(60e6 / tempo)) for first, tempo in self._tempos),
            tuple(meters),
        )

    def _wants_beat(self) -> bool:
        return self.codes.kinds[self._last] == Kind.TEMPO or not self._room

    def _allow_beat(self, out: np.ndarray) -> None:
        if self._bar_left or not self.codes.bar_steps:
            out[self.codes.beat] = True
        else:
            out[self.codes.bar : self.codes.at] = True

    def _allow_next_beat(self, out: np.ndarray) -> None:
        self._allow_beat(out)
        out[self.codes.tempo : self.codes.beat] = True
        out[self._tempo] = False

    def _allow_voice(self, out: np.ndarray) -> None:
        codes, part = self.codes, self._part
        if self._place == self._room:
            out[END] = True
            self._allow_next_beat(out)
            return
        out[codes.rest[part] : codes.held[part]] = True
        for pitch in self._sounding[part]:
            out[codes.held[part] + pitch - codes.step.parts[part].low] = True

    def _allow_events(self, out: np.ndarray) -> None:
        codes, low, sounding = self.codes, self.codes.step.parts[0].low, self._sounding[0]
        out[END] = not sounding and not self._place and self.length > 0
        if codes.kinds[self._last] != Kind.AT:
            self._allow_next_beat(out)
            out[codes.at + self._place : codes.at + self._room - 1] = True
        kind, pitch = self._floor
        if kind == Kind.OFF:
            for other in sounding:
                out[codes.held[0] + other - low] = other > pitch
        first = codes.on[0] if kind == Kind.OFF else codes.on[0] + pitch + 1 - low
        out[first : codes.held[0]] = True
        for other in sounding:
            out[codes.on[0] + other - low] = False

    def _begin_beat(self, meter: int | None) -> None:
        self._first += self._room
        if meter is not None:
            self._bars.append((self._first, meter))
            self._bar_left = self.codes.bar_steps[meter]
        self._room = self.codes.step.steps_per_beat
        if self.codes.bar_steps:
            self._room = min(self._room, self._bar_left)
            self._bar_left -= self._room
        self._place, self._floor = 0, (Kind.OFF, -1)

    def _take_voice(self, kind: Kind, pitch: int) -> None:
        part = self._part
        if kind != Kind.HELD:
            self._silence(part)
        if kind == Kind.ON:
            self._sounding[part][pitch] = self.length
        self._part = (part + 1) % len(self._sounding)
        self._place += not self._part

    def _take_event(self, kind: Kind, pitch: int) -> None:
        self._floor = (kind, pitch)
        if kind == Kind.ON:
            self._sounding[0][pitch] = self.length
        else:
            self._notes.append(Note(self._sounding[0].pop(pitch), 0, pitch, self.length))

    def _silence(self, part: int) -> None:
        for pitch, start in self._sounding[part].items():
            self._notes.append(Note(start, part, pitch, self.length))
        self._sounding[part].clear()

    def _closing_token(self) -> int:
        codes, allowed = self.codes, self.allowed()
        if allowed[END]:
            return END
        if self._tempo < 0:
            return codes.tempo
        if self._voices and not self._wants_beat():
            held = np.flatnonzero(allowed[codes.held[self._part] :])
            return (
                codes.held[self._part] + int(held[0])
                if self._sounding[self._part]
                else codes.rest[self._part]
            )
        off = [] if self._voices else np.flatnonzero(allowed[codes.held[0] :])
        if len(off):
            return codes.held[0] + int(off[0])
        if codes.kinds[self._last] == Kind.AT:  # something must begin there
            return int(np.flatnonzero(allowed)[0])
        return codes.beat if allowed[codes.beat] else codes.bar + (self._bars[-1][1] if self._bars else 0)
