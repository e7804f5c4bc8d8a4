"""A word to wake up to: when its live score says that it was said, how often wrongly, and how late. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grus.errors import DataError

#: Seconds after a word's end in which it may still be noticed, and after being noticed in which nothing is.
LATE, HOLD = 0.5, 0.5
#: Thresholds of a curve, where nothing is said.
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Heard:
    """One recording.

    Attributes:
        scores: of the word at each step [T].
        words: where the word is, (begin, end) in seconds.
        somewhere: how often it is there besides, nobody knows where.
    """

    scores: np.ndarray
    words: Sequence[tuple[float, float]] = ()
    somewhere: int = 0


@dataclass(frozen=True)
class WakePoint:
    """What a threshold does.

    Attributes:
        threshold: of the score.
        missed: share of the words that are not noticed; NaN without words.
        false_accepts_per_hour: how often it fires where there is no word, in an hour of all that is heard.
        latency: median of the seconds from a word's end to being noticed, below 0 if before it; NaN if none is of which
            it is known where it is.
    """

    threshold: float
    missed: float
    false_accepts_per_hour: float
    latency: float


def fires(scores: np.ndarray, threshold: float, hold: int, last: int | None = None) -> list[int]:
    """The steps at which a score reaches the threshold, but for the ``hold`` steps after one.

    Args:
        scores: [T], of the steps from 0.
        threshold: of the score.
        hold: steps; last: the step before 0 (so below 0) at which it fired last, where this is not the beginning.
    """
    found: list[int] = []
    for step in np.flatnonzero(scores >= threshold).tolist():
        if last is None or step - last > hold:
            found.append(step)
            last = step
    return found


def wake_curve(
    heard: Sequence[Heard],
    known_at: tuple[float, float],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    late: float = LATE,
    hold: float = HOLD,
) -> list[WakePoint]:
    """Misses, false accepts an hour and latency at each threshold.

    A word is noticed by the first time that the score fires from its beginning to ``late`` seconds after its end; one
    that is somewhere in a recording, by any that is left there. What fires besides is a false accept.

    Args:
        heard: recordings, at least one step in all.
        known_at: seconds at which the first step is complete, and from a step to the next.
        thresholds: of the score.
        late, hold: seconds, see above.

    Raises:
        DataError: there is nothing to hear.
    """
    first, stride = known_at
    hours = sum(len(one.scores) for one in heard) * stride / 3600
    if not hours:
        raise DataError("wake: expected recordings to score, got none")
    words = sum(len(one.words) + one.somewhere for one in heard)
    points = []
    for threshold in thresholds:
        false, noticed, delays = 0, 0, []
        for one in heard:
            times = [first + stride * step for step in fires(one.scores, threshold, round(hold / stride))]
            taken: set[int] = set()
            for begin, end in one.words:
                near = [i for i, time in enumerate(times) if begin <= time <= end + late and i not in taken]
                if near:
                    taken.add(near[0])
                    delays.append(times[near[0]] - end)
            left = len(times) - len(taken)
            found = min(left, one.somewhere)
            false, noticed = false + left - found, noticed + len(taken) + found
        missed = 1 - noticed / words if words else float("nan")
        latency = float(np.median(delays)) if delays else float("nan")
        points.append(WakePoint(float(threshold), missed, false / hours, latency))
    return points
