"""Parquet files and folders: types, partitions, files that differ, larger than memory."""

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grus.data.readers import read_columns
from grus.errors import DataError


@pytest.fixture(params=[None, 0], ids=["memory", "disk"])
def limit(request):
    return request.param


def table(first=0, n=4, **changed):
    stamps = [datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=first + i) for i in range(n)]
    columns = {
        "ds": stamps,
        "y": [float(first + i) for i in range(n)],
        "id": ["a" if i % 2 else "b" for i in range(n)],
    }
    return pa.table({**columns, **changed})


def test_one_file(tmp_path, limit):
    pq.write_table(table(), tmp_path / "t.parquet")
    columns, source = read_columns(tmp_path / "t.parquet", memory_limit=limit)
    assert source == "t.parquet"
    assert columns["y"].tolist() == [0, 1, 2, 3]
    assert columns["id"].tolist() == ["b", "a", "b", "a"]
    assert columns["ds"].dtype == np.dtype("M8[ns]")
    assert columns["ds"][3] == np.datetime64("2024-01-01T03")
    assert all(isinstance(v, np.memmap) == (limit == 0) for v in columns.values())
    assert source.row(3) == "row 3 (counting from 0)"


def test_every_arrow_type(tmp_path, limit):
    day = datetime.date(2024, 1, 2)
    arrays = {
        "i8": pa.array([1, None], pa.int8()),
        "u64": pa.array([1, 2], pa.uint64()),
        "f16": pa.array(np.array([1.5, 2], np.float16)),
        "dec": pa.array([decimal.Decimal("1.25"), None]),
        "bool": pa.array([True, False]),
        "maybe": pa.array([True, None]),
        "null": pa.nulls(2),
        "date32": pa.array([day, None], pa.date32()),
        "date64": pa.array([day, None], pa.date64()),
        "us": pa.array([0, 1], pa.timestamp("us")),
        "zone": pa.array([0, 1], pa.timestamp("s", "Europe/Berlin")),
        "coded": pa.array(["x", None]).dictionary_encode(),
        "large": pa.array(["x", "y"], pa.large_string()),
        "clock": pa.array([datetime.time(1, 30), None]),
    }
    pq.write_table(pa.table(arrays), tmp_path / "t.parquet")
    columns, source = read_columns(tmp_path / "t.parquet", memory_limit=limit)
    kinds = {name: values.dtype.kind for name, values in columns.items()}
    text = "O" if limit is None else "U"
    assert kinds == {
        "i8": "f", "u64": "f", "f16": "f", "dec": "f", "bool": "b", "maybe": "f", "null": "f", "date32": "M",
        "date64": "M", "us": "M", "zone": "M", "coded": text, "large": text, "clock": text,
    }  # fmt: skip
    np.testing.assert_array_equal(columns["dec"], [1.25, np.nan])
    np.testing.assert_array_equal(columns["maybe"], [1, np.nan])
    assert columns["date32"][0] == columns["date64"][0] == np.datetime64("2024-01-02")
    assert np.isnat(columns["date64"][1])
    assert columns["coded"][1] == (None if limit is None else "")
    assert columns["clock"][0].startswith("01:30:00")
    assert source.notes == ("column 'zone': time stamps carry a time zone and were read as UTC",)


def test_lists_are_refused(tmp_path, limit):
    pq.write_table(pa.table({"x": [[1], [2]]}), tmp_path / "t.parquet")
    with pytest.raises(
        DataError, match=r"^t.parquet, column 'x': expected numbers, text or dates, got values of type"
    ):
        read_columns(tmp_path / "t.parquet", memory_limit=limit)


@pytest.fixture
def folder(tmp_path):
    """Two parts in the order of their names, a third with integers for floats and a column of its own."""
    path = tmp_path / "sales"
    (path / "year=2024").mkdir(parents=True)
    (path / "year=2025").mkdir()
    pq.write_table(table(0, 3), path / "year=2024" / "part-0.parquet")
    pq.write_table(table(3, 2), path / "year=2024" / "part-1.parquet")
    pq.write_table(table(5, 2, y=[5, 6], extra=["p", None]), path / "year=2025" / "part-0.parquet")
    (path / "_SUCCESS").write_text("")
    return path


def test_folder(folder, limit):
    columns, source = read_columns(folder, memory_limit=limit)
    assert source == "sales"
    assert columns["y"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert columns["year"].tolist() == [2024] * 5 + [2025] * 2
    assert [v or None for v in columns["extra"].tolist()] == [None] * 5 + ["p", None]
    assert [source.row(i) for i in (2, 3, 6)] == [
        "row 2 (counting from 0) of part-0.parquet",
        "row 0 (counting from 0) of part-1.parquet",
        "row 1 (counting from 0) of part-0.parquet",
    ]
    assert list(read_columns(folder, ["y", "ds"], limit)[0]) == ["y", "ds"]
    with pytest.raises(
        DataError, match=r"^sales: no column 'z'; the columns are 'ds', 'y', 'id', 'extra', 'year'$"
    ):
        read_columns(folder, ["z"], limit)


def test_folder_without_parquet(tmp_path):
    (tmp_path / "x.csv").write_text("a\n1\n")
    with pytest.raises(DataError) as caught:
        read_columns(tmp_path)
    assert str(caught.value) == f"{tmp_path}: expected Parquet files in the folder, got none"


def test_folder_of_different_tables(tmp_path, limit):
    pq.write_table(pa.table({"y": [1.0]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"y": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"expected Parquet files of one table, got columns that differ"):
        read_columns(tmp_path, memory_limit=limit)


def test_no_rows(tmp_path, limit):
    pq.write_table(table(n=0), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"^t.parquet: expected rows, got a table without any$"):
        read_columns(tmp_path / "t.parquet", memory_limit=limit)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"ds,y\n1,2\n"])
def test_what_is_no_parquet(tmp_path, content):
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"t.parquet: expected a Parquet file, got one that cannot be read"):
        read_columns(path)


def test_cut_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(table(n=1000), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"t.parquet: expected a Parquet file, got one that cannot be read"):
        read_columns(path)


def test_damaged_inside(tmp_path, limit):
    path = tmp_path / "t.parquet"
    pq.write_table(table(n=5000, y=np.random.default_rng(0).normal(size=5000)), path, compression="zstd")
    raw = bytearray(path.read_bytes())
    raw[4:40] = b"\xff" * 36  # the head of the first page
    path.write_bytes(raw)
    with pytest.raises(
        DataError, match=r"t.parquet: expected Parquet files (of one table|that can be read), got"
    ):
        read_columns(path, memory_limit=limit)


def test_numbers_that_are_missing_at_first(tmp_path, limit):
    pq.write_table(pa.table({"y": pa.nulls(3), "s": pa.nulls(3), "d": pa.nulls(3)}), tmp_path / "a.parquet")
    day = pa.array([datetime.date(2024, 1, 2)])
    pq.write_table(pa.table({"y": [4], "s": ["x"], "d": day}), tmp_path / "b.parquet")
    columns, _ = read_columns(tmp_path, memory_limit=limit)
    np.testing.assert_array_equal(columns["y"], [np.nan] * 3 + [4])
    assert [v or None for v in columns["s"].tolist()] == [None] * 3 + ["x"]
    assert np.isnat(columns["d"]).tolist() == [True] * 3 + [False]
