"""Sequences that can be answered only by remembering: the classical synthetic tasks, and digits read bit by bit."""

from dataclasses import dataclass

import numpy as np

from grus.errors import MissingExtraError

#: Of the copy memory task: code 0 is the blank, 1 to 8 are symbols, 9 asks for them.
COPY_CODES = 10
COPY_SYMBOLS = 8
COPY_STEPS = 10
#: Of delayed recall: as many symbols, one to be remembered.
RECALL_SYMBOLS = 8
#: Of scikit-learn's digits.
DIGIT_SIDE = 8
DIGIT_LABELS = 10


@dataclass(frozen=True)
class Sequences:
    """Sequences of one length, with their answers.

    Attributes:
        x: float32 [R, T, C].
        truth: float32 [R] for numbers, int64 [R] for one class a sequence, int64 [R, T] for one a step.
    """

    x: np.ndarray
    truth: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, chosen: np.ndarray | slice) -> "Sequences":
        """Some of them."""
        return Sequences(self.x[chosen], self.truth[chosen])


def adding(random: np.random.Generator, rows: int, length: int) -> Sequences:
    """The adding problem: add the two numbers of a sequence that are marked.

    Feature 0 is uniform in [0, 1), feature 1 is 1 at two steps, one drawn from each half, and 0 elsewhere.

    Args:
        random: where to draw from.
        rows: R.
        length: T, at least 2.

    Returns:
        x [R, T, 2], and the sums, float32 [R].

    Reference:
        Hochreiter and Schmidhuber 1997, section 5.4; with the markers in the two halves Arjovsky et al. 2016,
        arXiv:1511.06464, section 5.2. Bai et al. 2018 draw both markers from the whole sequence.
    """
    values = random.random((rows, length), np.float32)
    half = length // 2
    marked = np.stack([random.integers(0, half, rows), random.integers(half, length, rows)], axis=1)
    marks = np.zeros((rows, length), np.float32)
    np.put_along_axis(marks, marked, np.float32(1), axis=1)
    truth = np.take_along_axis(values, marked, axis=1).sum(1)
    return Sequences(np.stack([values, marks], axis=2), truth)


def copy_memory(random: np.random.Generator, rows: int, length: int) -> Sequences:
    """The copy memory task: repeat ten symbols after so many blank steps.

    Ten symbols of 8, T - 1 blanks, then 11 times the code that asks; the answers are T + 10 blanks and the ten symbols.
    Codes are one-hot.

    Args:
        random: where to draw from.
        rows: R.
        length: T, at least 1; the sequences have T + 20 steps.

    Returns:
        x [R, T + 20, 10], and the codes to answer, int64 [R, T + 20].

    Reference:
        Hochreiter and Schmidhuber 1997; in this form Arjovsky et al. 2016 and Bai et al. 2018, arXiv:1803.01271.
    """
    symbols = random.integers(1, COPY_SYMBOLS + 1, (rows, COPY_STEPS))
    codes = np.zeros((rows, length + 2 * COPY_STEPS), np.int64)
    truth = np.zeros_like(codes)
    codes[:, :COPY_STEPS] = truth[:, -COPY_STEPS:] = symbols
    codes[:, -COPY_STEPS - 1 :] = COPY_CODES - 1
    return Sequences(_one_hot(codes, COPY_CODES), truth)


def delayed_recall(random: np.random.Generator, rows: int, length: int) -> Sequences:
    """Delayed recall: which symbol was shown first, asked after so many others.

    Step 0 shows a symbol of 8 with a mark, T steps show others, drawn from the same 8, without one, and the last asks.

    Args:
        random: where to draw from.
        rows: R.
        length: T, at least 1; the sequences have T + 2 steps.

    Returns:
        x [R, T + 2, 10]: the symbol one-hot, the mark, the question; and the marked symbols, int64 [R].
    """
    symbols = random.integers(0, RECALL_SYMBOLS, (rows, length + 1))
    x = np.zeros((rows, length + 2, RECALL_SYMBOLS + 2), np.float32)
    x[:, :-1, :RECALL_SYMBOLS] = _one_hot(symbols, RECALL_SYMBOLS)
    x[:, 0, RECALL_SYMBOLS] = x[:, -1, RECALL_SYMBOLS + 1] = 1.0
    return Sequences(x, symbols[:, 0])


def digits(steps: int) -> tuple[Sequences, Sequences, Sequences]:
    """scikit-learn's 1,797 images of handwritten digits as sequences: of each digit every fifth row tests.

    Args:
        steps: 8 for a row of pixels a step, 64 for a pixel a step.

    Returns:
        Training, validation (the row before each test row) and test: x [R, steps, 64 / steps] in [0, 1], int64 [R].

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError(
            "digits: needs the package scikit-learn, which is not installed", "pip install scikit-learn"
        ) from None
    images, labels = map(np.asarray, load_digits(return_X_y=True))
    labels = labels.astype(np.int64)
    x = (images / 16).astype(np.float32).reshape(len(labels), steps, -1)
    number = np.empty(len(labels), int)
    for label in range(DIGIT_LABELS):
        same = np.flatnonzero(labels == label)
        number[same] = np.arange(len(same))
    parts = (number % 5 < 3, number % 5 == 3, number % 5 == 4)
    whole = Sequences(x, labels)
    train, validation, test = (whole.rows(np.flatnonzero(part)) for part in parts)
    return train, validation, test


def _one_hot(codes: np.ndarray, count: int) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[codes]
