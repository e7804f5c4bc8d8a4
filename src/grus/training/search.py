"""A search for good settings: a space, trials and their scores, and what Optuna proposes next.

Optuna's own storages are not used. What it proposes depends on the state of a sampler that they do not keep, and a
process killed while it writes leaves its journal unreadable or a trial half drawn. Here every proposal is drawn by a
fresh sampler from (seed, number of the trial, the trials before), so that a small file of trials is all there is to go
on from, and going on gives the trials that an unbroken search would have made.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from grus.artifact import write_file
from grus.errors import MissingExtraError, ModelFolderError
from grus.training.device import mix
from grus.training.history import EpochRecord

Value = int | float | str
Parameters = dict[str, Value]

#: Trials drawn at random before the others teach the sampler, and finished ones before the worse half is pruned.
STARTUP_TRIALS = 5
#: After these a trial can be pruned, at the end of any epoch.
WARMUP_EPOCHS = 2
STUDY_NAME = "study.json"


@dataclass(frozen=True)
class Range:
    """Any number from ``low`` to ``high``, on a logarithmic scale with ``log``."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Choice:
    """One of some values; numbers are in ascending order, and neighbours are believed to be alike."""

    values: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Space = Mapping[str, Range | Choice]


@dataclass(frozen=True)
class Trial:
    """One set of parameters, and how far it came.

    Args:
        number: Counted from 1.
        parameters: Those that are searched.
        state: ``running``; ``finished``; ``pruned``: given up for being worse than the median at some epoch;
            ``diverged``: a loss was not finite.
        scores: The monitored score after each epoch, smaller is better.
        seconds: Wall time.
    """

    number: int
    parameters: Parameters
    state: Literal["running", "finished", "pruned", "diverged"] = "running"
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def score(self) -> float:
        """The best score; infinite if there is none."""
        return min(self.scores, default=math.inf)


@dataclass(frozen=True)
class Study:
    """The trials of a search, in order.

    Args:
        space: What was searched, in words, by parameter.
        trials: All of them, the one that is running last.
    """

    space: dict[str, str]
    trials: list[Trial] = field(default_factory=list)

    @property
    def ended(self) -> list[Trial]:
        """The trials that are over."""
        return [trial for trial in self.trials if trial.state != "running"]

    @property
    def running(self) -> Trial | None:
        """The trial that is not over, if there is one."""
        return next((trial for trial in self.trials if trial.state == "running"), None)

    @property
    def best(self) -> Trial | None:
        """The finished trial with the smallest score, the earlier of equals; None before the first."""
        finished = [trial for trial in self.trials if trial.state == "finished"]
        return min(finished, key=lambda trial: trial.score, default=None)

    def count(self, state: str) -> int:
        """How many trials are in this state."""
        return sum(trial.state == state for trial in self.trials)


def study_path(folder: Path) -> Path:
    """Where a search in ``folder`` keeps its study."""
    return folder / STUDY_NAME


def write_study(folder: Path, study: Study) -> None:
    """Replace the study of a run folder, so that a crash leaves the old or the new one."""
    write_file(study_path(folder), msgspec.json.format(msgspec.json.encode(study), indent=1))


def read_study(folder: Path) -> Study:
    """Read what `write_study` wrote.

    Raises:
        ModelFolderError: there is none, or it is damaged.
    """
    path = study_path(folder)
    if not path.is_file():
        raise ModelFolderError(f"{path}: no study to resume from", "start without resume")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Study)
    except msgspec.DecodeError as error:
        raise ModelFolderError(f"{path}: damaged ({error})", "start again without resume") from None


def check_study(folder: Path, study: Study, space: Space) -> None:
    """Whether a study that was read is one of this space.

    Raises:
        ModelFolderError: it has a trial that is not, or not in its place, or without the scores it must have.
    """
    for place, trial in enumerate(study.trials, 1):
        known = trial.parameters.keys() == space.keys() and all(
            trial.parameters[name] in values for name, values in space.items()
        )
        scored = trial.scores and all(map(math.isfinite, trial.scores))
        fits = {"running": place == len(study.trials), "diverged": True}.get(trial.state, scored)
        if trial.number != place or not known or not fits:
            raise ModelFolderError(
                f"{study_path(folder)}: trial {place} does not belong to this search",
                "start again without resume",
            )


