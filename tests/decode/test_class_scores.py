"""Scores of classifiers against scikit-learn, at their edges, and a temperature that is the best one."""

import msgspec
import numpy as np
import pytest
from sklearn import metrics

from grus.decode.class_scores import (
    BINS,
    choose,
    class_probabilities,
    evaluate_classes,
    fit_temperature,
    truth_of,
)
from grus.errors import DataError
from grus.spec import Classify

LABELS = ("a", "b", "c", "d")
ONE = Classify("text", LABELS, ("t",), 9)
MANY = msgspec.structs.replace(ONE, multi=True)


def case(multi=False, rows=400, seed=0):
    """Logits that know something, and labels; label d is never true."""
    rng = np.random.default_rng(seed)
    if multi:
        truth = rng.random((rows, 4)) < [0.5, 0.2, 0.1, 0.0]
        labels = [tuple(np.array(LABELS)[row]) for row in truth]
        logits = rng.normal(size=(rows, 4)) + 2.0 * truth - 1.0
    else:
        truth = rng.integers(0, 3, rows)
        labels = [(LABELS[i],) for i in truth]
        logits = rng.normal(size=(rows, 4)) + 1.5 * np.eye(4)[truth]
    return logits, truth, labels


def test_one_label_a_row_as_scikit_learn_scores_it():
    logits, truth, labels = case()
    proba = class_probabilities(logits, 1.0, False)
    found = evaluate_classes(ONE, proba, labels, {"constant": np.tile([0.1, 0.6, 0.2, 0.1], (400, 1))})
    chosen = proba.argmax(1)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, chosen, labels=range(4), zero_division=0
    )
    np.testing.assert_allclose(found.precision, precision)
    np.testing.assert_allclose(found.recall, recall)
    np.testing.assert_allclose(found.f1, f1)
    np.testing.assert_array_equal(found.support, support)
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(truth, chosen, labels=range(4)))
    assert found.n == 400
    assert found.accuracy == found.micro_f1 == pytest.approx(metrics.accuracy_score(truth, chosen))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(truth, chosen, average="macro", zero_division=0))
    assert found.log_loss == pytest.approx(metrics.log_loss(truth, proba, labels=range(4)))
    baseline = found.baselines["constant"]
    assert baseline.accuracy == pytest.approx((truth == 1).mean())
    assert baseline.macro_f1 == pytest.approx(
        metrics.f1_score(truth, np.ones(400), average="macro", zero_division=0)
    )
    assert found.best_baseline == "constant"
    assert [row["model"] for row in found.rows()] == ["model", "constant"]


def test_several_labels_a_row_as_scikit_learn_scores_them():
    logits, truth, labels = case(multi=True)
    proba = class_probabilities(logits, 1.0, True)
    found = evaluate_classes(MANY, proba, labels, {"none": np.zeros((400, 4))})
    chosen = proba >= 0.5
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, chosen))
    assert found.micro_f1 == pytest.approx(metrics.f1_score(truth, chosen, average="micro"))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(truth, chosen, average="macro", zero_division=0))
    np.testing.assert_array_equal(found.confusion, metrics.multilabel_confusion_matrix(truth, chosen))
    losses = [metrics.log_loss(truth[:, c], proba[:, c], labels=[False, True]) for c in range(4)]
    assert found.log_loss == pytest.approx(np.mean(losses))
    assert found.baselines["none"].macro_f1 == 0
    assert found.best_baseline == "none"


