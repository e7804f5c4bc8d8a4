"""Tables with a measurement a row: laid out, refused where they do not fit, and read by a model as the wide table is."""

import numpy as np
import pytest

from grus import Classifier
from grus.errors import DataError, UsageError
from grus.preprocess.columns import Source
from grus.preprocess.long_form import lay_out_long

LONG = ("what", "value")


def small():
    return {
        "who": np.array(["b", "b", "a", "b", "a", "a"], object),
        "t": np.array([5, 5, 1, 9, 2, 2]),
        "what": np.array(["HR", "pH", "HR", None, "pH", "pH"], object),
        "value": np.array([70.0, 7.4, 80.0, np.nan, 7.3, 7.2]),
        "died": np.array(["no", "no", "yes", "no", "yes", "yes"], object),
    }


def test_a_row_for_each_id_and_time_in_the_order_they_come():
    laid, source = lay_out_long(
        small(), LONG, "who", "t", label="died", source=Source("ward.csv", notes=["as before"])
    )
    assert list(laid) == ["who", "t", "died", "HR", "pH"]
    assert laid["who"].tolist() == ["b", "a", "b", "a"]
    assert laid["t"].tolist() == [5, 1, 9, 2]
    np.testing.assert_array_equal(laid["HR"], [70.0, 80.0, np.nan, np.nan])
    np.testing.assert_array_equal(laid["pH"], [7.4, np.nan, np.nan, 7.2])
    assert source.notes == (
        "as before",
        "1 values of a variable given again at one time: the later row counts",
    )
    assert [source.row(i) for i in range(4)] == [f"row {i} (counting from 0)" for i in (0, 2, 3, 4)]


def test_only_the_variables_that_are_asked_for_and_those_unknown_are_empty():
    laid, _ = lay_out_long(small(), LONG, "who", "t", channels=("pH", "Na"))
    assert list(laid) == ["who", "t", "died", "pH", "Na"]
    assert np.isnan(laid["Na"]).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"value": None}, "data: no column 'value'; the columns are 'who', 't', 'what', 'died'"),
        ({"value": np.array(["70", "x", "1", "", "2", "3"], object)},
         "data, row 1 (counting from 0), column 'value': expected a number, got 'x'"),
        ({"what": np.array(["HR"] * 5 + ["who"], object)},
         "data: expected variables that are called as no column is, got 'who' in 'what'"),
        ({"what": np.array([None] * 6, object)},
         "data, column 'what': expected names of variables, got only empty cells"),
        ({"died": np.array(["no", "yes", "yes", "no", "yes", "yes"], object)},
         "data, row 1 (counting from 0), column 'died': expected one label at one id and time, 'no', got 'yes'"),
        ({"who": np.array(["b", None, "a", "b", "a", "a"], object)},
         "data, row 1 (counting from 0), column 'who': expected the name of a series, got an empty cell"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit(change, sentence):
    table = {name: values for name, values in (small() | change).items() if values is not None}
    with pytest.raises(DataError) as error:
        lay_out_long(table, LONG, "who", "t", label="died")
    assert str(error.value) == sentence


def test_long_form_needs_an_id_and_a_time():
    with pytest.raises(UsageError, match="variable: must be given with id and time, got no time"):
        lay_out_long(small(), LONG, "who", None)


def wide(rows=40, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 9, rows)
    who = np.repeat(np.arange(rows), lengths)
    table = {"who": who, "t": np.concatenate([np.cumsum(rng.integers(1, 50, n)) for n in lengths])}
    for name in ("HR", "pH"):
        table[name] = np.where(rng.random(len(who)) < 0.4, np.nan, rng.normal(who % 2, 0.5))
    return table | {"died": np.array(["no", "yes"])[who % 2]}


def melted(table):
    """The same in long form; a row at which nothing was measured has no variable."""
    rows = {"who": [], "t": [], "what": [], "value": [], "died": []}
    for i in range(len(table["who"])):
        found = [(name, table[name][i]) for name in ("HR", "pH") if not np.isnan(table[name][i])]
        for name, value in found or [(None, np.nan)]:
            for key, cell in zip(rows, (table["who"][i], table["t"][i], name, value, table["died"][i])):
                rows[key].append(cell)
    return {key: np.array(cells, object if key == "what" else None) for key, cells in rows.items()}


def test_a_model_of_long_form_is_that_of_the_wide_table_and_reads_both(tmp_path):
    table = wide()
    options = {
        "id": "who", "time": "t", "label": "died", "irregular": "indicators", "hidden_size": 4, "epochs": 1,
        "log": "none", "device": "cpu",
    }  # fmt: skip
    plain = Classifier(columns=["HR", "pH"], **options).fit(table, progress="quiet")
    long = Classifier(variable="what", value="value", **options).fit(melted(table), progress="quiet")
    assert (long.model_.task.inputs, long.model_.task.variable) == (("HR", "pH"), "what")
    expected = plain.predict_proba(table)
    for given in (table, melted(table)):
        np.testing.assert_array_equal(long.predict_proba(given), expected)
        np.testing.assert_array_equal(long.live_.predict(given, proba=True)["p_yes"], expected[:, 1])
    assert long.score(melted(table)) == plain.score(table)
