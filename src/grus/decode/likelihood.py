"""How unlikely the errors of forecasts are, given those before: what a detector scores rows by, many streams at once.

The idea of comparing a short mean of the errors with their long history is that of Lavin and Ahmad (2015), Evaluating
Real-Time Anomaly Detection Algorithms, arXiv:1510.03336, equations 3 to 5. What is different here: errors keep their
sign and are only damped, so that a shift weighs more than noise of the same size; both means are exponential, so that
a stream remembers a few numbers a column; each column has its own; and a value outside of all that were seen counts by
itself, which their detector does too.
"""

import math

import numpy as np

from grus.runtime.state import NodeState
from grus.spec import Detect

#: A spread is taken for no smaller, in units of a column's scale: a sensor that stood still may move by rounding.
FLOOR = 1e-2
#: How severe a value is that leaves the range of all before it by the share that the task calls ``outside``: as an
#: error that comes once in 10^8 steps.
OUTSIDE = 8.0
#: What scores turn on: a severity of 5 digits has the score 0.5.
HALF = 5.0
#: Damped errors and severities are held to these sizes: a sensor that reads 10^300 once is as bad as one that reads
#: 22,000 scales, and does not fill the history for ever.
_LARGEST, _MOST = 10.0, 1e6
_ROOT_TWO, _ROOT_TAU, _LN_TEN = math.sqrt(2.0), math.sqrt(2.0 * math.pi), math.log(10.0)


def damped(errors: np.ndarray) -> np.ndarray:
    """sign(e) log(1 + |e|), at most 10: about e itself up to one scale, so that one spike does not outweigh a shift."""
    # By the scalar function: vectorised ones may round the end of an array otherwise than its middle.
    out = [
        math.copysign(min(math.log1p(abs(e)), _LARGEST), e) if e == e else e for e in errors.ravel().tolist()
    ]
    return np.array(out).reshape(errors.shape)


def digits(z: float) -> float:
    """-log10 of the two-sided tail of the standard normal distribution beyond |z|."""
    z = abs(z)
    if z < 8.0:
        return -math.log10(math.erfc(z / _ROOT_TWO)) if z else 0.0
    # The first terms of the asymptotic series of the tail, within 1e-4 of it from here on.
    z = min(z, 1e9)
    tail = 1.0 / (z * z)
    series = math.log(z * _ROOT_TAU / 2.0) - math.log1p(-tail + 3.0 * tail * tail)
    return min((0.5 * z * z + series) / _LN_TEN, _MOST)


def to_score(severity: np.ndarray) -> np.ndarray:
    """severity / (severity + 5), in [0, 1)."""
    return severity / (severity + HALF)


def to_severity(score: float) -> float:
    """The inverse of `to_score`."""
    return HALF * score / (1.0 - score)


class Likelihood:
    """Scores the errors of every column, row by row.

    With d_t the damped error, a_t = a_{t-1} + (d_t - a_{t-1}) / short. The long mean m and variance v of a are taken
    over the newest ``memory`` rows with exponential weights (all of them with equal ones, while they are fewer), and
    z_t = (a_t - m_t) / sqrt(v_t + floor^2). The severity of a column is -log10 P(|normal| > |z_t|), or where its value
    leaves the range of all before it by the share p of that range, 8 p / outside, if that is more. A row is as severe
    as its worst column. What is missing changes nothing and has severity 0.

    With the task's ``level``, the damped value x_t of a column, whose mean in training is 0, is judged beside its error
    in the same way, and the larger |z| is the column's. With ``joint``, a row has one z for the J numbers of it that
    are there, (sum_j z_j^4 / J)^(1/4), between their root mean square and the largest: a departure of several columns
    counts for more than chance in one. Columns then share the severity of the row: that of z |z_c| / max |z|.

    Args:
        task: the numbers that are chosen.
        mean, spread, rows: what training found, float64 [J] each, J = C, or 2 C with ``level``: where every stream
            begins. low, high: likewise, [C].
    """

    def __init__(
        self,
        task: Detect,
        mean: np.ndarray,
        spread: np.ndarray,
        rows: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
    ) -> None:
        self._task = task
        self._begin = (np.zeros_like(mean), mean, spread * spread, rows, low, high)

    def begin(self, n: int) -> NodeState:
        """The state of ``n`` streams before their first row: a, m, v and rows [N, J], low and high [N, C], float64."""
        return tuple(np.repeat(part[None], n, axis=0) for part in self._begin)

    def judged(self, errors: np.ndarray, values: np.ndarray) -> np.ndarray:
        """What is judged of a column: its damped error, and with ``level`` its damped value where it has an error."""
        if not self._task.level:
            return errors
        return np.concatenate((errors, np.where(errors == errors, damped(values), np.nan)), -1)

    def step(self, state: NodeState, errors: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, NodeState]:
        """Take in one row of every stream.

        Args:
            state: as `begin` made it.
            errors: damped [B, C], NaN where there is none.
            values: scaled, likewise.

        Returns:
            Severities float64 [B, C], and the state after the row.
        """
        level, mean, variance, rows, low, high = state
        task, judged = self._task, self.judged(errors, values)
        there = judged == judged
        new = np.where(there, level + (judged - level) / task.short, level)
        if task.memory:
            count = np.where(there, np.minimum(rows + 1.0, task.memory), rows)
            apart, of = np.where(there, new - mean, 0.0), np.maximum(count, 1.0)
            moved = mean + apart / of
            variance = variance + np.where(there, (apart * (new - moved) - variance) / of, 0.0)
        else:
            count, moved = rows, mean
        z = np.where(there, np.abs(new - moved) / np.sqrt(variance + FLOOR * FLOOR), 0.0)
        z = _of_columns(z, there, values.shape[1], task.joint)
        severity = np.array([digits(v) for v in z.ravel().tolist()]).reshape(z.shape)
        seen = values == values
        if task.outside:
            wide = high - low
            past = np.where(seen, np.maximum(values - high, low - values), 0.0)
            share = np.where((past > 0.0) & (wide > 0.0), past / np.where(wide > 0.0, wide, 1.0), 0.0)
            severity = np.maximum(severity, np.minimum(OUTSIDE / task.outside * share, _MOST))
        low = np.where(seen, np.fmin(low, values), low)
        high = np.where(seen, np.fmax(high, values), high)
        return severity, (new, moved, variance, count, low, high)


def _of_columns(z: np.ndarray, there: np.ndarray, width: int, joint: bool) -> np.ndarray:
    """From |z| of all that is judged [B, J], 0 where it is missing, to that of every column [B, C]."""
    largest = np.maximum(z[:, :width], z[:, -width:])
    if not joint:
        return largest
    # In order: a row has the same bits in any company.
    total, count = np.zeros(len(z)), np.maximum(there.sum(1), 1)
    for column in z.T:
        total += column * column * column * column
    most = np.maximum(largest.max(1), np.finfo(np.float64).tiny)
    return largest * (np.sqrt(np.sqrt(total / count)) / most)[:, None]
