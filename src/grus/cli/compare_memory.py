"""``grus compare memory``: how far back each cell can carry what it was told once."""

from typing import Annotated, Any, Literal

import typer

from grus.cli import compare_options as p
from grus.cli import fit_options as o
from grus.cli.compare_run import compare_task, given_options

_TASK, _TRAINING = "Task", "Training"

Lengths = Annotated[list[str] | None, p.lengths("Lengths in place of --length")]
Length = Annotated[
    int | None,
    typer.Option(
        help="Steps that something is to be remembered (default: the task's own).",
        rich_help_panel=_TASK,
        metavar="STEPS",
    ),
]


def memory(
    ctx: typer.Context,
    task: Annotated[
        Literal["adding", "copy", "recall", "digits-rows", "digits-pixels"],
        typer.Option(help="What is to be remembered.", rich_help_panel=_TASK),
    ] = "adding",
    length: Length = None,
    out: p.Out = None,
    cells: p.Cells = None,
    equal: p.Equal = "parameters",
    hidden_size: p.HiddenSize = None,
    parameters: p.Parameters = None,
    learning_rate: p.LearningRate = 1e-3,
    rates: p.Rates = None,
    seeds: p.Seeds = 3,
    seed: p.Seed = 0,
    lengths: Lengths = None,
    level: p.Level = 0.95,
    layers: o.Layers = 1,
    epochs: Annotated[
        int | None,
        typer.Option(help="The most epochs (default: the task's own).", rich_help_panel=_TRAINING),
    ] = None,
    batch_size: o.BatchSize = 32,
    patience: o.Patience = None,
    device: o.Device = "auto",
    resume: p.Resume = False,
    force: p.Force = False,
    json: p.Json = False,
    quiet: o.Quiet = False,
    config: o.Config = None,
) -> None:
    """Compare cells on tasks that need a long memory, with sequences that are made as they are needed.

    \b
    [bold]grus compare memory --length 600[/bold]
        the adding problem: the sum of the two numbers that were marked among 600
    [bold]grus compare memory --task copy --length 200 --parameters 20000[/bold]
        ten symbols, to be repeated after 200 blanks
    [bold]grus compare memory --task recall --lengths 50,100,200,400[/bold]
        the symbol shown first, asked for after so many others
    [bold]grus compare memory --task digits-pixels --epochs 20[/bold]
        scikit-learn's handwritten digits, a pixel a step

    \b
    The answer that remembers nothing stands beside the cells. stdout gets the table
    as CSV, or with --json everything. Each finished run is saved: after Ctrl-C the
    same command with --resume goes on.
    """
    options = given_options(ctx, "task", "length", "epochs")
    chosen: dict[str, Any] = {"length": length, "epochs": epochs}
    options |= {name: value for name, value in chosen.items() if value is not None}
    compare_task(ctx, "memory", task, task, options)
