"""``grus fit transcribe AUDIO``: from recordings and their transcripts to a saved transcriber with a report."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grus.cli import classify_options as c
from grus.cli import fit_options as o
from grus.cli import transcribe_options as t
from grus.cli.fit_run import fit_task
from grus.errors import UsageError

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.tasks.transcribe import Transcriber

#: Options of this command that are not arguments of `grus.Transcriber`, beside those of every ``grus fit``.
OWN_OPTIONS = ("validation",)


def fit_transcribe(
    ctx: typer.Context,
    data: t.Data,
    out: o.Out = None,
    transcript: t.Transcript = None,
    units: t.Units = "char",
    lower: t.Lower = True,
    rate: c.Rate = None,
    frame_ms: c.FrameMs = 25.0,
    hop_ms: c.HopMs = 10.0,
    bands: c.Bands = 40,
    preemphasis: c.Preemphasis = 0.0,
    stack: t.Stack = 3,
    resample: c.Resample = True,
    skip_bad: c.SkipBad = False,
    gain_db: c.GainDb = 15.0,
    band_shift: c.BandShift = 2,
    noise: c.Noise = 0.5,
    time_mask: c.TimeMask = 0.05,
    band_mask: c.BandMask = 0.2,
    bidirectional: t.Bidirectional = False,
    cell: o.Cell = "gru",
    hidden_size: o.HiddenSize = 128,
    layers: o.Layers = 2,
    dropout: o.Dropout = 0.2,
    encoder: t.Encoder = "gru",
    kernel_size: o.KernelSize = 3,
    val_size: t.ValSize = 0.1,
    test_size: t.TestSize = 0,
    epochs: t.Epochs = 30,
    batch_size: t.BatchSize = 32,
    learning_rate: o.LearningRate = 3e-3,
    weight_decay: o.WeightDecay = 1e-4,
    patience: o.Patience = 8,
    ema: o.Ema = 0.99,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    log: o.Log = "csv",
    validation: t.Validation = None,
    resume: o.Resume = False,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    config: o.Config = None,
) -> None:
    """Train a transcriber on recordings and what is said in them, and write a model folder.

    \b
    [bold]grus fit transcribe calls.tsv -o model[/bold]
        a table with the columns path and transcript: wav, flac, ogg or mp3 files
    [bold]grus fit transcribe digits.csv --units word --rate 8000[/bold]
        few words: each is a unit by itself
    [bold]grus fit transcribe calls.tsv --bidirectional --layers 3[/bold]
        better, but reads whole recordings only
    [bold]grus transcribe model new.wav[/bold]
        what to do with it then; grus stream model --audio listens

    \b
    Nothing need be known of when a word is said (connectionist temporal
    classification). A transcript that needs more steps than its recording has is
    refused, with the name of the file. Checkpoints stand in FOLDER.run/ while
    training; Ctrl-C leaves one there, and the same command with --resume goes on
    from it. stdout gets the path of the model folder, or with --json the scores.
    """
    fit_task(
        "transcribe", dict(ctx.params), list(ctx.obj), _train, _show, opened=audio_path,
        next_command="grus transcribe {} FILE.wav",
    )  # fmt: skip


@contextmanager
def audio_path(data: str) -> Iterator[Path]:
    """The path of recordings, which are never read from stdin."""
    from grus.cli.tables import require

    require("pyarrow", "reading tables")
    if data == "-":
        raise UsageError("stdin: recordings must be named as a file, a folder or a table, got -")
    yield Path(data)


def _train(arguments: dict[str, Any], path: Path, **run: Any) -> "Transcriber":
    from grus.tasks.transcribe import Transcriber

    run["validation"] = arguments.pop("validation")
    return Transcriber(**arguments).fit(path, **run)


def _show(model: "Transcriber", people: "People") -> dict[str, Any]:
    """Tell people the scores, and return them as plain data."""
    from grus.cli.transcribe_answers import tell
    from grus.inspection.transcripts.wording import transcription_evaluation_dict

    found = {"validation": model.validation_, "test": model.test_}
    evaluations = {name: e for name, e in found.items() if e is not None}
    for name, evaluation in evaluations.items():
        tell(people, f"{name}, greedy", evaluation)
    return {name: transcription_evaluation_dict(e) for name, e in evaluations.items()}
