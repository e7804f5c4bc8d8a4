"""The section of a search and the picture of a range test on the pages of both tasks."""

import dataclasses
import json
import re

import pytest
from class_report_cases import a_class_case
from html_page import Page
from report_cases import a_case
from tuning_cases import a_study, parameters

from grus.inspection.classes.report import write_classify_report
from grus.inspection.report import write_forecast_report
from grus.inspection.tuning.page import describe_search, study_dict, tuning_section
from grus.training.history import RateTest
from grus.training.search import Study, Trial

FLATTERS = " The smallest of many losses on the same rows flatters a little: only test rows tell."


def a_search(*scores):
    """Finished trials with these scores."""
    trials = [Trial(n, parameters(), "finished", [score], 1.0) for n, score in enumerate(scores, 1)]
    return Study(a_study().space, trials)


def write(folder, task, *, tuning=None, rate_test=None):
    """The page of a task: (section by heading, metrics, text)."""
    case = a_case() if task == "forecast" else a_class_case()
    options = {
        "title": "t", "plan": ["rows      2"], "history": dataclasses.replace(case.history, rate_test=rate_test),
        "evaluations": case.evaluations, "model": case.model, "tuning": tuning,
    }  # fmt: skip
    if task == "forecast":
        path = write_forecast_report(folder, panel=case.panel, split=case.split, **options)
    else:
        path = write_classify_report(folder, parts=case.parts, **options)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", text.split("</style>", 1)[1]), "a colour outside the palette"
    sections = {name: " ".join(words.split()) for name, words in page.sections.items()}
    assert " nan" not in " ".join(sections.values()).lower()
    return sections, json.loads((folder / "metrics.json").read_text()), text


@pytest.mark.parametrize(("task", "noun"), [("forecast", "windows"), ("classify", "rows")])
def test_a_search_on_the_page(tmp_path, task, noun):
    sections, metrics, text = write(tmp_path, task, tuning=a_study())
    names = list(sections)
    assert names.index("Tuning") == names.index("Training") + 1 == names.index("Use it") - 1
    words = sections["Tuning"]
    assert words.startswith(
        "Tuning 5 trials (1 pruned, 1 diverged) in 1 min 30 s. Trial 4, the model of this page, "
    )
    assert f"batch size ({noun})" in words
    assert "best: 0.6000" in words
    assert "A dot is a trial; the other settings differ too." in words
    assert 'aria-label="Validation loss of each trial by learning rate and batch size"' in text
    assert "<th>pool</th><th>outcome</th><th>time</th>" in text
    assert (
        '<tr class="ours"><td>4</td><td>0.6000</td><td>0.002</td><td>64</td><td>2</td><td>mean</td>' in text
    )
    assert words.endswith(
        "Pruned: given up for being worse than the median of the finished trials at that epoch."
    )
    assert len(metrics["tuning"]["trials"]) == 6
    assert metrics["tuning"]["trials"][3]["parameters"]["learning_rate"] == 0.002
    assert text.count('class="ours"') == write(tmp_path, task)[2].count('class="ours"') + 1


@pytest.mark.parametrize("task", ["forecast", "classify"])
def test_a_page_without_a_search(tmp_path, task):
    sections, metrics, _ = write(tmp_path, task)
    assert "Tuning" not in sections
    assert "tuning" not in metrics
    assert metrics["history"]["rate_test"] is None
    assert "range test" not in sections["Training"]


@pytest.mark.parametrize(("task", "unit"), [("forecast", "loss (scaled values)"), ("classify", "log loss")])
def test_a_range_test_on_the_page(tmp_path, task, unit):
    test = RateTest([1e-6, 1e-4, 1e-2, 1.0], [1.0, 0.9, 0.5, 4.0], 0.001, 2.5)
    sections, metrics, text = write(tmp_path, task, rate_test=test)
    words = sections["Training"]
    assert "The learning rate of 0.001 was found by a range test of 4 steps." in words
    assert "chosen: 0.001" in words
    assert words.count(unit) == 2, "on the axis of the curves, and of the range test"
    assert text.count('aria-label="Loss while the learning rate rises"') == 1
    assert metrics["history"]["rate_test"]["rates"] == test.rates


def test_the_table():
    section = tuning_section(a_study(), "rows")
    assert section is not None
    assert section.names == ["learning rate", "batch size", "layers", "pool"]
    assert section.rows == [
        ["4", "0.6000", "0.002", "64", "2", "mean", "1 epoch", "53.0 s"],
        ["1", "0.8000", "0.001", "64", "1", "max", "3 epochs", "10.0 s"],
        ["5", "0.9500", "0.0001", "64", "1", "max", "1 epoch", "20.0 s"],
        ["2", "1.200", "0.00525", "16", "1", "max", "pruned after 2 epochs", "6.5 s"],
        ["3", "-", "0.01", "64", "1", "max", "diverged", "0.5 s"],
    ]


def test_many_trials_are_cut():
    section = tuning_section(a_search(*(1 + (7 * n) % 23 for n in range(23))), "rows")
    assert section is not None
    assert [row[1] for row in section.rows] == [f"{n}.000" if n < 10 else "10.00" for n in range(1, 11)]
    assert section.caption == "The best 10 of 23 trials."


def test_what_was_gained():
    begin = "5 trials (1 pruned, 1 diverged) in 1 min 30 s. Trial 4, the model of this page, has a validation loss of "
    assert (
        describe_search(a_study()) == f"{begin}0.6000, the smallest, 25.0% under that of the first.{FLATTERS}"
    )
    assert describe_search(a_search(0.5, 0.6, 0.5)) == (
        "3 trials in 3.0 s. Trial 1, the model of this page, has a validation loss of 0.5000, the smallest: nothing "
        f"was better than the settings of the first.{FLATTERS}"
    )
    assert "the smallest. The smallest of many" in describe_search(a_search(0.0, -1.0)), "a share of nothing"
    assert describe_search(a_search(0.5)) == (
        "1 trial in 1.0 s. Trial 1, the model of this page, has a validation loss of 0.5000."
    )


def test_a_first_trial_that_diverged_is_not_compared_with():
    study = Study(
        a_study().space, [Trial(1, parameters(), "diverged"), Trial(2, parameters(), "finished", [0.5])]
    )
    assert describe_search(study).endswith(f"0.5000, the smallest.{FLATTERS}")


def test_the_picture_needs_both_settings_and_two_trials():
    def drawn(study):
        section = tuning_section(study, "rows")
        assert section is not None
        return section.surface is not None

    study = a_study()
    assert drawn(study)
    for name in ("learning_rate", "batch_size"):
        space = {other: words for other, words in study.space.items() if other != name}
        assert not drawn(dataclasses.replace(study, space=space))
    assert not drawn(dataclasses.replace(study, trials=study.trials[:1]))
    assert drawn(dataclasses.replace(study, trials=[study.trials[0], study.trials[2]])), "one that diverged"


def test_no_study_is_no_section():
    assert tuning_section(None, "rows") is None
    assert study_dict(None) == {}
