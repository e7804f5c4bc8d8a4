"""Random raw rows for a model's C program, and what the live model says to the same rows."""

from collections.abc import Mapping, Sequence

import numpy as np

from grus.decode import LiveClassifier, LiveDetector, LiveForecaster
from grus.decode.class_scores import class_probabilities
from grus.export.c99.detector import series_of
from grus.export.c99.driver import Call
from grus.export.c99.forecaster import columns_of
from grus.export.c99.program import Program
from grus.preprocess.calendar import cycle_phase
from grus.preprocess.categories import encode
from grus.preprocess.examples import Examples
from grus.preprocess.frequency import Frequency
from grus.preprocess.panel import Panel
from grus.preprocess.ragged import Ragged
from grus.preprocess.records import Records
from grus.preprocess.roles import Roles
from grus.spec import (
    Calendar,
    Categories,
    Classify,
    Codes,
    CovariateScale,
    Detect,
    Forecast,
    Images,
    Model,
    SeriesScale,
)

Tensors = Mapping[str, np.ndarray]

#: Steps of a stream, and streams; each begins with a reset, so the second shows that nothing is left of the first.
_STEPS, _STREAMS = 24, 2
_GAPS = 0.15
#: Rows of a detector's stream: some that are not scored, and some after a jump.
_WATCHED = 48


class ClassifierTrial:
    """Streams of random steps; every step's probabilities are those of an example that ends with it."""

    def __init__(self, model: Model, tensors: Tensors, program: Program, seed: int = 0) -> None:
        self._model = model
        rng = np.random.default_rng(seed)
        steps = min(_STEPS, model.task_as(Classify).max_length)
        self._streams = [_rows(model, tensors, steps, rng) for _ in range(_STREAMS)]
        verbs = [f.verb for f in program.functions]
        self.calls = [Call(verbs.index("init"), ())]
        for stream in self._streams:
            self.calls.append(Call(verbs.index("reset"), ()))
            self.calls += [Call(verbs.index("step"), (row,)) for row in stream]

    def expected(self, tensors: Tensors) -> list[np.ndarray]:
        """Probabilities after every step, [steps * streams, labels]."""
        live = LiveClassifier(self._model, tensors)
        out = []
        for stream in self._streams:
            sequences = _prefixes(self._model, live, tensors, stream)
            temperature = float(tensors["task.temperature"][0])
            out.append(class_probabilities(live.logits(sequences), temperature, live.task.multi))
        return out


