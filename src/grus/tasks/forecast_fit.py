"""From a table and the parameters of a forecaster to a training job, and from its weights to a calibrated model."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from grus.data.readers import read_columns
from grus.data.roles import infer_roles, plan_lines
from grus.data.splits import Split, split_panel
from grus.data.windows import window_index
from grus.decode import Evaluation, LiveForecaster
from grus.decode.forecaster import output_steps
from grus.decode.intervals import LEVELS, RECENT
from grus.errors import DataError
from grus.models import GraphModule
from grus.preprocess.columns import Columns, is_text
from grus.preprocess.features import Preprocessor
from grus.preprocess.forecast_steps import SERIES, fit_steps, layout
from grus.preprocess.frequency import Frequency
from grus.preprocess.oddities import value_range
from grus.preprocess.panel import Panel
from grus.preprocess.roles import Roles
from grus.preprocess.stacked import NAME, VALUE, check_targets, lay_out_table
from grus.preprocess.storage import chunks
from grus.spec import Forecast, Model
from grus.tasks.cells import name_of
from grus.tasks.forecast_job import (
    MIN_STEPS,
    VALIDATION_WINDOWS,
    ForecastJob,
    Windows,
    calibrate_forecaster,
    series_code,
)
from grus.tasks.forecast_networks import NetworkConfig, build_network, default_lookback, segment_length
from grus.tasks.forecast_parameters import ROWS, check_names, check_uneven
from grus.tasks.missing import missing_line
from grus.tasks.run_folder import digest

if TYPE_CHECKING:
    from grus.tasks.forecast import Forecaster

#: A grid of more steps than so many times the rows is none: rows are taken as they come.
SPARSE = 2


@dataclass(frozen=True)
class Learning:
    """A training job, with the windows that calibration needs after it."""

    job: ForecastJob
    training: Windows
    validation: Windows


@dataclass(frozen=True)
class Ready:
    """A panel, cut into parts, and a network that waits to be trained on it; ``plan`` says so in words."""

    panel: Panel
    split: Split
    plan: list[str]
    model: Model
    arrays: dict[str, np.ndarray]
    module: GraphModule
    learned: Learning

    @property
    def job(self) -> ForecastJob:
        """What is to be trained."""
        return self.learned.job

    @property
    def can_validate(self) -> bool:
        """Whether there are rows to validate on."""
        return len(self.learned.validation) > 0


def make_ready(parameters: "Forecaster", panel: Panel, names: list[str]) -> Ready:
    """All that comes before training: the split, the fitted preprocessing, the network; ``names`` are the columns."""
    p = parameters
    network = network_of(p, panel)
    panel, split, notes = split_panel(panel, network.lookback, p.horizon, p.val_size, p.test_size)
    plan = [*plan_lines(panel, split, names), *panel.notes, *notes]
    training_rows = panel.cut(0, split.train_end)
    calendar = None if p.calendar is None else tuple(p.calendar)
    steps, arrays = fit_steps(training_rows, scaling=p.scaling, calendar=calendar, irregular=p.irregular)
    non_negative = not value_range(training_rows.target)[0] < 0
    task = task_of(p, panel, network, non_negative)
    model = Model(1, task, steps, {"main": build_network(network, layout((task, steps)))})
    module = p._module(model.parts["main"])
    learned = learning(p, model, arrays, module, panel, split)
    if p.irregular is not None:
        numbers = [panel.target, *(v for v in panel.past.values() if not is_text(v))]
        missing = sum(
            int(np.isnan(values[piece]).sum()) for values in numbers for piece in chunks(len(values))
        )
        plan.append(missing_line(missing / (panel.n_rows * len(numbers)), p.irregular))
    plan += few_windows(len(learned.validation))
    return Ready(panel, split, plan, model, arrays, module, learned)


def few_windows(count: int) -> list[str]:
    """A line of the plan where there are fewer validation windows than a 95% interval takes; no line otherwise."""
    if not 0 < count < 19:
        return []
    windows, most = "1 window" if count == 1 else f"{count} windows", 100 * count // (count + 1)
    return [
        f"intervals are calibrated on {windows} for validation, too few for levels above {most}%: "
        "those are as wide as the largest error seen"
    ]


def read_panel(parameters: "Forecaster", data: Any) -> tuple[Panel, list[str]]:
    """The table on a regular grid, and the names of its columns."""
    columns, source = read_columns(data)
    targets = targets_of(parameters)
    roles = infer_roles(
        columns, id=parameters.id, time=parameters.time, target=targets[0] if targets else parameters.target,  # type: ignore[arg-type]
        past=(*targets[1:], *parameters.past), future=parameters.future, static=parameters.static, source=source,
    )  # fmt: skip
    if targets:
        roles = dataclasses.replace(roles, target=VALUE, past=tuple(parameters.past))
        check_targets(roles, targets)
    panel = _laid(parameters, columns, roles, source)
    check_names(panel, alias_of(parameters), parameters.calendar, bool(targets))
    return panel, [name for name in columns if name not in targets]


def _laid(parameters: "Forecaster", columns: Columns, roles: Roles, source: str) -> Panel:
    """The table on a grid; or with ``irregular``, where its rows lie on none that is named, or leave most of it free,
    as rows at uneven times.
    """
    p, targets = parameters, targets_of(parameters)
    may_be_uneven = p.irregular is not None and p.freq is None and roles.time is not None
    if p.freq != ROWS or roles.time is None:
        frequency = None if p.freq in (None, ROWS) else Frequency.from_string(p.freq)
        try:
            panel = lay_out_table(columns, roles, targets, frequency, source)
        except DataError:
            if not may_be_uneven:
                raise
        else:
            rows = len(next(iter(columns.values()))) * max(len(targets), 1)
            if not may_be_uneven or panel.n_rows <= SPARSE * rows:
                return panel
    panel = lay_out_table(columns, roles, targets, source=source, uneven=True)
    check_uneven(p.future, p.calendar)
    return panel


def targets_of(parameters: "Forecaster") -> tuple[str, ...]:
    """The columns to stack; none where there is one target."""
    target = parameters.target
    return () if target is None or isinstance(target, str) else tuple(target)


def alias_of(parameters: "Forecaster") -> str:
    """The name of the forecast's column; where none is given, that of the cell."""
    return parameters.alias or name_of(parameters.cell)


