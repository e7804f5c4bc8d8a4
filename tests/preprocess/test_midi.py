"""MIDI files in and out: what goes through unchanged, what is rounded, what is refused and in which words."""

import contextlib
import io
import os
import sys
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grus.errors import DataError, MissingExtraError
from grus.preprocess.music import midi
from grus.preprocess.music.codes import codes_of
from grus.preprocess.music.fit import fit_music
from grus.preprocess.music.midi import read_midi, write_midi
from grus.preprocess.music.piece import Note, Piece
from grus.preprocess.music.tokens import decode_tokens, encode_piece
from music_cases import scale, spelled

NOTTINGHAM = Path(__file__).parents[3] / "shared" / "data" / "music_midi_nottingham" / "midi"


def on(note, time=0, channel=0, velocity=64):
    return mido.Message("note_on", note=note, time=time, channel=channel, velocity=velocity)


def off(note, time=0, channel=0):
    return mido.Message("note_off", note=note, time=time, channel=channel)


def pedal(value, time=0, channel=0):
    return mido.Message("control_change", control=64, value=value, time=time, channel=channel)


def file_of(*tracks, beat=480, type=1):
    out = mido.MidiFile(type=type, ticks_per_beat=beat)
    out.tracks += [mido.MidiTrack(track) for track in tracks]
    data = io.BytesIO()
    out.save(file=data)
    return data.getvalue()


@pytest.fixture
def read(tmp_path):
    def read(data, steps_per_beat=4):
        path = tmp_path / "tune.mid"
        path.write_bytes(data)
        return read_midi(path, steps_per_beat)

    return read


def notes(found):
    return [tuple(note) for note in found.piece.notes]


@given(spelled())
@settings(max_examples=60, deadline=None)
def test_tokens_to_midi_and_back_are_equal(tmp_path_factory, case):
    step, tokens = case
    path = tmp_path_factory.mktemp("midi", numbered=True) / "tune.mid"
    piece = decode_tokens(tokens, step)
    path.write_bytes(write_midi(piece))
    path_read = mido.MidiFile(path)
    assert path_read.type == 1
    if not piece.notes:
        with pytest.raises(DataError, match="expected notes, got none"):
            read_midi(path, step.steps_per_beat)
        return
    found = read_midi(path, step.steps_per_beat)
    assert found == midi.MidiPiece(piece)
    np.testing.assert_array_equal(encode_piece(found.piece, step), tokens)


def test_what_is_written(read):
    piece = Piece(
        (Note(0, 0, 72, 3), Note(3, 0, 72, 8), Note(4, 1, 48, 6)),
        12,
        4,
        ("flute", "silent", "bass"),
        ((0, 600_000), (4, 500_000)),
        ((0, (3, 4)),),
    )
    piece = Piece(tuple(n._replace(part=2 * n.part) for n in piece.notes), *list(vars(piece).values())[1:])
    file = mido.MidiFile(file=io.BytesIO(write_midi(piece)))
    assert (file.type, file.ticks_per_beat, len(file.tracks)) == (1, 480, 4)
    assert file.length == pytest.approx(0.6 + 2 * 0.5)
    assert [track.name for track in file.tracks] == ["", "flute", "silent", "bass"]
    assert [sum(message.time for message in track) for track in file.tracks] == [1440] * 4
    assert [m.type for m in file.tracks[0]] == ["set_tempo", "time_signature", "set_tempo", "end_of_track"]
    assert [(m.type, m.note, m.time) for m in file.tracks[1] if m.type.startswith("note")] == [
        ("note_on", 72, 0), ("note_off", 72, 360), ("note_on", 72, 0), ("note_off", 72, 600),
    ]  # fmt: skip
    assert {m.channel for m in file.tracks[3] if m.type == "note_on"} == {2}
    assert read(write_midi(piece)).piece == piece


def test_no_part_is_written_to_the_channel_of_drums(read):
    parts = tuple(f"voice {i + 1}" for i in range(15))
    piece = Piece(tuple(Note(0, i, 60, 4) for i in range(15)), 4, 4, parts, ((0, 500_000),))
    assert read(write_midi(piece)).piece == piece


