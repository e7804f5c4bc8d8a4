"""``grus compare classify DATA``: GRU, LSTM, simple RNN and their like as classifiers of labelled examples."""

from pathlib import Path
from typing import Annotated

import typer

from grus.cli import classify_options as c
from grus.cli import compare_options as p
from grus.cli import fit_options as o
from grus.cli.compare_run import compare_task, data_name, given_options
from grus.errors import UsageError

Lengths = Annotated[list[str] | None, p.lengths("Steps kept of a row")]


def classify(
    ctx: typer.Context,
    data: c.Data = None,
    image: c.Image = None,
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
    kind: c.Kind = None,
    text: c.Text = None,
    label: c.Label = None,
    id: c.Id = None,
    time: c.Time = None,
    columns: c.Columns = None,
    code: c.Code = None,
    tokenizer: c.Tokenizer = "word",
    vocabulary_size: c.VocabularySize = 20_000,
    lower: c.Lower = True,
    bidirectional: c.Bidirectional = None,
    pool: c.Pool = "max",
    layers: o.Layers = 1,
    dropout: o.Dropout = 0.5,
    embedding_size: c.EmbeddingSize = 64,
    token_dropout: c.TokenDropout = 0.1,
    label_smoothing: c.LabelSmoothing = 0.0,
    class_weight: c.ClassWeight = None,
    multi: c.Multi = None,
    max_length: c.MaxLength = None,
    val_size: c.ValSize = 0.1,
    test_size: c.TestSize = 0.2,
    epochs: c.Epochs = 20,
    batch_size: c.BatchSize = 32,
    weight_decay: o.WeightDecay = 1e-4,
    patience: o.Patience = 5,
    ema: o.Ema = 0.99,
    device: o.Device = "auto",
    validation: c.Validation = None,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Labelled data to test on, like DATA (default: rows of DATA).",
            rich_help_panel="Rows",
            metavar="FILE",
        ),
    ] = None,
    resume: p.Resume = False,
    force: p.Force = False,
    json: p.Json = False,
    quiet: o.Quiet = False,
    config: o.Config = None,
) -> None:
    """Compare cells as classifiers: the same rows, each with its own best learning rate, several seeds.

    \b
    [bold]grus compare classify reviews.jsonl --text review --label stars[/bold]
        all cells with as many weights as a GRU of 64 units
    [bold]grus compare classify train.tsv --validation dev.tsv --test test.tsv --equal width[/bold]
    [bold]grus compare classify motion.csv --id recording --time t --label activity --sizes 0.1,0.3,1[/bold]
        also on a tenth and a third of the training rows
    [bold]grus compare classify --image digits/ --cells gru,lstm --seeds 5[/bold]
    [bold]grus compare classify reviews.jsonl --lengths 16,64 --no-bidirectional[/bold]
        the first 16 and 64 words, by models that can run live

    \b
    The verdict, tables and a report (FOLDER/index.html) say which cell to take and
    whether the difference is more than noise; baselines stand beside them. stdout
    gets the table as CSV, or with --json everything. Each finished run is saved:
    after Ctrl-C the same command with --resume goes on.
    """
    if (data is None) == (image is None):
        got = "neither" if data is None else "both"
        raise UsageError(f"{ctx.command_path}: expected DATA or --image, got {got}")
    given = str(data or image)
    options = given_options(ctx, "data", "image")
    if test is not None:
        options["test_size"] = 0
    from grus.cli.tables import table_file

    with table_file(given) as path:
        compare_task(ctx, "classify", path, data_name(given), options)
