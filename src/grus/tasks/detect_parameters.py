"""What each parameter of `grus.AnomalyDetector` must be."""

from collections.abc import Mapping
from typing import Any

from grus.errors import UsageError
from grus.inspection.page import recurrent_of
from grus.preprocess.calendar import HARMONICS
from grus.preprocess.scaling import METHODS
from grus.spec import Calendar, Detect, Irregular, Model, SeriesScale
from grus.tasks import rules as r
from grus.tasks.cells import CELLS, cell_of
from grus.training.config import Rule

_RATE = Rule(lambda v: r.number(0, 0.5)(v) and float(v) > 0, "a number above 0 and below 0.5")

RULES: dict[str, Rule] = {
    "id": r.COLUMN,
    "time": r.COLUMN,
    "columns": r.COLUMNS,
    "label": r.COLUMN,
    "cell": r.choice(CELLS),
    "hidden_size": r.POSITIVE,
    "layers": r.LAYERS,
    "dropout": r.SHARE,
    "irregular": r.IRREGULAR,
    "calendar": r.or_none(
        Rule(
            lambda v: r.is_list(v) and all(isinstance(name, str) and name in HARMONICS for name in v),
            f"a list of {', '.join(HARMONICS)}",
        )
    ),
    "scaling": r.choice(METHODS),
    "short": r.POSITIVE,
    "memory": r.COUNT,
    "outside": Rule(r.number(0), "a number of at least 0"),
    "quiet": r.or_none(Rule(r.whole(0, 1 << 16), "a whole number from 0 to 65,536")),
    "level": r.FLAG,
    "joint": r.FLAG,
    "false_alarm_rate": _RATE,
    "contamination": r.or_none(_RATE),
    "window": r.POSITIVE,
    "val_size": r.SHARE,
    "batch_size": r.POSITIVE,
    "windows_per_epoch": r.POSITIVE,
}


def check_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in plain Python types.

    Raises:
        UsageError: one cannot be used, or a column is given two roles.
    """
    found = r.check(parameters, RULES)
    r.check_decay(found)
    named = [n for n in (found["id"], found["time"], found["label"], *found["columns"]) if n is not None]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"column {twice!r}: expected one role, got {named.count(twice)}")
    return found


def parameters_of(model: Model) -> dict[str, Any]:
    """The constructor's arguments that a model folder settles."""
    task, layers = model.task_as(Detect), recurrent_of(model)
    irregular: Irregular | None = model.step(Irregular)
    return {
        "id": task.id,
        "time": task.time,
        "columns": task.columns,
        "label": task.label,
        "cell": cell_of(layers),
        "hidden_size": layers.hidden,
        "layers": layers.layers,
        "irregular": None if irregular is None else irregular.form,
        "calendar": model.step(Calendar).features,
        "scaling": model.step(SeriesScale).method,
        "short": task.short,
        "memory": task.memory,
        "outside": task.outside,
        "quiet": task.quiet,
        "level": task.level,
        "joint": task.joint,
    }
