"""Options of a problem: its own, checked by rules, and those of the training run, which `TrainingConfig` checks."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from grus.errors import UsageError
from grus.tasks.rules import check
from grus.training import TrainingConfig
from grus.training.config import Rule

#: What a `Setting` says of a run cannot be said by the problem.
_TRAINING = {field.name for field in fields(TrainingConfig)} - {"learning_rate", "seed"}


class Options(NamedTuple):
    """Options that were sorted.

    Args:
        own: of the problem, all of them, in plain Python types.
        training: arguments of `TrainingConfig`, but for the rate and the seed, which belong to a run.
    """

    own: dict[str, Any]
    training: dict[str, Any]


def sort_options(
    where: str, given: Mapping[str, Any], defaults: Mapping[str, Any], rules: Mapping[str, Rule]
) -> Options:
    """The given options over the defaults.

    Args:
        where: the function that was called, for errors.
        given: by the caller.
        defaults: of both kinds; each that is no argument of `TrainingConfig` has a rule.
        rules: what the problem's own must be.

    Raises:
        UsageError: one that does not exist, or cannot be used.
    """
    known = rules.keys() | _TRAINING
    for name in given:
        if name not in known:
            raise UsageError(f"{where}: option must be one of {', '.join(sorted(known))}, got {name!r}")
    merged = {**defaults, **given}
    try:
        own = check({name: merged[name] for name in rules}, rules)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    training = {name: value for name, value in merged.items() if name in _TRAINING}
    TrainingConfig(**training)
    return Options(own, training)
