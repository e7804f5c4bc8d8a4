"""A forecaster in C: ``push`` takes one row and keeps the lookback, ``forecast`` runs the network over it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from grus.export.c99.builder import Argument, Body, Function, Precision, Unit, Value
from grus.export.c99.classifier import refuse_irregular, scaling
from grus.export.c99.lower import lower
from grus.export.c99.program import Program, finish
from grus.export.c99.text import plain
from grus.preprocess.calendar import HARMONICS
from grus.preprocess.forecast_steps import SERIES, Layout, layout
from grus.spec import Calendar, Categories, CovariateScale, Forecast, Model, SeriesScale, ops

Tensors = Mapping[str, np.ndarray]

_PHASES = {
    "minute_of_hour": "seconds since the full hour / 3600",
    "hour_of_day": "seconds since midnight / 86400",
    "day_of_week": "(weekday, Monday = 0, + share of the day that is over) / 7",
    "weekend": "1 on Saturday and Sunday, else 0",
    "day_of_month": "(day of the month - 1) / 31",
    "month_of_year": "(month - 1) / 12",
    "quarter_of_year": "(quarter - 1) / 4",
}
_YEAR = "(day of the year, 1 January = 0, + share of the day that is over) / days of the year"


def forecaster_program(model: Model, tensors: Tensors, name: str, precision: Precision) -> Program:
    """The program of a forecaster: init, reset, push and forecast.

    Raises:
        UnsupportedError: the network has an op that C99 cannot run, or its series are irregular.
    """
    refuse_irregular(model)
    made = _Maker(model, tensors, Unit(precision))
    begin, push = made.begin(), made.push()
    return Program(name, made.unit, (*begin, push, made.forecast()), made.about(name))


@dataclass(frozen=True)
class Columns:
    """What the functions take, in order: names of numeric columns and of categories, and the calendar's cycles.

    Attributes:
        past, future, static: numeric covariates.
        past_codes, future_codes, static_codes: columns of categories.
        cycles: calendar names.
        chosen: whether the model knows several series, one of which ``init`` names.
    """

    past: tuple[str, ...]
    future: tuple[str, ...]
    static: tuple[str, ...]
    past_codes: tuple[str, ...]
    future_codes: tuple[str, ...]
    static_codes: tuple[str, ...]
    cycles: tuple[str, ...]
    chosen: bool


def columns_of(model: Model) -> Columns:
    """What a forecaster's functions take."""
    task, found = model.task_as(Forecast), layout(model)
    series: SeriesScale = model.step(SeriesScale)
    calendar: Calendar = model.step(Calendar)
    text: Categories = model.step(Categories)

    def numeric(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name not in text.columns)

    return Columns(
        numeric(task.past),
        numeric(task.future),
        numeric(task.static),
        found.past_tokens,
        found.future_tokens,
        tuple(name for name in found.static_tokens if name != SERIES),
        calendar.features,
        task.id is not None or len(series.ids) > 1,
    )


def cycles(unit: Unit, names: tuple[str, ...], into: str, phases: str) -> str:
    """The line that makes the calendar's features of the phases of its cycles."""
    harmonics = unit.flags("cycles", [HARMONICS[name] for name in names])
    return f"grus_cycles({into}, {phases}, {harmonics}, {len(names)});"


def listed(names: list[str], cycles: tuple[str, ...] = ()) -> str:
    """A note on what stands in a row: columns, and after them phases of cycles."""
    cells = [*map(plain, names), *(f"{cycle} = {_PHASES.get(cycle, _YEAR)}" for cycle in cycles)]
    return "as in training, not scaled\n" + "\n".join(f"  {i}: {cell}" for i, cell in enumerate(cells))


