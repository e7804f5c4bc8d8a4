import json
from dataclasses import replace

import numpy as np
import pytest
from report_cases import a_case

from grus.inspection.wording import count, duration, evaluation_dict, figure, percent, span, to_json, verdict


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"), (47.456, "47.46"), (1234.5678, "1,235"), (1234567.0, "1,234,567"), (0.05, "0.05000"),
        (-3.14159, "-3.142"), (9.9996, "10.000"), (3.2e-7, "3.2e-07"), (float("nan"), "-"), (float("inf"), "-"),
    ],
)  # fmt: skip
def test_figure(value, text):
    assert figure(value) == text


def test_small_words():
    assert [count(n, "row") for n in (0, 1, 1234)] == ["0 rows", "1 row", "1,234 rows"]
    assert [percent(0.4123), percent(0.4123, 0), percent(float("nan"))] == ["41.2%", "41%", "-"]
    assert [duration(s) for s in (0.04, 59.9, 59.96, 185, 8077)] == ["0.0 s", "59.9 s", "1 min 0 s", "3 min 5 s", "2 h 14 min"]  # fmt: skip


def test_span_leaves_midnight_out():
    e = a_case().evaluations["test"]
    days = replace(e, first="2024-01-01 00:00:00", last="2024-01-03 00:00:00", windows=3)
    assert span(days) == "3 windows from 2024-01-01 to 2024-01-03"
    assert span(replace(days, last="2024-01-03 12:00:00")) == (
        "3 windows from 2024-01-01 00:00:00 to 2024-01-03 12:00:00"
    )
    assert span(replace(days, windows=1)) == "1 window from 2024-01-01"


def test_verdict():
    e = a_case().evaluations["test"]
    model, rival = (replace(s, mae=mae, name=n) for s, mae, n in zip(e.scores, (3.0, 4.0), ("GRU", "rival")))
    assert verdict(replace(e, scores=(model, rival))) == "MAE 25.0% under the best baseline (rival)"
    assert verdict(replace(e, scores=(rival, model))) == "MAE 33.3% over the best baseline (GRU)"
    exact = replace(rival, mae=0.0)
    assert verdict(replace(e, scores=(model, exact))) == (
        "the best baseline (rival) makes no error at all, and the model an MAE of 3.000"
    )
    nothing = replace(e, scores=(replace(model, mae=float("nan")), rival))
    assert verdict(nothing) == "nothing to compare with: no window has a known truth"


def test_evaluation_as_json():
    e = a_case().evaluations["test"]
    plain = json.loads(to_json(evaluation_dict(e)))
    assert plain["windows"] == e.windows
    assert plain["scores"][0]["mae"] == e.model.mae
    assert plain["mae_by_step"]["GRU"] == e.model.by_step.tolist()
    assert plain["coverage"] == {"80": e.coverage[80], "95": e.coverage[95]}
    assert list(plain["width"]) == ["80", "95"]
    assert plain["pinball"] == {"80": e.pinball[80], "95": e.pinball[95]}
    assert plain["mean_pinball"] == e.mean_pinball


def test_json_has_no_nan():
    text = to_json({"a": float("nan"), "b": [float("inf"), 1.5], 3: np.float64("nan")})
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "3": None}
    assert text.endswith("\n")
