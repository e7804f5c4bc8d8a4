"""The linear baseline: what its minimum must satisfy, that validation chooses, and that it learns what is linear."""

import numpy as np
import pytest

from grus.decode.class_baselines import SparseRows
from grus.tasks import classify_baselines as module
from grus.tasks.classify_baselines import PENALTIES, fit_linear


def dense(x):
    row, column = (index.ravel() for index in np.indices(x.shape))
    return SparseRows(row, column, x.ravel(), x.shape)


def separable(n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)) * [1, 100, 1, 1] + [0, 7, 0, 3]
    return x, (x[:, 1] > 7) + 2 * (x[:, 0] > 0.5)


def softmax(logits):
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def test_the_gradient_vanishes_at_the_minimum(monkeypatch):
    monkeypatch.setattr(module, "DEFAULT_PENALTY", 0.01)
    x, y = separable()
    found = fit_linear(dense(x), y, None, outputs=4, standardise=True)
    z = (x - x.mean(0)) / x.std(0)
    error = softmax(x @ found.weight + found.bias) - np.eye(4)[y]
    gradient = z.T @ error / len(x) + 0.01 * found.weight * x.std(0)[:, None]
    assert np.abs(gradient).max() < 1e-4
    assert np.abs(error.mean(0)).max() < 1e-4
    wrong = z.T @ (softmax(x @ (found.weight * 1.1) + found.bias) - np.eye(4)[y]) / len(x)
    assert np.abs(wrong + 0.01 * found.weight * 1.1 * x.std(0)[:, None]).max() > 1e-3, "the check can fail"


def test_scikit_learn_finds_the_same():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    x = (rng.random((200, 30)) < 0.2).astype(float)
    y = (x[:, 0] + x[:, 1] + rng.random(200) > 1).astype(int) + (x[:, 2] > 0)
    for penalty in (1e-2, 1e-3):
        mine = module._Regression(dense(x), module.torch.from_numpy(y), 3, False).fit(penalty)
        theirs = LogisticRegression(C=1 / (penalty * len(x)), max_iter=2000, tol=1e-8).fit(x, y)
        np.testing.assert_allclose(softmax(x @ mine.weight + mine.bias), theirs.predict_proba(x), atol=2e-3)


def test_validation_chooses_the_penalty():
    x, y = separable()
    noise = np.random.default_rng(1).integers(0, 4, 300)
    new, truth = separable(seed=1)
    kind = fit_linear(dense(x), y, (dense(new), truth), outputs=4, standardise=True)
    assert kind.penalty < 1e-3
    assert ((new @ kind.weight + kind.bias).argmax(1) == truth).mean() > 0.95
    wild = fit_linear(dense(x), noise, (dense(new), truth), outputs=4, standardise=True)
    assert wild.penalty == PENALTIES[0]


def test_a_feature_that_never_changes_in_training_counts_for_nothing():
    x, y = separable()
    x[:, 2] = 5
    found = fit_linear(dense(x), y, None, outputs=4, standardise=True)
    assert (found.weight[2] == 0).all()
    assert np.isfinite(found.weight).all()


def test_several_labels_a_row_are_learned_each_by_itself():
    x, _ = separable()
    truth = np.stack([x[:, 0] > 0, x[:, 2] > 0], axis=1).astype(np.float64)
    found = fit_linear(dense(x), truth, None, outputs=2, standardise=True)
    assert (((x @ found.weight + found.bias) > 0) == truth).mean() > 0.95


def test_at_most_so_many_rows_are_fitted(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 50)
    x, y = separable()
    found = fit_linear(dense(x), y, None, outputs=4, standardise=True)
    assert ((x @ found.weight + found.bias).argmax(1) == y).mean() == pytest.approx(0.9, abs=0.1)
