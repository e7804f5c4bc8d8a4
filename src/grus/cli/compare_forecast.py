"""``grus compare forecast DATA``: GRU, LSTM, simple RNN and their like as forecasters of a table."""

from typing import Annotated

import typer

from grus.cli import compare_options as p
from grus.cli import fit_options as o
from grus.cli.compare_run import compare_task, data_name, given_options
from grus.cli.options import Data

Lengths = Annotated[list[str] | None, p.lengths("Lookbacks")]


def forecast(
    ctx: typer.Context,
    data: Data,
    horizon: Annotated[int, typer.Option(help="Steps to forecast.", rich_help_panel="Rows", metavar="STEPS")],
    out: p.Out = None,
    cells: p.Cells = None,
    equal: p.Equal = "parameters",
    hidden_size: p.HiddenSize = None,
    parameters: p.Parameters = None,
    learning_rate: p.LearningRate = 1e-3,
    rates: p.Rates = None,
    seeds: p.Seeds = 3,
    seed: p.Seed = 0,
    sizes: p.Sizes = None,
    lengths: Lengths = None,
    level: p.Level = 0.95,
    id: o.Id = None,
    time: o.Time = None,
    target: o.Target = None,
    past: o.Past = None,
    future: o.Future = None,
    static: o.Static = None,
    freq: o.Freq = None,
    lookback: o.Lookback = None,
    model: o.Network = "segment",
    layers: o.Layers = 1,
    dropout: o.Dropout = 0.1,
    segment: o.Segment = None,
    anchor: o.Anchor = None,
    calendar: o.Calendar = None,
    loss: o.Loss = "mae",
    scaling: o.Scaling = "standard",
    val_size: o.ValSize = None,
    test_size: Annotated[
        int | None,
        typer.Option(
            help="Last steps of each series for the test (default: a tenth).",
            rich_help_panel="Rows",
            metavar="STEPS",
        ),
    ] = None,
    epochs: o.Epochs = 8,
    batch_size: o.BatchSize = 64,
    weight_decay: o.WeightDecay = 1e-4,
    patience: o.Patience = 4,
    ema: o.Ema = 0.99,
    windows_per_epoch: o.WindowsPerEpoch = 50_000,
    device: o.Device = "auto",
    resume: p.Resume = False,
    force: p.Force = False,
    json: p.Json = False,
    quiet: o.Quiet = False,
    config: o.Config = None,
) -> None:
    """Compare cells as forecasters: the same rows and windows, each with its own best learning rate, several seeds.

    \b
    [bold]grus compare forecast demand.csv --horizon 24[/bold]
        all cells with as many weights as a GRU of 128 units
    [bold]grus compare forecast demand.csv --horizon 24 --equal width --hidden-size 64[/bold]
    [bold]grus compare forecast sales.parquet --horizon 28 --id store --sizes 0.1,0.3,1[/bold]
        also on the newest tenth and third of the training rows
    [bold]grus compare forecast demand.csv --horizon 24 --lengths 24,48,96,168 --cells gru,lstm[/bold]
    [bold]grus compare forecast demand.csv --horizon 24 --seeds 5 --resume[/bold]
        two seeds more than the comparison in the folder has

    \b
    The verdict, tables and a report (FOLDER/index.html) say which cell to take and
    whether the difference is more than noise; naive forecasts stand beside them.
    stdout gets the table as CSV, or with --json everything. Each finished run is
    saved: after Ctrl-C the same command with --resume goes on.
    """
    from grus.cli.tables import table_file

    with table_file(data) as path:
        compare_task(ctx, "forecast", path, data_name(data), given_options(ctx, "data"))
