"""A whole model as data: the task, the fitted preprocessing steps, and the graphs."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec

from grus.errors import SpecError, UsageError
from grus.spec.detect import Detect
from grus.spec.generate import Generate
from grus.spec.graph import Graph, Port, infer, weight_shapes
from grus.spec.ops import Weights
from grus.spec.shapes import Shape, check_size
from grus.spec.steps import (
    AnyStep,
    Codes,
    CovariateScale,
    Images,
    Irregular,
    LogMel,
    Subwords,
    Vocabulary,
    check_unique,
)
from grus.spec.transcribe import Transcribe
from grus.spec.translate import Translate

SCHEMA = 1

#: No forecast may look further back or ahead: rows are gathered that far, whatever the size of the network.
MAX_STEPS = 1 << 18


class Forecast(msgspec.Struct, frozen=True, tag_field="task", tag="forecast", forbid_unknown_fields=True):
    """The forecasting task: what the columns mean, how far to look back and ahead, and how answers are formed.

    ``season`` is in steps. ``levels_known`` is how many conformal quantile levels (1%..99%) the file carries per
    step of the horizon; zero means that no intervals were calibrated. ``targets`` are columns of a wide table that
    are stacked, one series each, under ``target``. ``recent`` is how many earlier forecasts say how wide intervals are.
    With ``uneven`` rows are steps, however far apart in time: the time column says their order and distances.
    """

    horizon: int
    lookback: int
    target: str
    id: str | None
    time: str | None
    past: tuple[str, ...]
    future: tuple[str, ...]
    static: tuple[str, ...]
    frequency: str
    season: int
    quantiles: tuple[float, ...] = ()
    levels_known: int = 0
    non_negative: bool = False
    alias: str = "GRU"
    targets: tuple[str, ...] = ()
    recent: int = 0
    uneven: bool = False

    def arrays(self) -> Weights:
        """Fitted float64 tensors: conformal margins by level and step, the size of the error at each place in the
        season, and the typical one of a forecast.
        """
        if not self.levels_known:
            return {}
        shapes: Weights = {"conformal": (self.levels_known, self.horizon), "spread": (self.season,)}
        return shapes | ({"recent": (1,)} if self.recent else {})

    def check(self) -> None:
        """Raise SpecError unless the numbers make sense."""
        for what in ("horizon", "lookback"):
            check_size(f"forecast: {what}", getattr(self, what), high=MAX_STEPS)
        check_size("forecast: season", self.season)
        check_size("forecast: levels_known", self.levels_known, low=0, high=999)
        check_size("forecast: recent", self.recent, low=0, high=999)
        if list(self.quantiles) != sorted(set(self.quantiles)) or not all(0 < q < 1 for q in self.quantiles):
            raise SpecError(f"forecast: quantiles must increase within (0, 1), got {self.quantiles}")


ClassifyKind = Literal["text", "series", "images", "events", "audio"]


class Classify(msgspec.Struct, frozen=True, tag_field="task", tag="classify", forbid_unknown_fields=True):
    """The classification task: what an example is made of, and which labels it may bear.

    The graph has one input on the clock ``src`` (``tokens`` for text, else ``x``) and the output ``logits``, a vec in
    the order of ``labels``: probability = softmax(logits / temperature), or with ``multi`` (any number of labels an
    example) sigmoid(logits / temperature).

    ``inputs`` are the columns: the text column, the channels of a series, the column of codes; none of images or audio.
    ``variable`` and ``value`` are the columns of tables in long form, a measurement a row, in which series may come.
    ``max_length`` is how many steps of an example are kept: the first ones of a text, the last ones of others.
    ``baseline_size`` is how many features the linear baseline has that travels with the model; 0: there is none.
    """

    kind: ClassifyKind
    labels: tuple[str, ...]
    inputs: tuple[str, ...]
    max_length: int
    multi: bool = False
    label: str | None = None
    id: str | None = None
    time: str | None = None
    baseline_size: int = 0
    variable: str | None = None
    value: str | None = None

    def arrays(self) -> Weights:
        """Fitted float64 tensors: temperature, share of each label in training, the linear baseline."""
        labels = len(self.labels)
        arrays: Weights = {"temperature": (1,), "prior": (labels,)}
        if self.baseline_size:
            arrays |= {"baseline_weight": (self.baseline_size, labels), "baseline_bias": (labels,)}
        return arrays

    def check(self) -> None:
        """Raise SpecError unless the numbers and names make sense."""
        check_unique("classify: labels", self.labels)
        check_unique("classify: inputs", self.inputs)
        if len(self.labels) < 2 - self.multi:
            raise SpecError(f"classify: labels must be at least {2 - self.multi}, got {len(self.labels)}")
        if self.kind not in _STEPS:
            raise SpecError(f"classify: kind must be one of {', '.join(_STEPS)}, got {self.kind!r}")
        wanted = {"text": 1, "events": 1, "images": 0, "audio": 0}.get(self.kind, max(len(self.inputs), 1))
        if len(self.inputs) != wanted:
            raise SpecError(f"classify: {self.kind} must have {wanted} input columns, got {len(self.inputs)}")
        if (self.variable is None) != (self.value is None):
            raise SpecError("classify: variable and value must both be columns, or neither")
        if self.variable is not None and (self.kind != "series" or self.id is None or self.time is None):
            raise SpecError("classify: a variable column is of series with an id and a time column")
        check_size("classify: max_length", self.max_length)
        check_size("classify: baseline_size", self.baseline_size, low=0)

    def port(self, steps: tuple[AnyStep, ...]) -> Port:
        """The graph's one input, as the fitted steps make it; raises SpecError where they are not this kind's."""
        found = [step for step in steps if isinstance(step, _STEPS[self.kind])]
        if len(steps) != 1 or len(found) != 1:
            names = " or ".join(kind.__name__ for kind in _STEPS[self.kind])
            raise SpecError(f"classify: {self.kind} needs one step, {names}, got {len(steps)} steps")
        step = found[0]
        if isinstance(step, Vocabulary | Subwords) and step.exact:
            raise SpecError("classify: texts must be cleaned, got a step that is exact")
        if isinstance(step, CovariateScale | Irregular) and step.columns != self.inputs:
            raise SpecError("classify: the columns that are scaled must be the inputs")
        if isinstance(step, Irregular) and (step.clock == "steps") != (
            self.time is None or not step.reads_times
        ):
            raise SpecError(
                "classify: a clock must be of dates or numbers where a time column is read, else of steps"
            )
        return step.port()

    def check_model(self, steps: tuple[AnyStep, ...], parts: dict[str, Graph]) -> None:
        """Raise SpecError unless the steps and the graph are this task's."""
        port = self.port(steps)
        if set(parts) != {"main"} or parts["main"].inputs != (port,):
            raise SpecError(f"classify: the graph must have one input, {port.name!r} of size {port.size}")
        shapes, outputs = infer(parts["main"]), parts["main"].outputs
        if set(outputs) != {"logits"} or shapes[outputs["logits"]] != Shape("vec", len(self.labels)):
            raise SpecError(f"classify: the graph must have one output, 'logits' of size {len(self.labels)}")


