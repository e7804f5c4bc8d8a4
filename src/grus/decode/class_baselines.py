"""What a classifier must beat: the most frequent label, and a linear model that does not look at the order of steps.

Both are fitted on the training rows (`grus.tasks.classify_baselines`) and travel in the model file, so that every
evaluation shows them, without torch and on rows that training never saw.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from grus.preprocess.ragged import MultiHot, Ragged, Steps
from grus.spec import AnyStep, Vocabulary

#: Character trigrams are hashed into so many features.
TRIGRAMS = 1 << 13
#: Rows whose steps are made dense at once.
_CHUNK = 4096


@dataclass(frozen=True)
class SparseRows:
    """A matrix [R, F] by its entries: ``row`` int64 [E], ``column`` int64 [E] and ``value`` float64 [E]."""

    row: np.ndarray
    column: np.ndarray
    value: np.ndarray
    shape: tuple[int, int]

    def times(self, weight: np.ndarray) -> np.ndarray:
        """The product with a float64 [F, C]: [R, C]."""
        columns = [
            np.bincount(self.row, self.value * weight[self.column, c], self.shape[0])
            for c in range(weight.shape[1])
        ]
        return np.stack(columns, axis=1)

    def rows(self, chosen: np.ndarray) -> "SparseRows":
        """Some rows, by increasing number."""
        place = np.full(self.shape[0], -1)
        place[chosen] = np.arange(len(chosen))
        kept = place[self.row] >= 0
        row = place[self.row[kept]]
        return SparseRows(row, self.column[kept], self.value[kept], (len(chosen), self.shape[1]))

    def dense(self) -> np.ndarray:
        """The whole matrix, float64."""
        matrix = np.zeros(self.shape)
        matrix[self.row, self.column] = self.value
        return matrix


def baseline_name(step: AnyStep, sequences: Ragged) -> str:
    """What the linear baseline of such sequences is called."""
    if "tokens" in sequences.ports:
        return "bag of character trigrams" if _characters(step) else "bag of words"
    return "bag of codes" if isinstance(sequences.ports["x"], MultiHot) else "summary features"


def baseline_features(step: AnyStep, sequences: Ragged, size: int) -> SparseRows:
    """What the linear baseline sees of each row; ``size`` is that of the graph's input.

    Of text and events which tokens or codes occur, each with the value 1/sqrt(number of different ones); tokens that
    are single characters are taken three at a time. Of numbers the `summaries` of each feature over the steps.
    """
    if "tokens" in sequences.ports:
        tokens = np.asarray(sequences.ports["tokens"]).astype(np.int64)
        row = np.repeat(np.arange(len(sequences)), sequences.lengths)
        return _bags(*(_trigrams(tokens, row) if _characters(step) else (tokens, row, size)), len(sequences))
    steps = sequences.ports["x"]
    if isinstance(steps, MultiHot):
        row = np.repeat(np.repeat(np.arange(len(sequences)), sequences.lengths), np.diff(steps.offsets))
        return _bags(steps.codes.astype(np.int64), row, steps.count, len(sequences))
    dense = summaries(steps, sequences.offsets)
    rows, columns = (index.ravel() for index in np.indices(dense.shape))
    return SparseRows(rows, columns, dense.ravel(), (dense.shape[0], dense.shape[1]))


def baseline_logits(
    step: AnyStep, sequences: Ragged, size: int, tensors: Mapping[str, np.ndarray], multi: bool
) -> dict[str, np.ndarray]:
    """Logits [R, C] of both baselines by name, from the tensors of the model file.

    Those of ``majority`` are the same for every row: log of each label's share p in training, with ``multi``
    log(p / (1 - p)). Without a linear baseline in the file there is only that one.
    """
    share = np.clip(tensors["task.prior"], 1e-9, 1 - 1e-9)
    prior = np.log(share) - np.log1p(-share) if multi else np.log(share)
    found = {"majority": np.tile(prior, (len(sequences), 1))}
    if "task.baseline_weight" in tensors:
        linear = baseline_features(step, sequences, size).times(tensors["task.baseline_weight"])
        found[baseline_name(step, sequences)] = linear + tensors["task.baseline_bias"]
    return found


def summaries(steps: np.ndarray | Steps, offsets: np.ndarray) -> np.ndarray:
    """Mean, deviation, least, greatest, first, last value and mean change of each feature, and the log of the length.

    Args:
        steps: of all rows [N, C], without NaN.
        offsets: rows are ``offsets[i]:offsets[i + 1]``, int64 [R + 1].

    Returns:
        float64 [R, 7 C + 1]; rows without steps are 0.
    """
    parts: list[np.ndarray] = []
    for first in range(0, max(len(offsets) - 1, 1), _CHUNK):
        bounds = offsets[first : first + _CHUNK + 1]
        parts.append(
            _summaries(steps[np.arange(bounds[0], bounds[-1])].astype(np.float64), bounds - bounds[0])
        )
    return np.concatenate(parts)


def _summaries(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    lengths = np.diff(offsets)
    some = lengths > 0
    result = np.zeros((len(lengths), 7 * x.shape[1] + 1))
    if not some.any():
        return result
    starts, ends, count = offsets[:-1][some], offsets[1:][some] - 1, lengths[some, None]
    mean = np.add.reduceat(x, starts) / count
    square = np.add.reduceat((x - np.repeat(mean, count[:, 0], 0)) ** 2, starts) / count
    change = np.abs(np.diff(x, axis=0, append=x[-1:]))
    change[ends] = 0.0  # from the last step of a row to the first of the next
    change = np.add.reduceat(change, starts) / np.maximum(count - 1, 1)
    least, greatest = np.minimum.reduceat(x, starts), np.maximum.reduceat(x, starts)
    parts = [mean, np.sqrt(square), least, greatest, x[starts], x[ends], change, np.log(count)]
    result[some] = np.concatenate(parts, axis=1)
    return result


def _characters(step: AnyStep) -> bool:
    return isinstance(step, Vocabulary) and step.kind == "char"


def _trigrams(tokens: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Numbers of all runs of three tokens inside a row, their rows, and how many numbers there are."""
    inside = row[2:] == row[:-2]
    code = (tokens[:-2] * 961 + tokens[1:-1] * 31 + tokens[2:]) * 2_654_435_761  # Knuth's multiplicative hash
    return (code >> 7)[inside] % TRIGRAMS, row[2:][inside], TRIGRAMS


def _bags(column: np.ndarray, row: np.ndarray, size: int, rows: int) -> SparseRows:
    """Which columns stand in which row, each once, rows of length 1 in the Euclidean norm."""
    row, column = np.divmod(np.unique(row * size + column), size)
    different = np.bincount(row, minlength=rows)
    return SparseRows(row, column, 1.0 / np.sqrt(different[row]), (rows, size))