class _Maker:
    """Makes the functions; what they share stands in the state: the window, the last known values, the series."""

    def __init__(self, model: Model, tensors: Tensors, unit: Unit) -> None:
        self.model, self.tensors, self.unit = model, tensors, unit
        self.task = model.task_as(Forecast)
        self.columns = columns_of(model)
        self.layout: Layout = layout(model)
        self.ids: tuple[str, ...] = model.step(SeriesScale).ids
        self.fitted = [tensors[f"preprocess.series_scale.{part}"] for part in ("center", "scale")]
        if self.columns.chosen:
            self.level = [f"s->sums[{i}]" for i in range(2)]
            unit.keep("sums", 2)
            self.series = unit.keep("counts", 1)
        else:
            own = [unit.doubles(f"target.{p}", v[:1]) for p, v in zip(("center", "scale"), self.fitted)]
            self.level = [f"{constant}[0]" for constant in own]
        self.size = len(self.layout.past)
        self.window = unit.keep("memory", self.task.lookback * self.size)
        self.begun = unit.keep("counts", 1)
        self.codes = [unit.keep("counts", self.task.lookback) for _ in self.columns.past_codes]

    def begin(self) -> tuple[Function, ...]:
        """Functions that make a state new."""
        doc = "Forget all rows; call it where a gap in time is too long to be filled."
        if not self.columns.chosen:
            clear = "  memset(s, 0, sizeof *s);"
            return Function(
                "init", "Make a state ready; call it before anything else.", body=clear
            ), Function("reset", doc, body=clear)
        center, scale = (
            self.unit.doubles(f"series.{p}", v) for p, v in zip(("center", "scale"), self.fitted)
        )
        listed = ", ".join(f"{i} {plain(name)}" for i, name in enumerate(self.ids))
        choose = (
            f"  const int known = series >= 0 && series < {len(self.ids)};\n  memset(s, 0, sizeof *s);\n"
            f"  s->sums[0] = known ? {center}[series] : 0.0;\n  s->sums[1] = known ? {scale}[series] : 1.0;\n"
            f"  *({self.series}) = known ? series + 1 : 0;"
        )
        own = "  memset(s, 0, sizeof *s);\n  s->sums[0] = center;\n  s->sums[1] = scale;"
        keep = (
            f"  const double center = s->sums[0], scale = s->sums[1];\n  const int32_t series = *({self.series});\n"
            f"  memset(s, 0, sizeof *s);\n  s->sums[0] = center;\n  s->sums[1] = scale;\n  *({self.series}) = series;"
        )
        number = Argument("int32_t", "series", 0, listed)
        new = (
            Argument("float", "center", 0, "its mean"),
            Argument("float", "scale", 0, "its standard deviation"),
        )
        return (
            Function("init", "Make a state ready for a series that training saw.", (number,), body=choose),
            Function(
                "init_scaled", "Make a state ready for a series that training did not see.", new, body=own
            ),
            Function("reset", doc, body=keep),
        )

    def push(self) -> Function:
        """The function that takes in one row."""
        body, columns = Body(self.unit, carried=True), self.columns
        steps, size, inputs = self.task.lookback, self.size, []
        newest = f"{self.window} + {(steps - 1) * size}"
        held = body.remembered(1)
        body.line(f"grus_shift({self.window}, {size}, {steps});")
        body.line(f"if (row[0] == row[0]) *({held}) = grus_scaled(row[0], {', '.join(self.level)});")
        body.line(f"*({newest}) = *({held});\n*({newest} + 1) = row[0] == row[0] ? 1.0f : 0.0f;")
        names, wide = ["the target"], size - self.layout.calendar
        if columns.past:
            line = self._scaling(body, "past", f"row + {len(names)}", f"{newest} + 2", columns.past)
            body.line(line)
            names += columns.past
        if columns.cycles:
            body.line(cycles(self.unit, columns.cycles, f"{newest} + {wide}", f"row + {len(names)}"))
        inputs.append(
            Argument("float", "row", len(names) + len(columns.cycles), listed(names, columns.cycles))
        )
        if columns.past_codes:
            inputs.append(Argument("int32_t", "codes", len(self.codes), self._coded(columns.past_codes)))
        for number, window in enumerate(self.codes):
            body.line(f"grus_shift_codes({window}, codes[{number}], {steps}, !*({self.begun}));")
        body.line(f"if (!*({self.begun})) grus_pad({self.window}, {size}, {steps});\n*({self.begun}) = 1;")
        doc = "Take in the next row; one row for every step of time, NaN where a value is missing."
        return Function("push", doc, tuple(inputs), body=body.text())

    def forecast(self) -> Function:
        """The function that runs the network."""
        body, task = Body(self.unit, carried=False), self.task
        steps = _output_steps(self.model)
        inputs, arguments = self._ports(body, steps)
        weights = {k.removeprefix("main."): v for k, v in self.tensors.items() if k.startswith("main.")}
        times = {"src": task.lookback, "tgt": steps}
        y = lower(body, self.model.parts["main"], weights, inputs, times)["forecast"]
        cells = task.horizon * y.size
        result = body.scratch(cells)
        body.line(f"grus_unscale({result}, {y.at}, {cells}, {', '.join(self.level)});")
        if task.quantiles:
            body.line(
                f"{{ int t; for (t = 0; t < {cells}; t += {y.size}) grus_sort({result} + t, {y.size}); }}"
            )
        if task.non_negative:
            body.line(f"grus_relu({result}, {result}, {cells});")
        what = f"{task.horizon} steps"
        if task.quantiles:
            what += f" of {y.size} quantiles each ({', '.join(f'{q:g}' for q in task.quantiles)})"
        out = Argument("float", "forecast", cells, f"{what}, in the target's unit")
        text = finish(body, [(out, result)])
        doc = "Forecast the steps after the newest row; at least one row must have been pushed."
        return Function("forecast", doc, tuple(arguments), (out,), text, body.multiplies)

    def _ports(self, body: Body, steps: int) -> tuple[dict[str, Value], list[Argument]]:
        columns, task, unit = self.columns, self.task, self.unit
        inputs = {
            "past": Value(self.window, self.size, task.lookback),
            "future": body.value(len(self.layout.future), steps),
        }
        arguments: list[Argument] = []
        inputs |= {f"past_code_{i}": Value(at, 1, task.lookback) for i, at in enumerate(self.codes)}
        self._future(body, inputs["future"], arguments)
        if columns.future_codes:
            stride = len(columns.future_codes)
            note = f"for each of the {task.horizon} steps: {self._coded(columns.future_codes)}"
            arguments.append(Argument("int32_t", "future_codes", stride * task.horizon, note))
            for i in range(stride):
                at = unit.keep("counts", steps)
                body.line(f"grus_codes({at}, future_codes + {i}, {stride}, {task.horizon}, {steps});")
                inputs[f"future_code_{i}"] = Value(at, 1, steps)
        if columns.static:
            inputs["static"] = body.value(len(columns.static), 0)
            body.line(self._scaling(body, "static", "statics", inputs["static"].at, columns.static))
            arguments.append(Argument("float", "statics", len(columns.static), listed(list(columns.static))))
        if columns.static_codes:
            note = self._coded(columns.static_codes)
            arguments.append(Argument("int32_t", "static_codes", len(columns.static_codes), note))
        known = [f"static_codes + {i}" for i in range(len(columns.static_codes))]
        if SERIES in self.layout.static_tokens:
            known.append(self.series)
        inputs |= {f"static_code_{i}": Value(at, 1, 0) for i, at in enumerate(known)}
        return inputs, arguments

    def _future(self, body: Body, value: Value, arguments: list[Argument]) -> None:
        """The rows of the horizon; steps beyond it (a segment may be longer than what is left) repeat the last."""
        columns, horizon, size = self.columns, self.task.horizon, value.size
        width = len(columns.future) + len(columns.cycles)
        lines = [f"float *y = {value.at} + t * {size};"]
        if width:
            lines.append(f"const float *row = future + t * {width};")
        lines.append(f"y[0] = (float)t / {horizon}.0f;")
        if columns.cycles:
            lines.append(cycles(self.unit, columns.cycles, "y + 1", f"row + {len(columns.future)}"))
        if columns.future:
            lines.append(
                self._scaling(body, "future", "row", f"y + {1 + self.layout.calendar}", columns.future)
            )
        if width:
            note = f"for each of the {horizon} steps: {listed(list(columns.future), columns.cycles)}"
            arguments.append(Argument("float", "future", horizon * width, note))
        rest = f"memcpy({value.at} + t * {size}, {value.at} + (t - 1) * {size}, {size} * sizeof(float));"
        inner = "\n    ".join(lines)
        body.line(
            f"{{\n  int t;\n  for (t = 0; t < {horizon}; ++t) {{\n    {inner}\n  }}\n"
            f"  for (; t < {value.steps}; ++t) {rest}\n}}"
        )

    def _scaling(self, body: Body, name: str, row: str, into: str, columns: tuple[str, ...]) -> str:
        step: CovariateScale = self.model.step(CovariateScale)
        index = [step.columns.index(column) for column in columns]
        center, scale = (
            self.tensors[f"preprocess.covariate_scale.{part}"][index] for part in ("center", "scale")
        )
        return scaling(
            body, name, row, into, (center, scale), [int(column in step.masked) for column in columns]
        )

    def _coded(self, names: tuple[str, ...]) -> str:
        text: Categories = self.model.step(Categories)
        lines = []
        for i, name in enumerate(names):
            values = ", ".join(f"{code} {plain(value)}" for code, value in enumerate(text.columns[name], 1))
            lines.append(f"  {i}: {plain(name)}, {values}")
        return "codes, 0 for a value that is missing or new\n" + "\n".join(lines)

    def about(self, name: str) -> tuple[str, ...]:
        """The header's first paragraphs."""
        task = self.task
        return (
            "A forecaster written by Grus: C99, no allocation, no library but libm; floats are IEEE 754.",
            f"Use: declare one {name}_state a series, {name}_init it once, {name}_push every row as it comes, and call "
            f"{name}_forecast whenever a forecast of the next {task.horizon} steps is wanted. A step is "
            f"{plain(task.frequency)}; the last {task.lookback} rows count.",
            f"The target is {plain(task.target)}. Intervals are not part of the files; grus.load has them.",
        )


def _output_steps(model: Model) -> int:
    lengths = [node.op.length for node in model.parts["main"].nodes if isinstance(node.op, ops.Unsegment)]
    length = lengths[0] if lengths else 1
    return length * -(-model.task_as(Forecast).horizon // length)
