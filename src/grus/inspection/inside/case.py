"""What ``grus inspect`` looks at: one row of the data as the network sees it, some others, and what the answer is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode import LiveClassifier, LiveForecaster
from grus.errors import DataError, UsageError
from grus.inspection.classes.record import standardised, visit_lines
from grus.inspection.irregular.readings import Readings, readings_of
from grus.inspection.wording import figure, percent
from grus.preprocess.examples import Examples
from grus.preprocess.frequency import stamp
from grus.preprocess.panel import Panel
from grus.preprocess.subwords import spelled
from grus.preprocess.text import clean, split
from grus.spec import Irregular, LogMel, Subwords, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

#: Units are judged by at most so many rows, and by so many steps in all (one row may have more).
ROWS, STEPS = 64, 20_000


@dataclass(frozen=True, eq=False)
class Case:
    """One row, with others that its units are judged by.

    Attributes:
        title: which row it is.
        axis: what a step of the input is: word, step, pixel row, visit, hour ...
        inputs: of the network by port, the row in question first [B, ...].
        lengths: steps of each row on the clock ``src`` [B].
        answer: what the model says of the row, a sentence.
        unit: of the number that is divided among the steps, as an axis says it.
        score: from the network's outputs to that number, one a row [B].
        mean_baseline: whether the steps are compared with their own mean instead of zeros.
        times: stamps of the steps [T]; counted from 1 if None.
        names: of the steps, where they have any [T].
        unknown: whether a name is none that training knew [T].
        series, channels, scale: values over the steps [T, C], their names, and the unit of the values.
        image: uint8 [H, W, C].
        bands: of a recording, log energies over their mean in training [T, bands]; hertz: of the lowest and highest.
        label: of a classifier, whose log-odds are divided.
        surprise: nats that each step cost a language model, given those before it [T]; 0 for the first.
        readings: of irregular series, in place of the values and what follows them.
    """

    title: str
    axis: str
    inputs: dict[str, np.ndarray]
    lengths: np.ndarray
    answer: str
    unit: str
    score: "Callable[[dict[str, Tensor]], Tensor]"
    mean_baseline: bool = False
    times: np.ndarray | None = None
    names: tuple[str, ...] = ()
    unknown: tuple[bool, ...] = ()
    series: np.ndarray | None = None
    channels: tuple[str, ...] = ()
    scale: str = ""
    image: np.ndarray | None = None
    bands: np.ndarray | None = None
    hertz: tuple[float, float] = (0.0, 0.0)
    label: str = ""
    surprise: np.ndarray | None = None
    readings: Readings | None = None

    @property
    def steps(self) -> int:
        """How many steps the row has."""
        return int(self.lengths[0])

    @property
    def within_words(self) -> bool:
        """Whether a step may be less than a word."""
        return self.axis in ("character", "subword")

    @property
    def padded_steps(self) -> int:
        """How many steps the longest row has, to which all are padded."""
        return int(self.lengths.max())


def check_row(row: int | None, rows: int, what: str, default: int) -> int:
    """The row's number from 0; raises UsageError where the data has no such row."""
    if rows < 1:
        raise DataError(f"data: expected {what}, got none")
    chosen = default if row is None else row
    if not 1 <= chosen <= rows:
        raise UsageError(f"row must be from 1 to {rows:,} ({what}), got {row:,}")
    return chosen - 1


def classify_case(
    live: LiveClassifier, examples: Examples, row: int | None = None, label: str | None = None
) -> Case:
    """One example of a classifier.

    Args:
        live: the model.
        examples: the data.
        row: number of the example, the first is 1 (default: 1).
        label: whose log-odds are divided among the steps (default: the one that the model says).

    Raises:
        UsageError: there is no such row or label; DataError: the data does not fit, or the example has no steps.
    """
    if label is not None and label not in live.task.labels:
        raise UsageError(f"label must be one of {', '.join(live.task.labels)}, got {label!r}")
    chosen = check_row(row, len(examples), "the rows of the data", 1)
    spread = np.linspace(0, len(examples) - 1, min(ROWS, len(examples))).round().astype(np.int64)
    rows = np.concatenate(([chosen], spread[spread != chosen]))[:ROWS]
    sequences = live.sequences(examples.take(rows))
    lengths = sequences.lengths
    if not lengths[0]:
        raise DataError(f"row {chosen + 1}: must have at least one step to look at, got none")
    kept = np.flatnonzero(
        (np.maximum.accumulate(lengths) * np.arange(1, len(rows) + 1) <= STEPS) | (rows == chosen)
    )
    inputs, lengths = sequences.batch(kept)
    own, task = examples.take([chosen]), live.task
    p = live.predict_proba(own)[0]
    best = int(p.argmax())
    number = best if label is None else task.labels.index(label)
    name = f", {str(own.ids[0])!r}" if own.ids is not None else ""
    said = f"The model says {task.labels[best]!r} with {percent(float(p[best]))}."
    said += "" if number == best else f" {label!r} has {percent(float(p[number]))}."
    return Case(
        title=f"row {chosen + 1:,} of {len(examples):,}{name}",
        inputs=inputs,
        lengths=lengths,
        answer=said,
        unit="log-odds",
        score=log_odds(number, live.temperature, task.multi),
        label=task.labels[number],
        **_shown(live, own, int(lengths[0])),
    )


def log_odds(label: int, temperature: float, multi: bool) -> "Callable[[dict[str, Tensor]], Tensor]":
    """ln p / (1 - p) of one label, from the logits."""

    def score(outputs: "dict[str, Tensor]") -> "Tensor":
        logits = outputs["logits"] / temperature
        own = logits[:, label]
        if multi:
            return own
        others = [i for i in range(logits.shape[1]) if i != label]
        return own - logits[:, others].logsumexp(dim=1)

    return score


