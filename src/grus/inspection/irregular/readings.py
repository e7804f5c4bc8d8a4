"""What was measured in one row of irregular series, and when; and what the model says as the row unfolds."""

from dataclasses import dataclass, replace

import numpy as np

from grus.decode import LiveClassifier
from grus.inspection.inside.gate_words import short
from grus.inspection.wording import count
from grus.preprocess.build_examples import DAY
from grus.preprocess.examples import Examples
from grus.preprocess.frequency import full_stamp, stamp
from grus.spec import Irregular, IrregularForm

#: A long row is answered at so many of its steps, and so many rows of all of them are read at once.
_ANSWERS, _ROWS = 200, 1 << 20
#: Units that spans between dates are told in, with the nanoseconds that they have.
_SPANS = (("days", DAY), ("hours", DAY // 24), ("minutes", DAY // 1440), ("seconds", DAY // 86_400))


@dataclass(frozen=True, eq=False)
class Readings:
    """One row of T steps and C columns.

    Attributes:
        columns: their names.
        values: as they were measured, float64 [T, C], NaN where nothing was; read: held to what training saw.
        center, scale: mean and deviation of the columns in training [C].
        times: datetime64[ns] or int64 [T]; counted from 1 if None. clock: the column of the times.
        unit: how much time the network counts as 1: nanoseconds for dates, else as the times count.
        form: what the model makes of gaps.
        first: the first step that the network reads; it leaves out older ones than its ``max_length``.
        answers: steps after which the row so far was answered [A], the last step among them.
        probabilities: of every label after these, float64 [A, labels].
    """

    columns: tuple[str, ...]
    values: np.ndarray
    read: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    times: np.ndarray | None
    clock: str
    unit: float
    form: IrregularForm
    first: int
    answers: np.ndarray
    probabilities: np.ndarray

    @property
    def steps(self) -> int:
        """How many steps the row has."""
        return len(self.values)

    @property
    def known(self) -> np.ndarray:
        """Bool [T, C]: where something was measured."""
        return ~np.isnan(self.values)

    @property
    def dated(self) -> bool:
        """Whether the times are dates."""
        return self.times is not None and self.times.dtype.kind == "M"

    @property
    def where(self) -> np.ndarray:
        """The times, or the numbers of the steps from 1 [T]."""
        return np.arange(1, self.steps + 1) if self.times is None else self.times

    @property
    def axis(self) -> str:
        """What the times count: the name of their column, ``step`` where there are none; nothing for dates."""
        return "" if self.dated else "step" if self.times is None else self.clock

    @property
    def span_unit(self) -> tuple[str, float]:
        """The unit that spans of time are told in, and how much of the times' own it has."""
        if not self.dated:
            return (self.axis, 1.0) if self.times is not None else ("steps", 1.0)
        whole = float((self.where[-1] - self.where[0]).astype(np.int64)) if self.steps else 0.0
        return next(((name, float(size)) for name, size in _SPANS if whole >= 2 * size), ("seconds", 1e9))

    def when(self, step: int) -> str:
        """When a step was, as the axis counts: ``1,872``, ``2024-03-01 07:30:00``; days alone where all are."""
        when = self.where[step]
        if not self.dated:
            return f"{int(when):,}"
        days = (self.where == self.where.astype("M8[D]")).all()
        return stamp(when) if days else full_stamp(when)

    def moment(self, step: int) -> str:
        """The same with what the axis counts: ``minute 1,872``, ``step 12``."""
        return f"{self.axis} {self.when(step)}".strip()

    def value(self, step: int, column: int) -> str:
        """What was measured, in its own unit, as few digits as tell it."""
        return short(float(self.values[step, column]))

    def spread(self, column: int) -> str:
        """Mean and deviation of a column in training: ``88 ± 17``."""
        return f"{short_of(self.center[column])} ± {short_of(self.scale[column])}"

    def said(self) -> str:
        """``423 values of 31 columns at 72 times``."""
        known = self.known
        columns, steps = int(known.any(axis=0).sum()), int(known.any(axis=1).sum())
        return f"{count(int(known.sum()), 'value')} of {count(columns, 'column')} at {count(steps, 'time')}"


def short_of(value: float) -> str:
    """Three digits: ``17.3``, ``1,240``."""
    return short(float(f"{value:.3g}"))


def readings_of(live: LiveClassifier, own: Examples) -> Readings:
    """The readings of one example, `Examples` of one row."""
    step: Irregular = live.model.preprocess[0]  # type: ignore[assignment]
    assert own.series is not None
    fitted = {name: live.fitted[f"preprocess.{step.key}.{name}"] for name in step.arrays()}
    values = own.series
    answers = np.unique(np.linspace(1, len(values), min(_ANSWERS, len(values))).round().astype(np.int64)) - 1
    return Readings(
        columns=step.columns,
        values=values,
        read=np.minimum(np.maximum(values, fitted["low"]), fitted["high"]),
        center=fitted["center"],
        scale=fitted["scale"],
        times=own.times,
        clock=live.task.time or "",
        unit=float(fitted["gap_scale"][0]) * (DAY if step.clock == "dates" else 1),
        form=step.form,
        first=max(0, len(values) - live.task.max_length),
        answers=answers,
        probabilities=unfolding(live, own, answers + 1),
    )


def unfolding(live: LiveClassifier, own: Examples, counts: np.ndarray) -> np.ndarray:
    """What ``predict`` says of the first steps of an example, for some numbers of steps: float64 [A, labels]."""
    assert own.series is not None
    found = [np.empty((0, len(live.task.labels)))]
    at_once = max(1, _ROWS // max(1, int(counts.max(initial=1))))
    for some in (counts[i : i + at_once] for i in range(0, len(counts), at_once)):
        index = np.concatenate([np.arange(n) for n in some])
        parts = replace(
            own,
            rows=len(some),
            ids=None,
            labels=None,
            offsets=np.concatenate(([0], np.cumsum(some))),
            series=own.series[index],
            times=None if own.times is None else own.times[index],
        )
        found.append(live.predict_proba(parts))
    return np.concatenate(found)