_STEPS: dict[
    str, tuple[type[Vocabulary | Subwords | CovariateScale | Irregular | Images | Codes | LogMel], ...]
] = {
    "text": (Vocabulary, Subwords),
    "series": (CovariateScale, Irregular),
    "images": (Images,),
    "events": (Codes,),
    "audio": (LogMel,),
}

AnyTask = Forecast | Classify | Detect | Generate | Translate | Transcribe
_Task = TypeVar("_Task", Forecast, Classify, Detect, Generate, Translate, Transcribe)

Array = TypeVar("Array")


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about a model but its numbers; the numbers are tensors whose names and shapes `tensors` lists.

    ``ties`` are nodes of one part, as ``"<part>.<node>"``, that use the weights of a node of another part.

    Raises:
        SpecError: on construction, if any part does not hold together.
    """

    schema: Literal[1]
    task: AnyTask
    preprocess: tuple[AnyStep, ...]
    parts: dict[str, Graph]
    ties: dict[str, str] = {}

    def __post_init__(self) -> None:
        self.task.check()
        places = [step.place for step in self.preprocess]
        if len(places) != len(set(places)):
            raise SpecError(f"model: each preprocessing step may stand once, got {places}")
        if set(self.parts) not in ({"main"}, {"encode", "decode"}):
            raise SpecError(f"model: parts must be main, or encode and decode, got {sorted(self.parts)}")
        self._check_ties()
        if isinstance(self.task, Classify | Generate | Translate | Transcribe):
            self.task.check_model(self.preprocess, self.parts)

    def task_as(self, kind: type[_Task]) -> _Task:
        """The task, which must be of that kind; raises UsageError for a model that does something else."""
        if not isinstance(self.task, kind):
            wanted, got = kind.__struct_config__.tag, self.task.__struct_config__.tag
            raise UsageError(f"model: its task must be {wanted}, got one for {got}")
        return self.task

    def step(self, kind: type[Any]) -> Any:
        """The preprocessing step of that kind, or None."""
        return next((step for step in self.preprocess if isinstance(step, kind)), None)

    def _check_ties(self) -> None:
        shapes = {
            f"{part}.{name}": shape
            for part in self.parts
            for name, shape in weight_shapes(self.parts[part]).items()
        }
        for node, owner in self.ties.items():
            own, other = (
                {
                    name.rpartition(".")[2]: shape
                    for name, shape in shapes.items()
                    if name.rpartition(".")[0] == where
                }
                for where in (node, owner)
            )
            if (
                not own
                or own != other
                or owner in self.ties
                or node.partition(".")[0] == owner.partition(".")[0]
            ):
                raise SpecError(
                    f"model: {node!r} cannot use the weights of {owner!r}: both must be nodes with weights of their "
                    "own and of equal shapes, in two parts"
                )

    def part_tensors(self, part: str, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """The tensors of one part by the names in its graph, out of those of the model file, tied ones included."""
        found: dict[str, Array] = {}
        for name in weight_shapes(self.parts[part]):
            node, _, weight = name.rpartition(".")
            found[name] = tensors[f"{self.ties.get(f'{part}.{node}', f'{part}.{node}')}.{weight}"]
        return found

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Dtype and shape of every tensor in the model file: float32 weights, float64 fitted arrays."""
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
        for part, graph in self.parts.items():
            names = {f"{part}.{name}": shape for name, shape in weight_shapes(graph).items()}
            own = {name: s for name, s in names.items() if name.rpartition(".")[0] not in self.ties}
            shapes |= {name: ("float32", shape) for name, shape in own.items()}
        for step in self.preprocess:
            shapes |= {f"preprocess.{step.key}.{n}": ("float64", shape) for n, shape in step.arrays().items()}
        return shapes | {f"task.{name}": ("float64", shape) for name, shape in self.task.arrays().items()}
