"""``grus fit detect DATA``: from rows that are mostly normal to a trained, saved detector with a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grus.cli import detect_options as d
from grus.cli import fit_options as o
from grus.cli.fit_run import fit_task
from grus.cli.options import Data

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.tasks.detect import AnomalyDetector


def detect(
    ctx: typer.Context,
    data: Data,
    out: o.Out = None,
    id: o.Id = None,
    time: o.Time = None,
    columns: d.Columns = None,
    label: d.Label = None,
    cell: o.Cell = "gru",
    hidden_size: o.HiddenSize = 32,
    layers: o.Layers = 1,
    dropout: o.Dropout = 0.0,
    irregular: o.Irregular = None,
    calendar: o.Calendar = None,
    scaling: o.Scaling = "standard",
    short: d.Short = 5,
    memory: d.Memory = 8000,
    outside: d.Outside = 0.05,
    quiet_rows: d.Quiet = None,
    level: d.Level = False,
    joint: d.Joint = False,
    false_alarm_rate: d.FalseAlarmRate = 1e-4,
    contamination: d.Contamination = None,
    window: d.Window = 64,
    val_size: d.ValSize = 0.1,
    epochs: d.Epochs = 6,
    batch_size: d.BatchSize = 16,
    learning_rate: o.LearningRate = 3e-3,
    weight_decay: o.WeightDecay = 1e-3,
    patience: o.Patience = 3,
    ema: o.Ema = 0.9,
    windows_per_epoch: o.WindowsPerEpoch = 20_000,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    log: o.Log = "csv",
    resume: o.Resume = False,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    config: o.Config = None,
) -> None:
    """Train a detector of anomalies on the rows of DATA, which should be mostly normal, and write a model folder.

    \b
    [bold]grus fit detect pump.csv -o model[/bold]
        one series: all columns of numbers are watched, row by row
    [bold]grus fit detect fleet.parquet --id machine --time ts --columns temperature,current[/bold]
        one model for many machines, each column of each with a scale of its own
    [bold]grus fit detect pump.csv --label anomaly[/bold]
        rows known to be anomalous are not learned from, and the report scores the model by them
    [bold]grus fit detect pump.csv --memory 0 --false-alarm-rate 0.01[/bold]
        the training rows are what is normal, for ever; one row in a hundred may be a false alarm
    [bold]grus fit detect rig.csv --memory 0 --level --joint[/bold]
        one working point: a level that is not as in training is anomalous too, and columns are judged together
    [bold]grus fit detect well.csv --irregular decay[/bold]
        sensors that report now and then: what was last seen fades with the time since
    [bold]grus predict model new.csv --events[/bold]
        what happened, from when to when, how severe, in which columns

    \b
    Columns are inferred where they are obvious, and the plan is printed.
    Checkpoints stand in FOLDER.run/ while training; Ctrl-C leaves one there, and
    the same command with --resume goes on from it. stdout gets the path of the
    model folder, or with --json the scores.
    """
    fit_task("detect", dict(ctx.params) | {"tune": None}, list(ctx.obj), _train, _show)


def _train(arguments: dict[str, Any], path: Path, **run: Any) -> "AnomalyDetector":
    from grus.tasks.detect import AnomalyDetector

    arguments["quiet"] = arguments.pop("quiet_rows")
    return AnomalyDetector(**arguments).fit(path, **run)


def _show(detector: "AnomalyDetector", people: "People") -> dict[str, Any]:
    """Tell people what was found among the rows of training, and return it as plain data."""
    from grus.cli.detect_answers import tell
    from grus.inspection.detection.wording import detect_evaluation_dict
    from grus.inspection.wording import count, figure

    above = int(detector.labels_.sum())
    people.say(
        f"threshold {figure(detector.threshold_, 3)}: {count(above, 'row')} of {len(detector.labels_):,} above it"
    )
    found = {"threshold": detector.threshold_, "above": above}
    if detector.evaluation_ is not None and detector.evaluation_.anomalous:
        tell(people, "training rows", detector.evaluation_)
        found |= {"fit": detect_evaluation_dict(detector.evaluation_)}
    return found