class Asked:
    """The next trial as Optuna sees it: its parameters, and whether it should be given up.

    Args:
        space: What is searched.
        ended: The trials before.
        seed: Of the search.
        parameters: What to try; None lets the sampler draw.

    Raises:
        MissingExtraError: Optuna is not installed.

    Reference:
        Bergstra et al. 2011, "Algorithms for hyper-parameter optimization" (TPE); the median rule is that of Golovin
        et al. 2017, "Google Vizier", section 3.2.1.
    """

    def __init__(
        self, space: Space, ended: Sequence[Trial], seed: int, parameters: Parameters | None = None
    ) -> None:
        optuna = import_optuna()
        drawn_from = mix(seed, len(ended)) % 2**32
        sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=drawn_from)
        pruner = optuna.pruners.MedianPruner(STARTUP_TRIALS, WARMUP_EPOCHS)
        with _quiet(optuna):
            study = optuna.create_study(sampler=sampler, pruner=pruner)
        distributions = {name: _distribution(values, optuna) for name, values in space.items()}
        study.add_trials([_frozen(trial, space, distributions, optuna) for trial in ended])
        if parameters is not None:
            study.enqueue_trial(_encoded(parameters, space))
        with _quiet(optuna):
            self._trial, self._reported = study.ask(distributions), 0
        drawn = self._trial.params
        self.parameters = parameters or {name: _decoded(drawn[name], space[name]) for name in space}

    def give_up(self, records: Sequence[EpochRecord]) -> bool:
        """Whether the best score so far is worse than the median of the finished trials at the same epoch."""
        for record in records[self._reported :]:
            self._trial.report(next(iter(record.validation.values())), record.epoch - 1)
        self._reported = len(records)
        return bool(self._trial.should_prune())  # of NumPy


def import_optuna() -> Any:
    """Optuna, which is loaded only where something is searched; raises MissingExtraError without it."""
    try:
        import optuna
    except ImportError:
        raise MissingExtraError(
            "tune: needs the package optuna, which is not installed", "pip install 'grus[train]'"
        ) from None
    return optuna


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without Optuna's own lines on stderr; the caller's verbosity comes back."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _is_ordered(values: Choice) -> bool:
    return not any(isinstance(value, str) for value in values.values)


def _distribution(values: Range | Choice, optuna: Any) -> Any:
    """Numbers to choose from become their places, so that the sampler knows which are neighbours."""
    kinds = optuna.distributions
    if isinstance(values, Range):
        return kinds.FloatDistribution(values.low, values.high, log=values.log)
    if _is_ordered(values):
        return kinds.IntDistribution(0, len(values.values) - 1)
    return kinds.CategoricalDistribution(values.values)


def _decoded(drawn: Any, values: Range | Choice) -> Value:
    """What Optuna drew as a parameter, with three digits where any number will do."""
    if isinstance(values, Range):
        return min(max(float(f"{drawn:.3g}"), values.low), values.high)
    return values.values[drawn] if _is_ordered(values) else drawn


def _encoded(parameters: Parameters, space: Space) -> dict[str, Any]:
    """Parameters as Optuna would have drawn them."""
    return {
        name: values.values.index(parameters[name])
        if isinstance(values, Choice) and _is_ordered(values)
        else parameters[name]
        for name, values in space.items()
    }


def _frozen(trial: Trial, space: Space, distributions: Mapping[str, Any], optuna: Any) -> Any:
    """A trial that is over, for Optuna; one that diverged is a pruned one that came nowhere."""
    finished = trial.state == "finished"
    states = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=states.COMPLETE if finished else states.PRUNED,
        value=trial.score if finished else None,
        params=_encoded(trial.parameters, space),
        distributions=dict(distributions),
        intermediate_values={} if trial.state == "diverged" else dict(enumerate(trial.scores)),
    )
