"""Roles named and inferred, and the plan in words, down to the shipped example."""

from pathlib import Path

import numpy as np
import pytest

from grus.data.readers import read_columns
from grus.data.roles import infer_roles, plan_lines
from grus.data.splits import split_panel
from grus.errors import DataError, UsageError
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles

EXAMPLE = Path(__file__).parents[2] / "examples" / "bike_sharing" / "hourly.csv"
KINDS = {
    "d": np.array(["2024-01-01", "2024-01-02"], "M8[ns]"), "D": np.array(["1/31/2024", "2/1/2024"], object),
    "s": np.array(["a", "a"], object), "i": np.array([3, 4]), "f": np.array([0.5, 1.5]), "h": np.array([22, 23]),
}  # fmt: skip


def table(**columns):
    return {name: KINDS[kind] for name, kind in columns.items()}


@pytest.mark.parametrize(
    ("columns", "id", "time", "target"),
    [
        ({"unique_id": "s", "ds": "d", "y": "f"}, "unique_id", "ds", "y"),
        ({"y": "f", "DATE": "D", "Item_ID": "s"}, "Item_ID", "DATE", "y"),
        ({"Month": "d", "Passengers": "i"}, None, "Month", "Passengers"),
        ({"stamp": "d", "value": "f", "temp": "f"}, None, "stamp", "value"),
        ({"reading": "f"}, None, None, "reading"),
        ({"name": "s", "reading": "f"}, None, None, "reading"),
        ({"begin": "d", "end": "d", "y": "f"}, None, None, "y"),
        ({"begin": "d", "ds": "d", "y": "f"}, None, "ds", "y"),
        ({"dteday": "D", "hr": "h", "y": "i"}, None, "dteday+hr", "y"),
        ({"year": "i", "month": "i", "day": "i", "hour": "h", "y": "f"}, None, "year+month+day+hour", "y"),
        ({"year": "i", "month": "i", "y": "f"}, None, "year+month", "y"),
        ({"year": "i", "sales": "f"}, None, "year", "sales"),
        ({"time": "f", "y": "f"}, None, None, "y"),
        ({"time": "i", "y": "f"}, None, "time", "y"),
        ({"date": "s", "y": "f"}, None, None, "y"),
        ({"series": "s", "id": "s", "y": "f"}, "id", None, "y"),
        ({"series": "s", "id": "i", "y": "f"}, "series", None, "y"),
        ({"id": "i", "ds": "d", "y": "f"}, None, "ds", "y"),
    ],
)
def test_what_is_obvious(columns, id, time, target):
    assert infer_roles(table(**columns)) == Roles(target, id, time)


def test_hours_beside_dates_that_have_a_clock_are_no_part_of_them():
    columns = {**table(hour="h", y="f"), "ds": np.array(["2024-01-01T22", "2024-01-01T23"], "M8[ns]")}
    assert infer_roles(columns).time == "ds"
    columns["ds"] = np.array(["2024-01-01 22:00", "2024-01-01 23:00"], object)
    assert infer_roles(columns).time == "ds"


def test_what_is_named_goes_first():
    columns = table(unique_id="s", shop="s", ds="d", y="f", qty="f", temp="f", region="s")
    roles = infer_roles(columns, id="shop", target="qty", past=["y"], future=["temp"], static=("region",))
    assert roles == Roles("qty", "shop", "ds", ("y",), ("temp",), ("region",))
    assert infer_roles(table(day="D", hr="h", y="f"), time="day+hr").time == "day+hr"


def test_covariates_are_never_guessed():
    roles = infer_roles(table(ds="d", y="f", temp="f", holiday="i"))
    assert (roles.past, roles.future, roles.static) == ((), (), ())


def test_a_named_column_that_is_not_there():
    with pytest.raises(DataError) as caught:
        infer_roles(table(ds="d", qty="f"), target="qtty", source="sales.csv")
    assert str(caught.value) == "sales.csv: no column 'qtty'; the columns are 'ds', 'qty'"
    assert caught.value.hint == "did you mean 'qty'?"
    with pytest.raises(DataError, match="no column 'hr'; the columns"):
        infer_roles(table(ds="d", qty="f"), time="ds+hr")


def test_one_column_two_roles():
    with pytest.raises(UsageError, match=r"^column 'temp': expected one role, got 2$"):
        infer_roles(table(ds="d", y="f", temp="f"), past=["temp"], future=["temp"])


