"""``grus fit forecast DATA``: from a table to a trained, saved forecaster with a report."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grus.cli import fit_options as o
from grus.cli.fit_run import fit_or_tune, fit_task, searched
from grus.cli.options import Data, named
from grus.errors import UsageError

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.tasks.forecast import Forecaster


def forecast(
    ctx: typer.Context,
    data: Data,
    horizon: o.Horizon = None,
    out: o.Out = None,
    from_: o.From = None,
    id: o.Id = None,
    time: o.Time = None,
    target: o.Target = None,
    past: o.Past = None,
    future: o.Future = None,
    static: o.Static = None,
    freq: o.Freq = None,
    lookback: o.Lookback = None,
    model: o.Network = "segment",
    cell: o.Cell = "gru",
    hidden_size: o.HiddenSize = 128,
    layers: o.Layers = 1,
    dropout: o.Dropout = 0.1,
    encoder: o.Encoder = "gru",
    kernel_size: o.KernelSize = 3,
    irregular: o.Irregular = None,
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
    tune: o.Tune = None,
    weight_decay: o.WeightDecay = 1e-4,
    patience: o.Patience = 4,
    ema: o.Ema = 0.99,
    windows_per_epoch: o.WindowsPerEpoch = 50_000,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    log: o.Log = "csv",
    alias: o.Alias = None,
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
    [bold]grus fit forecast wide.csv --horizon 24 --target north,south[/bold]
    [bold]grus fit forecast well.csv --horizon 12 --past rain --irregular decay[/bold]
    [bold]grus fit forecast demand.csv --horizon 24 --tune 20 --epochs 12[/bold]
    [bold]grus fit forecast demand.csv --config run.toml --resume[/bold]
    [bold]grus fit forecast newer.csv --from model -o model2[/bold]

    \b
    Columns and frequency are inferred where they are obvious, and the plan is
    printed. Checkpoints stand in FOLDER.run/ while training; Ctrl-C leaves one
    there, and the same command with --resume goes on from it. stdout gets the
    path of the model folder, or with --json the scores.
    """
    # What was given is read from the context, so that forty names need not be written a second time.
    if from_ is None and horizon is None:
        raise UsageError(
            f"{ctx.command_path}: option --horizon is missing",
            f"'{ctx.command_path} --help' shows how it is used",
        )
    if from_ is not None and tune is not None:
        raise UsageError(f"{ctx.command_path}: --tune must not be given with --from, which keeps the network")
    train = partial(_train, tune, named(ctx)) if from_ is None else partial(_update, from_, named(ctx))
    fit_task("forecast", dict(ctx.params), list(ctx.obj), train, _show)


def _train(
    tune: int | None, given: set[str], arguments: dict[str, Any], path: Path, **run: Any
) -> "Forecaster":
    from grus.tasks.forecast import Forecaster
    from grus.tasks.tune_space import FORECAST

    return fit_or_tune(Forecaster(**arguments), tune, searched(FORECAST, given, tune), path, **run)


def _update(model: Path, given: set[str], arguments: dict[str, Any], path: Path, **run: Any) -> "Forecaster":
    """Go on with a model; what was not named on the command line is as the model, or the update, has it."""
    from grus.tasks.forecast import Forecaster

    chosen = {name: value for name, value in arguments.items() if name in given}
    own = {name: chosen.pop(name) for name in ("learning_rate", "val_size", "test_size") if name in chosen}
    return Forecaster.load(model, **chosen).update(path, **own, **run)


def _show(forecaster: "Forecaster", people: "People") -> dict[str, Any]:
    """Tell people the scores, and return them as plain data."""
    from grus.inspection.wording import evaluation_dict, figure

    found = {"validation": forecaster.validation_, "test": forecaster.test_}
    evaluations = {name: e for name, e in found.items() if e is not None}
    for name, evaluation in evaluations.items():
        people.evaluation(name, evaluation, forecaster.live_.task.target)
    before = getattr(forecaster, "before_", None)
    if before is not None:
        people.say(f"before the update the MAE of the validation rows was {figure(before.model.mae)}")
        evaluations["before"] = before
    return {name: evaluation_dict(e) for name, e in evaluations.items()}
