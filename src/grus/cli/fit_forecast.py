"""``grus fit forecast DATA``: from a table to a trained, saved forecaster with a report."""

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from grus.cli import fit_options as o
from grus.cli.options import Data
from grus.errors import ModelFolderError, TrainingInterrupted

if TYPE_CHECKING:
    from grus.tasks.forecast import Forecaster

#: Options that belong to the command; all others are arguments of `grus.Forecaster` of the same name.
COMMAND_OPTIONS = ("data", "out", "config", "resume", "force", "json", "quiet")
#: What a run folder holds once there is something to resume; see `grus.training.checkpoint`, which loads torch.
CHECKPOINT, RUN_FILE = "checkpoint.pt", "run.json"


def forecast(
    ctx: typer.Context,
    data: Data,
    horizon: o.Horizon,
    out: o.Out = None,
    id: o.Id = None,
    time: o.Time = None,
    target: o.Target = None,
    past: o.Past = None,
    future: o.Future = None,
    static: o.Static = None,
    freq: o.Freq = None,
    lookback: o.Lookback = None,
    model: o.Network = "segment",
    hidden_size: o.HiddenSize = 128,
    layers: o.Layers = 1,
    dropout: o.Dropout = 0.1,
    segment: o.Segment = None,
    anchor: o.Anchor = None,
    calendar: o.Calendar = None,
    loss: o.Loss = "mae",
    quantiles: o.Quantiles = None,
    scaling: o.Scaling = "standard",
    val_size: o.ValSize = None,
    test_size: o.TestSize = 0,
    epochs: o.Epochs = 8,
    batch_size: o.BatchSize = 64,
    learning_rate: o.LearningRate = 1e-3,
    weight_decay: o.WeightDecay = 1e-4,
    patience: o.Patience = 4,
    ema: o.Ema = 0.99,
    windows_per_epoch: o.WindowsPerEpoch = 50_000,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    log: o.Log = "csv",
    alias: o.Alias = "GRU",
    resume: o.Resume = False,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    config: o.Config = None,
) -> None:
    """Train a forecaster of one or many series on the rows of DATA, and write a model folder.

    \b
    [bold]grus fit forecast demand.csv --horizon 24 -o model[/bold]
    [bold]grus fit forecast sales.parquet --horizon 28 --id store --future promo,price[/bold]
    [bold]grus fit forecast demand.csv --horizon 24 --test-size 1344 --epochs 20[/bold]
    [bold]grus fit forecast demand.csv --config run.toml --resume[/bold]

    \b
    Columns and frequency are inferred where they are obvious, and the plan is
    printed. Checkpoints stand in FOLDER.run/ while training; Ctrl-C leaves one
    there, and the same command with --resume goes on from it. stdout gets the
    path of the model folder, or with --json the scores.
    """
    # What was given is read from the context, so that forty names need not be written a second time.
    _fit(dict(ctx.params), list(ctx.obj))


def _fit(given: dict[str, Any], command_line: list[str]) -> None:
    from grus.cli.people import People
    from grus.cli.tables import put, require, table_file
    from grus.inspection.wording import to_json

    arguments = {name: value for name, value in given.items() if name not in COMMAND_OPTIONS}
    people, data = People(given["quiet"]), given["data"]
    for package in ("torch", "lightning_fabric", "narwhals", "matplotlib", "jinja2"):
        require(package, "training")
    folder = given["out"] or _default_folder(data)
    run = folder.with_name(folder.name + ".run")
    _check_folders(folder, run, given["resume"], given["force"])
    people.say(f"model folder: {folder}" + ("" if given["out"] else " (another one: -o FOLDER)"))
    with table_file(data) as path:
        forecaster = _train(arguments, path, run, given["resume"], people, command_line)
    forecaster.save(folder, force=given["force"])
    _keep_log(run, folder / "report")
    _conclude(forecaster, folder, people)
    put(to_json(_summary(forecaster, folder)) if given["json"] else f"{folder}\n")


def _train(
    arguments: dict[str, Any], path: Path, run: Path, resume: bool, people: Any, again: list[str]
) -> "Forecaster":
    from grus.tasks.forecast import Forecaster

    forecaster = Forecaster(**arguments)
    progress: Literal["quiet", "auto"] = "quiet" if people.quiet else "auto"
    try:
        return forecaster.fit(path, folder=run, resume=resume, progress=progress, report_plan=people.say)
    except (TrainingInterrupted, KeyboardInterrupt):
        if not (run / CHECKPOINT).is_file():
            raise
        command = shlex.join(["grus", *again, *(["--resume"] if "--resume" not in again else [])])
        sentence = f"training stopped by Ctrl-C; its checkpoint is {run / CHECKPOINT}"
        raise TrainingInterrupted(sentence, hint=f"to go on from it: {command}") from None
    finally:
        if not (run / CHECKPOINT).is_file():
            _remove_run(run)


def _default_folder(data: str) -> Path:
    """``models/<name of the table>-forecast``."""
    stem = "stdin" if data == "-" else Path(data).name.split(".")[0] or "table"
    return Path("models", f"{stem}-forecast")


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


def _conclude(forecaster: "Forecaster", folder: Path, people: Any) -> None:
    for name in ("validation", "test"):
        evaluation = getattr(forecaster, f"{name}_")
        if evaluation is not None:
            people.evaluation(name, evaluation, forecaster.model_.task.target)
    people.say(
        [f"report: {folder / 'report' / 'index.html'}", f"next: grus predict {shlex.quote(str(folder))} DATA"]
    )


def _summary(forecaster: "Forecaster", folder: Path) -> dict[str, Any]:
    from grus.inspection.wording import evaluation_dict

    history = forecaster.history_
    found = {name: getattr(forecaster, f"{name}_") for name in ("validation", "test")}
    return {
        "model": str(folder),
        "report": str(folder / "report" / "index.html"),
        "best_epoch": history.best_epoch,
        "epochs": len(history.epochs),
        "stopped": history.stopped,
        "seconds": history.seconds,
        "evaluations": {name: evaluation_dict(e) for name, e in found.items() if e is not None},
    }