def _rows(model: Model, tensors: Tensors, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Random raw steps of the model's kind, [steps, numbers of a row]."""
    step, port = model.preprocess[0], model.parts["main"].inputs[0]
    if port.kind == "tokens":
        return rng.integers(0, port.size, (steps, 1))
    if isinstance(step, Images):
        return rng.integers(0, 256, (step.height, step.width * step.channels)).astype(np.float32)
    if isinstance(step, Codes):
        codes = rng.random((steps, len(step.codes))) < 2 / len(step.codes)
        gaps = rng.exponential(tensors["preprocess.codes.gap_scale"][0], (steps, 1))
        return np.concatenate([codes, gaps], axis=1).astype(np.float32)
    assert isinstance(step, CovariateScale)
    return _channels(tensors, steps, rng)


def _channels(tensors: Tensors, steps: int, rng: np.random.Generator) -> np.ndarray:
    center, scale = (tensors[f"preprocess.covariate_scale.{part}"] for part in ("center", "scale"))
    rows = (center + scale * rng.standard_normal((steps, len(center)))).astype(np.float32)
    rows[rng.random(rows.shape) < _GAPS] = np.nan
    return rows


def _prefixes(model: Model, live: LiveClassifier, tensors: Tensors, stream: np.ndarray) -> Ragged:
    """The first 1, 2, ... steps of a stream, each as an example that the network sees."""
    step, (ends, n) = model.preprocess[0], (np.arange(1, len(stream) + 1), len(stream))
    offsets = np.concatenate(([0], np.cumsum(ends)))
    every = np.concatenate([np.arange(end) for end in ends])
    if model.parts["main"].inputs[0].kind == "tokens":
        return Ragged({"tokens": stream[every, 0].astype(np.int32)}, offsets)
    if isinstance(step, Images):
        center, scale = (np.tile(tensors[f"preprocess.images.{p}"], step.width) for p in ("center", "scale"))
        return Ragged({"x": ((stream[every] - center) / scale).astype(np.float32)}, offsets)
    rows = stream[every].astype(np.float64)
    if isinstance(step, Codes):
        visit, code = np.nonzero(rows[:, :-1])
        visits = np.concatenate(([0], np.cumsum(np.bincount(visit, minlength=len(rows)))))
        words, gaps = step.codes, rows[:, -1]
        return live.sequences(
            Examples(
                "events", n, live.task.inputs, offsets=offsets, words=words, codes=code.astype(np.int32), visits=visits,
                gaps=gaps,
            )
        )  # fmt: skip
    return live.sequences(Examples("series", n, live.task.inputs, offsets=offsets, series=rows))


class ForecasterTrial:
    """Series of random rows, each asked for a forecast when it is shorter than the lookback and when it is longer."""

    def __init__(self, model: Model, tensors: Tensors, program: Program, seed: int = 0) -> None:
        self._model, task = model, model.task_as(Forecast)
        rng = np.random.default_rng(seed)
        verbs = [f.verb for f in program.functions]
        chosen = "init_scaled" in verbs
        ids = model.step(SeriesScale).ids
        picks = [int(rng.integers(len(ids))), -1 if chosen else 0]
        self._asked = [max(task.lookback // 2, 1), task.lookback + 3]
        self._panels = [_panel(model, tensors, pick, self._asked[-1] + task.horizon, rng) for pick in picks]
        self.calls: list[Call] = []
        for pick, panel in zip(picks, self._panels):
            if pick < 0:
                features = LiveForecaster(model, tensors).features(panel)
                given = (np.array([features.center[0]]), np.array([features.scale[0]]))
                self.calls.append(Call(verbs.index("init_scaled"), given))
            elif pick == picks[0]:
                self.calls.append(Call(verbs.index("init"), (np.array([pick]),) if chosen else ()))
            self.calls.append(Call(verbs.index("reset"), ()))
            self.calls += forecast_calls(model, program, panel, self._asked)

    def expected(self, tensors: Tensors) -> list[np.ndarray]:
        """Every forecast, [horizon, outputs], in the order of the calls."""
        live = LiveForecaster(self._model, tensors)
        out = []
        for panel in self._panels:
            features = live.features(panel)
            zeros = np.zeros(len(self._asked), np.int64)
            outputs = live.outputs(features, zeros, np.array(self._asked)).astype(np.float64)
            values = outputs * features.scale[0] + features.center[0]
            out.append(np.maximum(values, 0.0) if live.task.non_negative else values)
        return out


class DetectorTrial:
    """Streams of random rows with gaps and a jump, of a series that training saw and of one that it did not."""

    def __init__(self, model: Model, tensors: Tensors, program: Program, seed: int = 0) -> None:
        self._model, task, ids = model, model.task_as(Detect), series_of(model)
        rng = np.random.default_rng(seed)
        verbs = [f.verb for f in program.functions]
        start, hour = np.datetime64("2024-01-05T20", "ns"), np.timedelta64(1, "h")
        times = start + np.arange(_WATCHED) * hour
        phases = [cycle_phase(times, name) for name in model.step(Calendar).features]
        self._records: list[Records] = []
        self.calls: list[Call] = []
        for pick in (int(rng.integers(len(ids))), -1) if ids else (0, 0):
            rows = _channels(tensors, _WATCHED, rng)
            rows[_WATCHED * 2 // 3 :] *= 3
            name = (ids[pick] if pick >= 0 else "".join(ids) + "?") if ids else ""
            self._records.append(
                Records(
                    (name,), np.array([name], object) if ids else None, np.array([0, _WATCHED]), np.arange(_WATCHED),
                    rows.astype(np.float64), times.astype(np.int64), task.time is not None,
                )
            )  # fmt: skip
            self.calls.append(Call(verbs.index("init"), (np.array([pick]),) if ids else ()))
            self.calls.append(Call(verbs.index("step"), (np.concatenate((rows[0], [p[0] for p in phases])),)))
            self.calls.append(Call(verbs.index("reset"), ()))
            self.calls += [
                Call(verbs.index("step"), (np.concatenate((row, [p[t] for p in phases])),))
                for t, row in enumerate(rows)
            ]

    def expected(self, tensors: Tensors) -> list[np.ndarray]:
        """Score, alarm, severities and what was expected, of every row."""
        live, out = LiveDetector(self._model, tensors), []
        for records in self._records:
            found = live.score(records)
            said = live.answer(found, detail=False)
            rows = np.column_stack((said["score"], said["alarm"], found.severity, found.expected))
            out += [rows[:1], rows]
        return out


def forecast_calls(model: Model, program: Program, panel: Panel, asked: Sequence[int]) -> list[Call]:
    """Calls that push the rows of a panel's first series, and forecast from each of some numbers of rows.

    The panel must have the horizon's rows after the last of them; their target is not read.
    """
    columns, horizon, text = columns_of(model), model.task_as(Forecast).horizon, model.step(Categories)
    verbs = [f.verb for f in program.functions]
    phases = [cycle_phase(panel.times(0), name) for name in columns.cycles]
    rows = np.stack(
        [panel.target[panel.rows(0)], *(panel.past[name] for name in columns.past), *phases], axis=1
    )
    ahead = [*(panel.future[name] for name in columns.future), *phases]
    codes = {
        name: encode(values, text.columns[name])
        for name, values in {**panel.past, **panel.future, **panel.static}.items()
        if name in text.columns
    }
    fixed = [np.array([panel.static[name][0] for name in columns.static])] if columns.static else []
    if columns.static_codes:
        fixed.append(np.array([codes[name][0] for name in columns.static_codes]))
    calls: list[Call] = []
    for t in range(max(asked)):
        coded = [np.array([codes[name][t] for name in columns.past_codes])] if columns.past_codes else []
        calls.append(Call(verbs.index("push"), (rows[t], *coded)))
        if t + 1 in asked:
            later = slice(t + 1, t + 1 + horizon)
            parts = [np.stack(ahead, axis=1)[later]] if ahead else []
            if columns.future_codes:
                parts.append(np.stack([codes[name][later] for name in columns.future_codes], axis=1))
            calls.append(Call(verbs.index("forecast"), (*parts, *fixed)))
    return calls


def _panel(model: Model, tensors: Tensors, pick: int, rows: int, rng: np.random.Generator) -> Panel:
    """One series of random rows, known (its number) or not (-1), with gaps in the target and in past covariates."""
    task, series = model.task_as(Forecast), model.step(SeriesScale)
    center, scale = (tensors[f"preprocess.series_scale.{part}"][max(pick, 0)] for part in ("center", "scale"))
    target = _narrow(center + scale * rng.standard_normal(rows))
    target[1:][rng.random(rows - 1) < _GAPS] = np.nan
    covariates: CovariateScale = model.step(CovariateScale)
    known: Categories = model.step(Categories)

    def column(name: str, size: int, gaps: bool) -> np.ndarray:
        if name in known.columns:
            return rng.choice(np.array([None, *known.columns[name]], object), size)
        i = covariates.columns.index(name)
        fitted = [tensors[f"preprocess.covariate_scale.{part}"][i] for part in ("center", "scale")]
        values = _narrow(fitted[0] + fitted[1] * rng.standard_normal(size))
        return np.where(rng.random(size) < _GAPS, np.nan, values) if gaps else values

    frequency = Frequency.from_string(task.frequency)
    start = np.array([0]) if frequency.is_integer else np.array(["2024-01-01"], "M8[ns]")
    name = series.ids[pick] if pick >= 0 else "".join(series.ids) + "?"
    return Panel(
        ids=(name,), id_values=np.array([name], object), starts=start, frequency=frequency,
        offsets=np.array([0, rows]), target=target, observed=~np.isnan(target),
        past={name: column(name, rows, True) for name in task.past},
        future={name: column(name, rows, False) for name in task.future},
        static={name: column(name, 1, False) for name in task.static},
        roles=Roles(task.target, task.id, task.time, task.past, task.future, task.static),
    )  # fmt: skip


def _narrow(values: np.ndarray) -> np.ndarray:
    """Float64 that float32 can hold: what C is given is then what the runtime is given."""
    return values.astype(np.float32).astype(np.float64)
