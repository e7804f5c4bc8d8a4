"""``grus compare music FILE``: which keys sound next in polyphonic music."""

from typing import Annotated, Any

import typer

from grus.cli import compare_options as p
from grus.cli import fit_options as o
from grus.cli.compare_run import compare_task, data_name, given_options


def music(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Piano-rolls with a train, a valid and a test part (.npz).")
    ],
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
    level: p.Level = 0.95,
    layers: o.Layers = 1,
    input_dropout: Annotated[
        float, typer.Option(help="Share of keys hidden in training.", rich_help_panel="Network")
    ] = 0.0,
    output_dropout: Annotated[
        float, typer.Option(help="Dropout between the layers and the readout.", rich_help_panel="Network")
    ] = 0.0,
    epochs: Annotated[
        int | None,
        typer.Option(help="The most epochs (default: the task's own).", rich_help_panel="Training"),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Pieces a step.", rich_help_panel="Training")] = 8,
    patience: o.Patience = 10,
    device: o.Device = "auto",
    resume: p.Resume = False,
    force: p.Force = False,
    json: p.Json = False,
    quiet: o.Quiet = False,
    config: o.Config = None,
) -> None:
    """Compare cells on the next step of polyphonic music: which of 88 keys sound, given all that was heard.

    \b
    [bold]grus compare music jsb.npz[/bold]
        all cells with as many weights as a GRU of 46 units (Chung et al. 2014)
    [bold]grus compare music nottingham.npz --parameters 20000 --seeds 5[/bold]
    [bold]grus compare music jsb.npz --hidden-size 200 --output-dropout 0.5 --sizes 0.3,1[/bold]

    \b
    Errors are nats per step, all steps of all test pieces together. stdout gets the
    table as CSV, or with --json everything. Each finished run is saved: after Ctrl-C
    the same command with --resume goes on.
    """
    options = given_options(ctx, "file", "epochs")
    chosen: dict[str, Any] = {"epochs": epochs}
    options |= {name: value for name, value in chosen.items() if value is not None}
    compare_task(ctx, "music", file, data_name(file), options)
