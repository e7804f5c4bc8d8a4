"""Music from files: what is found, what is left out and said, splits by piece, and what is refused."""

import re

import numpy as np
import pytest

from grus.data.music_files import (
    MusicParts,
    NamedPiece,
    holds_music,
    piece_of_voices,
    read_music,
    split_pieces,
)
from grus.errors import DataError, UsageError
from grus.preprocess.music.fit import fit_music
from grus.preprocess.music.midi import write_midi
from grus.preprocess.music.piece import Note, Piece
from grus.spec import Part
from music_cases import scale


def tune(*pitches, length=4):
    return Piece(tuple(Note(i, 0, pitch, i + 1) for i, pitch in enumerate(pitches)), length, 4, ("a",))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    for name, piece in {
        "z.mid": tune(60, 62), "b/a.MIDI": tune(60, 64), "b/copy.mid": tune(65, 67), ".git/x.mid": tune(1),
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(write_midi(piece))
    (tmp_path / "cover.txt").write_text("no music")
    return tmp_path


def test_a_folder_with_folders(folder):
    found = read_music(folder)
    assert [named.source for named in found.train] == [str(folder / "b/a.MIDI"), str(folder / "b/copy.mid")]
    assert [named.piece.notes[1].pitch for named in found.train] == [64, 67]
    assert found.notes == (
        "1 file skipped, no MIDI (cover.txt)",
        "1 file left out, the same music as another, in its key or transposed (z.mid)",
    )
    assert (found.val, found.test) == ((), ())
    assert holds_music(folder)
    assert holds_music(folder / "z.mid")
    assert not holds_music(folder / "cover.txt")


def test_one_file_and_a_list_of_files(folder):
    assert len(read_music(str(folder / "z.mid")).train) == 1
    found = read_music([folder / "z.mid", folder / "b"], 12)
    assert [named.piece.steps_per_beat for named in found.train] == [12, 12]


def test_what_is_not_there(tmp_path):
    (tmp_path / "note.txt").write_text("x")
    cases = [
        (tmp_path / "none", f"no such file or folder: {tmp_path / 'none'}"),
        (tmp_path, f"{tmp_path}: expected MIDI files (.mid, .midi), got a folder without any"),
        ([], "music: expected MIDI files, got an empty list"),
        (tmp_path / "none.npz", f"no such file: {tmp_path / 'none.npz'}"),
    ]
    for data, sentence in cases:
        with pytest.raises(DataError) as caught:
            read_music(data)
        assert str(caught.value) == sentence


def test_one_broken_file_of_a_folder_is_named(folder):
    (folder / "b" / "broken.mid").write_bytes(b"MThd")
    with pytest.raises(DataError, match=r"broken\.mid, byte 4: not readable as MIDI: it ends too early"):
        read_music(folder)


def test_voices_as_notes():
    voices = np.array([[60, -1], [60, 48], [62, 48], [-1, 48]])
    assert piece_of_voices(voices) == Piece(
        (Note(0, 0, 60, 2), Note(1, 1, 48, 4), Note(2, 0, 62, 3)), 4, 4, ("voice 1", "voice 2")
    )
    assert piece_of_voices(np.full((1, 4), 60)).parts == ("soprano", "alto", "tenor", "bass")


def archive(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_an_archive_says_what_trains_and_what_tests(tmp_path):
    voices = np.array([[60, 48], [62, 48], [64, 50]], np.int16)
    data = archive(
        tmp_path / "x.npz", train_voices=voices, train_lengths=np.array([2, 1]), valid_voices=voices,
        valid_lengths=np.array([3]), test_voices=voices[:2],
    )  # fmt: skip
    found = read_music(data, 2)
    assert [named.source for named in found.train] == ["x.npz, train piece 1", "x.npz, train piece 2"]
    assert [named.piece.length for named in (*found.train, *found.val, *found.test)] == [2, 1, 3, 2]
    assert found.train[0].piece.steps_per_beat == 2


GOOD = {"train_voices": np.array([[60, 48], [62, -1]]), "train_lengths": np.array([2])}


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": np.ones(3)}, ": expected arrays train_voices and train_lengths, got none of that name"),
        (
            GOOD | {"train_voices": np.ones((2, 2))},
            ", train_voices: expected whole numbers [steps, 1 to 15 voices], got float64 [2, 2]",
        ),
        (
            GOOD | {"train_voices": np.ones((2, 16), int)},
            ", train_voices: expected whole numbers [steps, 1 to 15 voices], got int64 [2, 16]",
        ),
        (
            GOOD | {"train_lengths": np.array([1])},
            ", train_lengths: expected lengths above 0 that sum to 2 steps",
        ),
        (
            GOOD | {"train_voices": np.array([[60, 48], [62, 128]])},
            ", train_voices, step 1, voice 2: expected a MIDI pitch from 0 to 127, or -1 for silence, got 128",
        ),
        (
            GOOD | {"train_voices": np.array([[object()]])},
            ": cannot be read as an archive of NumPy arrays (Object arrays cannot be loaded when allow_pickle=False)",
        ),
    ],
)
def test_archives_that_are_refused(tmp_path, arrays, sentence):
    path = archive(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError) as caught:
        read_music(path)
    assert str(caught.value) == f"{path}{sentence}"