@pytest.mark.parametrize("steps_per_beat", [1, 4, 12])
def test_notes_go_to_the_nearest_step(read, steps_per_beat):
    found = read(file_of([on(60, 130), off(60, 90), on(62, 0), off(62, 1)]), steps_per_beat)
    expected = {1: [(0, 0, 60, 1)], 4: [(1, 0, 60, 2), (2, 0, 62, 3)], 12: [(3, 0, 60, 6), (6, 0, 62, 7)]}
    assert notes(found) == expected[steps_per_beat]


def test_velocity_zero_ends_a_note_and_type_0_has_a_part_a_channel(read):
    track = [on(60), on(48, channel=3), on(60, 480, velocity=0), on(48, 480, channel=3, velocity=0)]
    found = read(file_of(track, type=0))
    assert notes(found) == [(0, 0, 60, 4), (0, 1, 48, 8)]
    assert found.piece.parts == ("part 1", "part 2")


def test_tracks_are_parts_by_name(read):
    names = [mido.MetaMessage("track_name", name=name) for name in ("melody", "chords")]
    data = file_of([mido.MetaMessage("track_name", name="title")], [names[0], on(60), off(60, 480)],
                   [names[1], on(48), off(48, 480)])  # fmt: skip
    assert read(data).piece.parts == ("melody", "chords")
    assert read(data.replace(b"chords", b"melody")).piece.parts == ("melody 1", "melody 2")


def test_the_pedal_holds_notes_of_its_channel(read):
    track = [
        pedal(127), on(60), on(50, channel=1), off(60, 240), off(50, channel=1), on(60, 240), off(60, 240), pedal(0, 240),
        on(64, 0), off(64, 480),
    ]  # fmt: skip
    assert notes(read(file_of(track, type=0))) == [
        (0, 0, 60, 4), (0, 1, 50, 2), (4, 0, 60, 8), (8, 0, 64, 12),
    ]  # fmt: skip


def test_notes_that_overlap_or_never_end(read):
    found = read(
        file_of([on(60), on(60, 480), off(60, 480), off(60, 240), on(62, 0), on(64, 0), off(64, 480)])
    )
    assert notes(found) == [(0, 0, 60, 4), (4, 0, 60, 8), (10, 0, 62, 14), (10, 0, 64, 14)]
    assert found.open_notes == 1


def test_legato_is_a_voice_and_a_short_chord_is_none(read):
    legato = file_of([on(60), on(62, 480), off(60, 15), off(62, 465)])
    assert notes(read(legato)) == [(0, 0, 60, 4), (4, 0, 62, 8)]
    assert notes(read(legato, 12)) == [(0, 0, 60, 12), (12, 0, 62, 24)]
    chord = file_of([on(60), on(62, 3), off(60, 40), off(62, 3)])
    assert notes(read(chord)) == [(0, 0, 60, 1), (0, 0, 62, 1)]
    trill = file_of([on(60), off(60, 30), on(62), off(62, 60), on(60), off(60, 390)])
    assert notes(read(trill)) == [(0, 0, 62, 1), (1, 0, 60, 4)]


def test_drums_are_left_out_and_said(read):
    drum = [on(38, channel=9), off(38, 480, channel=9)]
    assert read(file_of([on(60), off(60, 480)], drum)) == midi.MidiPiece(
        Piece((Note(0, 0, 60, 4),), 4, 4, ("part 1",)), drums=1
    )
    with pytest.raises(DataError, match="expected notes, got none but drums"):
        read(file_of(drum))


def test_tempos_and_time_signatures_in_any_track(read):
    track = [
        mido.MetaMessage("set_tempo", tempo=400_000), mido.MetaMessage("time_signature", numerator=3, denominator=4),
        on(60), mido.MetaMessage("set_tempo", tempo=450_000, time=10), mido.MetaMessage("set_tempo", tempo=0, time=470),
        mido.MetaMessage("time_signature", numerator=6, denominator=8, time=960), off(60),
    ]  # fmt: skip
    late = [mido.MetaMessage("set_tempo", tempo=500_000, time=480)]
    found = read(file_of(track, late)).piece
    assert found.tempos == ((0, 450_000), (4, 500_000))
    assert found.meters == ((0, (3, 4)), (12, (6, 8)))


