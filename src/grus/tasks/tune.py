"""Tuning, the same for every task: trials of an estimator's settings, and the model of the best of them."""

import dataclasses
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from grus.errors import DivergenceError, TrainingInterrupted, UnsupportedError, UsageError
from grus.inspection.tuning.wording import search_line, trial_line, winner_line
from grus.tasks.estimator import TrainedEstimator
from grus.tasks.run_folder import claim_run
from grus.training import History, Job, TrainingConfig, train
from grus.training.checkpoint import checkpoint_path
from grus.training.logs import CSV_NAME, TENSORBOARD_NAME
from grus.training.progress import Mode, trial_bar
from grus.training.search import (
    Asked,
    Parameters,
    Space,
    Study,
    Trial,
    check_study,
    import_optuna,
    read_study,
    study_path,
    write_study,
)


class Ready(Protocol):
    """What a task makes of its data and one set of parameters: a job that waits to be trained."""

    @property
    def job(self) -> Job:
        """What is to be trained."""
        ...

    @property
    def plan(self) -> list[str]:
        """The data as it was understood, in lines."""
        ...

    @property
    def can_validate(self) -> bool:
        """Whether there are rows to validate on."""
        ...


Made = TypeVar("Made", bound=Ready)


@dataclass(frozen=True)
class RunOptions:
    """The arguments of ``fit`` that say where and how to run."""

    folder: Path | None
    resume: bool
    progress: Mode
    report_plan: Callable[[list[str]], None] | None


@dataclass(frozen=True)
class Tuned(Generic[Made]):
    """The outcome: the study, the parameters of its best trial, that trial's trained job, its history, the plan."""

    study: Study
    parameters: Parameters
    ready: Made
    history: History
    plan: list[str]


