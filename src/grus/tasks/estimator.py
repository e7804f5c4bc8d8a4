"""What all estimators share: scikit-learn's parameter habits, the training run, the model folder."""

import inspect
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from grus.artifact import refuse_existing, save_model
from grus.errors import NotFittedError, UsageError
from grus.models import GraphModule
from grus.spec import Graph, Model
from grus.tasks.run_folder import claim_run
from grus.training import History, Job, TrainingConfig, make_progress, train
from grus.training.progress import Mode

#: Constructor arguments of every task that are `grus.training.TrainingConfig`'s own.
TRAINING = ("epochs", "learning_rate", "weight_decay", "patience", "ema", "seed", "device", "log")


class Estimator:
    """Parameters are the constructor's arguments, stored unchanged; what is learned ends in an underscore."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name (``deep`` is scikit-learn's; there is nothing nested)."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments; raises UsageError for a name that is not one."""
        names = self._parameter_names()
        for name, value in params.items():
            if name not in names:
                raise UsageError(
                    f"{type(self).__name__}: no parameter {name!r}; the parameters are {', '.join(names)}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The constructor call, without the arguments that stand at their defaults."""
        defaults = inspect.signature(type(self).__init__).parameters

        def changed(name: str, value: Any) -> bool:
            default = defaults[name].default
            return type(value) is not type(default) or bool(value != default)  # so arrays are not compared

        shown = [f"{name}={value!r}" for name, value in self.get_params().items() if changed(name, value)]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __sklearn_is_fitted__(self) -> bool:
        """Whether ``fit`` has been called."""
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            name = type(self).__name__
            raise NotFittedError(
                f"{name}: call fit before this", hint=f"{name}(...).fit(data), or grus.load(folder)"
            )


class TrainedEstimator(Estimator):
    """An estimator whose ``fit`` runs `grus.training.train`, and whose ``save`` writes a model folder.

    A task gives itself the constructor arguments of ``TRAINING``, and in ``fit`` sets the attributes below.

    Attributes:
        model_: the spec; tensors_: its numbers. plan_: the data as it was understood. history_: of the training.
    """

    model_: Model
    tensors_: dict[str, np.ndarray]
    plan_: list[str]
    history_: History
    seed: int

    def save(self, folder: str | Path, *, force: bool = False, report: bool = True) -> Path:
        """Write the model folder, with an HTML report under ``report/``.

        Raises:
            ModelFolderError: if the folder exists (without ``force``) or cannot be written.
        """
        self._check_fitted()
        refuse_existing(Path(folder), force)
        report_writer = (
            partial(self._write_report, name=str(folder)) if report and hasattr(self, "history_") else None
        )
        return save_model(folder, self.model_, self.tensors_, force=force, extras=report_writer)

    def _write_report(self, folder: Path, name: str) -> None:
        """Write the task's report under ``folder``; ``name`` is the model folder's, for the commands in it."""
        raise NotImplementedError

    def _training_config(self) -> TrainingConfig:
        return TrainingConfig(**{name: getattr(self, name) for name in TRAINING})

    def _module(self, graph: Graph) -> GraphModule:
        """The graph's module, its weights drawn from the seed; the caller's generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            return GraphModule(graph)

    def _run(
        self, job: Job, config: TrainingConfig, digest: str, folder: Path | None, resume: bool, progress: Mode
    ) -> History:
        """Train in ``folder``, which belongs to these parameters and data, or in a temporary one."""
        with tempfile.TemporaryDirectory(prefix="grus-") as temporary:
            run = Path(temporary) if folder is None else folder
            claim_run(run, self.get_params(), digest, resume)
            return train(job, config, run, make_progress(progress), resume)


def check_resume(folder: str | Path | None, resume: bool) -> Path | None:
    """The run folder as a path; raises UsageError for ``resume`` without one."""
    if resume and folder is None:
        raise UsageError("fit: resume must have the folder of the run to go on with, got folder=None")
    return None if folder is None else Path(folder)