def test_a_damaged_archive(tmp_path):
    path = archive(tmp_path / "x.npz", **GOOD)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=re.escape(f"{path}: cannot be read as an archive of NumPy arrays (")):
        read_music(path)


def test_splits_are_of_whole_pieces_and_a_function_of_the_seed():
    pieces = [NamedPiece(tune(60, 60 + i), f"{i}.mid") for i in range(20)]
    found = split_pieces(pieces, 0.1, 0.2, 3)
    parts = [{named.source for named in part} for part in (found.train, found.val, found.test)]
    assert [len(part) for part in parts] == [14, 2, 4]
    assert len(set.union(*parts)) == 20
    assert split_pieces(pieces, 0.1, 0.2, 3) == found
    assert split_pieces(pieces, 0.1, 0.2, 4) != found
    assert [len(part) for part in vars(split_pieces(pieces, 3, 0, 0)).values()][:3] == [17, 3, 0]
    assert len(split_pieces(pieces[:3], 0.01, 0.01, 0).train) == 1
    with pytest.raises(UsageError, match="take 1 and 1 pieces, which must leave some to train on, got 2"):
        split_pieces(pieces[:2], 0.1, 0.1, 0)
    assert isinstance(found, MusicParts)


def test_the_vocabulary_is_that_of_the_pieces():
    step = fit_music([scale(), scale(beats=2)])
    assert step.layout == "voices"
    assert step.parts == (Part("soprano", 60, 66), Part("bass", 45, 47))
    assert (step.tempos, step.meters) == ((100,), ())
    mixed = [scale(), tune(70)]
    assert fit_music(mixed).parts == (Part("all", 45, 70),)
    assert fit_music([scale()], "polyphony", margin=6).parts == (Part("all", 39, 72),)
    assert fit_music([scale()], margin=6).parts == (Part("soprano", 60, 66), Part("bass", 45, 47))
    low = Piece((Note(0, 0, 2, 1), Note(0, 0, 126, 1)), 1, 4, ("a",))
    assert fit_music([low], margin=6).parts == (Part("all", 0, 127),)
    with pytest.raises(UsageError, match="one note at a time in each, got pieces of 1 to 2 parts"):
        fit_music(mixed, "voices")
    chord = Piece((Note(0, 0, 60, 4), Note(0, 0, 64, 4)), 4, 4, ("a",))
    assert fit_music([chord]).layout == "polyphony"
    with pytest.raises(UsageError, match="got one whose notes overlap"):
        fit_music([chord], "voices")
    with pytest.raises(DataError, match="expected pieces to learn from, got none"):
        fit_music([])


def test_tempos_and_meters_most_frequent_first():
    pieces = [
        Piece(
            (Note(0, 0, 60, 4),), 40, 4, ("a",), ((0, 600_000), (4, 501_000)), ((0, (3, 4)), (12, (1, 32)))
        ),
        Piece((Note(0, 0, 60, 4),), 40, 4, ("a",), ((4, 10_000_000),), ((0, (3, 4)), (12, (6, 8)))),
        tune(60),
    ]
    step = fit_music(pieces)
    assert step.tempos == (120, 20, 100)
    assert step.meters == ((3, 4), (4, 4), (6, 8))
