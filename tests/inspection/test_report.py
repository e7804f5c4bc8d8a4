"""The page: complete, self-contained, escaped, and consistent with metrics.json, at every edge of what it may get."""

import json
import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from html_page import Page
from report_cases import a_case, a_history

from grus.inspection.report import write_forecast_report
from grus.inspection.wording import figure
from grus.training import History


def write(folder, case, **more):
    options = {
        "title": "Forecast of <y> & co", "plan": ["target    'y', 460 values", "2 series were <short>"],
        "panel": case.panel, "split": case.split, "history": case.history, "evaluations": case.evaluations,
        "model": case.model,
    } | more  # fmt: skip
    path = write_forecast_report(folder / "report", **options)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.findall(r"url\((?!#)|@import", text)
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", text.split("</style>", 1)[1]), "a colour outside the palette"
    assert " nan" not in " ".join(page.sections.values()).lower()
    return text, page, json.loads((folder / "report" / "metrics.json").read_text())


SECTIONS = [
    "Forecasts against the truth",
    "Scores",
    "Error by step of the horizon",
    "Intervals",
    "Data",
    "Training",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of a forecaster that has everything: (text, page, metrics)."""
    return write(tmp_path_factory.mktemp("whole"), a_case(), name="bike")


def test_a_whole_page(whole):
    case = a_case()
    text, page, metrics = whole
    assert [s for s in page.sections if s != "head"] == [*SECTIONS, "Use it"]
    e = case.evaluations["test"]
    head = " ".join(page.sections["head"].split())
    assert "Forecast of <y> & co" in head
    assert f"MAE {figure(e.model.mae)} against {figure(e.best_baseline.mae)}, in units of y" in head
    assert "A gated recurrent unit over segments of 6 hours (8 units; " in head
    assert (
        "reads the last 12 hours of y and forecasts the next 6 hours. One model serves all 2 series." in head
    )
    assert "As it is, the baseline is the better forecaster." in head, "random weights are said to be bad"
    assert "GRU" in page.sections["Scores"]
    for score in e.scores:
        assert figure(score.mae) in page.sections["Scores"]
    assert "2 series were <short>" in page.sections["Data"]
    assert "<a> & co" in page.sections["Data"]
    assert "grus predict bike DATA.csv" in page.sections["Use it"]
    assert "--future" not in page.sections["Use it"]
    assert text.count("<svg") == text.count('role="img"') == 9
    assert metrics["evaluations"]["test"]["scores"][0]["mae"] == e.model.mae
    assert metrics["task"]["horizon"] == 6
    assert len(metrics["history"]["epochs"]) == 4


def test_it_is_the_same_page_again(tmp_path, whole):
    assert write(tmp_path, a_case(), name="bike")[0] == whole[0]


def test_light_dark_and_print(whole):
    style = whole[0].split("</style>")[0]
    assert "@media (prefers-color-scheme: dark) { :root { --paper: #14171a;" in style
    assert "@media print { :root { color-scheme: light; --paper: #fffffe;" in style


def test_validation_only_says_so(tmp_path):
    _, page, metrics = write(tmp_path, a_case(test=0))
    assert list(metrics["evaluations"]) == ["validation"]
    assert "These rows also chose the best epoch" in " ".join(page.sections["head"].split())
    assert "calibrated on" in page.sections["Intervals"]


def test_nothing_held_back(tmp_path):
    case = a_case(val=0, test=0, intervals=False)
    history = History(
        [replace(r, validation={}) for r in case.history.epochs], "max_seconds", None, 4, None, 5.0
    )
    _, page, metrics = write(tmp_path, replace(case, history=history))
    assert metrics["evaluations"] == {}
    assert "Nothing is known of its errors" in page.sections["head"]
    assert [s for s in page.sections if s != "head"] == ["Data", "Training", "Use it"]
    assert "stopped when its time was up" in page.sections["Training"]


def test_no_intervals(tmp_path):
    _, page, _ = write(tmp_path, a_case(intervals=False))
    assert "This model has no calibrated intervals" in page.sections["Intervals"]


@pytest.mark.parametrize(
    "options",
    [
        {"horizon": 1, "segment": 1, "anchor": 1},
        {"integer": True},
        {"model": "direct", "segment": 1},
        {"lengths": (200,)},
        {"lengths": (200, 180, 160, 150, 140)},
        {"quantiles": (0.1, 0.5, 0.9)},
        {"test": 6},
    ],
    ids=str,
)
def test_every_kind_of_forecaster_has_a_page(tmp_path, options):
    case = a_case(**{"lengths": (240, 220), **options})
    _, page, _ = write(tmp_path, case)
    assert ("Series by series" in page.sections) == (case.panel.n_series >= 3)
    assert ("Error by step of the horizon" in page.sections) == (case.model.task.horizon > 1)
    if options.get("integer"):
        assert "the last 12 steps of y" in " ".join(page.sections["head"].split())


def test_many_series_are_compared(tmp_path):
    case = a_case(lengths=(200, 180, 160, 150, 140))
    e = case.evaluations["test"]
    wins = int((e.model.by_series < e.best_baseline.by_series).sum())
    _, page, _ = write(tmp_path, case)
    text = page.sections["Series by series"]
    assert f"Better than {e.best_baseline.name} in {wins} of 5 series" in text
    worst = case.panel.ids[int(np.argmax(e.model.by_series))]
    assert worst in text


def test_a_covariate_known_in_advance_is_asked_for(tmp_path):
    case = a_case()
    task = msgspec.structs.replace(case.model.task, future=("promo",))
    _, page, _ = write(tmp_path, replace(case, model=msgspec.structs.replace(case.model, task=task)))
    assert "--future FUTURE.csv" in page.sections["Use it"]


def test_truth_that_is_all_missing(tmp_path):
    case = a_case(lengths=(200,), val=0)
    target = case.panel.target.copy()
    target[-36:] = np.nan
    panel = replace(case.panel, target=target, observed=np.isfinite(target))
    from grus.decode.scores import evaluate

    lost = evaluate(panel, case.evaluations["test"].forecasts, "GRU", (24,), 24)
    _, page, metrics = write(tmp_path, replace(case, panel=panel, evaluations={"test": lost}))
    assert "Nothing is known of its errors" in page.sections["head"]
    assert metrics["evaluations"]["test"]["scores"][0]["mae"] is None


def test_a_baseline_without_error(tmp_path):
    case = a_case(lengths=(200,))
    panel = replace(case.panel, target=np.full(200, 7.0))
    from grus.decode.scores import evaluate

    e = evaluate(panel, case.evaluations["test"].forecasts, "GRU", (24,), 24)
    _, page, _ = write(tmp_path, replace(case, panel=panel, evaluations={"test": e}))
    head = " ".join(page.sections["head"].split())
    assert "mean error; the best baseline, repeat last, makes none" in head


def test_scores_with_other_units_get_their_own_picture(tmp_path):
    text, _, _ = write(tmp_path, replace(a_case(), history=a_history(coverage=0.8)))
    assert "coverage on validation by epoch" in text


def test_a_run_without_an_epoch(tmp_path):
    _, page, _ = write(tmp_path, replace(a_case(), history=History(stopped="max_seconds")))
    assert "No epoch was finished." in page.sections["Training"]


def test_the_page_checker_notices():
    with pytest.raises(AssertionError):
        Page("<p><b>text</p></b>")
    with pytest.raises(AssertionError):
        Page("<script>alert(1)</script>")
    assert Page('<img src="http://example.org/x.png">').requests == ["http://example.org/x.png"]