def _shown(live: LiveClassifier, own: Examples, steps: int) -> dict[str, Any]:
    """What there is to show of an example, by the fields of `Case`."""
    step = live.model.preprocess[0]
    if own.texts is not None:
        assert isinstance(step, (Vocabulary, Subwords))
        if isinstance(step, Subwords):
            names = spelled(own.texts[0], step)[:steps]
            axis = "subword"
            return {"names": tuple(names), "axis": axis, "unknown": (False,) * steps}
        names = split(clean(own.texts[0], step.lower), step.kind)[:steps]
        known = set(step.tokens)
        axis = "word" if step.kind == "word" else "character"
        return {"names": tuple(names), "axis": axis, "unknown": tuple(name not in known for name in names)}
    if own.images is not None:
        return {"axis": "pixel row", "image": own.images[0]}
    if own.samples is not None:
        bands = live.sequences(own).ports["x"][np.arange(steps)]
        level = bands.astype(np.float64).mean(axis=1, keepdims=True)
        assert isinstance(step, LogMel)
        return {
            "axis": "frame", "series": level, "channels": ("level",), "scale": "mean of the bands", "bands": bands,
            "hertz": (step.low, step.high),
        }  # fmt: skip
    if isinstance(step, Irregular):
        return {"axis": "step", "readings": readings_of(live, own)}
    if own.series is not None:
        alone = len(own.columns) == 1
        values = own.series if alone else standardised(own, [0])[0]
        scale = own.columns[0] if alone else "over its spread"
        return {"axis": "step", "series": values[-steps:], "channels": own.columns, "scale": scale}
    lines = visit_lines(own, 0, steps)
    return {"axis": "visit", "names": tuple(lines[-steps:])}


def forecast_case(live: LiveForecaster, panel: Panel, row: int | None = None) -> Case:
    """One forecast.

    Args:
        live: the model.
        panel: the data, on the model's grid.
        row: the last row that the forecast knows, the first is 1, one series after the other (default: the last one
            of the first series after which the whole horizon is in the data).

    Raises:
        UsageError: there is no such row, or too few after it; DataError: the data is too short.
    """
    task = live.task
    horizon = task.horizon
    lengths = panel.lengths
    if lengths.max() <= horizon:
        raise DataError(
            f"data: expected a series of more rows than the horizon of {horizon}, got {lengths.max()}"
        )
    first = int(np.argmax(lengths > horizon))
    last = check_row(row, panel.n_rows, "the rows of the data", int(panel.offsets[first + 1]) - horizon)
    series = int(np.searchsorted(panel.offsets, last, side="right")) - 1
    begin, end = int(panel.offsets[series]), int(panel.offsets[series + 1])
    if last + 1 + horizon > end:
        raise UsageError(
            f"row must leave the {panel.frequency.count(horizon)} that are forecast after it in the data "
            f"(at most {end - horizon:,} in series {panel.ids[series]!r}), got {row:,}"
        )
    features = live.features(panel)
    origins = np.concatenate(([last + 1], _other_origins(begin, end, task.lookback, horizon)))
    of = np.full(len(origins), series)
    inputs = live.inputs(features, of, origins)
    center, scale = float(features.center[series]), float(features.scale[series])
    shown = np.arange(last + 1 - task.lookback, last + 1)
    values = np.where(shown >= begin, panel.target[np.maximum(shown, begin)], np.nan)
    found = live.forecast(panel, of[:1], origins[:1], features=features).point[0]
    came = panel.target[last + 1 : last + 1 + horizon]
    when = stamp(panel.frequency.at(panel.starts[series], last + 1 - begin)[()])
    truth = f"; {figure(float(np.nanmean(came)))} came" if np.isfinite(came).any() else ""
    which = f", series {panel.ids[series]!r}" if panel.n_series > 1 else ""
    return Case(
        title=f"row {last + 1:,} of {panel.n_rows:,}{which}",
        axis=panel.frequency.words if panel.frequency.multiple == 1 else "step",
        inputs=inputs,
        lengths=np.full(len(origins), task.lookback),
        answer=f"The forecast for {panel.frequency.count(horizon)} from {when} on is {figure(float(found.mean()))} "
        f"on average{truth}.",
        unit=f"mean forecast of {task.target}",
        score=_mean_forecast(horizon, task.quantiles, center, scale),
        mean_baseline=True,
        times=panel.frequency.at(panel.starts[series], shown - begin),
        series=values[:, None],
        channels=(task.target,),
        scale=task.target,
    )


def _other_origins(begin: int, end: int, lookback: int, horizon: int) -> np.ndarray:
    """First rows of other forecasts of the series, evenly spread."""
    first, last = min(begin + lookback, end - horizon), end - horizon
    most = max(1, min(ROWS, STEPS // lookback) - 1)
    return np.unique(np.linspace(max(first, begin + 1), last, most).round().astype(np.int64))


def _mean_forecast(
    horizon: int, quantiles: tuple[float, ...], center: float, scale: float
) -> "Callable[[dict[str, Tensor]], Tensor]":
    """The mean of the point forecast over the horizon, in the target's unit."""
    middle = int(np.argmin([abs(q - 0.5) for q in quantiles])) if quantiles else 0

    def score(outputs: "dict[str, Tensor]") -> "Tensor":
        found = outputs["forecast"][:, :horizon]
        point = found.sort(dim=-1).values[..., middle] if quantiles else found[..., 0]
        return point.mean(dim=1) * scale + center

    return score