def network_of(parameters: "Forecaster", panel: Panel) -> NetworkConfig:
    """The sizes of the network, what was not named chosen for the panel."""
    p, season = parameters, panel.frequency.season
    segment = p.segment or (segment_length(p.horizon, season) if p.model == "segment" else 1)
    lookback = p.lookback
    if lookback is None:
        room = (int(panel.lengths.max()) - p.test_size) // 2 - p.horizon
        lookback = default_lookback(p.horizon, season, segment, room)
    return NetworkConfig(
        model=p.model,
        lookback=lookback,
        horizon=p.horizon,
        segment=segment,
        anchor=min(p.anchor or season, lookback),
        cell=p.cell,
        hidden_size=p.hidden_size,
        layers=p.layers,
        dropout=p.dropout,
        outputs=max(1, len(p.quantiles)),
        encoder=p.encoder,
        kernel_size=p.kernel_size,
    )


def task_of(parameters: "Forecaster", panel: Panel, network: NetworkConfig, non_negative: bool) -> Forecast:
    """The task's own description."""
    roles, targets = panel.roles, targets_of(parameters)
    return Forecast(
        horizon=parameters.horizon,
        lookback=network.lookback,
        target=roles.target,
        id=None if targets and roles.id == NAME else roles.id,
        time=roles.time,
        past=roles.past,
        future=roles.future,
        static=roles.static,
        frequency=str(panel.frequency),
        season=panel.frequency.season,
        quantiles=tuple(parameters.quantiles),
        non_negative=non_negative,
        alias=alias_of(parameters),
        targets=targets,
        uneven=panel.stamps is not None,
    )


