"""From logits to the next token: what Hugging Face's generation does under the same names, as functions of arrays.

The logits of a step are float [..., V]. What may not come next is -inf among them. In this order: the repetition
penalty, the temperature, top-k, top-p, and a draw.
"""

import math
from dataclasses import dataclass

import numpy as np

from grus.errors import UsageError

_MASK = (1 << 64) - 1
#: 2^64 over the golden ratio, odd: the step of SplitMix64.
_STEP = 0x9E3779B97F4A7C15
MOST_SEED = (1 << 63) - 1


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Args:
        temperature: logits are divided by it; below 1 the likely becomes likelier, 0 always takes the likeliest.
        top_k: only the k likeliest can be drawn; 0: all.
        top_p: only the fewest likeliest whose probabilities reach this sum (nucleus sampling); 1: all.
        repetition_penalty: logits of tokens that stood before, in the prompt too, are divided by it where positive and
            multiplied where negative (Keskar et al. 2019); 1: none.

    Raises:
        UsageError: a value that cannot be.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        rules = {
            "temperature": (0 <= self.temperature < math.inf, "a number of at least 0"),
            "top_k": (self.top_k >= 0 and int(self.top_k) == self.top_k, "a whole number of at least 0"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "repetition_penalty": (0 < self.repetition_penalty < math.inf, "a number above 0"),
        }
        for name, (holds, text) in rules.items():
            if not holds:
                raise UsageError(f"{name} must be {text}, got {getattr(self, name)!r}")


def penalise(logits: np.ndarray, seen: np.ndarray, penalty: float) -> np.ndarray:
    """Logits with those of the tokens ``seen`` (bool) divided by the penalty, or multiplied where negative."""
    if penalty == 1:
        return logits
    return np.where(seen, np.where(logits < 0, logits * penalty, logits / penalty), logits)


def keep_top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """Logits with all but the k greatest at -inf; equal ones at the edge all stay. 0 keeps all."""
    if not 0 < k < logits.shape[-1]:
        return logits
    return np.where(logits < np.partition(logits, -k)[..., -k, None], -np.inf, logits)


def keep_top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """Logits with all at -inf but the fewest likeliest whose probabilities sum up to p at least."""
    if p >= 1:
        return logits
    order = np.argsort(-logits, kind="stable")
    likely = np.take_along_axis(probabilities(logits), order, -1)
    kept = np.empty(logits.shape, np.bool_)
    np.put_along_axis(kept, order, np.cumsum(likely, axis=-1) - likely < p, -1)
    return np.where(kept, logits, -np.inf)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """softmax along the last axis, float64."""
    wide = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    return wide / wide.sum(axis=-1, keepdims=True)


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """log softmax along the last axis, in the dtype of the logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def log_probability_of(logits: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """log softmax(logits)[code], float64, of logits [..., V] and codes [...]."""
    most = logits.max(axis=-1)
    total = np.log(np.exp(logits - most[..., None]).sum(axis=-1), dtype=np.float64)
    return np.take_along_axis(logits, codes[..., None], axis=-1)[..., 0].astype(np.float64) - most - total


def uniform(seed: int, number: int) -> float:
    """Number ``number`` of the random numbers of a seed, in [0, 1): SplitMix64 (Steele et al. 2014).

    A function of its arguments alone, so that a text is gone on with from anywhere, with any version of NumPy.
    """
    return (_mix(_mix(seed + _STEP) + (number + 1) * _STEP) >> 11) * 2.0**-53


def _mix(z: int) -> int:
    z &= _MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31)


def choose(logits: np.ndarray, seen: np.ndarray, how: Sampling, number: float) -> int:
    """The next token of a row.

    Args:
        logits: float [V].
        seen: which tokens stood before, bool [V].
        how: the settings.
        number: a random number in [0, 1).
    """
    logits = penalise(logits, seen, how.repetition_penalty)
    if how.temperature == 0 or how.top_k == 1:
        return int(logits.argmax())
    if how.temperature != 1:
        logits = logits / how.temperature
    return draw(keep_top_p(keep_top_k(logits, how.top_k), how.top_p), number)


def draw(logits: np.ndarray, number: float) -> int:
    """The token at which the sum of the probabilities of logits [V] passes the random number."""
    wide = logits.astype(np.float64)
    sums = np.exp(wide - np.maximum.reduce(wide)).cumsum()
    place = int(sums.searchsorted(number * sums[-1], "right"))
    # A product that is rounded up to the whole sum would lead past the last token that can come.
    return place if place < len(sums) else int(sums.searchsorted(sums[-1]))
