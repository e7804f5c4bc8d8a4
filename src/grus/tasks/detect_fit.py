"""From a table and the parameters of a detector to a training job, and from its weights to calibrated scores."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.data.detect_roles import infer_detect_roles, plan_detect
from grus.data.readers import read_columns
from grus.decode import LiveDetector
from grus.decode.likelihood import damped, to_score
from grus.decode.streaming.detector import WARM_UP
from grus.errors import DataError
from grus.models import GraphModule
from grus.preprocess.columns import Columns, Source
from grus.preprocess.detect import DetectPreprocessor, fit_detect_steps
from grus.preprocess.records import DetectRoles, Records, build_records
from grus.spec import Detect, Model
from grus.tasks.detect_job import DetectJob, make_table
from grus.tasks.detect_networks import NetworkConfig, build_network, start_linear
from grus.tasks.missing import missing_line
from grus.tasks.run_folder import digest

if TYPE_CHECKING:
    from grus.tasks.detect import AnomalyDetector

Arrays = dict[str, np.ndarray]

#: Rows after which an alarm may follow another, where it is not said: a fifth of the training rows, at most so many.
QUIET, _QUIET_SHARE = 150, 5
#: The tail of the scores is taken for exponential above this share of them, of which there are so many at least.
_TAIL, _LEAST = 0.02, 10


@dataclass(frozen=True)
class Ready:
    """Rows, and a network that waits to be trained on them; ``plan`` says so in words."""

    records: Records
    plan: list[str]
    model: Model
    arrays: Arrays
    module: GraphModule
    job: DetectJob


def read_table(data: Any) -> tuple[Columns, Source]:
    """A table's columns; those of an array [T, C] or [T] are ``x0``, ``x1``, ..."""
    if hasattr(data, "__array__") and not hasattr(data, "columns") and not hasattr(data, "column_names"):
        values = np.asarray(data)
        if values.ndim in (1, 2):
            values = values.reshape(len(values), -1)
            data = {f"x{i}": values[:, i] for i in range(values.shape[1])}
    return read_columns(data)


def make_ready(parameters: "AnomalyDetector", data: Any) -> Ready:
    """All that comes before training: roles, the fitted preprocessing, the network."""
    p = parameters
    columns, source = read_table(data)
    roles = infer_detect_roles(columns, id=p.id, time=p.time, label=p.label, watched=p.columns, source=source)
    records = build_records(columns, roles, source, labelled=roles.label is not None)
    end = train_end(records, p.val_size)
    plan = [*plan_detect(records, roles, end, columns), *source.notes]
    calendar = None if p.calendar is None else tuple(p.calendar)
    head = _head(records, end)
    steps, arrays = fit_detect_steps(
        head, roles.columns, scaling=p.scaling, calendar=calendar, grouped=roles.id is not None,
        irregular=p.irregular, timed=roles.time is not None,
    )  # fmt: skip
    if p.irregular is not None:
        plan.append(missing_line(float(np.isnan(head.values).mean()), p.irregular))
    task = task_of(p, roles, records)
    preprocessor = DetectPreprocessor(task, steps, arrays)
    config = NetworkConfig(
        len(roles.columns), p.cell, p.hidden_size, p.layers, p.dropout, p.irregular == "decay"
    )
    model = Model(1, task, steps, {"main": build_network(config, preprocessor.port())})
    module = p._module(model.parts["main"])
    start_linear(module)
    return Ready(records, plan, model, arrays, module, job_of(p, module, records, preprocessor, end))


def train_end(records: Records, val_size: float) -> np.ndarray:
    """In each series the row after the last one that is trained on; one of a single row trains."""
    return np.maximum(records.lengths - (records.lengths * val_size).astype(np.int64), 1)


def job_of(
    parameters: "AnomalyDetector",
    module: GraphModule,
    records: Records,
    preprocessor: DetectPreprocessor,
    end: np.ndarray,
) -> DetectJob:
    """The job that trains ``module`` on the first rows of every series, up to ``end``."""
    return DetectJob(
        module,
        make_table(records, preprocessor),
        end,
        window=parameters.window,
        batch_size=parameters.batch_size,
        windows_per_epoch=parameters.windows_per_epoch,
        seed=parameters.seed,
    )


