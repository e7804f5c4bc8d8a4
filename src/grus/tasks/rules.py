"""Rules for the parameters of all estimators: what each must be, in one table a task, checked before any work.

The parameters of the training run itself are checked by `grus.training.TrainingConfig`, in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from grus.errors import UsageError
from grus.spec.steps import IRREGULAR_FORMS
from grus.training.config import Rule


def whole(low: int, high: float = float("inf")) -> Callable[[Any], bool]:
    """A test for whole numbers from ``low`` to ``high``."""
    return lambda v: isinstance(v, Integral) and not isinstance(v, bool) and low <= int(v) <= high


def number(low: float, below: float = float("inf")) -> Callable[[Any], bool]:
    """A test for numbers of at least ``low`` and below ``below``."""
    return lambda v: isinstance(v, Real) and not isinstance(v, bool) and low <= float(v) < below


def is_list(value: Any) -> bool:
    """Whether a value is a sequence other than text."""
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes)


def choice(values: Sequence[str]) -> Rule:
    """One of some words."""
    words = [repr(value) for value in values]
    return Rule(lambda v: isinstance(v, str) and v in values, f"{', '.join(words[:-1])} or {words[-1]}")


def or_none(rule: Rule) -> Rule:
    """What the rule allows, or None."""
    return Rule(lambda v: v is None or rule.holds(v), f"{rule.text}, or None")


POSITIVE = Rule(whole(1), "a whole number of at least 1")
COUNT = Rule(whole(0), "a whole number of at least 0")
SHARE = Rule(number(0, 1), "a number of at least 0 and below 1")
NAME = Rule(lambda v: isinstance(v, str) and v != "", "a name")
COLUMN = or_none(Rule(NAME.holds, "a column name"))
COLUMNS = Rule(lambda v: is_list(v) and all(map(NAME.holds, v)), "a list of column names")
LAYERS = Rule(whole(1, 64), "a whole number from 1 to 64")  # as in `grus.spec.ops.GRU`
RATE = Rule(whole(100, 768_000), "a whole number of Hz from 100 to 768,000")
MILLISECONDS = Rule(lambda v: number(0, 10_000)(v) and v > 0, "milliseconds above 0 and below 10,000")
BANDS = Rule(whole(1, 1024), "a whole number from 1 to 1,024")
DECIBELS = Rule(lambda v: number(0, 60)(v), "decibels from 0 to below 60")
PART = Rule(lambda v: number(0)(v) and v <= 1, "a share from 0 to 1")
IRREGULAR = or_none(choice(IRREGULAR_FORMS))
FLAG = Rule(lambda v: isinstance(v, bool | np.bool_), "True or False")


def check(parameters: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The parameters in plain Python types (NumPy's numbers and arrays are welcome too).

    Raises:
        UsageError: one cannot be used: which, what it must be, and what it is.
    """
    for name, rule in rules.items():
        if not rule.holds(parameters[name]):
            raise UsageError(f"{name} must be {rule.text}, got {parameters[name]!r}")
    return {name: plain(value) for name, value in parameters.items()}


def check_decay(given: Mapping[str, Any]) -> None:
    """Raise UsageError for what does not go with a GRU-D, among the parameters that an estimator has."""
    if given["irregular"] != "decay":
        return
    for name, only in {"cell": ("gru",), "layers": (1,), "bidirectional": (None, False)}.items():
        if name in given and given[name] not in only:
            must = repr(only[-1])
            raise UsageError(
                f"{name} must be {must} with irregular='decay', which is a GRU-D, got {given[name]!r}"
            )
    if given.get("encoder") == "conv-gru":
        raise UsageError(
            "encoder must not be 'conv-gru' with irregular='decay', which reads values as they are"
        )


def plain(value: Any) -> Any:
    """A value without NumPy's types; lists become tuples."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(plain, value)) if is_list(value) else value
