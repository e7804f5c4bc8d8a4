"""``grus fit generate TEXT``: from plain text to a trained, saved language model with a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grus.cli import fit_options as o
from grus.cli import generate_options as g
from grus.cli.fit_run import fit_task

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.tasks.generate import LanguageModel

#: Options of this command that are not arguments of `grus.LanguageModel`, beside those of every ``grus fit``.
OWN_OPTIONS = ("validation", "test")


def fit_generate(
    ctx: typer.Context,
    data: g.Data,
    out: o.Out = None,
    kind: g.Kind = "text",
    layout: g.Layout = "auto",
    steps_per_beat: g.StepsPerBeat = 4,
    transpose: g.Transpose = True,
    validation: g.Validation = None,
    test: g.Test = None,
    val_size: g.ValSize = 0.1,
    test_size: g.TestSize = 0.1,
    tokenizer: g.Tokenizer = "char",
    vocabulary_size: g.VocabularySize = 20_000,
    min_count: g.MinCount = None,
    lower: g.Lower = False,
    cell: o.Cell = "gru",
    hidden_size: o.HiddenSize = 256,
    layers: o.Layers = 2,
    embedding_size: g.EmbeddingSize = None,
    tied: g.Tied = None,
    softmax: g.Softmax = "full",
    dropout: o.Dropout = 0.3,
    input_dropout: g.InputDropout = None,
    variational: g.Variational = False,
    batch_size: g.BatchSize = 32,
    chunk: g.Chunk = 64,
    epochs: g.Epochs = 20,
    learning_rate: o.LearningRate = 3e-3,
    weight_decay: o.WeightDecay = 0.01,
    gradient_clip: g.Clip = 1.0,
    patience: o.Patience = None,
    ema: o.Ema = None,
    max_seconds: g.MaxSeconds = None,
    precision: g.Precision = "32-true",
    seed: o.Seed = 0,
    device: o.Device = "auto",
    log: o.Log = "csv",
    resume: o.Resume = False,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    config: o.Config = None,
) -> None:
    """Train a language model on plain text, or a model of music on MIDI files, and write a model folder.

    \b
    [bold]grus fit generate book.txt -o model[/bold]
        character by character: 80% of the text to train, then 10% to validate, 10% to test
    [bold]grus fit generate books/ more.txt.gz --tokenizer bpe --vocabulary-size 8000[/bold]
        files and folders one after the other, in pieces of words
    [bold]grus fit generate train.txt --validation valid.txt --test test.txt --tokenizer space[/bold]
        words that are cut already, with the end of a line as a token
    [bold]grus fit generate book.txt --hidden-size 512 --dropout 0.5 --max-seconds 600[/bold]
    [bold]grus fit generate --kind midi tunes/ -o model[/bold]
        80% of the MIDI files to train, 10% to validate, 10% to test, in all keys
    [bold]grus fit generate --kind midi tunes/ --steps-per-beat 12 --layout polyphony[/bold]
        a grid that holds triplets; any number of notes at a time

    \b
    Of music nothing is cut: the sizes of validation and test are pieces, and so is
    a batch. What is not given is then --layers 1 --batch-size 8 --lr 0.006.

    \b
    The text may be larger than memory. Checkpoints stand in FOLDER.run/ while
    training; Ctrl-C leaves one there, and the same command with --resume goes
    on from it. stdout gets the path of the model folder, or with --json the scores.
    """
    from grus.cli.fit_music import OF_MIDI, check_kind, fit_music
    from grus.cli.tables import text_files

    check_kind(ctx, kind)
    if kind == "midi":
        fit_music(ctx)
        return
    of_text = {name: value for name, value in ctx.params.items() if name not in OF_MIDI}
    fit_task(
        "generate", of_text, list(ctx.obj), _train, _show, opened=text_files,
        next_command="grus generate {}",
    )  # fmt: skip


def _train(arguments: dict[str, Any], paths: list[Path], **run: Any) -> "LanguageModel":
    from grus.tasks.generate import LanguageModel

    run |= {name: arguments.pop(name) for name in OWN_OPTIONS}
    return LanguageModel(**arguments).fit(paths[0] if len(paths) == 1 else paths, **run)


def _show(model: "LanguageModel", people: "People") -> dict[str, Any]:
    """Tell people the scores, and return them as plain data."""
    from grus.cli.generate_answers import tell
    from grus.inspection.language.wording import language_evaluation_dict

    found = {"validation": model.validation_, "test": model.test_}
    evaluations = {name: e for name, e in found.items() if e is not None}
    for name, evaluation in evaluations.items():
        tell(people, name, evaluation, model.live_.codec.unit)
    return {name: language_evaluation_dict(e) for name, e in evaluations.items()}
