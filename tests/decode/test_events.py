"""Events and scores against labels, on rows small enough to count by hand."""

import numpy as np
import pytest

from grus.decode.detect_scores import average_precision, row_score
from grus.decode.events import event_rows, find_events
from grus.decode.likelihood import to_score
from grus.preprocess.records import DetectRoles, build_records
from grus.spec import Detect


@pytest.mark.parametrize(
    ("above", "quiet", "expected"),
    [
        ("..........", 2, []),
        ("x", 0, [(0, 0)]),
        ("..xx...x..", 0, [(2, 3), (7, 7)]),
        ("..xx...x..", 2, [(2, 3), (7, 7)]),
        ("..xx...x..", 3, [(2, 3), (7, 7)]),
        ("..xx...x..", 4, [(2, 7)]),
        ("x.x.x.....x", 2, [(0, 4), (10, 10)]),
        ("xxxxxxxxxx", 0, [(0, 9)]),
    ],
)
def test_rows_make_events(above, quiet, expected):
    assert event_rows(np.array([c == "x" for c in above]) * 3.0, 2.0, quiet) == expected


def test_events_are_a_table():
    task = Detect(("a", "b"), "id", "t", None, 5, 10, 0.0, 1)
    stamps = np.datetime64("2026-01-01", "ns") + np.arange(4) * np.timedelta64(1, "D")
    table = {
        "id": np.repeat(np.array(["x", "y"], object), 4),
        "t": np.tile(stamps, 2),
        "a": np.zeros(8),
        "b": np.zeros(8),
    }
    records = build_records(table, DetectRoles(("a", "b"), "id", "t"))
    severity = np.zeros((8, 2))
    severity[1], severity[2], severity[7] = (6, 0), (7, 9), (0, 20)
    found = find_events(task, 0.5, records, severity)
    assert {name: values.tolist() for name, values in found.items() if name not in ("start", "end")} == {
        "id": ["x", "y"],
        "severity": [9.0, 20.0],
        "score": to_score(np.array([9.0, 20.0])).tolist(),
        "columns": ["b|a", "b"],
    }
    assert found["start"].tolist() == stamps[[1, 3]].tolist()
    assert found["end"].tolist() == stamps[[2, 3]].tolist()
    none = find_events(task, 0.9, records, severity)
    assert [len(values) for values in none.values()] == [0] * 6
    bare = build_records({"a": np.zeros(4), "b": np.zeros(4)}, DetectRoles(("a", "b")))
    plain = find_events(Detect(("a", "b"), None, None, None, 5, 10, 0.0, 1), 0.5, bare, severity[:4])
    assert (plain["start"].tolist(), plain["end"].tolist()) == ([1], [2])


def test_rows_are_scored_one_by_one():
    truth = np.array([0, 0, 1, 1, 1, 0, 0, 0], bool)
    called = np.array([1, 0, 0, 1, 1, 0, 0, 0], bool)
    s = row_score("m", called, truth, np.array([5, 0, 1, 6, 7, 0, 0, 0.0]))
    assert (s.precision, s.recall, s.f1) == (2 / 3, 2 / 3, 2 / 3)
    assert (s.false_alarms, s.missed) == (1 / 5, pytest.approx(1 / 3))
    assert s.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)
    nothing = row_score("m", np.zeros(8, bool), np.zeros(8, bool))
    assert (nothing.f1, nothing.false_alarms) == (0.0, 0.0)
    assert np.isnan(average_precision(np.zeros(3), np.zeros(3, bool)))
    assert average_precision(np.zeros(4), np.array([1, 0, 0, 0], bool)) == 0.25
