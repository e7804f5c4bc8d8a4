"""A wide table with several targets is the long table that says the same."""

import numpy as np
import pytest

from example_series import HOUR, START
from grus.errors import DataError, UsageError
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles
from grus.preprocess.stacked import check_targets, lay_out_table, repeat_future

ROLES = Roles("y", None, "ds")
NAN = float("nan")


def wide(n=5, **more):
    hours = START + np.arange(n) * HOUR
    return {
        "ds": hours,
        "a": np.arange(n) * 1.0,
        "b": -np.arange(n) * 1.0,
        "promo": np.arange(n) % 2 * 1.0,
    } | more


def with_ids(ids=(7, 9), n=3):
    one = wide(n)
    table = {name: np.tile(values, len(ids)) for name, values in one.items()}
    return table | {"store": np.repeat(np.array(ids), n)}


def test_each_column_is_a_series_with_the_covariates_of_the_table():
    table = wide()
    panel = lay_out_table(table, Roles("y", None, "ds", future=("promo",)), ("b", "a"))
    assert panel.ids == ("b", "a")
    assert panel.id_values.tolist() == [(None, "b"), (None, "a")]
    assert (panel.roles.target, panel.roles.id) == ("y", "target")
    np.testing.assert_array_equal(panel.target, [*table["b"], *table["a"]])
    np.testing.assert_array_equal(panel.future["promo"], np.tile(table["promo"], 2))
    assert panel.notes[-1] == "'b', 'a': one series each, which answers name in a column 'target'"


def test_it_is_the_panel_of_the_long_table():
    table = wide(b=np.array([1.0, NAN, 3, 4, 5]))
    long = {
        "target": np.repeat(np.array(["a", "b"], object), 5),
        "ds": np.tile(table["ds"], 2),
        "y": np.concatenate([table["a"], table["b"]]),
    }
    ours, theirs = lay_out_table(table, ROLES, ("a", "b")), build_panel(long, Roles("y", "target", "ds"))
    assert ours.ids == theirs.ids
    for name in ("starts", "offsets", "target", "observed"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_with_an_id_each_pair_is_a_series_and_ids_keep_their_type():
    table = with_ids()
    panel = lay_out_table(table, Roles("y", "store", "ds"), ("a", "b"))
    assert panel.ids == ("7: a", "9: a", "7: b", "9: b")
    assert panel.id_values.tolist() == [(7, "a"), (9, "a"), (7, "b"), (9, "b")]
    assert panel.roles.id == "store"
    np.testing.assert_array_equal(panel.target, [0, 1, 2, 0, 1, 2, 0, -1, -2, 0, -1, -2])


def test_without_targets_it_is_build_panel():
    table = wide()
    ours, theirs = (f(table, Roles("a", None, "ds")) for f in (lay_out_table, build_panel))
    assert ours.ids == theirs.ids == ("series",)
    np.testing.assert_array_equal(ours.target, theirs.target)


def test_future_rows_are_given_to_every_target():
    future = repeat_future(with_ids(), Roles("y", "store", "ds", future=("promo",)), ("a", "b"))
    assert future["store"].tolist() == ["7: a"] * 3 + ["9: a"] * 3 + ["7: b"] * 3 + ["9: b"] * 3
    assert list(future) == ["ds", "promo", "store"]
    np.testing.assert_array_equal(future["promo"], np.tile(with_ids()["promo"], 2))


@pytest.mark.parametrize(
    ("table", "roles", "sentence"),
    [
        (wide(), Roles("y", None, "when"), "data: no column 'when'; the columns are 'ds', 'a', 'b', 'promo'"),
        (wide(b=np.arange(4.0)), ROLES, "data, column 'b': expected 5 rows as in 'a', got 4"),
        (wide(ds=wide(4)["ds"]), ROLES, "data, column 'ds': expected 5 rows as in 'a', got 4"),
        (wide(b=np.full(5, NAN)), ROLES, "data, column 'b': expected numbers, got only empty cells"),
        (
            wide(b=np.array(["1", "2", "x", "4", "5"], object)), ROLES,
            "data, row 2 (counting from 0), column 'b': expected a number, got 'x'",
        ),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_one_sentence(table, roles, sentence):
    with pytest.raises(DataError) as error:
        lay_out_table(table, roles, ("a", "b"))
    assert str(error.value) == sentence


def test_a_missing_target_is_named():
    with pytest.raises(DataError, match="data: no column 'c'"):
        lay_out_table(wide(), ROLES, ("a", "c"))


def test_a_row_twice_is_named_as_the_table_counts_it():
    table = wide()
    table["ds"] = table["ds"][[0, 1, 1, 3, 4]]
    with pytest.raises(DataError, match=r"row 2 \(counting from 0\)"):
        lay_out_table(table, ROLES, ("a", "b"))


def test_names_that_cannot_be_told_apart_are_refused():
    table = {"id": np.array(["x", "x: b"], object), "ds": np.arange(2), "a": np.ones(2), "b: a": np.ones(2)}
    with pytest.raises(UsageError, match="told apart"):
        lay_out_table(table, Roles("y", "id", "ds"), ("a", "b: a"))


@pytest.mark.parametrize(
    "roles",
    [Roles("y", "target"), Roles("y", None, "y"), Roles("y", past=("target",)), Roles("y", future=("y",))],
)
def test_columns_of_the_answers_own_names_are_refused(roles):
    with pytest.raises(UsageError, match="must have another name where there are several targets"):
        check_targets(roles, ("a", "b"))
    check_targets(roles, ())