def test_system_messages_text_and_lyrics_are_left_out(read):
    track = [
        mido.Message("sysex", data=[1, 2, 3]), mido.MetaMessage("lyrics", text="la"), mido.Message("pitchwheel", pitch=9),
        mido.Message("program_change", program=40), on(60), off(60, 480), mido.MetaMessage("text", text="end"),
    ]  # fmt: skip
    assert read(file_of(track)) == read(file_of([on(60), off(60, 480)]))


GOOD = file_of([on(60), off(60, 480)])
BODY = 14 + 8  # where the first track's messages begin


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "tune.mid, byte 0: not readable as MIDI: it ends too early"),
        (b"RIFF" + bytes(40), "tune.mid, byte 8: not readable as MIDI: MThd not found. Probably not a MIDI file"),
        (GOOD[:-3], f"tune.mid, track 1, byte {len(GOOD) - 3}: not readable as MIDI: it ends too early"),
        (GOOD[:14], "tune.mid, byte 14: not readable as MIDI: it ends too early"),
        (
            GOOD[: BODY + 2] + b"\xff" + GOOD[BODY + 3 :],
            f"tune.mid, track 1, byte {BODY + 4}: not readable as MIDI: data byte must be in range 0..127",
        ),
        (
            GOOD[:BODY] + b"\x80" * 100_000,
            f"tune.mid, track 1, byte {BODY + (1 << 15) + 1}: not readable as MIDI: a number that does not end",
        ),
        (GOOD[:9] + b"\x02" + GOOD[10:], "tune.mid: expected a MIDI file of type 0 or 1, got type 2"),
        (GOOD[:12] + b"\xe7\x28" + GOOD[14:], "tune.mid: expected times in ticks of a beat, got frames (SMPTE) or none"),
        (file_of([]), "tune.mid: expected notes, got none"),
        (
            file_of([on(60), off(60, (1 << 28) - 1)], beat=96),
            f"tune.mid: must be at most 1,048,576 steps long, got {round(((1 << 28) - 1) / 24):,}",
        ),
        (bytes(midi.MOST_BYTES + 1), "tune.mid: must be at most 4,194,304 bytes, got 4,194,305"),
    ],
)  # fmt: skip
def test_files_that_are_refused(read, data, sentence):
    with pytest.raises(DataError) as caught:
        read(data)
    assert str(caught.value).endswith(os.sep + sentence)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match=r"none\.mid: no such file"):
        read_midi(tmp_path / "none.mid")
    with pytest.raises(DataError, match="cannot be read: is a directory"):
        read_midi(tmp_path)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    raw = bytearray(write_midi(scale()))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("midi", numbered=True) / "tune.mid"
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]) if data.draw(st.booleans()) else raw)
    with contextlib.suppress(DataError):
        piece = read_midi(path).piece
        path.write_bytes(write_midi(piece))
        assert read_midi(path).piece.notes == piece.notes


def test_without_mido(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mido", None)
    for call in (lambda: read_midi(tmp_path / "x.mid"), lambda: write_midi(scale())):
        with pytest.raises(MissingExtraError) as caught:
            call()
        assert str(caught.value) == "MIDI files need mido, which is not installed"
        assert caught.value.hint == "pip install 'grus[audio]'"


@pytest.mark.skipif(not NOTTINGHAM.is_dir(), reason="needs the Nottingham files of the shared data")
def test_real_files_come_back_equal_up_to_the_grid(tmp_path):
    pieces = [read_midi(path).piece for path in sorted(NOTTINGHAM.glob("*.mid"))[::3]]
    step = fit_music(pieces)
    assert (step.layout, step.tempos, step.meters[0]) == ("polyphony", (120,), (4, 4))
    for number, piece in enumerate(pieces):
        tokens = encode_piece(piece, step)
        back = decode_tokens(tokens, step)
        (tmp_path / "tune.mid").write_bytes(write_midi(back))
        assert read_midi(tmp_path / "tune.mid").piece == back, number
        np.testing.assert_array_equal(encode_piece(back, step), tokens)
        played = {(n.start, n.pitch) for n in piece.notes}
        assert {(n.start, n.pitch) for n in back.notes} == played
        assert 0 <= back.length - piece.length < 4, "the last beat is made whole"
    assert len(codes_of(step)) == step.size()
