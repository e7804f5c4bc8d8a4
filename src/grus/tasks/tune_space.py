"""What is searched when an estimator is tuned: by default, by name, or as the user says."""

from collections.abc import Mapping, Sequence
from typing import Any

from grus.errors import UsageError
from grus.tasks import rules as r
from grus.tasks.estimator import TrainedEstimator
from grus.training.config import RULES as TRAINING_RULES
from grus.training.config import Rule
from grus.training.search import Choice, Range, Space, Value

#: None, names, or by name (low, high) for any number between, or a list of values.
SpaceLike = Sequence[str] | Mapping[str, Sequence[Value]] | None

#: ``auto`` is no value to search.
_RATE = Rule(lambda v: v != "auto" and TRAINING_RULES["learning_rate"].holds(v), "a finite number above 0")
_ANY = Range(1e-4, 1e-2, log=True)
#: By the data; see `grus.tasks.forecast_tune`.
_LOOKBACKS = Choice(())
FORECAST: Space = {
    "learning_rate": _ANY,
    "batch_size": Choice((16, 32, 64, 128, 256)),
    "hidden_size": Choice((32, 64, 128, 256)),
    "layers": Choice((1, 2)),
    "dropout": Range(0.0, 0.4),
    "lookback": _LOOKBACKS,
}
CLASSIFY: Space = {
    "learning_rate": _ANY,
    "batch_size": Choice((8, 16, 32, 64, 128)),
    "hidden_size": Choice((32, 64, 128, 256)),
    "layers": Choice((1, 2)),
    "dropout": Range(0.0, 0.6),
    "pool": Choice(("mean", "max", "attention", "last")),
}


def check_trials(trials: Any) -> int:
    """The number of trials; raises UsageError unless it is at least 1."""
    if not r.POSITIVE.holds(trials):
        raise UsageError(f"trials must be {r.POSITIVE.text}, got {trials!r}")
    return int(trials)


def choose_space(
    estimator: TrainedEstimator, given: SpaceLike, default: Space, rules: Mapping[str, Rule]
) -> Space:
    """What to search.

    Args:
        estimator: its own settings belong to the space where that is not given in values.
        given: names of ``default``, or a dict by such names; None: all of them, but for a rate that is ``auto``.
        default: of the task.
        rules: what each parameter must be.

    Raises:
        UsageError: a name or a value that cannot be searched.
    """
    is_decay = getattr(estimator, "irregular", None) == "decay"
    if given is None:
        given = [name for name in default if getattr(estimator, name) != "auto"]
    if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
        raise UsageError(f"space must be None, a list of names or a dict, got {given!r}")
    if not given:
        raise UsageError(f"space must name at least one parameter, got {given!r}")
    if is_decay and "layers" in given:
        if isinstance(given, Mapping) or len(given) == 1:
            raise UsageError(
                "space: layers must not be searched with irregular='decay', a GRU-D of one layer"
            )
        given = [name for name in given if name != "layers"]
    for name in given:
        if name not in default:
            raise UsageError(f"space: no parameter {name!r} to search; there are {', '.join(default)}")
    if not isinstance(given, Mapping):
        return {name: _with(default[name], getattr(estimator, name)) for name in default if name in given}
    every = {**rules, "learning_rate": _RATE}
    return {name: _values(name, given[name], default[name], every[name]) for name in default if name in given}


def _with(values: Range | Choice, own: Any) -> Range | Choice:
    """The values, and the estimator's own among them."""
    if isinstance(values, Range):
        both = [values.low, values.high, *([float(own)] if own != "auto" else [])]
        return Range(min(both), max(both), values.log)
    return values if own in values or not values.values else Choice(tuple(sorted({*values.values, own})))


def _values(name: str, given: Any, default: Range | Choice, rule: Rule) -> Range | Choice:
    """What the user says to search of one parameter."""
    values = r.plain(given)
    if isinstance(default, Range):
        if not (
            r.is_list(values) and len(values) == 2 and all(map(rule.holds, values)) and values[0] < values[1]
        ):
            raise UsageError(f"space: {name} must be (low, high), each {rule.text}, got {given!r}")
        return Range(float(values[0]), float(values[1]), default.log)
    if not (r.is_list(values) and len(values) and all(v is not None and rule.holds(v) for v in values)):
        raise UsageError(f"space: {name} must be a list of values, each {rule.text}, got {given!r}")
    return Choice(tuple(sorted(set(values))))