@pytest.mark.parametrize(
    ("columns", "got"),
    [({"ds": "d", "a": "f", "b": "i"}, "'a', 'b'"), ({"ds": "d", "name": "s"}, "none")],
)
def test_no_obvious_target(columns, got):
    with pytest.raises(DataError) as caught:
        infer_roles(table(**columns), source="t.csv")
    assert str(caught.value) == (
        "t.csv: expected a column named 'y', 'target' or 'value', or a single numeric one, as the target, "
        f"got {got}"
    )
    assert caught.value.hint == "name the target"


def test_plan_of_the_example():
    columns, source = read_columns(EXAMPLE)
    roles = infer_roles(columns, future=["temp", "holiday"], past=["hum"], source=source)
    panel = build_panel(columns, roles, source=source)
    assert panel.notes == ("165 missing hours filled and masked",)
    assert (panel.n_rows, int(panel.observed.sum()), str(panel.frequency)) == (17544, 17379, "h")
    panel, split, _ = split_panel(panel, 168, 24, 56 * 24, 56 * 24)
    assert plan_lines(panel, split, columns) == [
        "target    'y', 17,379 values on 17,544 steps",
        "series    one",
        "time      'ds', every hour",
        "past      hum; known up to now only",
        "future    temp, holiday; known for the horizon too",
        "static    none",
        "not used  workingday, weathersit, atemp, windspeed",
        "train     14,856 hours from 2011-01-01 to 2012-09-10 23:00:00",
        "validate  1,344 hours from 2012-09-11 to 2012-11-05 23:00:00",
        "test      1,344 hours from 2012-11-06 to 2012-12-31 23:00:00",
    ]


def test_plan_of_several_series_without_stamps():
    columns = {"id": np.repeat(["a", "b"], 50).astype(object), "wind": np.tile(["n", "s"], 50).astype(object)}
    columns |= {"y": np.arange(100.0), "size": np.repeat([1, 2], 50)}
    panel = build_panel(columns, infer_roles(columns, target="y", past=["wind"], static=["size"]))
    panel, split, _ = split_panel(panel, 8, 4, 0, 8)
    assert plan_lines(panel, split) == [
        "target    'y', 100 values on 100 steps",
        "series    2 by 'id'",
        "time      none: rows in the order they come",
        "past      wind (category); known up to now only",
        "future    none",
        "static    size; one value per series",
        "train     84 rows of 2 series from 0 to 41",
        "validate  none",
        "test      16 rows of 2 series from 42 to 49",
    ]


def test_plan_says_multiples():
    columns = {
        "ds": np.datetime64("2024", "ns") + np.arange(50) * np.timedelta64(15, "m"),
        "y": np.arange(50.0),
    }
    panel, split, _ = split_panel(build_panel(columns, infer_roles(columns)), 4, 2, 2, 2)
    assert plan_lines(panel, split)[2] == "time      'ds', every 15 minutes"


@pytest.mark.parametrize(
    "blank", [np.full(2, np.nan), np.array([None, "NA"], object), np.array(["NaT"] * 2, "M8[ns]")]
)
@pytest.mark.parametrize("role", ["past", "future", "static"])
def test_a_covariate_without_any_value_is_refused(blank, role):
    columns = {**table(y="f"), "x": blank}
    with pytest.raises(
        DataError, match=r"^t.csv, column 'x': expected values, got only empty cells$"
    ) as caught:
        infer_roles(columns, source="t.csv", **{role: ["x"]})
    assert caught.value.hint == "leave it out"
    assert infer_roles(columns).target == "y", "it is no matter as long as nobody asks for it"


def constants(**columns):
    """What the plan says of a table of 40 rows beyond the lines that it always has."""
    data = {name: np.broadcast_to(values, 40) for name, values in columns.items()}
    roles = Roles("y", "id" if "id" in data else None, past=tuple(n for n in data if n in ("p", "q")))
    panel, split, _ = split_panel(build_panel(data, roles), 4, 2)
    plan = plan_lines(panel, split, data)
    return plan[next(i for i, line in enumerate(plan) if line.startswith("test ")) + 1 :]


def test_the_plan_names_what_never_changes():
    changing, ids = np.arange(40.0), np.repeat(np.array(["A", "B"], object), 20)
    assert constants(y=changing, p=changing, q=np.array(["a"], object)) == []
    assert constants(y=[5.0], p=[0.5]) == [
        "column 'y': 5 in every row, so that there is nothing to learn",
        "column 'p': 0.5 in every row, so that it tells nothing",
    ]
    half = np.where(ids == "B", 3.0, changing)
    assert constants(y=half, id=ids) == ["column 'y': 1 of 2 series never changes ('B')"]
    assert constants(y=[0.0], id=ids) == ["column 'y': 2 of 2 series never change ('A', 'B')"]