@dataclass(frozen=True)
class Tuning(Generic[Made]):
    """A search through settings of an estimator.

    A trial is a training run with early stopping, given up once it is worse than the median of those before it; the
    best is the one with the smallest validation loss. The first has the settings as they are, if the space has them, so
    that the outcome is never worse than these on the rows for validation.

    Args:
        estimator: with plain, checked parameters.
        space: what is searched; see `grus.tasks.tune_space`.
        trials: how many.
        make: the job of an estimator whose parameters are those of a trial.
        data: the digest of the data.
        options: where and how to run.
    """

    estimator: TrainedEstimator
    space: Space
    trials: int
    make: Callable[[Any], Made]
    data: str
    options: RunOptions

    def run(self, first: Made) -> Tuned[Made]:
        """Search, or go on searching, and return the best; ``first`` is what ``make`` gives for the estimator itself.

        The run folder holds ``study.json``, and a folder for the running trial and for the best one.

        Raises:
            UsageError: there is nothing to validate on, or resume with other parameters or other data.
            ModelFolderError: resume without a study, or with a damaged one.
            TrainingInterrupted: Ctrl-C; the study and the running trial's checkpoint remain.
            DivergenceError: no trial came to its end.
        """
        _check(first)
        plan = [*first.plan, search_line(self.space, self.trials)]
        if self.options.report_plan is not None:
            self.options.report_plan(plan)
        with _run_folder(self.options.folder) as run:
            study = self._begin(run)
            while len(study.ended) < self.trials:
                study = self._next_trial(study, run)
            if study.best is None:
                raise DivergenceError(
                    f"tune: one of {len(study.ended)} trials must come to its end, got losses that are not finite "
                    "in each",
                    "search lower learning rates, or look for infinite and huge values in the data",
                )
            # Going on with a run that has ended makes no step and gives its weights.
            best = _trial_folder(run, study.best)
            ready, config = self._job(study.best.parameters)
            history = train(ready.job, config, best, resume=True)
            _move_log(best, run)
        self._say(winner_line(study))
        return Tuned(study, study.best.parameters, ready, history, [*plan, winner_line(study)])

    def _begin(self, run: Path) -> Study:
        """The study as it stands, once it is known to be this one's."""
        words = {name: str(values) for name, values in self.space.items()}
        resume = self.options.resume
        if not resume:
            # Checkpoints of an earlier search would be taken for this one's.
            study_path(run).unlink(missing_ok=True)
            _remove_trials(run, keep=None)
        study = read_study(run) if resume else Study(words)
        claim_run(run, self.estimator.get_params() | {"space": words}, self.data, resume)
        check_study(run, study, self.space)
        return study

    def _next_trial(self, study: Study, run: Path) -> Study:
        """Make the next trial, or the rest of the one that was interrupted."""
        ended, interrupted = study.ended, study.running
        known = interrupted.parameters if interrupted else None if ended else self._given()
        asked = Asked(self.space, ended, self.estimator.seed, known)
        trial = Trial(len(ended) + 1, asked.parameters)
        write_study(run, dataclasses.replace(study, trials=[*ended, trial]))
        trial = self._train(trial, run, asked)
        study = dataclasses.replace(study, trials=[*ended, trial])
        write_study(run, study)
        _remove_trials(run, keep=study.best)
        self._say(trial_line(study, self.trials))
        return study

    def _say(self, line: str) -> None:
        if self.options.progress != "quiet":
            print(line, file=sys.stderr, flush=True)

    def _train(self, trial: Trial, run: Path, asked: Asked) -> Trial:
        """The trial after its training."""
        folder = _trial_folder(run, trial)
        bar = trial_bar(self.options.progress, f"trial {trial.number}/{self.trials}")
        ready, config = self._job(trial.parameters)
        resume, begin = checkpoint_path(folder).is_file(), time.monotonic()
        try:
            history = train(ready.job, config, folder, bar, resume, asked.give_up)
        except DivergenceError:
            return dataclasses.replace(trial, state="diverged", seconds=time.monotonic() - begin)
        except TrainingInterrupted:
            where = f"tuning stopped by Ctrl-C in trial {trial.number} of {self.trials}"
            if self.options.folder is None:
                raise TrainingInterrupted(f"{where}; it had no folder, so nothing of it is left") from None
            raise TrainingInterrupted(
                f"{where}; its study is {study_path(run)}, from which resume=True "
                "(on the command line: the same command with --resume) goes on"
            ) from None
        return dataclasses.replace(
            trial,
            state="pruned" if history.stopped == "pruned" else "finished",
            scores=[next(iter(record.validation.values())) for record in history.epochs],
            seconds=history.seconds,
        )

    def _job(self, parameters: Parameters) -> tuple[Made, TrainingConfig]:
        """What is trained with these parameters, and how."""
        one = type(self.estimator)(**(self.estimator.get_params() | parameters))
        return self.make(one), one._training_config()

    def _given(self) -> Parameters | None:
        """The parameters as they stand, if the space has them."""
        given = {name: getattr(self.estimator, name) for name in self.space}
        return given if all(value in self.space[name] for name, value in given.items()) else None


def _check(first: Ready) -> None:
    if not first.can_validate:
        raise UsageError("tune: val_size must leave rows to validate on, got none")
    if torch.distributed.is_torchelastic_launched():
        raise UnsupportedError("tune: must run in one process, got a run of several (torchrun)")
    import_optuna()


@contextmanager
def _run_folder(folder: Path | None) -> Iterator[Path]:
    """The folder, or a temporary one."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="grus-") as temporary:
        yield Path(temporary)


def _trial_folder(run: Path, trial: Trial) -> Path:
    return run / f"trial-{trial.number:03d}"


def _remove_trials(run: Path, keep: Trial | None) -> None:
    """Remove the folders of trials that are over, but for the best one's."""
    for folder in run.glob("trial-[0-9]*"):
        if keep is None or folder != _trial_folder(run, keep):
            shutil.rmtree(folder)


def _move_log(trial: Path, run: Path) -> None:
    """Put the figures of each epoch where ``fit`` leaves them."""
    for name in (CSV_NAME, TENSORBOARD_NAME):
        if (trial / name).exists():
            shutil.move(trial / name, run / name)