def task_of(parameters: "AnomalyDetector", roles: DetectRoles, records: Records) -> Detect:
    """The task's own description."""
    p, quiet = parameters, parameters.quiet
    if quiet is None:
        quiet = min(int(records.lengths.max()) // _QUIET_SHARE, QUIET)
    return Detect(
        roles.columns, roles.id, roles.time, roles.label, p.short, p.memory, float(p.outside), int(quiet),
        bool(p.level), bool(p.joint),
    )  # fmt: skip


def _head(records: Records, end: np.ndarray) -> Records:
    """The first rows of every series, without the values of those that are known to be anomalous."""
    place = np.arange(len(records)) - np.repeat(records.offsets[:-1], records.lengths)
    kept = place < np.repeat(end, records.lengths)
    own = normal_rows(records)
    offsets = np.concatenate(([0], np.cumsum(end)))
    return dataclasses.replace(
        own, offsets=offsets, order=own.order[kept], values=own.values[kept], stamps=own.stamps[kept]
    )


def normal_rows(records: Records) -> Records:
    """The same rows without labels, and without the values of those that are known to be anomalous.

    Raises:
        DataError: nothing is left.
    """
    if records.anomalous is None:
        return records
    if records.anomalous.all():
        raise DataError("rows: expected some that are not anomalous to learn from, got only anomalous ones")
    values = np.where(records.anomalous[:, None], np.nan, records.values)
    return dataclasses.replace(records, values=values, anomalous=None)


def calibrated(
    parameters: "AnomalyDetector", model: Model, arrays: Arrays, module: GraphModule, records: Records
) -> Arrays:
    """All tensors of the model file, the scores set by some rows.

    The long means of the likelihood begin as they are over these rows, and the threshold is where the wanted share of
    them lies above it; rows that are known to be anomalous play no part.
    """
    normal = normal_rows(records)
    tensors = arrays | {f"main.{name}": values for name, values in module.tensors().items()}
    tensors |= {f"task.{name}": values for name, values in _begin(model, tensors, normal).items()}
    severity = LiveDetector(model, tensors).score(normal).severity.max(1)
    known = ~np.isnan(normal.values).all(1)
    threshold = threshold_of(severity[known], parameters.false_alarm_rate, parameters.contamination)
    return tensors | {"task.threshold": np.array([threshold])}


def _begin(model: Model, tensors: Arrays, records: Records) -> Arrays:
    """Mean and spread of the short mean of the errors over some rows, and the range of their values."""
    task = model.task_as(Detect)
    blank = {name: np.zeros(shape) for name, shape in task.arrays().items()}
    live = LiveDetector(model, tensors | {f"task.{name}": values for name, values in blank.items()})
    scaled, expected = live.errors(records)
    errors = damped(scaled - expected)
    for i in range(records.n_series):
        errors[records.rows(i)][:WARM_UP] = np.nan
    errors = live.likelihood.judged(errors, scaled)
    levels = np.empty_like(errors)
    for i in range(records.n_series):
        level = np.zeros(errors.shape[1])
        for row in range(*records.rows(i).indices(len(records))):
            error = errors[row]
            level = np.where(error == error, level + (error - level) / task.short, level)
            levels[row] = np.where(error == error, level, np.nan)
    count = (~np.isnan(levels)).sum(0)
    mean = np.nansum(levels, 0) / np.maximum(count, 1)
    return {
        "mean": mean,
        "spread": np.sqrt(np.nansum((levels - mean) ** 2, 0) / np.maximum(count, 1)),
        "rows": np.minimum(count, task.memory or count).astype(np.float64),
        "low": np.nanmin(scaled, 0),
        "high": np.nanmax(scaled, 0),
        "threshold": np.zeros(1),
    }


def threshold_of(severity: np.ndarray, rate: float, contamination: float | None = None) -> float:
    """The score above which so large a share of normal rows lies.

    With ``contamination`` c, the quantile 1 - c of the scores of training. Else the severity that rows exceed at the
    rate: where they are many enough their quantile, beyond it by an exponential tail, P(s > u + x) = P(s > u)
    exp(-x / mean excess), and never less than -log10(rate), which is right for errors that are normal.
    """
    if contamination is not None:
        return float(to_score(np.asarray(np.quantile(severity, 1.0 - contamination))))
    n = len(severity)
    tail = max(_LEAST / n, min(_TAIL, 0.5), 0.0)
    if rate >= tail or tail >= 0.5:
        found = float(np.quantile(severity, 1.0 - rate))
    else:
        begin = float(np.quantile(severity, 1.0 - tail))
        above = severity[severity > begin] - begin
        found = begin + (float(above.mean()) if len(above) else 0.0) * np.log(tail / rate)
    return float(to_score(np.asarray(max(found, -np.log10(rate)))))


def records_digest(records: Records) -> str:
    """What a run's data is told apart by."""
    return digest(records.names, records.offsets, records.values, records.stamps, records.anomalous)
