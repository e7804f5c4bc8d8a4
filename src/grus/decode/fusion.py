"""A language model beside a transcriber: what a text is worth by itself, added to what the sound says of it.

    score(y) = log p(y | x) + weight log p_lm(y) + word_bonus words(y) + length_bonus |y|,
    p_lm(y) = prod_i p_lm(y_i | begin, y_1 .. y_(i-1))

Shallow fusion, as in Hannun et al. 2014, First-pass large vocabulary continuous speech recognition, equation 4, with
bonuses that are added in place of a power of the number of words. NumPy only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grus.decode.generator import LiveGenerator
from grus.decode.sampling import log_probabilities
from grus.errors import UsageError
from grus.runtime import State
from grus.spec import Vocabulary

#: The language model's weight, where nothing is said.
LM_WEIGHT = 0.5

Prefix = tuple[int, ...]


@dataclass(frozen=True)
class Fusion:
    """A language model, and how much it counts.

    Attributes:
        model: of text, whose tokens are the transcriber's units: characters, or words.
        weight: of its log-probabilities, at least 0.
        word_bonus, length_bonus: added for each word, and for each unit. A language model makes texts shorter; these
            make up for it.

    Raises:
        UsageError: another model, or numbers that are not finite.
    """

    model: LiveGenerator
    weight: float = LM_WEIGHT
    word_bonus: float = 0.0
    length_bonus: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.model, LiveGenerator):
            kind = type(self.model).__name__
            raise UsageError(f"language model: must be one of text (grus fit generate), got {kind}")
        for name in ("weight", "word_bonus", "length_bonus"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise UsageError(f"language model: {name} must be a finite number, got {value!r}")
        if self.weight < 0:
            raise UsageError(f"language model: weight must be at least 0, got {self.weight:g}")

    def codes(self, units: Vocabulary) -> np.ndarray:
        """The model's code of each unit of a transcriber, int64 [units].

        Raises:
            UsageError: its tokens are no such units, or it does not know one.
        """
        step = self.model.codec.step
        names = {"char": "characters", "word": "words"}
        kind = step.kind if isinstance(step, Vocabulary) else "bpe"
        if kind != units.kind:
            got = names.get(kind, "pieces of words (bpe)")
            raise UsageError(
                f"language model: must go by {names[units.kind]}, as the transcriber does, got one of {got}",
                f"grus fit generate TEXT --tokenizer {units.kind}",
            )
        known = {token: code for code, token in enumerate(self.model.codec.tokens, 1)}
        lower = isinstance(step, Vocabulary) and step.lower
        found = [known.get(unit.lower() if lower else unit) for unit in units.tokens]
        unknown = [unit for unit, code in zip(units.tokens, found) if code is None]
        if unknown:
            some = ", ".join(map(repr, unknown[:8])) + ", ..." * (len(unknown) > 8)
            raise UsageError(
                f"language model: must know all units of the transcriber, but does not know {some}",
                "train it on text in which they are, such as the transcripts",
            )
        return np.array(found, np.int64)


class FusedTexts:
    """What the texts of one search are worth by themselves; a text is its units' codes, from 1.

    Args:
        fusion: see there.
        units: of the transcriber.

    Raises:
        UsageError: as `Fusion.codes`.
    """

    def __init__(self, fusion: Fusion, units: Vocabulary) -> None:
        self._fusion, self._codes, self._units = fusion, fusion.codes(units), units
        self._network = fusion.model.network
        #: By text: the network's state after it, and what each unit adds to its worth, by code.
        self._known: dict[Prefix, tuple[State, list[float]]] = {}

    @cached_property
    def _space(self) -> int:
        """The code of the space, where units are characters and it is one of them; else 0, which no unit has."""
        tokens = self._units.tokens
        return tokens.index(" ") + 1 if self._units.kind == "char" and " " in tokens else 0

    def begin(self) -> None:
        """Forget all but the empty text."""
        model, task = self._network, self._network.task
        logits, state = model.logits(np.array([[task.begin]]), model.network(model.init_state()))
        self._known = {(): (state, self._gains((), logits[0, 0]))}

    def look(self, texts: Sequence[Prefix]) -> None:
        """Make these texts known and forget all others; each is known, or goes on from a known one by a unit."""
        new = [text for text in texts if text not in self._known]
        found = {text: self._known[text] for text in texts if text in self._known}
        if new:
            before = State.join([self._known[text[:-1]][0] for text in new])
            last = np.array([[self._codes[text[-1] - 1]] for text in new])
            logits, after = self._network.logits(last, before)
            for row, text in enumerate(new):
                found[text] = after[row], self._gains(text, logits[row, 0])
        self._known = found

    def gains(self, text: Prefix) -> list[float]:
        """What each unit adds to the worth of a known text, by code; the blank, 0, adds nothing."""
        return self._known[text][1]

    def _gains(self, text: Prefix, logits: np.ndarray) -> list[float]:
        f, scores = self._fusion, log_probabilities(logits.astype(np.float64))[self._codes]
        gains = f.weight * scores + f.length_bonus
        if self._units.kind == "word":
            gains += f.word_bonus
        elif not text or text[-1] == self._space:  # a letter here begins a word
            words = np.full(len(gains), f.word_bonus)
            if self._space:
                words[self._space - 1] = 0.0
            gains += words
        return [0.0, *gains.tolist()]
