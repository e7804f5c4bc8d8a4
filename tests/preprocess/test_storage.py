"""Arrays in memory and on disk give the same answers."""

import numpy as np
import pytest

from grus.preprocess import storage
from grus.preprocess.storage import distinct, empty, full, on_disk, take, take_runs


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
