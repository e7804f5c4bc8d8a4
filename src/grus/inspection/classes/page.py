"""What stands on the page about a classifier: sentences, tables and pictures, section by section."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from grus.decode import ClassEvaluation
from grus.inspection import plots
from grus.inspection.classes import plots as class_plots
from grus.inspection.classes.record import (
    Mistake,
    Mixup,
    confident_mistakes,
    label_counts,
    mixed_labels,
    mixups,
    standardised,
    visit_lines,
)
from grus.inspection.classes.wording import calibration_sentence, class_verdict, unseen_sentence
from grus.inspection.page import (
    Picture,
    around_recurrent,
    count_weights,
    describe_training,
    learning_curves,
    recurrent_of,
)
from grus.inspection.svg import to_svg
from grus.inspection.wording import count, duration, figure, percent
from grus.preprocess.examples import Examples
from grus.spec import Classify, Codes, Images, Irregular, LogMel, Model, Subwords, Vocabulary, ops
from grus.training import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: How many mistakes are shown of each kind of example, and how many characters of a text.
_MISTAKES = {"text": 10, "series": 9, "images": 18, "events": 8, "audio": 12}
_CHARACTERS, _VISITS = 300, 6
#: At most so many labels in the table and in the picture of confusions.
_LABELS, _CONFUSED = 40, 30


@dataclass(frozen=True)
class Shown:
    """A mistake as it is printed: what was said and how surely, what is true, and the example itself."""

    said: str
    confidence: str
    truth: str
    truth_share: str
    name: str = ""
    text: str = ""
    lines: list[str] = field(default_factory=list)
    svg: str = ""
    image: str = ""


@dataclass(frozen=True)
class ClassPage:
    """Everything the template needs, ready to print; see `class_page`."""

    sentence: str
    headline: dict[str, str]
    facts: list[tuple[str, str]]
    tables: list[dict[str, object]]
    labels: list[dict[str, str]]
    labels_caption: str
    shown: str
    confusion: Picture | None
    confusion_caption: str
    mixups: list[dict[str, str]]
    reliability: Picture | None
    reliability_sentence: str
    mistakes: list[Shown]
    mistakes_sentence: str
    learning: list[Picture]
    learning_sentence: str
    data: str


def class_page(
    parts: Mapping[str, Examples], history: History, evaluations: Mapping[str, ClassEvaluation], model: Model
) -> ClassPage:
    """Gather the page of a classifier; the first evaluation is the one the pictures show."""
    task = model.task_as(Classify)
    part, e = next(iter(evaluations.items()), ("", None))
    labels, caption = label_table(e, parts, task)
    mistakes, sentence = ([], "") if e is None else shown_mistakes(e, parts[part])
    confusion, confused = (None, "") if e is None else confusion_picture(e)
    return ClassPage(
        sentence=describe_classifier(model),
        headline={} if e is None else headline(part, e),
        facts=facts(e, history, parts),
        tables=[score_table(name, found, recurrent_of(model).name) for name, found in evaluations.items()],
        labels=labels,
        labels_caption=caption,
        shown=part,
        confusion=confusion,
        confusion_caption=confused,
        mixups=[] if e is None else [mixup_row(m) for m in mixups(e, 8)],
        reliability=None if e is None else reliability(evaluations, task.multi),
        reliability_sentence="" if e is None else describe_reliability(part, e),
        mistakes=mistakes,
        mistakes_sentence=sentence,
        learning=learning_curves(history, "log loss"),
        learning_sentence=describe_training(history, "rows"),
        data={"images": "FOLDER", "audio": "FOLDER", "text": "DATA.jsonl"}.get(task.kind, "DATA.csv"),
    )


def describe_classifier(model: Model) -> str:
    """One sentence: what reads what, how the steps become one answer, and what it says."""
    task = model.task_as(Classify)
    nodes, layers = [node.op for node in model.parts["main"].nodes], recurrent_of(model)
    size = f"{layers.hidden} units, " + (f"{layers.layers} layers, " if layers.layers > 1 else "")
    both = "bidirectional " if layers.bidirectional else ""
    how = "keeps its last state"
    for op in nodes:
        if isinstance(op, ops.Pool):
            how = f"takes the {'mean' if op.how == 'mean' else 'maximum'} over all steps"
        elif isinstance(op, ops.AttentionPool):
            how = "lets attention weigh the steps"
    says = "any number of its" if task.multi else "one of"
    before, after = around_recurrent(model)
    return (
        f"A {before}{both}{layers.title}{after} ({size}{count_weights(model):,} weights in all) reads "
        f"{_input(model)}, {how}, and names {says} {len(task.labels):,} labels."
    )


def _input(model: Model) -> str:
    """What a row is to the network."""
    task, step = model.task_as(Classify), model.preprocess[0]
    most = f"up to {task.max_length:,}"
    if isinstance(step, Vocabulary):
        unit = "words" if step.kind == "word" else "characters"
        return f"{most} {unit} of {task.inputs[0]} ({len(step.tokens):,} known)"
    if isinstance(step, Subwords):
        return f"{most} pieces of words of {task.inputs[0]} ({step.port().size - 1:,} known)"
    if isinstance(step, Images):
        return f"images of {step.width} x {step.height} pixels row by row"
    if isinstance(step, LogMel):
        seconds = task.max_length * step.stride / step.rate
        return f"up to {seconds:.3g} s of sound at {step.rate:,} Hz in {step.bands} mel bands"
    if isinstance(step, Codes):
        return f"{most} visits with {len(step.codes):,} known codes"
    times = " at uneven times" if isinstance(step, Irregular) and step.reads_times else ""
    return f"{most} steps of {count(len(task.inputs), 'channel')}{times}"


def headline(part: str, e: ClassEvaluation) -> dict[str, str]:
    """The figure that matters, what it is relative to, and what it was measured on."""
    best, rival = e.best_baseline, e.baselines[e.best_baseline]
    if e.task.multi:
        big, better = figure(e.macro_f1, 3), e.macro_f1 >= rival.macro_f1
        small = f"macro-F1; that of the best baseline, {best}, is {figure(rival.macro_f1, 3)}"
    else:
        big, better = percent(e.accuracy), e.accuracy >= rival.accuracy
        small = f"of the rows are labelled right; by the best baseline, {best}, {percent(rival.accuracy)}"
    caveat = {
        "test": "Neither training nor the choice of the best epoch has seen these rows.",
        "validation": "These rows also chose the best epoch and calibrated the probabilities; fit with --test-size "
        "for figures on rows that nothing has seen.",
    }.get(part, "")
    said = [f"{part.capitalize()}: {count(e.n, 'row')}.", caveat]
    said += [] if better else ["As it is, the baseline is the better classifier."]
    said += [f"{unseen_sentence(e)}."] if e.unseen else []
    return {"big": big, "small": small, "where": " ".join(filter(None, said))}


def facts(
    e: ClassEvaluation | None, history: History, parts: Mapping[str, Examples]
) -> list[tuple[str, str]]:
    """A few figures for the first glance: (name, value)."""
    found = []
    if e is not None and e.task.multi:
        found += [("micro-F1", figure(e.micro_f1, 3)), ("all labels of a row right", percent(e.accuracy))]
    elif e is not None:
        found.append(("macro-F1", figure(e.macro_f1, 3)))
    if e is not None:
        found += [("log loss", figure(e.log_loss, 3)), ("calibration error", percent(e.ece))]
    found += [("rows to learn from", f"{len(parts['train']):,}")] if "train" in parts else []
    return [*found, ("of training", duration(history.seconds))]


def score_table(part: str, e: ClassEvaluation, own: str) -> dict[str, object]:
    """Scores of the model, called ``own``, and of the baselines as text; the bar shows the first score."""
    names = ("macro_f1", "accuracy") if e.task.multi else ("accuracy", "macro_f1")
    rows = []
    for number, row in enumerate(e.rows()):
        shown = {"accuracy": percent(float(row["accuracy"])), "macro_f1": figure(float(row["macro_f1"]), 3)}
        rows.append(
            {
                "name": str(row["model"]) if number else own,
                "scores": [shown[name] for name in names],
                "bar": f"{100 * float(row[names[0]]):.1f}",
                "log_loss": figure(float(row["log_loss"]), 3),
            }
        )
    words = {"macro_f1": "macro-F1", "accuracy": "all labels right" if e.task.multi else "accuracy"}
    return {
        "part": part,
        "caption": f"{count(e.n, 'row')}; {class_verdict(e)}.",
        "names": [words[name] for name in names],
        "rows": rows,
    }


def label_table(
    e: ClassEvaluation | None, parts: Mapping[str, Examples], task: Classify
) -> tuple[list[dict[str, str]], str]:
    """How many rows each label has and how well it is told; of very many labels those with the lowest F1."""
    train = parts.get("train")
    trained = label_counts(None if train is None else train.labels, task.labels)
    most = max(int(trained.max(initial=0)), 1)
    order, caption = np.arange(len(task.labels)), ""
    if len(order) > _LABELS:
        lowest = np.argsort(-trained if e is None else e.f1, kind="stable")[:_LABELS]
        order = np.sort(lowest)
        caption = f"The {_LABELS} of {len(task.labels):,} labels with the {'most rows' if e is None else 'lowest F1'}."
    rows = []
    for i in order.tolist():
        row = {"name": task.labels[i], "train": f"{trained[i]:,}", "bar": f"{100 * trained[i] / most:.1f}"}
        if e is not None:
            known = e.support[i] > 0
            row |= {
                "rows": f"{e.support[i]:,}",
                "precision": percent(float(e.precision[i])),
                "recall": percent(float(e.recall[i])) if known else "-",
                "f1": figure(float(e.f1[i]), 3),
            }
        rows.append(row)
    return rows, caption


def confusion_picture(e: ClassEvaluation) -> tuple[Picture | None, str]:
    """The confusion matrix; of very many labels those that are mixed up most."""
    if e.task.multi:
        return None, ""
    chosen = mixed_labels(e, _CONFUSED)
    names = [e.task.labels[i] for i in chosen]
    ax = class_plots.plot_confusion(e.confusion[np.ix_(chosen, chosen)], names)
    right = int(np.trace(e.confusion))
    svg = to_svg(
        plots.figure_of(ax), "confusion", f"Rows by true and predicted label; {right:,} on the diagonal"
    )
    caption = (
        "Rows by true label (down) and predicted label (across), shaded by their share of the true label."
    )
    if len(names) < len(e.task.labels):
        caption += f" The {len(names)} of {len(e.task.labels):,} labels that are mixed up most."
    return Picture(svg, width=_width(ax)), caption


def mixup_row(m: Mixup) -> dict[str, str]:
    """A pair of labels that are mixed up, as text."""
    return {"truth": m.truth, "said": m.said, "rows": f"{m.rows:,}", "share": percent(m.share)}


def reliability(evaluations: Mapping[str, ClassEvaluation], multi: bool) -> Picture:
    """Confidence against how often it was right."""
    measured = {name: e.calibration for name, e in evaluations.items()}
    what = ("probability of a label", "rows that have it") if multi else ("confidence", "right")
    ax = class_plots.plot_reliability(measured, what=what)
    svg = to_svg(plots.figure_of(ax), "reliability", "How often predictions are right by their confidence")
    return Picture(svg, width=_width(ax))


def _width(ax: "Axes") -> str:
    return f"{72 * plots.figure_of(ax).get_figwidth():.0f}pt"


def describe_reliability(part: str, e: ClassEvaluation) -> str:
    """How far confidence and truth are apart, and in which direction."""
    said = calibration_sentence(e)
    means = ""
    if not e.task.multi:
        sure = float(e.probabilities.max(axis=1).mean())
        means = f" Mean confidence is {percent(sure)}, and {percent(e.accuracy)} are right."
    caveat = " These are the rows that the probabilities were calibrated on." if part == "validation" else ""
    return f"{said[0].upper()}{said[1:]}.{means}{caveat}"


def shown_mistakes(e: ClassEvaluation, examples: Examples) -> tuple[list[Shown], str]:
    """The surest mistakes, each with its example, and a sentence above them."""
    assert examples.labels is not None
    found = confident_mistakes(e, examples.labels, _MISTAKES[examples.kind])
    wrong = round((1 - e.accuracy) * e.n)
    if not found:
        return [], f"None of the {count(e.n, 'row')} is labelled wrong."
    which = "all of them" if len(found) == wrong else f"the {len(found)} that the model was surest of"
    verb = "is" if wrong == 1 else "are"
    legend = {
        "events": " A line is a visit, after the time since the one before (in days, where times are dates).",
        "series": " A line is a channel, over its own spread.",
    }.get(examples.kind, "")
    rows = [m.row for m in found]
    series = standardised(examples, rows) if examples.series is not None else [None] * len(rows)
    shown = [_shown(m, examples, values) for m, values in zip(found, series)]
    return shown, f"{count(wrong, 'row')} {verb} labelled wrong; here {which}.{legend}"


def _shown(m: Mistake, examples: Examples, series: np.ndarray | None) -> Shown:
    text, lines, svg, image = "", [], "", ""
    if examples.texts is not None:
        whole = " ".join(examples.texts[m.row].split())
        text = whole if len(whole) <= _CHARACTERS else whole[:_CHARACTERS].rstrip() + "…"
        text = text or "(an empty text)"
    elif examples.images is not None:
        image = data_uri(examples.images[m.row])
    elif series is not None:
        ax = class_plots.plot_channels(series)
        svg = to_svg(plots.figure_of(ax), f"series{m.row}", f"{len(series):,} steps")
    elif examples.visits is not None:
        lines = visit_lines(examples, m.row, _VISITS)
    return Shown(
        said=", ".join(m.said) or "no label",
        confidence=percent(m.confidence),
        truth=", ".join(m.truth) or "no label",
        truth_share=percent(m.truth_share) if np.isfinite(m.truth_share) else "",
        name="" if examples.ids is None else str(examples.ids[m.row]),
        text=text,
        lines=lines,
        svg=svg,
        image=image,
    )


def data_uri(pixels: np.ndarray) -> str:
    """An image uint8 [H, W, C] as a PNG inside the page."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
