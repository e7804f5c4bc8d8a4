"""``grus.compare``: what comes back, and what is refused before anything is trained."""

import json

import numpy as np
import pytest
from classify_tables import TINY as CLASSIFY
from classify_tables import series
from forecast_tables import TINY as FORECAST
from forecast_tables import one_series

import grus
from grus.errors import UsageError

SMALL = {"hidden_size": 4, "rates": [0.01], "seeds": 2, "cells": ["gru", "rnn"], "progress": "quiet"}
OWN = ("hidden_size", "log", "learning_rate")
SERIES = {name: value for name, value in FORECAST.items() if name not in OWN} | SMALL
CLASSES = {name: value for name, value in CLASSIFY.items() if name not in OWN} | SMALL | {"epochs": 1}


def test_a_comparison_of_forecasters(tmp_path):
    plans = []
    found = grus.compare(
        "forecast",
        one_series(240),
        horizon=6,
        test_size=24,
        folder=tmp_path,
        report_plan=plans.extend,
        **SERIES,
    )
    assert isinstance(found, grus.Comparison)
    assert found.table["cell"].tolist()[:2] == ["gru", "rnn"]
    assert found.pick in ("gru", "rnn")
    assert found.verdict.endswith(".")
    assert repr(found) == f"<Comparison: {found.verdict}>"
    assert "units     4 of the test, each a window; windows of 6 steps" in plans
    assert any(line.startswith("cells     gru 4 (") for line in plans)
    page = found.save(tmp_path)
    plain = json.loads((page.parent / "comparison.json").read_text())
    assert plain["points"][0]["cells"][0]["runs"][1]["seed"] == 1
    assert plain["verdict"] == found.verdict

    more = grus.compare(
        "forecast",
        one_series(240),
        horizon=6,
        test_size=24,
        folder=tmp_path,
        resume=True,
        **(SERIES | {"seeds": 3}),
    )
    assert more.table["seeds"].tolist()[:2] == [3, 3]
    with pytest.raises(
        UsageError, match=r": cannot resume, because parameter 'batch_size' is not what the run was"
    ):
        grus.compare(
            "forecast", one_series(240), horizon=6, test_size=24, folder=tmp_path, resume=True,
            **(SERIES | {"batch_size": 8}),
        )  # fmt: skip
    with pytest.raises(
        UsageError, match=r": cannot resume, because the data is not what the run was started with"
    ):
        grus.compare(
            "forecast",
            one_series(240, seed=1),
            horizon=6,
            test_size=24,
            folder=tmp_path,
            resume=True,
            **SERIES,
        )


def test_a_comparison_of_classifiers():
    found = grus.compare("classify", *series(90), lengths=[3, 8], equal="width", **CLASSES)
    assert found.table["length"].tolist()[:2] == [3, 3]
    assert set(found.table["hidden"][found.table["cell"] == "rnn"].tolist()) == {4}
    assert found.outcome.metric == "error rate"
    assert len(found.outcome.points) == 2
    errors = np.concatenate([np.array(run.losses) for run in found.outcome.main.cells[0].runs])
    assert set(errors.tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"task": "regress"}, "compare: task must be forecast, classify, memory or music, got 'regress'"),
        ({"resume": True}, "compare: resume must have the folder of the comparison to go on with, got folder=None"),
        ({"horizont": 3}, "compare: no option 'horizont'; the options of the task are horizon, id, time"),
        ({"horizon": None}, "compare: horizon must be given for 'forecast'"),
        ({"cell": "gru"}, "compare: no option 'cell'; the options of the task are"),
        ({"y": [1]}, "compare: y must be None for 'forecast', whose target is a column"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1, got 0"),
        ({"cells": ["gru", "elman"]}, "cells must be a list of at least two different cells of gru"),
        ({"learning_rate": "auto"}, "compare: learning_rate must be a number, around which rates are tried, got 'auto'"),
        ({"parameters": 3, "hidden_size": None}, r"parameters must be at least [\d,]+, those of a network with one unit of"),
        ({"dropout": 2}, "dropout must be a number of at least 0 and below 1, got 2"),
        ({"lengths": [7], "segment": 6}, "lookback must be a multiple of the segment of 6, got 7"),
    ],
)  # fmt: skip
def test_what_is_refused(arguments, sentence):
    given = {"task": "forecast", "data": one_series(240), "horizon": 6} | SERIES | arguments
    if given["horizon"] is None:
        del given["horizon"]
    with pytest.raises(UsageError, match="^" + sentence):
        grus.compare(**given)
