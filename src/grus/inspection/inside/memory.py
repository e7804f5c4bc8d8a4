"""How long a GRU's units remember: by their update gates, and as measured by changing an input."""

from typing import NamedTuple

import numpy as np

from grus.errors import UsageError
from grus.inspection.inside.gates import Record

#: A gate below or above these has shut or opened for good (Karpathy et al. 2016, arXiv:1506.02078, section 4.2).
LOW, HIGH = 0.1, 0.9
#: A unit whose state has a smaller standard deviation (it lives between -1 and 1) says nothing: it is dead.
DEAD = 0.01
#: How many inputs are changed, and how many steps each change is followed at most.
_CHANGES, _LONGEST = 32, 2000


class Units(NamedTuple):
    """What is known of every unit, each [L, D, H], over all valid steps of all rows.

    Args:
        half_life: steps after which half of a state is left, by the gates; see `half_life`.
        keep: mean update gate, the share of the old state that a step keeps.
        reset: mean reset gate.
        keep_low, keep_high: share of steps at which the update gate is under 0.1 (overwrites) or over 0.9 (keeps).
        reset_low, reset_high: the same of the reset gate.
        spread: standard deviation of the state.
        dead: bool, whether that is under 0.01.
    """

    half_life: np.ndarray
    keep: np.ndarray
    reset: np.ndarray
    keep_low: np.ndarray
    keep_high: np.ndarray
    reset_low: np.ndarray
    reset_high: np.ndarray
    spread: np.ndarray
    dead: np.ndarray


class Horizon(NamedTuple):
    """How far back a changed input still changes the state.

    Args:
        change: root mean square of the change in each unit's state, by steps after the input [L, D, K, H].
        steps: the last lag at which the change is at least ``share`` of its largest, float64 [L, D, H]; NaN for a unit
            that no change reaches.
        open: bool, whether that lag is the last one followed, so that the true horizon is longer [L, D, H].
    """

    change: np.ndarray
    steps: np.ndarray
    open: np.ndarray


def half_life(record: Record) -> np.ndarray:
    """Steps after which half of a unit's old state is left if only its update gate acts, float64 [L, D, H].

        half-life = ln 0.5 / mean_t ln z_t

    The share of h_t that is left k steps later is z_{t+1} ... z_{t+k}, whose logarithm is a sum: so the mean is that of
    ln z, the geometric mean of z, not ln of the mean, which a few steps with an open gate would hardly lower.
    Infinite where every gate keeps all. With zoneout, z is what a step keeps with it: k + (1 - k) z; in a GRU-D it is z
    times what the time before the step left.
    """
    kept = _kept(record)
    with np.errstate(divide="ignore"):
        logs = np.log(kept, dtype=np.float64).mean(axis=2)  # ln 0 is -inf: a half-life of 0
        return np.log(0.5) / np.minimum(logs, -0.0)


def _kept(record: Record) -> np.ndarray:
    """What each valid step keeps of the old state [L, D, N, H]."""
    keep = np.array([cell.keep for cell in record.cells] or [0.0], record.z.dtype)
    share = keep.reshape(record.z.shape[:2] if record.cells else (1, 1))[..., None, None]
    kept = share + (1 - share) * record.z[:, :, record.valid]
    return kept if record.state_decay is None else kept * record.state_decay[:, :, record.valid]


def units(record: Record) -> Units:
    """Half-life, means, saturation and dead units.

    Raises:
        UsageError: the record has no step.
    """
    _check(record)
    z, r, h = (getattr(record, name)[:, :, record.valid] for name in "zrh")
    spread = h.std(axis=2, dtype=np.float64)

    def share(found: np.ndarray) -> np.ndarray:
        return found.mean(axis=2, dtype=np.float64)

    return Units(
        half_life(record), share(z), share(r), share(z < LOW), share(z > HIGH), share(r < LOW), share(r > HIGH),
        spread, spread < DEAD,
    )  # fmt: skip


def written(record: Record) -> np.ndarray:
    """Share of the state that each step writes anew, the mean of 1 - z over units, [L, D, B, T]; zero at padding."""
    return np.where(record.valid, 1 - record.z.mean(axis=-1), 0.0)


def faded(record: Record) -> np.ndarray | None:
    """Share of the state that the time before each step took, the mean over units, [1, 1, B, T]; None of a GRU."""
    if record.state_decay is None:
        return None
    return np.where(record.valid, 1 - record.state_decay.mean(axis=-1), 0.0)


