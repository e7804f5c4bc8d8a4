"""Arrays in memory and on disk give the same answers."""

import errno
import os
import tempfile

import numpy as np
import pytest

from grus.errors import GrusError
from grus.preprocess import storage
from grus.preprocess.storage import append, distinct, empty, full, nameless, on_disk, take, take_runs
from limits import largest_file


@pytest.fixture(params=[False, True], ids=["memory", "disk"])
def disk(request):
    return request.param


def place(values, disk):
    values = np.asarray(values)
    out = empty(len(values), values.dtype, disk)
    out[:] = values
    return out


def test_arrays_on_disk_have_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    values = full(1000, 3.5, np.float64, disk=True)
    assert on_disk(values)
    assert list(tmp_path.iterdir()) == []
    assert values.sum() == 3500
    values[10] = 0
    assert values.sum() == 3496.5


def test_a_disk_without_room_is_a_sentence_before_anything_is_mapped():
    """A mapped page for which the disk has no room would end the process by SIGBUS."""
    sentence = f"{tempfile.gettempdir()}: cannot hold the temporary files of a table larger than memory: "
    with largest_file(1000), pytest.raises(GrusError) as mapped:
        empty(1001, np.int8, disk=True)
    with largest_file(1000), nameless() as file, pytest.raises(GrusError) as written:
        append(file, np.zeros(1001, np.int8))
    assert str(mapped.value) == str(written.value) == sentence + "file too large"
    assert mapped.value.hint == "name a folder with more room in TMPDIR"


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no posix_fallocate on this system")
def test_a_file_system_that_cannot_reserve_room(monkeypatch):
    def refuse(code):
        def fail(*_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "posix_fallocate", fail)

    refuse(errno.EOPNOTSUPP)
    assert full(10, 1.5, np.float64, disk=True).sum() == 15
    refuse(errno.ENOSPC)
    with pytest.raises(GrusError, match=r"larger than memory: no space left on device$"):
        empty(10, np.float64, disk=True)


@pytest.mark.parametrize("kind", ["M8[ns]", "?", "i4", "U3"])
def test_append_writes_the_bytes_of_any_kind(kind):
    values = np.zeros(5, kind)[::2]
    with nameless() as file:
        append(file, values[:0])
        append(file, values)
        file.seek(0)
        assert file.read() == values.tobytes()


def test_empty_arrays_and_objects_stay_in_memory():
    assert not on_disk(empty(0, np.float64, disk=True))
    assert not on_disk(empty(3, object, disk=True), None)


@pytest.mark.parametrize("kind", ["f8", "i4", "U3"])
@pytest.mark.parametrize(
    ("first", "lengths"),
    [([0, 5, 8], [2, 3, 4]), ([1, 3, 5], [2, 2, 4]), ([8, 0, 4], [2, 0, 3]), ([3], [0]), ([], [])],
)
def test_runs(disk, kind, first, lengths):
    values = place(np.arange(12).astype(kind), disk)
    found = take_runs(values, np.array(first, int), np.array(lengths, int))
    expected = [v for a, n in zip(first, lengths) for v in values[a : a + n]]
    assert found.tolist() == [v.item() for v in expected]
    assert found.dtype == values.dtype
    assert on_disk(found) == disk or len(found) == 0


def test_adjoining_runs_share_memory(disk):
    values = place(np.arange(12.0), disk)
    found = take_runs(values, np.array([2, 4, 9]), np.array([2, 5, 1]))
    assert np.shares_memory(found, values)


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
def test_distinct(monkeypatch, chunk):
    monkeypatch.setattr(storage, "CHUNK", chunk)
    cells = ["b", "b", None, "a", "b", "", "a", "a", None]
    words, codes = distinct(np.array(cells, object))
    assert words == ["b", None, "a", ""]
    assert [words[c] for c in codes] == cells
    text = place(np.array(["b", "", "b", "long word"]), disk=True)
    words, codes = distinct(text)
    assert on_disk(codes)
    assert [words[c] for c in codes] == text.tolist()


def test_take(disk):
    index = place(np.array([2, 0, 2], np.int32), disk)
    found = take(np.array([1.5, 2.5, 3.5]), index)
    assert found.tolist() == [3.5, 1.5, 3.5]
    assert on_disk(found) == disk
