"""The linear baseline of a classifier, fitted: softmax regression, or logistic where a row may have several labels."""

from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from grus.data.windows import epoch_order
from grus.decode.class_baselines import SparseRows, baseline_features, baseline_name
from grus.spec import Classify
from grus.tasks.classify_data import Labelled, Prepared

#: Candidates for the penalty on the squared weights, beside the mean loss; validation chooses.
PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 3e-5, 1e-5, 3e-6)
#: The penalty where there are no validation rows to choose it.
DEFAULT_PENALTY = 1e-4
#: At most so many rows are fitted: a linear model gains little from more, and users wait for it.
MOST_ROWS = 20_000
_ITERATIONS = 100


@dataclass(frozen=True)
class Linear:
    """Weight float64 [F, C] and bias float64 [C] of features as they are, and the penalty that was chosen."""

    weight: np.ndarray
    bias: np.ndarray
    penalty: float


def fit_baselines(prepared: Prepared) -> tuple[Classify, dict[str, np.ndarray]]:
    """The task with its baselines, and their tensors, by the names of the model file."""
    step, size, labels = prepared.steps[0], prepared.port.size, len(prepared.task.labels)
    standardise = baseline_name(step, prepared.train.sequences) == "summary features"

    def features(rows: Labelled) -> tuple[SparseRows, np.ndarray]:
        truth = rows.truth.astype(np.float64) if rows.truth.ndim == 2 else rows.truth
        return baseline_features(step, rows.sequences, size), truth

    known, truth = features(prepared.train)
    validation = features(prepared.val) if len(prepared.val) else None
    linear = fit_linear(known, truth, validation, outputs=labels, standardise=standardise)
    prior = truth.mean(0) if truth.ndim == 2 else np.bincount(truth, minlength=labels) / len(truth)
    task = msgspec.structs.replace(prepared.task, baseline_size=known.shape[1])
    arrays = {"task.prior": prior, "task.baseline_weight": linear.weight, "task.baseline_bias": linear.bias}
    return task, arrays


def fit_linear(
    features: SparseRows,
    truth: np.ndarray,
    validation: tuple[SparseRows, np.ndarray] | None,
    *,
    outputs: int,
    standardise: bool,
) -> Linear:
    """Minimise mean loss + penalty/2 |W|^2, with the penalty whose loss on the validation rows is least.

    Args:
        features: of the training rows, [R, F].
        truth: label numbers int64 [R], or 0/1 float64 [R, C] where a row may have several labels.
        validation: features and truth of the validation rows, or None.
        outputs: C.
        standardise: give every feature mean 0 and deviation 1 first (for numbers; bags of words are sparse, and
            words that are rare should count for little).

    Reference:
        L-BFGS: Liu and Nocedal 1989, with strong Wolfe line search, as in torch.
    """
    rows = np.sort(epoch_order(features.shape[0], 0, 0)[:MOST_ROWS])
    model = _Regression(features.rows(rows), torch.from_numpy(truth[rows]), outputs, standardise)
    if validation is None:
        return model.fit(DEFAULT_PENALTY)
    unseen, known = validation[0], torch.from_numpy(validation[1])
    fitted = [model.fit(penalty) for penalty in PENALTIES]
    losses = [float(_loss(torch.from_numpy(unseen.times(m.weight) + m.bias), known)) for m in fitted]
    return fitted[int(np.argmin(losses))]


class _Regression:
    """Weights that go on from one penalty to the next weaker one."""

    def __init__(self, features: SparseRows, truth: Tensor, outputs: int, standardise: bool) -> None:
        size = features.shape[1]
        self._center, self._scale = np.zeros(size), np.ones(size)
        if standardise:
            dense = features.dense()
            self._center, deviation = dense.mean(0), dense.std(0)
            # A feature that never changes in training says nothing, whatever it is later.
            self._scale = np.where(deviation > 1e-12 * np.abs(self._center).clip(1e-12), deviation, np.inf)
            self._x = torch.from_numpy((dense - self._center) / self._scale)
        else:
            entries = torch.from_numpy(np.stack([features.row, features.column]))
            values = torch.from_numpy(features.value)
            self._x = torch.sparse_coo_tensor(
                entries, values, features.shape, check_invariants=False
            ).coalesce()
        self._truth = truth
        self._weight = torch.zeros(size, outputs, dtype=torch.float64, requires_grad=True)
        self._bias = torch.zeros(outputs, dtype=torch.float64, requires_grad=True)

    def fit(self, penalty: float) -> Linear:
        """Minimise, from where the weights stand."""
        weight, bias = self._weight, self._bias
        optimizer = torch.optim.LBFGS(
            [weight, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe", tolerance_change=1e-7
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = _loss(self._x @ weight + bias, self._truth) + 0.5 * penalty * weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        plain = weight.detach().numpy() / self._scale[:, None]
        return Linear(plain, bias.detach().numpy() - self._center @ plain, penalty)


def _loss(logits: Tensor, truth: Tensor) -> Tensor:
    if truth.ndim == 2:
        return functional.binary_cross_entropy_with_logits(logits, truth)
    return functional.cross_entropy(logits, truth)
