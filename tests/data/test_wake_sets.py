"""Recordings with a word in them: how often it is said, and where."""

import numpy as np
import pytest

from grus.data.audio_files import AudioOptions
from grus.data.wake_sets import read_wake_set
from grus.errors import DataError, UsageError
from sound_cases import RATE, write

TABLE = (
    "path,transcript,when\n"
    "a.wav,Mid,0-0.5\n"
    "b.wav,low mid mid,0.1-0.25 0.6-0.75\n"
    "c.wav,low high,\n"
    "d.wav,midst mid,\n"
)


@pytest.fixture
def table(tmp_path):
    write(tmp_path, [f"{name}.wav" for name in "abcd"], [np.zeros(RATE // 2 * n) for n in (1, 2, 1, 2)])
    (tmp_path / "said.csv").write_text(TABLE)
    return tmp_path / "said.csv"


def read(path, **options):
    return read_wake_set(
        path, "mid", AudioOptions(), **{"lower": True, "transcript": None, "times": None} | options
    )


def test_transcripts_say_how_often(table):
    found = read(table)
    assert found.places == (((0.0, 0.5),), (), (), ())
    assert found.somewhere == (0, 2, 0, 1)
    assert found.words == 4
    assert read(table, lower=False).words == 3


def test_times_say_where(table):
    found = read(table, times="when")
    assert found.places == (((0.0, 0.5),), ((0.1, 0.25), (0.6, 0.75)), (), ())
    assert found.somewhere == (0, 0, 0, 0)


def test_the_names_of_a_folder_say_the_word(tmp_path):
    write(tmp_path, ["mid/a.wav", "low/b.wav"], [np.zeros(800)] * 2)
    found = read(tmp_path)
    assert (found.places, found.somewhere) == (((), ((0.0, 0.1),)), (0, 0))


@pytest.mark.parametrize(
    "cell", ["0.5", "0.5-0.4", "0.3-0.3", "x", "0-0.52", "-1-0.2", "0.1-0.2,0.3-0.4", "1e9-2e9"]
)
def test_times_that_are_none(table, cell):
    table.write_text(TABLE.replace("0-0.5\n", f'"{cell}"\n'))
    sentence = (
        f"{table.name}, row 2, column 'when': expected places within 0.50 s, in seconds, such as 0.52-0.97, "
        f"got {cell!r}"
    )
    with pytest.raises(DataError) as raised:
        read(table, times="when")
    assert str(raised.value).endswith(sentence)


def test_times_of_what_has_none(table):
    with pytest.raises(DataError, match=r"'wen'"):
        read(table, times="wen")
    with pytest.raises(
        UsageError, match=r"a\.wav: times must be a column of a table, got recordings without one$"
    ):
        read(table.parent / "a.wav", times="when")
