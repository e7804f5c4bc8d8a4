"""The report of a transcriber: one self-contained HTML page, with the figures beside it as metrics.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from grus.artifact import write_file
from grus.decode.transcriber import LiveTranscriber
from grus.decode.transcription_scores import TranscriptionEvaluation, edits
from grus.inspection.page import (
    Picture,
    around_recurrent,
    count_weights,
    describe_training,
    learning_curves,
    recurrent_of,
)
from grus.inspection.render import render
from grus.inspection.report import METRICS, PAGE, plan_columns
from grus.inspection.transcripts.wording import transcription_evaluation_dict, transcription_verdict
from grus.inspection.wording import count, duration, figure, percent, to_json
from grus.training import History

#: Recordings with errors that are shown.
_SHOWN = 20


@dataclass(frozen=True)
class TranscribePage:
    """Everything the template needs, ready to print."""

    sentence: str
    headline: dict[str, str]
    facts: list[tuple[str, str]]
    verdicts: list[tuple[str, str]]
    mistakes: list[dict[str, str]]
    mistakes_sentence: str
    learning: list[Picture]
    learning_sentence: str


def write_transcribe_report(
    folder: Path,
    *,
    title: str,
    plan: list[str],
    history: History,
    evaluations: Mapping[str, TranscriptionEvaluation],
    live: LiveTranscriber,
    name: str = "MODEL",
) -> Path:
    """Write what there is to see about a trained transcriber; return the page's path.

    Args:
        folder: where; made if absent.
        title: the page's headline.
        plan: how the data was understood, in sentences.
        history: of the training.
        evaluations: by ``test`` (first, if there is one) and ``validation``.
        live: the model.
        name: of the model folder, for the commands at the end of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {
        "title": title,
        "task": msgspec.to_builtins(live.task),
        "evaluations": {part: transcription_evaluation_dict(e) for part, e in evaluations.items()},
        "history": asdict(history),
    }
    page = transcribe_page(history, evaluations, live)
    text = render("transcribe.html.j2", title=title, plan=plan_columns(plan), name=name, page=page)
    write_file(folder / METRICS, to_json(metrics).encode())
    write_file(folder / PAGE, text.encode())
    return folder / PAGE


def transcribe_page(
    history: History, evaluations: Mapping[str, TranscriptionEvaluation], live: LiveTranscriber
) -> TranscribePage:
    """Gather the page; the first evaluation is the one of the headline and the mistakes."""
    part, e = next(iter(evaluations.items()), ("", None))
    mistakes, sentence = ([], "") if e is None else _mistakes(part, e)
    return TranscribePage(
        sentence=describe(live),
        headline={} if e is None else {
            "big": percent(e.wer, 2), "small": "of the words are wrong (word error rate)",
            "where": f"{part}: {count(e.n, 'recording')}, {duration(e.seconds)} of sound, greedy",
        },
        facts=_facts(e, history, live),
        verdicts=[(name, transcription_verdict(found)) for name, found in evaluations.items()],
        mistakes=mistakes,
        mistakes_sentence=sentence,
        learning=learning_curves(history, "nats a unit"),
        learning_sentence=describe_training(history, "recordings"),
    )  # fmt: skip


def describe(live: LiveTranscriber) -> str:
    """One sentence: what reads what, and what it writes."""
    layers, step = recurrent_of(live.model), live.log_mel
    before, _ = around_recurrent(live.model)
    both = "bidirectional " if layers.bidirectional else ""
    kind = "words" if live.vocabulary.kind == "word" else "characters"
    depth = f"{layers.layers} layers, " if layers.layers > 1 else ""
    how = "whole recordings" if layers.bidirectional else "recordings as they come"
    return (
        f"A {before}{both}{layers.title} ({layers.hidden} units, {depth}{count_weights(live.model):,} weights in all) "
        f"reads {how}, {step.bands} mel bands every {1000 * step.stride / step.rate:g} ms, and writes "
        f"{len(live.vocabulary.tokens):,} {kind} or nothing at each step."
    )


def _facts(
    e: TranscriptionEvaluation | None, history: History, live: LiveTranscriber
) -> list[tuple[str, str]]:
    found = [] if e is None else [
        ("character error rate", percent(e.cer, 2)), ("without an error", percent(e.right)),
        ("nats a unit", figure(e.log_loss, 3)),
    ]  # fmt: skip
    return [*found, ("weights", f"{count_weights(live.model):,}"), ("of training", duration(history.seconds))]


def _mistakes(part: str, e: TranscriptionEvaluation) -> tuple[list[dict[str, str]], str]:
    """The recordings with the most wrong words."""
    wrong: list[tuple[int, int]] = []
    for row, (one, other) in enumerate(zip(e.references, e.transcripts)):
        if one != other:
            found = edits(one.split(), other.split())
            wrong.append((-(found.substitutions + found.deletions + found.insertions), row))
    wrong.sort()
    shown = [
        {"name": e.names[row], "said": e.references[row], "written": e.transcripts[row] or "(nothing)"}
        for _, row in wrong[:_SHOWN]
    ]
    if not wrong:
        return [], f"None of the {count(e.n, 'recording')} of the {part} has an error."
    which = "all of them" if len(wrong) <= _SHOWN else f"the {_SHOWN} with the most"
    return shown, f"{count(len(wrong), 'recording')} of the {part} with errors; here {which}."
