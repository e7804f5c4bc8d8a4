"""Frames of every kind, dicts and records as columns."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from grus.data.readers import read_columns
from grus.errors import DataError, UsageError
from grus.preprocess.frequency import Frequency
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles

DAYS = [datetime.datetime(2024, 1, d) for d in (1, 2, 3)]
DATA = {"ds": DAYS, "y": [1.5, None, 3.0], "id": ["a", None, "c"], "n": [1, 2, 3], "up": [True, False, True]}


def frames():
    yield "pandas", pd.DataFrame(DATA)
    yield "pandas categories", pd.DataFrame(DATA).astype({"id": "category"})
    yield "pandas arrow types", pd.DataFrame(DATA).convert_dtypes(dtype_backend="pyarrow")
    yield "pandas nullable", pd.DataFrame(DATA).convert_dtypes()
    yield "pandas other index", pd.DataFrame(DATA, index=[7, 5, 3])
    yield "polars", pl.DataFrame(DATA)
    yield "polars categories", pl.DataFrame(DATA).with_columns(pl.col("id").cast(pl.Categorical))
    yield "polars lazy", pl.DataFrame(DATA).lazy()
    yield "pyarrow", pa.table(DATA)
    yield "dict", DATA
    yield "records", [dict(zip(DATA, row)) for row in zip(*DATA.values())]


@pytest.mark.parametrize("frame", [pytest.param(frame, id=name) for name, frame in frames()])
def test_every_kind_of_table_gives_the_same_columns(frame):
    columns, source = read_columns(frame)
    assert source == "data"
    assert {name: values.dtype.kind for name, values in columns.items()} == {
        "ds": "M", "y": "f", "id": "O", "n": "i", "up": "b"
    }  # fmt: skip
    assert columns["ds"].dtype == np.dtype("M8[ns]")
    assert columns["ds"][2] == np.datetime64("2024-01-03")
    np.testing.assert_array_equal(columns["y"], [1.5, np.nan, 3])
    assert columns["id"].tolist() == ["a", None, "c"]
    assert columns["n"].tolist() == [1, 2, 3]
    assert source.row(1) == "row 1 (counting from 0)"
    assert list(read_columns(frame, ["n", "y"])[0]) == ["n", "y"]


def test_a_frame_becomes_a_panel_and_is_not_changed():
    frame = pd.DataFrame({"ds": pd.to_datetime(["2024-01-04", "2024-01-01"]), "y": [4, 1]})
    before = frame.copy()
    panel = build_panel(read_columns(frame)[0], Roles("y", time="ds"), Frequency("D"))
    assert panel.n_rows == 4
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(("name", "column"), [(None, "ds"), ("when", "when")])
def test_a_pandas_index_of_stamps_is_a_column(name, column):
    frame = pd.DataFrame({"y": [1, 2]}, index=pd.DatetimeIndex(DAYS[:2], name=name))
    assert read_columns(frame)[0][column].tolist() == np.array(DAYS[:2], "M8[ns]").tolist()
    kept = pd.DataFrame({"ds": [7, 8]}, index=pd.DatetimeIndex(DAYS[:2]))
    assert read_columns(kept)[0]["ds"].tolist() == [7, 8]


def test_a_named_pandas_index_is_a_column():
    frame = pd.DataFrame({"y": [1, 2]}, index=pd.Index(["A", "B"], name="unique_id"))
    assert read_columns(frame)[0]["unique_id"].tolist() == ["A", "B"]


def test_zones_become_utc_with_a_note():
    frame = pd.DataFrame({"ds": pd.to_datetime(["2024-07-01 02:00"]).tz_localize("Europe/Berlin"), "y": [1]})
    for table in (frame, pl.from_pandas(frame)):
        columns, source = read_columns(table)
        assert columns["ds"][0] == np.datetime64("2024-07-01T00:00")
        assert source.notes == ("column 'ds': time stamps carry a time zone and were read as UTC",)


def test_records_may_lack_keys():
    columns, _ = read_columns([{"y": 1}, {"y": 2, "x": "a"}])
    assert columns["y"].tolist() == [1, 2]
    assert columns["x"].tolist() == [None, "a"]


@pytest.mark.parametrize("table", [3, None, pd.Series([1, 2]), {1, 2}, b"a,b"])
def test_what_is_no_table(table):
    with pytest.raises(
        UsageError, match=r"^data: expected a path, a pandas, polars or pyarrow table, .*, got \w+$"
    ):
        read_columns(table)


def test_a_list_of_other_things_is_no_table():
    with pytest.raises(UsageError, match=r"^data, row 1: expected a dict, got list$"):
        read_columns([{"y": 1}, [2]])


@pytest.mark.parametrize("table", [pd.DataFrame({"y": []}), {}, [], {"y": np.array([])}])
def test_tables_without_rows(table):
    with pytest.raises(DataError, match=r"^data: expected rows, got a table without any$"):
        read_columns(table)


def test_columns_of_different_length():
    with pytest.raises(DataError) as caught:
        read_columns({"ds": [1, 2, 3], "y": [1, 2]})
    assert str(caught.value) == "data, column 'y': expected 3 rows as in 'ds', got 2"


def test_a_mixed_pandas_column():
    frame = pd.DataFrame({"y": np.array([1, "x", datetime.date(2024, 1, 1)], object)})
    with pytest.raises(DataError, match=r"^data: expected columns of one type each, got a mixture"):
        read_columns(frame)


def test_a_column_that_is_not_there():
    with pytest.raises(DataError, match=r"^data: no column 'Y'; the columns are 'ds', 'y', 'id', 'n', 'up'$"):
        read_columns(DATA, ["Y"])
