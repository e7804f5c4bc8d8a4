"""How good transcripts are: word and character error rates, by the least number of edits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grus.errors import DataError


@dataclass(frozen=True)
class Edits:
    """The edits that lead from references to transcripts, and the length of the references."""

    substitutions: int
    deletions: int
    insertions: int
    length: int

    @property
    def rate(self) -> float:
        """(substitutions + deletions + insertions) / length, which may be above 1; NaN without references."""
        errors = self.substitutions + self.deletions + self.insertions
        return errors / self.length if self.length else float("nan")

    def __add__(self, other: "Edits") -> "Edits":
        """Both together."""
        names = ("substitutions", "deletions", "insertions", "length")
        return Edits(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class TranscriptionEvaluation:
    """Transcripts beside references.

    Attributes:
        names: of the recordings; references, transcripts: texts, blanks squeezed.
        words, characters: the edits of all of them together.
        right: share of recordings without any edit.
        log_loss: mean of -log p(reference | recording) of a unit; infinite where a recording is too short for it.
        seconds: of the recordings.
    """

    names: tuple[str, ...]
    references: tuple[str, ...]
    transcripts: tuple[str, ...]
    words: Edits
    characters: Edits
    right: float
    log_loss: float
    seconds: float

    @property
    def n(self) -> int:
        """How many recordings."""
        return len(self.references)

    @property
    def wer(self) -> float:
        """Word error rate."""
        return self.words.rate

    @property
    def cer(self) -> float:
        """Character error rate."""
        return self.characters.rate


def edits(reference: Sequence[object], found: Sequence[object]) -> Edits:
    """The least number of substitutions, deletions and insertions (Levenshtein 1966); of equal ones, substitutions."""
    # Rows: [total, substitutions, deletions, insertions] for each prefix of what was found.
    rows = [(j, 0, 0, j) for j in range(len(found) + 1)]
    for i, wanted in enumerate(reference, 1):
        corner, rows[0] = rows[0], (i, 0, i, 0)
        for j, got in enumerate(found, 1):
            above, left = rows[j], rows[j - 1]
            if wanted == got:
                best = corner
            else:
                total, s, d, n = corner
                best = (total + 1, s + 1, d, n)
                if above[0] + 1 < best[0]:
                    best = (above[0] + 1, above[1], above[2] + 1, above[3])
                if left[0] + 1 < best[0]:
                    best = (left[0] + 1, left[1], left[2], left[3] + 1)
            corner, rows[j] = above, best
    _, s, d, n = rows[-1]
    return Edits(s, d, n, len(reference))


def evaluate_transcripts(
    names: Sequence[str],
    references: Sequence[str],
    transcripts: Sequence[str],
    log_likelihoods: Sequence[float],
    units: int,
    seconds: float,
) -> TranscriptionEvaluation:
    """Score transcripts.

    Args:
        names, references, transcripts: as many each, at least one.
        log_likelihoods: log p of each reference; units: how many units they have in all.
        seconds: of the recordings.

    Raises:
        DataError: there are none.
    """
    if not len(references):
        raise DataError("data: expected recordings with transcripts to score, got none")
    wanted, found = (tuple(" ".join(text.split()) for text in texts) for texts in (references, transcripts))
    words = characters = Edits(0, 0, 0, 0)
    for one, other in zip(wanted, found, strict=True):
        words += edits(one.split(), other.split())
        characters += edits(one, other)
    right = float(np.mean([one == other for one, other in zip(wanted, found, strict=True)]))
    loss = -float(np.sum(log_likelihoods)) / max(units, 1)
    return TranscriptionEvaluation(tuple(names), wanted, found, words, characters, right, loss, seconds)
