"""The chorales in the documentation: each is a file that mido reads back equal, with its picture beside it."""

import io
from pathlib import Path

import mido
import pytest
from PIL import Image

from grus.preprocess.music.midi import read_midi, write_midi

FOLDER = Path(__file__).parents[1] / "docs" / "music"
CHORALES = sorted(FOLDER.glob("*.mid"))


def messages(file):
    return [[(message.time, str(message)) for message in track] for track in file.tracks]


def test_there_are_ten():
    assert [path.name for path in CHORALES] == [f"chorale-{seed:02}.mid" for seed in range(1, 11)]


@pytest.mark.parametrize("path", CHORALES, ids=lambda path: path.stem)
def test_a_chorale_is_read_back_equal(path):
    read = mido.MidiFile(path)
    assert [track.name for track in read.tracks] == ["", "soprano", "alto", "tenor", "bass"]
    again = io.BytesIO()
    read.save(file=again)
    assert messages(mido.MidiFile(file=io.BytesIO(again.getvalue()))) == messages(read)
    found = read_midi(path)
    assert (found.drums, found.open_notes) == (0, 0)
    assert write_midi(found.piece) == path.read_bytes()
    assert {note.part for note in found.piece.notes} == {0, 1, 2, 3}


@pytest.mark.parametrize("path", CHORALES, ids=lambda path: path.stem)
def test_a_chorale_has_its_picture(path):
    with Image.open(path.with_suffix(".png")) as picture:
        assert picture.size[0] > 500
    assert path.with_suffix(".png").stat().st_size < 100_000
