"""From logits to calibrated probabilities, and from those to scores beside the baselines."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from grus.errors import DataError
from grus.preprocess.examples import Labels
from grus.spec import Classify

#: Bins of the calibration curve.
BINS = 15
#: With several labels an example, those of at least this probability are named.
THRESHOLD = 0.5
#: A probability is taken for no smaller in the logarithm of a score.
_LEAST = np.finfo(np.float64).eps
#: The inverse temperature is looked for between the inverse of this and this.
_MOST = 20.0


@dataclass(frozen=True)
class ClassScore:
    """How often one classifier is right: a baseline's line in the table."""

    accuracy: float
    macro_f1: float
    log_loss: float


@dataclass(frozen=True)
class ClassEvaluation:
    """Scores of a classifier on R labelled rows, C labels.

    A row whose label training did not know counts as wrong in all but the log loss, which leaves it out; each such
    label is a label of F1 0 in the macro F1.

    Attributes:
        task: the model's.
        n: rows.
        accuracy: share of rows whose label is right; with several labels a row, of those whose every label is.
        macro_f1: mean of F1 over the labels that occur or are predicted.
        micro_f1: F1 of all labels together (of one label a row, the accuracy).
        log_loss: mean of -log p of the true label; with several labels, the mean binary cross-entropy of a label.
        ece: expected calibration error (Naeini et al. 2015), mean |confidence - accuracy| over the bins.
        precision, recall, f1: of each label [C], 0 where 0/0.
        support: rows of each label [C].
        confusion: rows by true (first axis) and predicted label, int64 [C, C]; with several labels a row [C, 2, 2]
            by present and predicted.
        calibration: bins of about equal size, float64 [B, 3]: mean confidence, accuracy and number of predictions
            (with several labels: of every label by itself).
        baselines: scores by name.
        unseen: rows of each label that training did not know.
        probabilities: float64 [R, C].
        truth: numbers of labels int64 [R], -1 for one unseen; with several bool [R, C].
    """

    task: Classify
    n: int
    accuracy: float
    macro_f1: float
    micro_f1: float
    log_loss: float
    ece: float
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    confusion: np.ndarray
    calibration: np.ndarray
    baselines: dict[str, ClassScore]
    unseen: dict[str, int]
    probabilities: np.ndarray = field(repr=False)
    truth: np.ndarray = field(repr=False)

    @property
    def best_baseline(self) -> str:
        """Name of the baseline with the best accuracy (with several labels a row: macro F1)."""
        value = "macro_f1" if self.task.multi else "accuracy"
        return max(self.baselines, key=lambda name: getattr(self.baselines[name], value))

    def rows(self) -> list[dict[str, float | str]]:
        """The table as plain rows, the model first, for printing and JSON."""
        own = ClassScore(self.accuracy, self.macro_f1, self.log_loss)
        scores = {"model": own, **self.baselines}
        return [
            {"model": name, "accuracy": s.accuracy, "macro_f1": s.macro_f1, "log_loss": s.log_loss}
            for name, s in scores.items()
        ]


def class_probabilities(logits: np.ndarray, temperature: float, multi: bool) -> np.ndarray:
    """softmax(logits / temperature), or with several labels a row sigmoid(logits / temperature), float64 [R, C]."""
    scaled = np.asarray(logits, np.float64) / temperature
    if multi:
        small = np.exp(-np.abs(scaled))
        return np.where(scaled >= 0, 1.0, small) / (1.0 + small)
    weight = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def choose(probabilities: np.ndarray, multi: bool) -> np.ndarray:
    """The most probable label's number int64 [R]; with several labels a row, which are named, bool [R, C]."""
    return probabilities >= THRESHOLD if multi else probabilities.argmax(axis=1)


def truth_of(labels: Labels, order: Sequence[str], multi: bool) -> np.ndarray:
    """Numbers of labels int64 [R], -1 for one that is not in ``order``; with several a row bool [R, C]."""
    number = {label: i for i, label in enumerate(order)}
    if not multi:
        return np.array([number.get(row[0], -1) for row in labels], np.int64)
    truth = np.zeros((len(labels), len(order)), bool)
    for i, row in enumerate(labels):
        truth[i, [number[label] for label in row if label in number]] = True
    return truth


def fit_temperature(logits: np.ndarray, truth: np.ndarray, multi: bool) -> float:
    """The temperature that makes validation rows most probable (Guo et al. 2017), 1 if there are none.

    The log loss is convex in 1 / temperature, so its derivative is brought to zero by halving. As in Platt 1999 the
    truth is believed only to 1 - 1/(n + 2), n the number of rows: without it, validation rows that are all right
    would make the model sure of everything.

    Args:
        logits: float [R, C].
        truth: label numbers int [R] (rows below 0 are left out), or 0/1 [R, C].
        multi: whether a row may have several labels.
    """
    logits, truth = np.asarray(logits, np.float64), np.asarray(truth)
    if not multi:
        logits, truth = logits[truth >= 0], truth[truth >= 0]
    if not len(logits):
        return 1.0
    doubt = 1.0 / (len(logits) + 2)
    target = truth.astype(np.float64) if multi else np.eye(logits.shape[1])[truth]
    target = target * (1.0 - doubt) + doubt / (2 if multi else logits.shape[1])
    low, high = -np.log(_MOST), np.log(_MOST)
    for _ in range(50):
        middle = (low + high) / 2
        slope = ((class_probabilities(logits, np.exp(-middle), multi) - target) * logits).sum()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))


