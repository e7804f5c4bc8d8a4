"""What is shown of a classifier's evaluation: the right rows, in the right order."""

import numpy as np
import pytest
from class_report_cases import a_class_model

from grus.decode.class_scores import evaluate_classes
from grus.inspection.classes.record import (
    Mistake,
    Mixup,
    confident_mistakes,
    label_counts,
    mixed_labels,
    mixups,
    standardised,
    visit_lines,
)
from grus.preprocess.examples import Examples
from grus.spec import ops


def evaluation(probabilities, labels, multi=False, names=("a", "b", "c")):
    task = a_class_model("text", names, multi, ops.Pool("max")).task
    p = np.array(probabilities, float)
    return evaluate_classes(task, p, labels, {"majority": np.full(p.shape, 1 / p.shape[1])})


LABELS = [("a",), ("b",), ("c",), ("z",), ("b",)]
SAID = [[0.8, 0.1, 0.1], [0.9, 0.1, 0.0], [0.6, 0.2, 0.2], [0.0, 0.7, 0.3], [0.1, 0.2, 0.7]]


def test_the_surest_mistakes_come_first():
    found = confident_mistakes(evaluation(SAID, LABELS), LABELS, 10)
    assert found[0] == Mistake(1, ("a",), ("b",), 0.9, pytest.approx(0.1))
    assert [m.row for m in found] == [1, 3, 4, 2], "equal ones as they come"
    assert (found[1].said, found[1].truth) == (("b",), ("z",))
    assert np.isnan(found[1].truth_share), "training did not know its label"
    assert [m.row for m in confident_mistakes(evaluation(SAID, LABELS), LABELS, 2)] == [1, 3]
    right = evaluation([[0.8, 0.1, 0.1]], [("a",)])
    assert confident_mistakes(right, [("a",)], 10) == []


def test_mistakes_of_several_labels():
    labels = [("a", "b"), (), ("c",)]
    said = [[0.9, 0.2, 0.4], [0.3, 0.3, 0.55], [0.4, 0.1, 0.9]]
    found = confident_mistakes(evaluation(said, labels, True), labels, 10)
    assert [(m.row, m.said, m.truth) for m in found] == [(0, ("a",), ("a", "b")), (1, ("c",), ())]
    assert [m.confidence for m in found] == pytest.approx([0.8, 0.55])


def test_mixups():
    labels = [("a",)] * 4 + [("b",)] * 2 + [("c",)]
    said = np.eye(3)[[0, 1, 1, 2, 0, 1, 2]]
    e = evaluation(said, labels)
    assert mixups(e, 2) == [Mixup("a", "b", 2, 0.5), Mixup("a", "c", 1, 0.25)]
    assert len(mixups(e, 9)) == 3
    assert mixed_labels(e, 2).tolist() == [0, 1]
    assert mixed_labels(e, 9).tolist() == [0, 1, 2]
    assert mixups(evaluation([[0.9, 0.1, 0.1]], [("a",)], True), 5) == []


def test_counts_of_labels():
    assert label_counts([("a", "b"), ("b",), ("z",), ()], ("a", "b", "c")).tolist() == [1, 2, 0]
    assert label_counts(None, ("a",)).tolist() == [0]


def test_channels_on_one_scale():
    series = np.array([[0, 5], [2, 5], [np.nan, 5], [4, 5]])
    examples = Examples("series", 2, ("x", "y"), offsets=np.array([0, 1, 4]), series=series)
    spread = np.std([0, 2, 4])
    found = standardised(examples, [1, 0])
    np.testing.assert_allclose(found[0], [[0, 0], [np.nan, 0], [2 / spread, 0]])
    np.testing.assert_allclose(found[1], [[-2 / spread, 0]])


def test_visits_in_words():
    examples = Examples(
        "events", 2, ("code",), offsets=np.array([0, 1, 5]), words=tuple("ABCDEFGHIJ"),
        codes=np.array([0, *range(10), 1, 1, 2], np.int32), visits=np.array([0, 1, 11, 11, 12, 14]),
        gaps=np.array([np.nan, np.nan, 1.5, 0, 1e6]),
    )  # fmt: skip
    assert visit_lines(examples, 0, 3) == ["A"]
    assert visit_lines(examples, 1, 9) == [
        "A, B, C, D, E, F, G, H and 2 more",
        "after 1.5: no code",
        "after 0: B",
        "after 1e+06: B, C",
    ]
    assert visit_lines(examples, 1, 2) == ["(2 visits before)", "after 0: B", "after 1e+06: B, C"]
