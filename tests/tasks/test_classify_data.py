"""From examples to parts, labels, truth and weights: by hand, and the sentences where it cannot be done."""

import numpy as np
import pytest

from grus.errors import DataError, UsageError
from grus.preprocess.build_examples import ExampleRoles
from grus.preprocess.classify import StepOptions
from grus.preprocess.given_examples import examples_of_arrays, examples_of_texts
from grus.tasks.classify_data import Parts, divide, label_order, label_weights, prepare

ROLES = ExampleRoles("text", ("text",), label="mood")


def one(*labels):
    return [(label,) for label in labels]


def texts(words, labels):
    return examples_of_texts(words, one(*labels))


def parts_of(train, val=None):
    nothing = train.take([])
    return Parts(train, nothing if val is None else val, nothing)


def test_labels_are_ordered_by_number_or_by_text():
    assert label_order(one("10", "9", "-1", "9"), False, "x") == ("-1", "9", "10")
    assert label_order(one("b", "10", "9"), False, "x") == ("10", "9", "b")
    assert label_order([("a", "b"), (), ("c",)], True, "x") == ("a", "b", "c")
    assert label_order([("a",), ()], True, "x") == ("a",), "one label is enough where a row may have none"


@pytest.mark.parametrize(
    ("labels", "multi", "got"),
    [(one("a", "a"), False, "only 'a'"), ([("a",)] * 3, True, "only 'a'"), ([(), ()], True, "none")],
)
def test_labels_that_leave_nothing_to_tell_apart(labels, multi, got):
    with pytest.raises(DataError) as error:
        label_order(labels, multi, "column 'mood'")
    assert (
        str(error.value) == f"column 'mood': expected at least two different labels to tell apart, got {got}"
    )


def test_weights():
    truth = np.array([0, 0, 0, 1])
    assert label_weights(None, truth, "ab") is None
    assert label_weights("balanced", truth, "ab").tolist() == pytest.approx([4 / 6, 2])
    assert label_weights({"b": 3}, truth, "ab").tolist() == [1, 3]
    assert label_weights({0: 3}, truth, ("0", "1")).tolist() == [3, 1], "labels may be given as numbers"
    several = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], np.float32)
    assert label_weights("balanced", several, "ab").tolist() == pytest.approx([1 / 3, 3])


def test_a_weight_for_a_label_that_is_not_there():
    with pytest.raises(UsageError) as error:
        label_weights({"c": 3}, np.array([0, 1]), ("a", "b"))
    assert str(error.value) == "class_weight must name labels among 'a', 'b', got 'c'"


def test_parts_are_cut_label_by_label_unless_validation_rows_are_given():
    examples = texts(["x"] * 40, ["a", "b", "b", "b"] * 10)
    parts = divide(examples, None, 0.2, 4, 0, "x")
    assert (parts.train.rows, parts.val.rows, parts.test.rows) == (28, 8, 4)
    assert parts.val.labels.count(("a",)) == 2
    own = texts(["y"], ["a"])
    parts = divide(examples, own, 0.2, 0, 0, "x")
    assert (parts.train.rows, parts.val, parts.test.rows) == (40, own, 0)


def test_preprocessing_is_fitted_to_training_rows_alone():
    train = texts(["red red", "blue blue"], ["a", "b"])
    prepared = prepare(parts_of(train, texts(["green green"], ["a"])), ROLES, StepOptions(min_count=1), None)
    assert prepared.steps[0].tokens == ("blue", "red")
    assert prepared.val.sequences.ports["tokens"].tolist() == [0, 0]
    assert prepared.port.size == 3
    assert (prepared.task.labels, prepared.task.label) == (("a", "b"), "mood")


def test_rows_that_hold_nothing_are_left_out_of_training_and_kept_in_validation():
    train = texts(["good good", "", " ", "bad bad"], ["a", "a", "b", "b"])
    prepared = prepare(parts_of(train, texts([""], ["b"])), ROLES, StepOptions(), None)
    assert prepared.train.truth.tolist() == [0, 1]
    assert prepared.parts.train.texts == ["good good", "bad bad"]
    assert len(prepared.val) == 1
    assert "2 empty rows left out of training" in prepared.plan


def test_nothing_but_empty_texts():
    with pytest.raises(DataError) as error:
        prepare(parts_of(texts(["", " "], ["a", "b"])), ROLES, StepOptions(), None)
    assert str(error.value) == "texts: expected some to learn from that are not empty, got 2 empty ones"


def test_validation_rows_of_unknown_labels_have_no_truth_to_stop_by():
    train = texts(["good good", "bad bad"], ["a", "b"])
    prepared = prepare(parts_of(train, texts(["good", "bad"], ["z", "b"])), ROLES, StepOptions(), None)
    assert prepared.val.truth.tolist() == [1]
    assert prepared.parts.val.rows == 2


def test_the_plan_says_which_rows_are_which_and_what_is_cut():
    arrays = [np.ones((steps, 1)) * steps for steps in (2, 5, 7)]
    train = examples_of_arrays(arrays, one("b", "a", "a"))
    roles = ExampleRoles("series", ("x0",))
    prepared = prepare(parts_of(train, train.take([1])), roles, StepOptions(), 5)
    assert prepared.plan == [
        "rows      3 train, 1 validate",
        "2 rows of 5 steps or more: the last 5 are read (max_length)",
    ]
    assert prepared.train.sequences.lengths.tolist() == [2, 5, 5]
