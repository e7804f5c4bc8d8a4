"""The page on one row of every kind of data: whole, self-contained, and with the numbers that were found."""

import json
from pathlib import Path

import numpy as np
import pytest
from html_page import Page
from report_cases import series_panel

from example_classifiers import classifier, examples_for
from example_series import random_model
from grus.decode import LiveClassifier, LiveForecaster
from grus.errors import DataError, UsageError
from grus.inspection.inside.case import classify_case, forecast_case
from grus.inspection.inside.findings import findings_dict, inspect_case
from grus.inspection.inside.page import added_words, written_words
from grus.inspection.inside.report import write_inspect_report
from grus.inspection.inside.tables import moments_table
from grus.inspection.wording import to_json
from grus.preprocess.examples import Examples

KINDS = ("word", "char", "bpe", "series", "images", "events", "forecast", "forecast by the step", "quantiles")


def look(kind: str, row: int | None = None):
    """Findings and spec for one row of a kind of data, by a model with random weights."""
    if kind in ("forecast", "forecast by the step", "quantiles"):
        panel = series_panel((120, 140))
        options = {"forecast by the step": {"model": "direct"}, "quantiles": {"quantiles": (0.1, 0.5, 0.9)}}
        model, tensors = random_model(panel, **options.get(kind, {}))
        live = LiveForecaster(model, tensors)
        return inspect_case(live, tensors, forecast_case(live, panel, row)), model
    model, tensors = classifier(kind)
    live = LiveClassifier(model, tensors)
    examples = examples_for(kind)
    full = live.sequences(examples).lengths
    chosen = int(np.argmax(full)) + 1 if row is None else row
    return inspect_case(live, tensors, classify_case(live, examples, chosen)), model


@pytest.fixture(scope="module", params=KINDS)
def looked(request, tmp_path_factory):
    found, model = look(request.param)
    path: Path = tmp_path_factory.mktemp("page") / "inspect.html"
    write_inspect_report(path, found, model, title="<a> & b", command="grus inspect m d")
    return request.param, found, path.read_text()


def test_the_page_is_whole_and_asks_nobody_for_anything(looked):
    _, _, text = looked
    page = Page(text)
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert {
        "What it did with the row",
        "Gates over time",
        "How long it remembers",
        "How far back the gradient reaches",
    } <= set(page.sections)
    assert "&lt;a&gt; &amp; b" in text
    assert "nan" not in " ".join(page.sections.values()).lower().replace("finance", "")


def test_the_answer_is_the_sum_of_its_parts(looked):
    _, found, _ = looked
    assert len(found.attribution) == found.case.steps
    total = found.base + found.attribution.sum() - found.gap
    assert np.isfinite(total)
    assert abs(found.gap) <= 0.02 * abs(found.attribution.sum()) + 1e-4


def test_the_numbers_are_json_and_cover_every_unit(looked):
    _, found, _ = looked
    plain = json.loads(to_json(findings_dict(found)))
    assert len(plain["steps"]["attribution"]) == found.case.steps
    for cell, (name, record) in zip(plain["cells"], found.records.items()):
        assert cell["name"] == name
        assert len(cell["units"]) == record.z.shape[0] * record.z.shape[1] * record.z.shape[4]
        assert {"half_life", "measured", "dead", "layer", "direction"} <= set(cell["units"][0])


def test_words_are_coloured_and_unknown_ones_marked():
    found, _ = look("word")
    assert found.case.axis == "word"
    assert len(found.case.names) == found.case.steps
    written = found.written["gru"].mean(axis=(0, 1))
    words = written_words(found)
    assert words[int(np.argmax(written))].shade == 60
    assert words[int(np.argmin(written))].shade == 0
    parts = added_words(found)
    assert [w.against for w in parts] == (found.attribution < 0).tolist()
    assert max(w.shade for w in parts) == 60


