"""A detector in C: raw rows in, how unlikely each is and what was expected of it out."""

from collections.abc import Mapping

import numpy as np

from grus.export.c99.builder import Argument, Body, Function, Precision, Unit
from grus.export.c99.classifier import refuse_irregular
from grus.export.c99.forecaster import cycles, listed
from grus.export.c99.lower import lower
from grus.export.c99.program import Program
from grus.export.c99.text import plain
from grus.preprocess.detect import DetectPreprocessor
from grus.spec import Calendar, CovariateScale, Detect, Model, SeriesScale

Tensors = Mapping[str, np.ndarray]


def detector_program(model: Model, tensors: Tensors, name: str, precision: Precision) -> Program:
    """The program of a detector: init, reset, and step, which takes one row and says how unlikely it is.

    Raises:
        UnsupportedError: the network has an op that C99 cannot run, or its series are irregular.
    """
    refuse_irregular(model)
    made = _Maker(model, tensors, Unit(precision))
    step = made.step()
    return Program(name, made.unit, (*made.begin(), step), made.about(name))


def series_of(model: Model) -> tuple[str, ...]:
    """The names of the series that training saw, in the order of their scales; none where all rows are one."""
    columns, scale = model.task_as(Detect).columns, model.step(SeriesScale)
    return tuple(name.removesuffix(f": {columns[0]}") for name in scale.ids[:: len(columns)])


class _Maker:
    """Makes the functions; see ``detect.h`` for what they share in the state."""

    def __init__(self, model: Model, tensors: Tensors, unit: Unit) -> None:
        self.model, self.tensors, self.unit, self.task = model, tensors, unit, model.task_as(Detect)
        self.ids, width = series_of(model), len(self.task.columns)
        preprocessor = DetectPreprocessor(self.task, model.preprocess, tensors)
        self.center, self.scale = (
            unit.doubles(f"scale.{part}", getattr(preprocessor, part)) for part in ("center", "scale")
        )
        unit.headers.add("detect.h")
        judged = len(tensors["task.mean"])
        self.sums = unit.keep("sums", 5 * judged + 3 * width)
        self.counts = unit.keep("counts", 2 + width)
        self.series = unit.keep("counts", 1) if self.ids else ""
        self.detect = self._constants(judged)

    def _constants(self, judged: int) -> str:
        """The pointer to what ``detect.h`` is told of the task."""
        task, unit, found = self.task, self.unit, self.tensors
        step: CovariateScale = self.model.step(CovariateScale)
        numbers = {name: found[f"task.{name}"] for name in ("mean", "spread", "rows", "low", "high")}
        numbers["spread"] = numbers["spread"] ** 2
        sizes = len(task.columns), judged, task.short, task.quiet, int(task.joint)
        chosen = task.memory, task.outside, found["task.threshold"][0]
        cells = [
            *map(str, sizes), *(repr(float(number)) for number in chosen),
            *(unit.doubles(f"task.{name}", values) for name, values in numbers.items()),
            unit.flags("masked", [int(name in step.masked) for name in task.columns]),
        ]  # fmt: skip
        unit.constants.append(f"static const grus_detect detect = {{{', '.join(cells)}}};")
        return "&detect"

    def begin(self) -> tuple[Function, ...]:
        """Functions that make a state new."""
        clear = "  memset(s, 0, sizeof *s);"
        ready = f"  grus_detect_begin({self.detect}, {self.sums}, {self.counts});"
        new, again = "Make a state ready; call it before anything else.", "Forget all rows."
        if not self.ids:
            return Function("init", new, body=f"{clear}\n{ready}"), Function(
                "reset", again, body=f"{clear}\n{ready}"
            )
        n = len(self.ids)
        listed_ids = ", ".join(f"{i} {plain(name)}" for i, name in enumerate(self.ids))
        note = (
            f"{listed_ids}; any other number: one that training did not see, scaled as all of them together"
        )
        choose = f"  *({self.series}) = series >= 0 && series < {n} ? series : {n};"
        keep = f"  const int32_t series = *({self.series});\n{clear}\n  *({self.series}) = series;\n{ready}"
        return (
            Function(
                "init", new, (Argument("int32_t", "series", 0, note),), body=f"{clear}\n{choose}\n{ready}"
            ),
            Function("reset", again, body=keep),
        )

    def step(self) -> Function:
        """The function that takes in one row."""
        model, task, body = self.model, self.task, Body(self.unit, carried=True)
        graph, names = model.parts["main"], model.step(Calendar).features
        port, width = graph.inputs[0], len(task.columns)
        x = body.value(port.size, 1)
        body.line(f"grus_detect_see({self.detect}, {x.at}, {self.sums}, {self.counts});")
        seen = width + len(model.step(CovariateScale).masked)
        if names:
            body.line(cycles(self.unit, names, f"{x.at} + {seen}", f"row + {width}"))
        weights = {k.removeprefix("main."): v for k, v in self.tensors.items() if k.startswith("main.")}
        mean = lower(body, graph, weights, {port.name: x}, {"src": 1})["mean"]
        of = f" + *({self.series}) * {width}" if self.ids else ""
        body.line(
            f"grus_detect_row({self.detect}, {self.sums}, {self.counts}, row, {mean.at}, {self.center}{of}, "
            f"{self.scale}{of}, score, alarm, severity, expected);"
        )
        row = Argument("float", "row", width + len(names), listed(list(task.columns), names))
        each = "of each column, in the order of the row; or NULL"
        outputs = (
            Argument("float", "score", 1, "from 0 to below 1; or NULL"),
            Argument("float", "alarm", 1, f"1 above the threshold if none of {task.quiet} rows before was; or NULL"),
            Argument("float", "severity", width, f"5 comes once in 100,000 rows; {each}"),
            Argument("float", "expected", width, f"what the rows before led to expect, in its own unit; {each}"),
        )  # fmt: skip
        doc = "Take in the next row, NaN where a value is missing."
        return Function("step", doc, (row,), outputs, body.text(), body.multiplies)

    def about(self, name: str) -> tuple[str, ...]:
        """The header's first paragraphs."""
        threshold = float(self.tensors["task.threshold"][0])
        return (
            "A detector written by Grus: C99, no allocation, no library but libm; floats are IEEE 754.",
            f"Use: declare one {name}_state a stream, {name}_init it once, {name}_step it with every row as it comes. "
            f"A score above {threshold:.4g} is an anomaly.",
        )