def moved(record: Record) -> np.ndarray:
    """How far each step moves the state, the mean over units of |h_t - h_{t-1}| = (1 - z_t) |n_t - h_{t-1}|,
    [L, D, B, T]; zero at padding. In a GRU-D the state also moves by fading.
    """
    change = np.empty(record.h.shape[:-1])
    rows = np.arange(len(record.lengths))
    for d in range(record.h.shape[1]):
        h, first = record.h[:, d], record.h_0[:, d]
        before = np.roll(h, -1 if d else 1, axis=2)
        before[:, rows, np.maximum(record.lengths - 1, 0) if d else 0] = first
        change[:, d] = np.abs(h - before).mean(axis=-1)
    return np.where(record.valid, change, 0.0)


def measured_horizon(record: Record, share: float = 0.5, changes: int = _CHANGES) -> Horizon:
    """Replace a layer's input at one step by its mean over all steps, and follow the states from there.

    Every layer and direction by itself: what a layer passes on to the next one is not followed. Changes are made at
    ``changes`` steps spread over the first halves of the rows, and followed for at most 2,000 steps, as long as half of
    them still run.

    Args:
        record: of a model's own run.
        share: of the largest change, above 0 and at most 1; with 0.5 the horizon compares with the half-life.
        changes: how many inputs are changed, one at a time.

    Raises:
        UsageError: a share or a number out of range, or a record without steps.
    """
    _check(record)
    if not 0 < share <= 1 or changes < 1:
        raise UsageError(
            f"measured_horizon: share must be in (0, 1] and changes at least 1, got {share}, {changes}"
        )
    layers, directions, _, _, hidden = record.h.shape
    rows, starts = _places(record.lengths, changes)
    ahead = record.lengths[rows] - starts
    steps = int(min(np.sort(ahead)[len(ahead) // 2], _LONGEST))
    change = np.empty((layers, directions, steps, hidden))
    for layer in range(layers):
        for direction in range(directions):
            change[layer, direction] = _follow(record, layer, direction, rows, starts, steps)
    return _reach(change, share)


def _check(record: Record) -> None:
    if not record.lengths.sum():
        raise UsageError(f"record of {record.name!r}: must have at least one step, got none")


def _places(lengths: np.ndarray, changes: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and step of each change, evenly over the first halves of all rows."""
    half = (lengths + 1) // 2
    ends = np.cumsum(half)
    chosen = np.unique(np.linspace(0, ends[-1] - 1, min(changes, int(ends[-1]))).round().astype(np.int64))
    rows = np.searchsorted(ends, chosen, side="right")
    return rows, chosen - (ends - half)[rows]


def _follow(
    record: Record, layer: int, direction: int, rows: np.ndarray, starts: np.ndarray, steps: int
) -> np.ndarray:
    """Root mean square over the changes of how far each state is from the record's, by lag [K, H]."""
    x = record.input_of(layer)
    h, first = record.h[layer, direction], record.h_0[layer, direction]
    mean = x[record.valid].mean(axis=0)
    # In the order in which the direction goes; past the end the last step is repeated, and not looked at.
    lengths = record.lengths[rows]
    counts = np.minimum(lengths - starts, steps)
    order = np.minimum(starts[:, None] + np.arange(steps), lengths[:, None] - 1)
    before = starts - 1
    if direction:
        order, before = lengths[:, None] - 1 - order, lengths - 1 - before
    given = x[rows[:, None], order]
    given[:, 0] = mean
    inside = np.clip(before, 0, x.shape[1] - 1)
    state = np.where((starts > 0)[:, None], h[rows, inside], first[rows])
    cell = record.cells[layer * record.h.shape[1] + direction]
    marks = _marks(record, rows, order, direction)
    decay = None
    if record.state_decay is not None:
        decay = np.ascontiguousarray(record.state_decay[layer, direction][rows[:, None], order])
    found, _ = cell.packed.run(given, np.ascontiguousarray(state), lengths=counts, resets=marks, decay=decay)
    real = np.arange(steps) < counts[:, None]
    squares = np.where(real[..., None], (found - h[rows[:, None], order]).astype(np.float64) ** 2, 0.0)
    return np.sqrt(squares.sum(axis=0) / np.maximum(real.sum(axis=0), 1)[:, None])


def _marks(record: Record, rows: np.ndarray, order: np.ndarray, direction: int) -> np.ndarray | None:
    """Resets in the order of the direction: backwards a boundary before t is met on the way from t to t - 1."""
    if record.resets is None:
        return None
    if not direction:
        return record.resets[rows[:, None], order]
    padded = np.concatenate([record.resets, np.zeros_like(record.resets[:, :1])], axis=1)
    return padded[rows[:, None], order + 1]


def _reach(change: np.ndarray, share: float) -> Horizon:
    """The last lag at which each unit's change is at least ``share`` of its largest."""
    steps = change.shape[2]
    most = change.max(axis=2, keepdims=True)
    still = (change >= share * most) & (most > 0)
    last = steps - 1 - np.argmax(still[:, :, ::-1], axis=2)
    known = still.any(axis=2)
    return Horizon(change, np.where(known, last, np.nan), known & (last == steps - 1))
