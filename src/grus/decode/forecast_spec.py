"""Whether the parts of a forecasting model's spec belong together: a folder is hostile input."""

from grus.decode.intervals import LEVELS
from grus.errors import SpecError
from grus.preprocess.forecast_steps import layout
from grus.spec import Calendar, Categories, CovariateScale, Forecast, Irregular, Model, SeriesScale, infer

_STEPS = (Calendar, Categories, CovariateScale, SeriesScale)


def check_forecast(model: Model) -> None:
    """Raise SpecError unless the steps, the columns and the graph are those of the model's forecasting task."""
    task = model.task_as(Forecast)
    _check_steps(model)
    if task.levels_known not in (0, len(LEVELS)):
        raise SpecError(f"forecast: levels_known must be 0 or {len(LEVELS)}, got {task.levels_known}")
    if set(model.parts) != {"main"}:
        raise SpecError(f"forecast: the one graph must be main, got {sorted(model.parts)}")
    graph = model.parts["main"]
    wanted, found = (
        {port.name: port for port in layout(model).ports()},
        {port.name: port for port in graph.inputs},
    )
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise SpecError(
                f"forecast: input {name!r} of the graph must be {wanted.get(name)}, got {found.get(name)}"
            )
    if set(graph.outputs) != {"forecast"}:
        raise SpecError(f"forecast: the graph must have one output, 'forecast', got {sorted(graph.outputs)}")
    shape, size = infer(graph)[graph.outputs["forecast"]], max(1, len(task.quantiles))
    if (shape.kind, shape.size, shape.clock) != ("seq", size, "tgt"):
        raise SpecError(f"forecast: the output must be seq[{size}] on clock 'tgt', got {shape}")


def _check_steps(model: Model) -> None:
    task = model.task_as(Forecast)
    if {type(step) for step in model.preprocess} - {Irregular} != set(_STEPS):
        names = ", ".join(kind.__name__ for kind in _STEPS)
        raise SpecError(f"forecast: the steps must be {names}, got {[step.key for step in model.preprocess]}")
    scale = model.step(CovariateScale)
    columns = sorted((*task.past, *task.future, *task.static))
    fitted = sorted((*scale.columns, *model.step(Categories).columns))
    if columns != fitted or len(set(columns)) != len(columns):
        raise SpecError(f"forecast: each of the columns {columns} must be scaled or coded once, got {fitted}")
    if not set(scale.masked) <= set(scale.columns):
        raise SpecError("covariate scale: masked columns must be among those that are scaled")
    irregular: Irregular | None = model.step(Irregular)
    if irregular is not None:
        _check_irregular(task, irregular, tuple(name for name in task.past if name in scale.columns))
    elif task.uneven:
        raise SpecError("forecast: rows at uneven times need an irregular step")


def _check_irregular(task: Forecast, step: Irregular, past: tuple[str, ...]) -> None:
    """Raise SpecError unless the step reads the target and the past covariates, by the clock that the task has."""
    if step.columns != (task.target, *past):
        raise SpecError(f"forecast: the irregular columns must be {(task.target, *past)}, got {step.columns}")
    if (step.clock == "steps") == (task.uneven and step.reads_times):
        raise SpecError(
            "forecast: the irregular clock must be of dates or numbers where rows are uneven and times are read, else "
            f"of steps, got {step.clock!r}"
        )
    if task.uneven and (task.time is None or task.future):
        raise SpecError("forecast: rows at uneven times need a time column, and have no future columns")
