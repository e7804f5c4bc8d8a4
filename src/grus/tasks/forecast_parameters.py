"""What each parameter of `grus.Forecaster` must be: one table, checked before anything is read or trained.

Those of the training run itself are checked by `grus.training.TrainingConfig`, in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np

from grus.errors import UsageError
from grus.inspection.page import recurrent_of
from grus.preprocess.calendar import HARMONICS
from grus.preprocess.panel import Panel
from grus.preprocess.scaling import METHODS
from grus.preprocess.stacked import NAME
from grus.preprocess.uneven import STEP
from grus.spec import Calendar, Forecast, Irregular, Model, SeriesScale, ops
from grus.tasks import rules as r
from grus.tasks.cells import CELLS, cell_of
from grus.tasks.encoders import ENCODERS, encoder_of
from grus.training.config import Rule

#: What ``freq`` is where rows are steps, however far apart in time.
ROWS = "rows"
_MODELS = ("segment", "direct")
_LOSSES = ("mae", "mse", "huber")
_MAX_LAYERS = 64  # as in `grus.spec.ops.GRU`


def _whole(low: int, high: float = float("inf")) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, Integral) and not isinstance(v, bool) and low <= int(v) <= high


def _choice(values: Sequence[str]) -> Rule:
    words = [repr(value) for value in values]
    return Rule(lambda v: isinstance(v, str) and v in values, f"{', '.join(words[:-1])} or {words[-1]}")


def _or_none(rule: Rule) -> Rule:
    return Rule(lambda v: v is None or rule.holds(v), f"{rule.text}, or None")


def _share(value: Any) -> bool:
    return isinstance(value, Real) and 0 <= float(value) < 1


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)


def _increasing(value: Any) -> bool:
    return (
        _is_list(value)
        and all(_share(q) and q != 0 for q in value)
        and all(a < b for a, b in pairwise(value))
    )


_POSITIVE = Rule(_whole(1), "a whole number of at least 1")
_COUNT = Rule(_whole(0), "a whole number of at least 0")
_NAME = Rule(lambda v: isinstance(v, str) and v != "", "a name")
_COLUMN = _or_none(Rule(_NAME.holds, "a column name"))
_COLUMNS = Rule(lambda v: _is_list(v) and all(map(_NAME.holds, v)), "a list of column names")

RULES: dict[str, Rule] = {
    "horizon": _POSITIVE,
    "id": _COLUMN,
    "time": _COLUMN,
    "target": _or_none(
        Rule(
            lambda v: _NAME.holds(v) or (_COLUMNS.holds(v) and len(v) > 0),
            "a column name, a list of column names",
        )
    ),
    "past": _COLUMNS,
    "future": _COLUMNS,
    "static": _COLUMNS,
    "freq": _or_none(Rule(_NAME.holds, "a frequency such as 'h' or '15min'")),
    "lookback": _or_none(_POSITIVE),
    "model": _choice(_MODELS),
    "cell": _choice(CELLS),
    "hidden_size": _POSITIVE,
    "layers": Rule(_whole(1, _MAX_LAYERS), f"a whole number from 1 to {_MAX_LAYERS}"),
    "dropout": Rule(_share, "a number of at least 0 and below 1"),
    "encoder": _choice(ENCODERS),
    "kernel_size": _POSITIVE,
    "irregular": r.IRREGULAR,
    "segment": _or_none(_POSITIVE),
    "anchor": _or_none(_POSITIVE),
    "calendar": _or_none(
        Rule(
            lambda v: _is_list(v) and all(isinstance(name, str) and name in HARMONICS for name in v),
            f"a list of {', '.join(HARMONICS)}",
        )
    ),
    "loss": _choice(_LOSSES),
    "quantiles": Rule(_increasing, "a list of increasing numbers between 0 and 1"),
    "scaling": _choice(METHODS),
    "val_size": _or_none(_COUNT),
    "test_size": _COUNT,
    "batch_size": _POSITIVE,
    "windows_per_epoch": _POSITIVE,
    "alias": _or_none(_NAME),
}
WINDOW_RULES: dict[str, Rule] = {"n_windows": _POSITIVE, "step_size": _or_none(_POSITIVE)}


def check_parameters(parameters: Mapping[str, Any], rules: Mapping[str, Rule] = RULES) -> dict[str, Any]:
    """The parameters in plain Python types (NumPy's numbers and arrays are welcome too).

    Raises:
        UsageError: one cannot be used: which, what it must be, and what it is.
    """
    for name, rule in rules.items():
        if not rule.holds(parameters[name]):
            raise UsageError(f"{name} must be {rule.text}, got {parameters[name]!r}")
    if parameters.get("model") == "direct" and parameters["segment"] is not None:
        raise UsageError(f"segment must be None for model='direct', got {parameters['segment']!r}")
    if "irregular" in parameters:
        _check_irregular(parameters)
    return {name: _plain(value) for name, value in parameters.items()}


def _check_irregular(given: Mapping[str, Any]) -> None:
    """Raise UsageError for what does not go with missing values, or with rows at uneven times."""
    r.check_decay(given)
    if given["freq"] == ROWS and given["irregular"] is None:
        raise UsageError("freq must not be 'rows' without irregular, which says what is made of uneven times")


def check_uneven(future: Sequence[str], calendar: Sequence[str] | None) -> None:
    """Raise UsageError for what cannot be known of rows that come at uneven times."""
    if len(future):
        raise UsageError(
            "future must be empty where rows come at uneven times, because no one knows when the next ones come, "
            f"got {_plain(future)!r}"
        )
    if calendar is not None and len(calendar):
        raise UsageError(
            "calendar must be None or empty where rows come at uneven times, because no one knows when the next ones "
            f"come, got {_plain(calendar)!r}"
        )


def check_names(panel: Panel, alias: str, calendar: Sequence[str] | None, stacked: bool) -> None:
    """Raise UsageError if an output column would have the name of another, or there is no calendar to look at."""
    roles = panel.roles
    time = "ds" if roles.time is None or "+" in roles.time else roles.time
    names = (
        roles.id, time, roles.target, "cutoff", NAME if stacked else None, STEP if panel.stamps is not None else None,
    )  # fmt: skip
    taken = list(dict.fromkeys(name for name in names if name is not None))
    if alias in taken:
        raise UsageError(f"alias must not be one of {', '.join(map(repr, taken))}, got {alias!r}")
    if calendar and panel.frequency.is_integer:
        raise UsageError(f"calendar must be None or empty where time is whole numbers, got {calendar!r}")


def parameters_of(model: Model) -> dict[str, Any]:
    """The constructor arguments of `grus.Forecaster` that a model's description settles."""
    task = model.task_as(Forecast)
    found = {type(node.op): node.op for node in reversed(model.parts["main"].nodes)}
    layers = recurrent_of(model)
    segment: ops.Segment | None = found.get(ops.Segment)  # type: ignore[assignment]
    level: ops.Last = found[ops.Last]  # type: ignore[assignment]
    irregular: Irregular | None = model.step(Irregular)
    dropout: ops.Dropout = found[ops.Dropout]  # type: ignore[assignment]
    names = ("horizon", "lookback", "id", "time", "past", "future", "static", "quantiles", "alias")
    return {name: getattr(task, name) for name in names} | {
        "target": task.targets or task.target,
        "freq": ROWS if task.uneven else task.frequency,
        "irregular": None if irregular is None else irregular.form,
        "model": "direct" if segment is None else "segment",
        "segment": None if segment is None else segment.length,
        "cell": cell_of(layers),
        **encoder_of(model.parts["main"]),
        "hidden_size": layers.hidden,
        "layers": layers.layers,
        "dropout": dropout.rate,
        "anchor": level.steps,
        "calendar": model.step(Calendar).features,
        "scaling": model.step(SeriesScale).method,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(_plain, value)) if _is_list(value) else value