def test_unknown_words_are_marked(tmp_path):
    model, tensors = classifier("word")
    live = LiveClassifier(model, tensors)
    examples = Examples("text", 2, ("review",), texts=["good unheard-of film", "bad"])
    found = inspect_case(live, tensors, classify_case(live, examples))
    assert found.case.names == ("good", "unheard", "-", "of", "film")
    assert found.case.unknown[1]
    assert not found.case.unknown[0]
    write_inspect_report(tmp_path / "p.html", found, model, title="t", command="c")
    assert "unheard<sup>?</sup>" in (tmp_path / "p.html").read_text()


def test_the_answer_is_the_models_own():
    found, _ = look("series", 3)
    model, tensors = classifier("series")
    live = LiveClassifier(model, tensors)
    p = live.predict_proba(examples_for("series"))[2]
    label = int(p.argmax())
    assert model.task.labels[label] in found.case.answer
    odds = found.base + found.attribution.sum() - found.gap
    assert odds == pytest.approx(np.log(p[label] / (1 - p[label])), abs=1e-3)


def test_a_forecast_is_that_of_predict_for_the_same_origin():
    panel = series_panel((120,))
    model, tensors = random_model(panel)
    live = LiveForecaster(model, tensors)
    case = forecast_case(live, panel, 60)
    wanted = live.forecast(panel, np.array([0]), np.array([60])).point.mean()
    found = inspect_case(live, tensors, case)
    assert found.base + found.attribution.sum() - found.gap == pytest.approx(wanted, rel=1e-4)
    assert case.times[-1] == panel.times(0)[59]
    np.testing.assert_array_equal(case.series[:, 0], panel.target[48:60])


def test_segments_are_named_by_the_rows_they_read():
    found, _ = look("forecast")
    assert found.size("encoder") == 6
    assert found.last_rows().tolist() == [5, 11]


def test_moments_leave_out_the_step_that_fills_an_empty_memory():
    found, _ = look("series")
    steps = found.moments()
    assert 0 not in steps
    assert found.case.steps - 1 not in steps
    moved = found.moved["gru"].mean(axis=(0, 1))
    assert (np.diff(moved[steps]) <= 0).all()


def test_a_row_that_is_not_there_says_so():
    model, tensors = classifier("word")
    live = LiveClassifier(model, tensors)
    for row in (0, 31, -1):
        with pytest.raises(UsageError) as caught:
            classify_case(live, examples_for("word"), row)
        assert str(caught.value) == f"row must be from 1 to 30 (the rows of the data), got {row}"
    with pytest.raises(DataError) as refused:
        classify_case(live, examples_for("word"), 1)  # an empty text
    assert str(refused.value) == "row 1: must have at least one step to look at, got none"


def test_a_forecast_needs_its_horizon_in_the_data():
    panel = series_panel((40, 50))
    live = LiveForecaster(*random_model(panel))
    with pytest.raises(UsageError) as caught:
        forecast_case(live, panel, 36)
    assert str(caught.value).startswith(
        "row must leave the 6 hours that are forecast after it in the data (at most 34 "
    )
    with pytest.raises(UsageError, match="row must be from 1 to 90"):
        forecast_case(live, panel, 91)
    with pytest.raises(DataError, match="expected a series of more rows than the horizon of 6, got 5"):
        forecast_case(live, panel.cut(0, 5))


def test_a_long_text_has_a_table_of_moments_with_its_words(tmp_path):
    model, tensors = classifier("word", max_length=100)
    live = LiveClassifier(model, tensors)
    examples = Examples("text", 1, ("review",), texts=["good bad film " * 30])
    found = inspect_case(live, tensors, classify_case(live, examples))
    table = moments_table(found)
    assert table is not None
    assert table.names[-1] == "what it read"
    assert {row[-1] for row in table.rows} <= {"good", "bad", "film"}
    short, _ = look("word")
    assert moments_table(short) is None
    write_inspect_report(tmp_path / "p.html", found, model, title="t", command="c")
    Page((tmp_path / "p.html").read_text())
