"""A look into a detector: what was expected of a row, and which rows before it led to that."""

import numpy as np
import pytest
from html_page import Page

from example_detectors import COLUMNS, detector, rows
from grus.decode import LiveDetector
from grus.errors import UnsupportedError, UsageError
from grus.inspection.inside.findings import findings_dict
from grus.inspection.inside.report import write_inspect_report
from grus.inspection.inside.watched import BEFORE, inspect_row

FORMS = [
    {},
    {"layers": 2, "ids": False},
    {"irregular": "decay"},
    {"irregular": "indicators"},
    {"time": False, "gaps": 0},
]


def look(row=None, n=200, **options):
    ids = ("a", "b") if options.get("ids", True) else ("a",)
    table = rows(n, ids, gaps=options.get("gaps", 0.1))
    model, tensors = detector(table=table, **options)
    live = LiveDetector(model, tensors)
    records = live.records(table)
    return inspect_row(live, tensors, records, row), live, records


@pytest.mark.parametrize("options", FORMS)
def test_the_parts_add_up_to_what_was_expected(options):
    found, live, records = look(301 if options.get("ids", True) else 151, **options)
    place = int(np.flatnonzero(records.order == (300 if options.get("ids", True) else 150))[0])
    assert found.case.steps == 150  # all rows of the series before it, so that nothing is cut off
    whole = live.score(records)
    column = COLUMNS.index(found.case.channels[0])
    assert whole.severity[place, column] == whole.severity[place].max()
    assert found.base + found.attribution.sum() - found.gap == pytest.approx(
        whole.expected[place, column], rel=1e-4
    )
    np.testing.assert_array_equal(found.case.series[:, 0], records.values[place - 150 : place, column])
    assert findings_dict(found)["unit"] == f"expected {found.case.channels[0]}"


def test_the_default_is_the_row_with_the_highest_score():
    found, live, _ = look(gaps=0)
    table = live.predict(rows(gaps=0))
    best = int(np.argmax(table["score"]))
    assert found.case.title.startswith(f"row {best + 1} of 400, series {table['id'][best]!r}, 2026-01-0")
    assert (
        f"Its score is {table['score'][best]:.3f} (alarms are above 0.300): {table['column'][best]} was "
        in found.case.answer
    )


def test_a_value_that_is_missing_is_said_to_be():
    table = rows()
    neither = np.flatnonzero(np.isnan(table["temp"]) & np.isnan(table["flow"]))
    found, *_ = look(int(neither[-1]) + 1)
    assert f"{found.case.channels[0]} was missing, and " in found.case.answer
    assert found.case.answer.startswith("Its score is 0")


def test_the_page_is_whole_and_long_histories_are_cut(tmp_path):
    found, live, _ = look(500, n=600, ids=False)
    assert found.case.steps == BEFORE
    assert len(found.case.inputs["x"]) > 1
    write_inspect_report(tmp_path / "p.html", found, live.model, title="<a> & b", command="c")
    page = Page((tmp_path / "p.html").read_text())
    assert page.requests == []
    assert "with every step at the mean of the window" in page.sections["What it did with the row"]


def test_what_cannot_be_looked_at():
    with pytest.raises(UsageError, match=r"^row must be from 1 to 400 \(the rows of the data\), got 401$"):
        look(401)
    with pytest.raises(UsageError, match=r"^row must have rows before it, but 2 is the first of series 'b'$"):
        look(2)
    with pytest.raises(UnsupportedError, match=r"must have a recurrent layer with a GRU's gates, got only"):
        look(100, cell="lstm")
