"""The page on a row of irregular series: whole, with the picture and the tables of its measurements."""

import json
from dataclasses import replace

import numpy as np
import pytest
from html_page import Page
from irregular_cases import alone, made, stays

from grus.decode import LiveClassifier
from grus.inspection import plots as house
from grus.inspection.inside.case import classify_case
from grus.inspection.inside.findings import findings_dict, inspect_case
from grus.inspection.inside.report import write_inspect_report
from grus.inspection.irregular import plots
from grus.inspection.irregular.page import (
    column_table,
    half_lives,
    line_order,
    measurements_page,
    strongest_table,
)
from grus.inspection.wording import to_json


def look(form, clock="numbers", row=3, examples=None, columns=3, **options):
    given = stays(clock, columns=columns) if examples is None else examples
    model, tensors = made(form, clock, examples=stays(clock, columns=columns), **options)
    live = LiveClassifier(model, tensors)
    return inspect_case(live, tensors, classify_case(live, given, row, "yes")), model


def page_of(path, found, model):
    write_inspect_report(path / "p.html", found, model, title="<a> & b", command="grus inspect m d")
    return (path / "p.html").read_text()


CASES = [
    ("decay", "dates", {}),
    ("indicators", "numbers", {"bidirectional": True, "layers": 2}),
    ("forward", "steps", {}),
]


@pytest.mark.parametrize(("form", "clock", "options"), CASES, ids=lambda case: str(case))
def test_the_page_is_whole_and_its_numbers_are_json(form, clock, options, tmp_path):
    found, model = look(form, clock, **options)
    text = page_of(tmp_path, found, model)
    page = Page(text)
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    sections = [
        "Which measurement, and when",
        "Gates over time",
        "How long it remembers",
        "How far back the gradient reaches",
    ]
    assert [name for name in page.sections if name in sections] == sections
    assert "What it did with the row" not in page.sections
    assert "nan" not in " ".join(page.sections.values()).lower()
    said = page.sections["Which measurement, and when"]
    assert "raised the probability of 'yes'" in said
    assert ("Halves: after how long" in said) == (form == "decay")
    assert ("left by the time since the step before" in text) == (form == "decay")
    plain = json.loads(to_json(findings_dict(found)))
    assert len(plain["steps"]["attribution"]) == found.case.steps
    assert len(plain["measurements"]["readings"]) == found.case.readings.known.sum()
    assert ("faded" in plain["cells"][0]) == (form == "decay")
    total = plain["base"] + sum(plain["steps"]["attribution"]) - plain["gap"]
    assert total == pytest.approx(plain["measurements"]["answer"], abs=1e-5)


def test_a_row_without_a_measurement_has_a_page(tmp_path):
    found, model = look("decay", row=2)
    page = Page(page_of(tmp_path, found, model))
    assert "Nothing was measured in this row" in page.sections["Which measurement, and when"]
    assert "3 columns were never measured in this row." in page.sections["Which measurement, and when"]


def test_a_row_of_one_step(tmp_path):
    found, model = look("decay", row=1, examples=alone([[1.0, np.nan, 2.0]], np.array([7])))
    assert len(strongest_table(found.measured).rows) == 2
    Page(page_of(tmp_path, found, model))


def test_of_many_columns_the_strongest_are_drawn_and_listed():
    longest = int(np.argmax(np.diff(stays(columns=49).offsets))) + 1
    found, _ = look("decay", row=longest, columns=49)
    order = line_order(found.measured)
    known = found.measured.readings.known
    assert sorted(order) == np.flatnonzero(known.any(axis=0)).tolist()
    size = np.abs(found.measured.added).sum(axis=0)[order]
    assert (np.diff(size) <= 0).all()
    page = measurements_page(found)
    assert len(order) > 40
    assert f"{len(order) - 24} further columns that moved less are left out." in page.picture.caption
    assert page.columns_caption.startswith(
        f"The 40 of {len(order)} columns whose measurements moved the answer most."
    )
    assert len(page.columns.rows) == 40


