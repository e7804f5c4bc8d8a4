"""What every ``grus fit TASK`` does around its training: folders, Ctrl-C, the log, and the summary."""

import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grus.errors import ModelFolderError, TrainingInterrupted, UsageError

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.tasks.estimator import TrainedEstimator

#: Options that belong to the command; all others are arguments of the task's estimator of the same name.
COMMAND_OPTIONS = ("data", "out", "config", "resume", "force", "json", "quiet", "from_", "tune")
#: What a run folder holds once there is something to resume; see `grus.training.checkpoint` and `grus.training.search`,
#: which load torch.
CHECKPOINT, STUDY, RUN_FILE = "checkpoint.pt", "study.json", "run.json"


def fit_task(
    task: str,
    given: dict[str, Any],
    command_line: list[str],
    fit: Callable[..., "TrainedEstimator"],
    show: Callable[[Any, "People"], dict[str, Any]],
    *,
    opened: Callable[[Any], AbstractContextManager[Any]] | None = None,
    next_command: str = "grus predict {} DATA",
) -> None:
    """Train, save and report one model.

    Args:
        task: the end of the model folder's name, if none is given.
        given: the command's options by parameter name, those of ``COMMAND_OPTIONS`` among them.
        command_line: what was typed after ``grus``, for the hint to resume.
        fit: given the estimator's arguments, the path of the data, and by keyword ``folder``, ``resume``, ``progress``
            and ``report_plan``, returns the fitted estimator.
        show: given the estimator, tells people the scores of ``validation`` and ``test``, and returns them for JSON.
        opened: makes of what was named as data what the estimator reads (default: the path of a table).
        next_command: what people are told to try then, with ``{}`` for the model folder.
    """
    from grus.cli.people import People
    from grus.cli.tables import put, require, table_file
    from grus.inspection.wording import to_json

    arguments = {name: value for name, value in given.items() if name not in COMMAND_OPTIONS}
    people, data = People(given["quiet"]), given["data"]
    for package in ("torch", "lightning_fabric", "narwhals", "matplotlib", "jinja2"):
        require(package, "training")
    folder = given["out"] or _default_folder(data if isinstance(data, str) else data[0], task)
    run = folder.with_name(folder.name + ".run")
    _check_folders(folder, run, given["resume"], given["force"], given.get("tune") is not None)
    people.say(f"model folder: {folder}" + ("" if given["out"] else " (another one: -o FOLDER)"))
    settings = {"folder": run, "resume": given["resume"], "progress": "quiet" if people.quiet else "auto"}
    with (opened or table_file)(data) as path, _resumable(run, command_line):
        estimator = fit(arguments, path, **settings, report_plan=people.say)
    try:
        estimator.save(folder, force=given["force"])
    except ModelFolderError as error:
        # What training made is not lost: its last checkpoint stays in the run folder.
        hint = f"{error.hint}; to save the model once it can be: {_resuming(command_line)}"
        raise ModelFolderError(str(error), hint) from error.__cause__
    _keep_log(run, folder / "report")
    scores = show(estimator, people)
    report = folder / "report" / "index.html"
    people.say([f"report: {report}", f"next: {next_command.format(shlex.quote(str(folder)))}"])
    put(to_json(_summary(estimator, folder, report, scores)) if given["json"] else f"{folder}\n")


def searched(space: Iterable[str], given: set[str], tune: int | None) -> list[str]:
    """What ``--tune`` searches: all that the task would, but for what is given.

    Raises:
        UsageError: that is nothing.
    """
    found = [name for name in space if name not in given]
    if tune is not None and not found:
        raise UsageError(f"--tune must leave something to search, but all is given: {', '.join(space)}")
    return found


def fit_or_tune(estimator: Any, tune: int | None, space: list[str], path: Path, **run: Any) -> Any:
    """Train an estimator once, or with ``tune`` so many times."""
    return (
        estimator.fit(path, **run) if tune is None else estimator.tune(path, trials=tune, space=space, **run)
    )


def _left(run: Path) -> Path | None:
    """What a run folder has to go on from, if anything."""
    return next((run / name for name in (CHECKPOINT, STUDY) if (run / name).is_file()), None)


@contextmanager
def _resumable(run: Path, command_line: list[str]) -> Iterator[None]:
    """Say after Ctrl-C how to go on; leave no run folder behind that holds nothing to go on from."""
    try:
        yield
    except (TrainingInterrupted, KeyboardInterrupt):
        left = _left(run)
        if left is None:
            raise
        what = "checkpoint" if left.name == CHECKPOINT else "study"
        sentence = f"training stopped by Ctrl-C; its {what} is {left}"
        raise TrainingInterrupted(sentence, hint=f"to go on from it: {_resuming(command_line)}") from None
    finally:
        if _left(run) is None:
            _remove_run(run)


def _resuming(command_line: list[str]) -> str:
    """The command that goes on from what a run has left."""
    return shlex.join(["grus", *command_line, *(["--resume"] if "--resume" not in command_line else [])])


def _default_folder(data: str, task: str) -> Path:
    """``models/<name of the table>-<task>``."""
    stem = "stdin" if data == "-" else Path(data).name.split(".")[0] or "table"
    return Path("models", f"{stem}-{task}")


def _check_folders(folder: Path, run: Path, resume: bool, force: bool, tune: bool) -> None:
    """Refuse before any work is done what would be refused, or lost, at its end."""
    from grus.artifact import refuse_existing

    refuse_existing(folder, force)
    left = _left(run)
    if resume and left is None:
        raise ModelFolderError(f"{run}: no checkpoint to resume from", hint="start without --resume")
    if resume and left is not None and tune != (left.name == STUDY):
        what, how = ("a single run", "without") if tune else ("a search", "with")
        raise UsageError(
            f"{run}: holds {what}, which goes on only {how} --tune", "give the same options as before"
        )
    if resume or left is None:
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
    history, study = estimator.history_, getattr(estimator, "tuning_", None)
    tuning = {} if study is None else {"tuning": asdict(study.best) | {"trials": len(study.ended)}}
    return {
        "model": str(folder),
        "report": str(report),
        "best_epoch": history.best_epoch,
        "epochs": len(history.epochs),
        "stopped": history.stopped,
        "seconds": history.seconds,
        **tuning,
        "evaluations": scores,
    }