def test_labels_that_training_did_not_know_are_wrong():
    logits, _, labels = case()
    known = evaluate_classes(ONE, class_probabilities(logits, 1.0, False), labels, {})
    strange = [*labels, ("new",), ("new",), ("odd",)]
    more = class_probabilities(np.concatenate([logits, logits[:3]]), 1.0, False)
    found = evaluate_classes(ONE, more, strange, {})
    assert found.unseen == {"new": 2, "odd": 1}
    assert found.n == 403
    assert found.accuracy == found.micro_f1 == pytest.approx(known.accuracy * 400 / 403)
    assert found.log_loss == pytest.approx(known.log_loss)
    assert found.confusion.sum() == 400
    assert found.truth[-3:].tolist() == [-1, -1, -1]
    spelled = np.array([LABELS[i] for i in more.argmax(1)])
    truth = [row[0] for row in strange]
    expected = metrics.f1_score(truth, spelled, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(expected)


def test_several_labels_of_which_some_are_not_known():
    logits, _, labels = case(multi=True)
    proba = class_probabilities(logits, 1.0, True)
    known = evaluate_classes(MANY, proba, labels, {})
    found = evaluate_classes(MANY, proba, [(*row, "new") for row in labels], {})
    assert found.accuracy == 0
    assert found.unseen == {"new": 400}
    assert found.micro_f1 < known.micro_f1
    np.testing.assert_array_equal(found.f1, known.f1)


def test_only_labels_that_are_not_known():
    found = evaluate_classes(ONE, np.full((2, 4), 0.25), [("new",), ("odd",)], {})
    assert (found.accuracy, found.macro_f1) == (0, 0)
    assert np.isnan(found.log_loss)


def test_rows_that_cannot_be_scored():
    with pytest.raises(DataError, match=r"^data: expected labelled rows to score, got none$"):
        evaluate_classes(ONE, np.zeros((0, 4)), [], {})
    with pytest.raises(DataError, match=r"^data, row 1 \(counting from 0\): expected one label, got 2$"):
        evaluate_classes(ONE, np.full((2, 4), 0.25), [("a",), ("a", "b")], {})
    assert evaluate_classes(MANY, np.full((2, 4), 0.25), [(), ("a", "b")], {}).accuracy == 0.5


def test_a_sure_mistake_costs_a_finite_loss():
    found = evaluate_classes(ONE, np.eye(4)[:1], [("b",)], {})
    assert found.log_loss == pytest.approx(-np.log(np.finfo(float).eps))


@pytest.mark.parametrize("multi", [False, True])
def test_calibration_by_its_definition(multi):
    logits, truth, labels = case(multi, rows=1000)
    proba = class_probabilities(logits, 1.0, multi)
    found = evaluate_classes(MANY if multi else ONE, proba, labels, {})
    confidence = proba.ravel() if multi else proba.max(1)
    right = truth.ravel() if multi else proba.argmax(1) == truth
    order = np.argsort(confidence)
    parts = np.array_split(order, BINS)
    errors = [abs(confidence[p].mean() - right[p].mean()) * len(p) for p in parts]
    assert found.ece == pytest.approx(sum(errors) / len(order), rel=0.02)
    assert len(found.calibration) == BINS
    assert found.calibration[:, 2].sum() == len(order)
    assert np.ptp(found.calibration[:, 2]) <= 2
    assert (np.diff(found.calibration[:, 0]) > 0).all()


def test_equal_confidences_share_a_bin_in_whatever_order_the_rows_are():
    proba = np.full((100, 4), 0.1)
    proba[:, 0] = 0.7
    labels = [("a",)] * 60 + [("b",)] * 40
    found = evaluate_classes(ONE, proba, labels, {})
    np.testing.assert_allclose(found.calibration, [[0.7, 0.6, 100]])
    assert found.ece == pytest.approx(0.1)
    assert evaluate_classes(ONE, proba, labels[::-1], {}).ece == found.ece


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("sharpness", [0.25, 1.0, 4.0])
def test_the_temperature_is_the_best_one(multi, sharpness):
    logits, truth, _ = case(multi, rows=3000)
    logits = logits * sharpness
    found = fit_temperature(logits, truth, multi)

    def loss(temperature):
        proba = class_probabilities(logits, temperature, multi)
        true = np.where(truth, proba, 1 - proba) if multi else proba[np.arange(3000), truth]
        return -np.log(np.maximum(true, 1e-300)).mean()

    assert loss(found) <= min(map(loss, np.geomspace(0.05, 20, 400))) + 1e-6
    assert fit_temperature(logits * 2, truth, multi) == pytest.approx(2 * found, rel=1e-3)


def test_rows_that_are_all_right_do_not_make_the_model_sure_of_everything():
    truth = np.arange(30) % 4
    found = fit_temperature(2.0 * np.eye(4)[truth], truth, False)
    sure = class_probabilities(2.0 * np.eye(4)[truth], found, False).max()
    assert 0.95 < sure < 0.99
    assert fit_temperature(np.zeros((0, 4)), truth[:0], False) == 1.0
    assert fit_temperature(np.eye(4), np.full(4, -1), False) == 1.0  # labels that training did not know
    assert 0.05 <= fit_temperature(np.zeros((4, 4)), truth[:4], False) <= 20.0


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("size", [1.0, 1e4, 3e38])
def test_probabilities_of_any_logits(multi, size):
    logits = np.array([[1, -1, 0, 0.5]], np.float32) * np.float32(size)
    proba = class_probabilities(logits, 0.5, multi)
    assert proba.dtype == np.float64
    assert np.isfinite(proba).all()
    assert ((proba >= 0) & (proba <= 1)).all()
    if not multi:
        assert proba.sum() == pytest.approx(1)
    assert choose(proba, False).tolist() == [0]
    assert choose(proba, True)[0, 1] == False  # noqa: E712


def test_truth_by_number_and_by_column():
    assert truth_of([("b",), ("new",), ("a",)], LABELS, False).tolist() == [1, -1, 0]
    found = truth_of([(), ("b", "new"), ("d", "a")], LABELS, True)
    assert found.tolist() == [[False] * 4, [False, True, False, False], [True, False, False, True]]