def test_the_tables_say_what_was_measured_when_and_what_it_adds():
    found, _ = look("decay")
    measured = found.measured
    rows = strongest_table(measured).rows
    (t, c), number = measured.strongest()[0], measured.readings.values
    assert rows[0][:4] == ["1", "abc"[c], f"{measured.readings.times[t]:,}", measured.readings.value(t, c)]
    assert float(rows[0][5]) == pytest.approx(measured.added[t, c], abs=0.006)
    added = [abs(float(row[5])) for row in rows]
    assert added == sorted(added, reverse=True)
    table = column_table(found, measured, line_order(measured))
    assert table.names[:5] == ["column", "measured", "values add", "being measured adds", "last value at (t)"]
    for row in table.rows:
        column = "abc".index(row[0])
        assert int(row[1]) == np.isfinite(number[:, column]).sum()
        last = np.flatnonzero(np.isfinite(number[:, column]))[-1]
        left = found.records["encoder"].input_decay[0, len(number) - 1, column]
        assert row[4] == f"{measured.readings.value(int(last), column)} at {measured.readings.times[last]:,}"
        assert row[6] == ("100%" if last == len(number) - 1 else f"{100 * left:.0f}%")


def test_a_value_that_was_held_says_as_what_it_was_read():
    examples = alone([[1e9, np.nan, np.nan], [np.nan, 2.0, np.nan]], np.array([0, 10]))
    found, _ = look("decay", row=1, examples=examples)
    row = next(row for row in strongest_table(found.measured).rows if row[1] == "a")
    assert row[3].startswith("1,000,000,000 (read as ") or row[3].startswith("1e+09 (read as ")


def test_a_value_is_half_gone_when_the_table_says():
    found, _ = look("decay", "dates")
    readings = found.case.readings
    weight, bias = np.array([0.5, 0.0, 0.0]), np.array([0.1, 1.0, 0.1])
    given = replace(found, input_decays={"encoder": (weight, bias)})
    lives = half_lives(given, readings)
    name, size = readings.span_unit
    assert name in ("days", "hours")
    elapsed = lives[0] * size / readings.unit
    assert np.exp(-max(0.0, 0.5 * elapsed + 0.1)) == pytest.approx(0.5)
    assert lives[1:].tolist() == [0.0, np.inf]


def test_cells_hold_the_sums_of_what_falls_into_them():
    times = np.array([0, 1, 500, 1000])
    added, known = np.array([[1.0], [2.0], [np.nan], [-4.0]]), np.array([[True], [True], [False], [True]])
    edges, sums, seen = plots.in_cells(times, added, known)
    assert len(edges) == plots.CELLS + 1
    assert (np.diff(edges) > 0).all()
    assert sums[0, 0] == 3.0
    assert sums[-1, 0] == -4.0
    assert seen.sum() == 2
    assert sums.sum() == -1.0


def test_what_raises_stands_above_its_line_and_what_lowers_below():
    added, known = np.array([[1.0, 0.0], [-1.0, 0.5]]), np.array([[True, False], [True, True]])
    ax = plots.plot_measurements(np.array([0, 10]), added, known, ("a", "b"), axis="minute", marks=[(0, 0)])
    (cells,) = ax.collections
    tops = [path.vertices[:, 1].max() for path in cells.get_paths()]
    assert [top <= line for top, line in zip(sorted(tops), (0, 0.5, 1))] == [True, True, True]
    assert len(tops) == 3
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_xlabel() == "minute"
    assert [text.get_text() for text in ax.texts] == ["1"]


def test_a_number_that_would_cover_another_is_left_out():
    added = np.ones((4, 2))
    marks = [(3, 0), (2, 0), (3, 1), (0, 0)]
    ax = plots.plot_measurements(
        np.array([0, 5, 99, 100]), added, added > 0, ("a", "b"), axis="t", marks=marks
    )
    assert [text.get_text() for text in ax.texts] == ["1", "3", "4"]


def test_the_course_stays_what_it_was_until_the_next_step():
    ax = plots.plot_unfolding(np.array([0, 5]), np.array([0.1, 0.7]), unit="p (%)", axis="t", start=0.3)
    line = ax.lines[1]
    assert line.get_drawstyle() == "steps-post"
    assert line.get_ydata().tolist() == pytest.approx([10.0, 70.0])
    assert ax.get_ylabel() == "p (%)"
    assert house.figure_of(ax) is not None
