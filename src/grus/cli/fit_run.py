"""What every ``grus fit TASK`` does around its training: folders, Ctrl-C, the log, and the summary."""

import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grus.errors import ModelFolderError, TrainingInterrupted

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.tasks.estimator import TrainedEstimator

#: Options that belong to the command; all others are arguments of the task's estimator of the same name.
COMMAND_OPTIONS = ("data", "out", "config", "resume", "force", "json", "quiet", "from_")
#: What a run folder holds once there is something to resume; see `grus.training.checkpoint`, which loads torch.
CHECKPOINT, RUN_FILE = "checkpoint.pt", "run.json"


def fit_task(
    task: str,
    given: dict[str, Any],
    command_line: list[str],
    fit: Callable[..., "TrainedEstimator"],
    show: Callable[[Any, "People"], dict[str, Any]],
) -> None:
    """Train, save and report one model.

    Args:
        task: the end of the model folder's name, if none is given.
        given: the command's options by parameter name, those of ``COMMAND_OPTIONS`` among them.
        command_line: what was typed after ``grus``, for the hint to resume.
        fit: given the estimator's arguments, the path of the data, and by keyword ``folder``, ``resume``, ``progress``
            and ``report_plan``, returns the fitted estimator.
        show: given the estimator, tells people the scores of ``validation`` and ``test``, and returns them for JSON.
    """
    from grus.cli.people import People
    from grus.cli.tables import put, require, table_file
    from grus.inspection.wording import to_json

    arguments = {name: value for name, value in given.items() if name not in COMMAND_OPTIONS}
    people, data = People(given["quiet"]), given["data"]
    for package in ("torch", "lightning_fabric", "narwhals", "matplotlib", "jinja2"):
        require(package, "training")
    folder = given["out"] or _default_folder(data, task)
    run = folder.with_name(folder.name + ".run")
    _check_folders(folder, run, given["resume"], given["force"])
    people.say(f"model folder: {folder}" + ("" if given["out"] else " (another one: -o FOLDER)"))
    settings = {"folder": run, "resume": given["resume"], "progress": "quiet" if people.quiet else "auto"}
    with table_file(data) as path, _resumable(run, command_line):
        estimator = fit(arguments, path, **settings, report_plan=people.say)
    estimator.save(folder, force=given["force"])
    _keep_log(run, folder / "report")
    scores = show(estimator, people)
    report = folder / "report" / "index.html"
    people.say([f"report: {report}", f"next: grus predict {shlex.quote(str(folder))} DATA"])
    put(to_json(_summary(estimator, folder, report, scores)) if given["json"] else f"{folder}\n")


@contextmanager
def _resumable(run: Path, command_line: list[str]) -> Iterator[None]:
    """Say after Ctrl-C how to go on; leave no run folder behind that holds nothing to go on from."""
    try:
        yield
    except (TrainingInterrupted, KeyboardInterrupt):
        if not (run / CHECKPOINT).is_file():
            raise
        again = ["--resume"] if "--resume" not in command_line else []
        command = shlex.join(["grus", *command_line, *again])
        sentence = f"training stopped by Ctrl-C; its checkpoint is {run / CHECKPOINT}"
        raise TrainingInterrupted(sentence, hint=f"to go on from it: {command}") from None
    finally:
        if not (run / CHECKPOINT).is_file():
            _remove_run(run)


def _default_folder(data: str, task: str) -> Path:
    """``models/<name of the table>-<task>``."""
    stem = "stdin" if data == "-" else Path(data).name.split(".")[0] or "table"
    return Path("models", f"{stem}-{task}")


def _check_folders(folder: Path, run: Path, resume: bool, force: bool) -> None:
    """Refuse before any work is done what would be refused, or lost, at its end."""
    from grus.artifact import refuse_existing

    refuse_existing(folder, force)
    if resume and not (run / CHECKPOINT).is_file():
        raise ModelFolderError(f"{run}: no checkpoint to resume from", hint="start without --resume")
    if resume or not run.exists() or not (run / CHECKPOINT).is_file():
        return
    if not force:
        raise ModelFolderError(
            f"{run}: holds a training run that did not finish",
            hint="add --resume to go on from it, or --force to start again",
        )
    _remove_run(run)


def _remove_run(run: Path) -> None:
    """Remove a run folder, if it is one."""
    if (run / RUN_FILE).is_file():
        shutil.rmtree(run)


def _keep_log(run: Path, report: Path) -> None:
    """Move the training log to the report, and remove the run folder, which has served its purpose."""
    report.mkdir(exist_ok=True)
    for name, kept in (("metrics.csv", "training.csv"), ("tensorboard", "tensorboard")):
        if (run / name).exists():
            shutil.move(run / name, report / kept)
    _remove_run(run)


def _summary(
    estimator: "TrainedEstimator", folder: Path, report: Path, scores: dict[str, Any]
) -> dict[str, Any]:
    history = estimator.history_
    return {
        "model": str(folder),
        "report": str(report),
        "best_epoch": history.best_epoch,
        "epochs": len(history.epochs),
        "stopped": history.stopped,
        "seconds": history.seconds,
        "evaluations": scores,
    }
