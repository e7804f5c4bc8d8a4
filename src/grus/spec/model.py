"""A whole model as data: the task, the fitted preprocessing steps, and the graphs."""

from typing import Any, ClassVar, Literal

import msgspec

from grus.errors import SpecError
from grus.spec.graph import Graph, weight_shapes
from grus.spec.ops import Weights
from grus.spec.shapes import check_size

SCHEMA = 1


class Step(msgspec.Struct, frozen=True, tag_field="step", forbid_unknown_fields=True):
    """A fitted preprocessing step. What is small is in the struct; fitted numbers are float64 tensors."""

    #: the key of the step's tensors in the model file; each kind of step stands at most once in a model
    key: ClassVar[str] = ""

    def arrays(self) -> Weights:
        """Shapes of the step's fitted float64 tensors by name."""
        return {}


class Calendar(Step, frozen=True, tag="calendar"):
    """Calendar features computed from the time stamp; see `grus.preprocess.calendar`."""

    key: ClassVar[str] = "calendar"
    features: tuple[str, ...]


class Categories(Step, frozen=True, tag="categories"):
    """Known values of each categorical column, in code order; code 0 is missing or never seen."""

    key: ClassVar[str] = "categories"
    columns: dict[str, tuple[str, ...]]


class CovariateScale(Step, frozen=True, tag="covariate_scale"):
    """x -> (x - center) / scale for each numeric covariate, the same for all series.

    A gap is filled with the last value known; for the ``masked`` columns, those that had gaps in training, a 0/1
    feature tells the network which values are real.
    """

    key: ClassVar[str] = "covariate_scale"
    columns: tuple[str, ...]
    masked: tuple[str, ...] = ()

    def arrays(self) -> Weights:
        """Center and scale of each column."""
        return {"center": (len(self.columns),), "scale": (len(self.columns),)}


class SeriesScale(Step, frozen=True, tag="series_scale"):
    """y -> (y - center) / scale of each series' target, by its id.

    A series that training never saw is scaled by the statistics of its own history as given to predict.
    """

    key: ClassVar[str] = "series_scale"
    method: Literal["standard", "robust", "none"]
    ids: tuple[str, ...]

    def arrays(self) -> Weights:
        """Center and scale of each series."""
        return {"center": (len(self.ids),), "scale": (len(self.ids),)}


AnyStep = Calendar | Categories | CovariateScale | SeriesScale


class Forecast(msgspec.Struct, frozen=True, tag_field="task", tag="forecast", forbid_unknown_fields=True):
    """The forecasting task: what the columns mean, how far to look back and ahead, and how answers are formed.

    ``season`` is in steps. ``levels_known`` is how many conformal quantile levels (1%..99%) the file carries per
    step of the horizon; zero means that no intervals were calibrated.
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

    def arrays(self) -> Weights:
        """Fitted float64 tensors: conformal margins by level and step, size of the error by place in the season."""
        if not self.levels_known:
            return {}
        return {"conformal": (self.levels_known, self.horizon), "spread": (self.season,)}

    def check(self) -> None:
        """Raise SpecError unless the numbers make sense."""
        for what in ("horizon", "lookback", "season"):
            check_size(f"forecast: {what}", getattr(self, what))
        check_size("forecast: levels_known", self.levels_known, low=0, high=999)
        if list(self.quantiles) != sorted(set(self.quantiles)) or not all(0 < q < 1 for q in self.quantiles):
            raise SpecError(f"forecast: quantiles must increase within (0, 1), got {self.quantiles}")


AnyTask = Forecast


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about a model but its numbers; the numbers are tensors whose names and shapes `tensors` lists.

    Raises:
        SpecError: on construction, if any part does not hold together.
    """

    schema: Literal[1]
    task: AnyTask
    preprocess: tuple[AnyStep, ...]
    parts: dict[str, Graph]

    def __post_init__(self) -> None:
        self.task.check()
        keys = [step.key for step in self.preprocess]
        if len(keys) != len(set(keys)):
            raise SpecError(f"model: each preprocessing step may stand once, got {keys}")
        if set(self.parts) not in ({"main"}, {"encode", "decode"}):
            raise SpecError(f"model: parts must be main, or encode and decode, got {sorted(self.parts)}")

    def step(self, kind: type[Any]) -> Any:
        """The preprocessing step of that kind, or None."""
        return next((step for step in self.preprocess if isinstance(step, kind)), None)

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Dtype and shape of every tensor in the model file: float32 weights, float64 fitted arrays."""
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
        for part, graph in self.parts.items():
            shapes |= {f"{part}.{name}": ("float32", shape) for name, shape in weight_shapes(graph).items()}
        for step in self.preprocess:
            shapes |= {f"preprocess.{step.key}.{n}": ("float64", shape) for n, shape in step.arrays().items()}
        return shapes | {f"task.{name}": ("float64", shape) for name, shape in self.task.arrays().items()}
