"""``grus fit translate SRC TGT``: from sentences and their translations to a saved translator with a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grus.cli import fit_options as o
from grus.cli import translate_options as t
from grus.cli.fit_run import fit_task
from grus.errors import UsageError

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.tasks.translate import Translator


def translate_fit(
    ctx: typer.Context,
    data: t.Data,
    translations: t.Translations = None,
    out: o.Out = None,
    source: t.Source = None,
    target: t.Target = None,
    validation: t.Validation = None,
    val_size: t.ValSize = 0.05,
    test_size: t.TestSize = 0,
    max_length: t.MaxLength = None,
    tokenizer: t.Tokenizer = "bpe",
    vocabulary_size: t.VocabularySize = 8_000,
    joint: t.Joint = True,
    lower: t.Lower = False,
    hidden_size: t.HiddenSize = 256,
    layers: t.Layers = 1,
    embedding_size: t.EmbeddingSize = 128,
    tied: t.Tied = True,
    attention: t.Attention = "additive",
    decoder: t.Decoder = "conditional",
    dropout: t.Dropout = 0.3,
    state_dropout: t.StateDropout = 0.5,
    output_dropout: t.OutputDropout = 0.5,
    length_penalty: t.LengthPenalty = 1.0,
    bpe_dropout: t.BpeDropout = 0.0,
    label_smoothing: t.LabelSmoothing = 0.1,
    monitor: t.Monitor = "bleu",
    epochs: t.Epochs = 30,
    batch_size: t.BatchSize = 64,
    learning_rate: o.LearningRate = 1e-3,
    weight_decay: o.WeightDecay = 1e-5,
    patience: o.Patience = 5,
    ema: o.Ema = 0.999,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    log: o.Log = "csv",
    resume: o.Resume = False,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    config: o.Config = None,
) -> None:
    """Train a translator on sentences and their translations, and write a model folder.

    \b
    [bold]grus fit translate train.en train.de -o model[/bold]
        two files: line n of one is the translation of line n of the other
    [bold]grus fit translate train.en train.de --validation val.en,val.de --lower[/bold]
    [bold]grus fit translate pairs.tsv --source english --target german[/bold]
        a table with a column a language
    [bold]grus fit translate pairs.jsonl --tokenizer word --no-joint --epochs 10[/bold]
    [bold]grus translate model < new.en > new.de[/bold]
        what to do with it then

    \b
    Pairs with an empty side are left out, and the plan says which; sentences of more
    than --max-length tokens are cut, and it says how many. Checkpoints stand in
    FOLDER.run/ while training; Ctrl-C leaves one there, and the same command with
    --resume goes on from it to the same weights. stdout gets the path of the model
    folder, or with --json the scores.
    """
    given = dict(ctx.params)
    wanted, form = (1, "one table") if translations is None else (2, "two files, SRC,TGT")
    if len(given["validation"]) not in (0, wanted):
        raise UsageError(f"{ctx.command_path}: --validation must be {form}, got {len(given['validation'])}")
    fit_task("translate", given, list(ctx.obj), _train, _show, next_command="grus translate {} < IN > OUT")


def _train(arguments: dict[str, Any], path: Path, **run: Any) -> "Translator":
    from grus.tasks.translate import Translator

    target, validation = arguments.pop("translations"), arguments.pop("validation")
    unseen = None if not validation else validation[0] if target is None else tuple(validation)
    return Translator(**arguments).fit(path, target, validation=unseen, **run)


def _show(translator: "Translator", people: "People") -> dict[str, Any]:
    """Tell people the scores, and return them as plain data."""
    from grus.cli.translate_answers import tell
    from grus.inspection.translations.wording import translation_evaluation_dict

    found = {"validation": translator.validation_, "test": translator.test_}
    evaluations = {name: e for name, e in found.items() if e is not None}
    for name, evaluation in evaluations.items():
        tell(people, f"{name}, greedy", evaluation)
    return {name: translation_evaluation_dict(e) for name, e in evaluations.items()}