def evaluate_classes(
    task: Classify, probabilities: np.ndarray, labels: Labels, baselines: Mapping[str, np.ndarray]
) -> ClassEvaluation:
    """Score probabilities [R, C], and those of the baselines, against the labels of the same rows.

    Raises:
        DataError: there are no rows, or with one label a row, one that has none or several.
    """
    if not len(labels):
        raise DataError("data: expected labelled rows to score, got none")
    odd = next((i for i, row in enumerate(labels) if len(row) != 1), None)
    if odd is not None and not task.multi:
        raise DataError(f"data, row {odd} (counting from 0): expected one label, got {len(labels[odd])}")
    truth = truth_of(labels, task.labels, task.multi)
    known = set(task.labels)
    unseen = Counter(label for row in labels for label in row if label not in known)
    foreign = np.array([not known.issuperset(row) for row in labels])
    own = _score(probabilities, truth, foreign, len(unseen))
    chosen = choose(probabilities, task.multi)
    hits, predicted, support = _counts(truth, chosen, len(task.labels))
    calibration = _calibration(*_predictions(probabilities, truth, chosen))
    error, size = np.abs(calibration[:, 0] - calibration[:, 1]), calibration[:, 2]
    return ClassEvaluation(
        task=task,
        n=len(labels),
        accuracy=own.accuracy,
        macro_f1=own.macro_f1,
        micro_f1=2 * int(hits.sum()) / max(int(predicted.sum() + support.sum()) + unseen.total(), 1),
        log_loss=own.log_loss,
        ece=float(error @ size / size.sum()),
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, predicted + support),
        support=support,
        confusion=_confusion(truth, chosen, len(task.labels)),
        calibration=calibration,
        baselines={name: _score(given, truth, foreign, len(unseen)) for name, given in baselines.items()},
        unseen=dict(unseen),
        probabilities=probabilities,
        truth=truth,
    )


def _score(probabilities: np.ndarray, truth: np.ndarray, foreign: np.ndarray, unseen: int) -> ClassScore:
    """Scores of one classifier; ``foreign`` rows have one of the ``unseen`` labels that training did not know."""
    multi = truth.ndim == 2
    chosen = choose(probabilities, multi)
    right = (chosen == truth).all(axis=1) & ~foreign if multi else chosen == truth
    hits, predicted, support = _counts(truth, chosen, probabilities.shape[1])
    met = int(((predicted + support) > 0).sum()) + unseen
    f1 = _ratio(2 * hits, predicted + support).sum() / max(met, 1)
    if multi:
        true = np.where(truth, probabilities, 1.0 - probabilities)
    else:
        true = probabilities[~foreign, truth[~foreign]]
    loss = -np.log(np.maximum(true, _LEAST)).mean() if true.size else np.nan
    return ClassScore(float(right.mean()), float(f1), float(loss))


def _counts(truth: np.ndarray, chosen: np.ndarray, labels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often each label is rightly predicted, predicted, and true, int64 [C] each."""
    if truth.ndim == 2:
        return (truth & chosen).sum(axis=0), chosen.sum(axis=0), truth.sum(axis=0)
    parts = (truth[truth == chosen], chosen, truth[truth >= 0])
    hits, predicted, support = (np.bincount(part, minlength=labels) for part in parts)
    return hits, predicted, support


def _confusion(truth: np.ndarray, chosen: np.ndarray, labels: int) -> np.ndarray:
    if truth.ndim == 2:
        cells = [[(truth == t) & (chosen == c) for c in (False, True)] for t in (False, True)]
        return np.array(cells).sum(axis=2).transpose(2, 0, 1)
    known = truth >= 0
    flat = np.bincount(truth[known] * labels + chosen[known], minlength=labels * labels)
    return flat.reshape(labels, labels)


def _predictions(
    probabilities: np.ndarray, truth: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Confidence of each prediction, and whether it is right; with several labels a row, of each label."""
    if truth.ndim == 2:
        return probabilities.ravel(), truth.ravel()
    return probabilities.max(axis=1), chosen == truth


def _calibration(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Mean confidence, accuracy and size of bins of about equal size [B, 3]; equal confidences share a bin."""
    edges = np.unique(np.quantile(confidence, np.arange(1, BINS) / BINS))
    bins = np.searchsorted(edges, confidence, side="right")
    size = np.bincount(bins)
    sums = np.stack([np.bincount(bins, confidence), np.bincount(bins, right), size], axis=1)[size > 0]
    return sums / np.stack([sums[:, 2], sums[:, 2], np.ones(len(sums))], axis=1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