def learning(
    parameters: "Forecaster",
    model: Model,
    arrays: dict[str, np.ndarray],
    module: GraphModule,
    panel: Panel,
    split: Split,
) -> Learning:
    """The job that trains ``module`` on the training rows of the panel, as ``parameters`` say.

    Args:
        model: the spec; arrays: the fitted numbers of its preprocessing steps.
    """
    task = model.task_as(Forecast)
    preprocessor = Preprocessor(task, model.preprocess, arrays)
    ranges = split.ranges()

    def windows(part: str) -> Windows:
        found = window_index(
            panel.offsets, *ranges[part], task.lookback, task.horizon, observed=panel.observed
        )
        return Windows(*found)

    training, validation = windows("train"), windows("val").thinned(VALIDATION_WINDOWS)
    job = ForecastJob(
        module,
        preprocessor,
        preprocessor.features(panel, split.train_end),
        training,
        validation,
        steps_out=output_steps(model),
        loss=parameters.loss,
        quantiles=task.quantiles,
        batch_size=parameters.batch_size,
        windows_per_epoch=parameters.windows_per_epoch,
        seed=parameters.seed,
        series_code=series_code(preprocessor.layout.static_tokens, SERIES),
        min_steps=MIN_STEPS,
    )
    return Learning(job, training.thinned(VALIDATION_WINDOWS), validation)


def with_weights(arrays: dict[str, np.ndarray], module: GraphModule) -> dict[str, np.ndarray]:
    """The tensors of a model file: fitted arrays and weights."""
    return arrays | {f"main.{name}": values for name, values in module.tensors().items()}


def weights_of(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The network's part of them, by the names of its graph."""
    return {k.removeprefix("main."): values for k, values in tensors.items() if k.startswith("main.")}


def calibrated(
    model: Model, tensors: dict[str, np.ndarray], panel: Panel, learned: Learning
) -> tuple[Model, dict[str, np.ndarray]]:
    """The model with intervals calibrated on the validation windows; as it was without any."""
    if not len(learned.validation):
        return model, tensors
    task = msgspec.structs.replace(model.task_as(Forecast), recent=RECENT)
    live = LiveForecaster(Model(1, task, model.preprocess, model.parts), tensors)
    tensors = tensors | calibrate_forecaster(live, panel, learned.training, learned.validation)
    task = msgspec.structs.replace(task, levels_known=len(LEVELS))
    return Model(1, task, model.preprocess, model.parts), tensors


def evaluate_part(live: LiveForecaster, panel: Panel, sizes: np.ndarray) -> Evaluation | None:
    """Scores on the last rows of each series; None if they are fewer than the horizon."""
    last = int(sizes.max(initial=0))
    return None if last < live.task.horizon else live.evaluate(panel, last=last)


def cross_columns(
    live: LiveForecaster, panel: Panel, step: int, n_windows: int, levels: Sequence[float]
) -> Columns:
    """Forecasts of the last windows of every series, ``step`` rows apart, as columns beside the truth."""
    horizon, target = live.task.horizon, panel.roles.target
    origins = (panel.offsets[1:] - horizon)[:, None] - step * np.arange(n_windows)[::-1]
    series = np.repeat(np.arange(panel.n_series), n_windows)
    forecasts = live.forecast(panel, series, origins.ravel(), levels)
    columns = live.columns(panel, forecasts, cutoff=True)
    rows = forecasts.origins[:, None] + np.arange(horizon)
    names = list(columns)
    first = names.index("cutoff") + 1
    columns[target] = panel.target[rows].ravel()
    return {k: columns[k] for k in (*names[:first], target, *names[first:])}


def panel_digest(panel: Panel) -> str:
    """What a run's data is told apart by."""
    covariates = (*panel.past.values(), *panel.future.values(), *panel.static.values())
    names = (panel.ids, str(panel.frequency), panel.starts.tolist())
    times = () if panel.stamps is None else (panel.stamps.astype(np.int64),)
    return digest(names, panel.offsets, panel.target, *covariates, *times)
