"""MIDI files as pieces, in and out, by the library ``mido``, an extra (``grus[audio]``)."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grus.errors import DataError, MissingExtraError
from grus.preprocess.music.piece import DEFAULT_TEMPO, Piece
from grus.preprocess.music.quantise import TickNote, Ticks, to_steps

#: A larger file is refused: a minute of dense piano music has about 10 kB.
MOST_BYTES = 4 << 20
#: Ticks a step of what we write: 480 a beat for sixteenths.
_TICKS = 120
_DRUMS, _PEDAL, _VELOCITY = 9, 64, 80
#: MIDI's numbers have at most 4 bytes. mido reads on while the top bit is set, in time that grows with the square.
_MOST_HIGH_BYTES = 1 << 15


@dataclass(frozen=True)
class MidiPiece:
    """A piece as it was read, and what was left out.

    Attributes:
        piece: on the grid.
        drums: how many notes of channel 10 were left out.
        open_notes: how many notes never ended, and so end with the file.
    """

    piece: Piece
    drums: int = 0
    open_notes: int = 0


def read_midi(path: str | Path, steps_per_beat: int = 4) -> MidiPiece:
    """Read a MIDI file of type 0 or 1.

    Every track and channel with notes is a part. Notes released while the pedal (controller 64) is down sound until it
    comes up. Velocities, instruments, lyrics, keys and system messages are left out, and so are drums (channel 10).

    Args:
        path: of the file.
        steps_per_beat: of the grid; 4 are sixteenths, 12 hold triplets too.

    Raises:
        DataError: a file that is missing, no MIDI, damaged, without notes, or timed in frames.
        MissingExtraError: mido is not installed.
    """
    mido, source = _library(), str(path)
    try:
        size = Path(path).stat().st_size
        if size > MOST_BYTES:
            raise DataError(f"{source}: must be at most {MOST_BYTES:,} bytes, got {size:,}")
        file = _Bytes(Path(path).read_bytes())
    except FileNotFoundError:
        raise DataError(f"{source}: no such file") from None
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    try:
        read = mido.MidiFile(file=file)
    except (
        Exception
    ) as error:  # mido raises whatever its parsing meets: OSError, EOFError, IndexError, its own
        what = "it ends too early" if isinstance(error, EOFError) else str(error) or type(error).__name__
        where = f"track {file.track}, byte {file.tell()}" if file.track else f"byte {file.tell()}"
        raise DataError(f"{source}, {where}: not readable as MIDI: {what}") from None
    if read.type not in (0, 1):
        raise DataError(f"{source}: expected a MIDI file of type 0 or 1, got type {read.type}")
    if read.ticks_per_beat < 1:
        raise DataError(f"{source}: expected times in ticks of a beat, got frames (SMPTE) or none")
    found = _Listener(read)
    if not found.notes:
        only = " but drums" if found.drums else ""
        raise DataError(f"{source}: expected notes, got none{only}")
    return MidiPiece(to_steps(found.ticks(), steps_per_beat, source), found.drums, found.open_notes)


def write_midi(piece: Piece) -> bytes:
    """A MIDI file of type 1: a track of tempos and time signatures, then one a part; `read_midi` reads it back equal.

    Raises:
        MissingExtraError: mido is not installed.
    """
    mido = _library()
    out = mido.MidiFile(type=1, ticks_per_beat=piece.steps_per_beat * _TICKS)
    tempos = piece.tempos if piece.tempos and not piece.tempos[0][0] else ((0, DEFAULT_TEMPO), *piece.tempos)
    marks = [(now, mido.MetaMessage("set_tempo", tempo=tempo)) for now, tempo in tempos]
    marks += [
        (now, mido.MetaMessage("time_signature", numerator=count, denominator=unit))
        for now, (count, unit) in piece.meters
    ]
    out.tracks.append(_track(mido, marks, piece.length))
    for number, name in enumerate(piece.parts):
        channel = number + (number >= _DRUMS)
        # The channel prefix is what tells a part without a note from a track of remarks.
        head = [mido.MetaMessage("track_name", name=name.encode("latin-1", "replace").decode("latin-1"))]
        head.append(mido.MetaMessage("channel_prefix", channel=channel))
        events = [(0, message) for message in head]
        own = [note for note in piece.notes if note.part == number]
        for kind, velocity in (
            ("note_off", 0),
            ("note_on", _VELOCITY),
        ):  # ends first, where both are at one time
            events += [
                (
                    note.end if kind == "note_off" else note.start,
                    mido.Message(kind, channel=channel, note=note.pitch, velocity=velocity),
                )
                for note in own
            ]
        out.tracks.append(_track(mido, events, piece.length))
    file = io.BytesIO()
    out.save(file=file)
    return file.getvalue()


def _track(mido: Any, events: list[tuple[int, Any]], length: int) -> Any:
    """Messages at steps as a track that is as long as the piece."""
    track, before = mido.MidiTrack(), 0
    for now, message in sorted(events, key=lambda event: event[0]):
        track.append(message.copy(time=(now - before) * _TICKS))
        before = now
    track.append(mido.MetaMessage("end_of_track", time=(length - before) * _TICKS))
    return track


class _Listener:
    """Plays a file through in order of time, and notes which part sounds what from when until when."""

    def __init__(self, read: Any) -> None:
        self.notes: list[TickNote] = []
        self.drums = self.open_notes = self._end = 0
        self._read = read
        self._parts: dict[tuple[int, int], int] = {}
        self._sounding: dict[tuple[int, int, int], int] = {}  # track, channel, pitch -> where it began
        self._held: set[tuple[int, int, int]] = set()  # released, but the pedal is down
        self._pedals: set[int] = set()
        self._tempos: list[tuple[int, int]] = []
        self._meters: list[tuple[int, tuple[int, int]]] = []
        events = []
        for track, messages in enumerate(read.tracks):
            now = 0
            for message in messages:
                now += message.time
                events.append((now, track, message))
            self._end = max(self._end, now)
        for now, track, message in sorted(events, key=lambda event: event[0]):
            self._take(now, track, message)
        self.open_notes = len(self._sounding.keys() - self._held)
        for key in list(self._sounding):
            self._stop(key, self._end)

    def ticks(self) -> Ticks:
        """What was heard; parts in the order of their tracks and channels."""
        played = {note.part for note in self.notes}
        channels = {channel for (_, channel), part in self._parts.items() if part in played}
        order = [key for key, part in sorted(self._parts.items()) if part in played or key[1] not in channels]
        number = {self._parts[key]: i for i, key in enumerate(order)}
        notes = tuple(note._replace(part=number[note.part]) for note in self.notes)
        names = tuple(self._read.tracks[track].name or f"part {i + 1}" for i, (track, _) in enumerate(order))
        if len(set(names)) < len(names):
            names = tuple(f"{name} {i + 1}" for i, name in enumerate(names))
        return Ticks(
            notes, self._end, self._read.ticks_per_beat, names, tuple(self._tempos), tuple(self._meters)
        )

    def _take(self, now: int, track: int, message: Any) -> None:
        kind = message.type
        if kind in ("note_on", "note_off"):
            key = track, message.channel, message.note
            struck = kind == "note_on" and message.velocity > 0
            if message.channel == _DRUMS:
                self.drums += struck
            elif struck:
                self._stop(key, now)
                self._sounding[key] = now
                self._parts.setdefault(key[:2], len(self._parts))
            elif message.channel in self._pedals:
                self._held.add(key)
            else:
                self._stop(key, now)
        elif kind == "control_change" and message.control == _PEDAL:
            self._pedal(now, message.channel, message.value >= 64)
        elif kind == "channel_prefix" and message.channel != _DRUMS:
            self._parts.setdefault((track, message.channel), len(self._parts))
        elif kind == "set_tempo" and message.tempo:
            self._tempos.append((now, message.tempo))
        elif kind == "time_signature" and message.numerator and message.denominator <= 64:
            self._meters.append((now, (message.numerator, message.denominator)))

    def _pedal(self, now: int, channel: int, down: bool) -> None:
        if down:
            self._pedals.add(channel)
            return
        self._pedals.discard(channel)
        for key in [key for key in self._held if key[1] == channel]:
            self._stop(key, now)

    def _stop(self, key: tuple[int, int, int], now: int) -> None:
        start = self._sounding.pop(key, None)
        self._held.discard(key)
        if start is not None:
            self.notes.append(TickNote(start, self._parts[key[:2]], key[2], now))


class _Bytes(io.BytesIO):
    """A file in memory that knows in which track mido reads, and ends a number that does not end."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.track = self._high = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.track += size == 8 and data[:4] == b"MTrk"
        self._high = self._high + 1 if size == 1 and data > b"\x7f" else 0
        if self._high > _MOST_HIGH_BYTES:
            raise OSError("a number that does not end")
        return data


def _library() -> Any:
    try:
        import mido
    except ImportError as error:
        raise MissingExtraError(
            "MIDI files need mido, which is not installed", hint="pip install 'grus[audio]'"
        ) from error
    return mido
