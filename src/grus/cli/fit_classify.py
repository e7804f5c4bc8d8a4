"""``grus fit classify DATA``: from labelled examples to a trained, saved classifier with a report."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grus.cli import classify_options as c
from grus.cli import fit_options as o
from grus.cli.fit_run import fit_or_tune, fit_task, searched
from grus.cli.options import named
from grus.errors import UsageError

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.tasks.classify import Classifier

#: Options of this command that are not arguments of `grus.Classifier`, beside those of every ``grus fit``.
OWN_OPTIONS = ("image", "audio", "validation")


def classify(
    ctx: typer.Context,
    data: c.Data = None,
    image: c.Image = None,
    audio: c.Audio = None,
    out: o.Out = None,
    kind: c.Kind = None,
    text: c.Text = None,
    label: c.Label = None,
    id: c.Id = None,
    time: c.Time = None,
    columns: c.Columns = None,
    code: c.Code = None,
    variable: c.Variable = None,
    value: c.Value = None,
    tokenizer: c.Tokenizer = "word",
    vocabulary_size: c.VocabularySize = 20_000,
    lower: c.Lower = True,
    bidirectional: c.Bidirectional = None,
    pool: c.Pool = "max",
    cell: o.Cell = "gru",
    hidden_size: o.HiddenSize = 64,
    layers: o.Layers = 1,
    dropout: o.Dropout = 0.5,
    encoder: o.Encoder = "gru",
    kernel_size: o.KernelSize = 3,
    irregular: o.Irregular = None,
    embedding_size: c.EmbeddingSize = 64,
    token_dropout: c.TokenDropout = 0.1,
    label_smoothing: c.LabelSmoothing = 0.0,
    class_weight: c.ClassWeight = None,
    multi: c.Multi = None,
    rate: c.Rate = None,
    frame_ms: c.FrameMs = 25.0,
    hop_ms: c.HopMs = 10.0,
    bands: c.Bands = 40,
    preemphasis: c.Preemphasis = 0.0,
    resample: c.Resample = True,
    skip_bad: c.SkipBad = False,
    gain_db: c.GainDb = 15.0,
    band_shift: c.BandShift = 2,
    noise: c.Noise = 0.5,
    time_mask: c.TimeMask = 0.2,
    band_mask: c.BandMask = 0.2,
    max_length: c.MaxLength = None,
    val_size: c.ValSize = 0.1,
    test_size: c.TestSize = 0,
    epochs: c.Epochs = 20,
    batch_size: c.BatchSize = 32,
    learning_rate: o.LearningRate = 1e-3,
    tune: o.Tune = None,
    weight_decay: o.WeightDecay = 1e-4,
    patience: o.Patience = 5,
    ema: o.Ema = 0.99,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    log: o.Log = "csv",
    validation: c.Validation = None,
    resume: o.Resume = False,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    config: o.Config = None,
) -> None:
    """Train a classifier of texts, series, images, event histories or recordings, and write a model folder.

    \b
    [bold]grus fit classify reviews.jsonl --text review --label stars[/bold]
        texts, one a row
    [bold]grus fit classify motion.csv --id recording --time t --columns x,y,z --label activity[/bold]
        series: all rows of an id, in order of time
    [bold]grus fit classify --image digits/[/bold]
        a folder of images for each label: digits/0/..., digits/1/...
    [bold]grus fit classify --audio commands/ --no-bidirectional[/bold]
        a folder of recordings for each label; one direction, so that it can listen live
    [bold]grus fit classify visits.csv --id patient --time date --code diagnosis --label outcome[/bold]
        events: rows of one id and time are a visit
    [bold]grus fit classify stays.csv --id stay --time minute --label died --irregular decay[/bold]
        series with missing values at uneven times: a GRU-D
    [bold]... --variable parameter --value value[/bold]
        the same from a table in long form, a measurement a row
    [bold]grus fit classify train.tsv --validation dev.tsv --class-weight balanced -o model[/bold]
    [bold]grus fit classify reviews.jsonl --tune 20 --layers 1[/bold]

    \b
    Columns are inferred where they are obvious, and the plan is printed.
    Checkpoints stand in FOLDER.run/ while training; Ctrl-C leaves one there, and
    the same command with --resume goes on from it. stdout gets the path of the
    model folder, or with --json the scores.
    """
    given = dict(ctx.params)
    named_data = [one for one in (data, image, audio) if one is not None]
    if len(named_data) != 1:
        got = "none of them" if not named_data else f"{len(named_data)} of them"
        raise UsageError(f"{ctx.command_path}: expected DATA, --image or --audio, got {got}")
    given["data"] = named_data[0]
    del given["image"], given["audio"]
    if audio is not None:
        if kind not in (None, "audio"):
            raise UsageError(f"{ctx.command_path}: --kind must be audio with --audio, got {kind!r}")
        given["kind"] = "audio"
    fit_task("classify", given, list(ctx.obj), partial(_train, tune, named(ctx)), _show)


def _train(
    tune: int | None, given: set[str], arguments: dict[str, Any], path: Path, **run: Any
) -> "Classifier":
    from grus.tasks.classify import Classifier
    from grus.tasks.tune_space import CLASSIFY

    run["validation"] = arguments.pop("validation")
    return fit_or_tune(Classifier(**arguments), tune, searched(CLASSIFY, given, tune), path, **run)


def _show(classifier: "Classifier", people: "People") -> dict[str, Any]:
    """Tell people the scores, and return them as plain data."""
    from grus.cli.classify_answers import tell
    from grus.inspection.classes.wording import class_evaluation_dict

    found = {"validation": classifier.validation_, "test": classifier.test_}
    evaluations = {name: e for name, e in found.items() if e is not None}
    for name, evaluation in evaluations.items():
        tell(people, name, evaluation)
    return {name: class_evaluation_dict(e) for name, e in evaluations.items()}
