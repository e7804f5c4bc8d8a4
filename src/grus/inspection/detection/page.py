"""What stands on the page about a detector: sentences, tables and pictures, section by section."""

from dataclasses import dataclass

import numpy as np

from grus.decode import DetectEvaluation, LiveDetector
from grus.decode.events import find_events
from grus.inspection import plots
from grus.inspection.detection import plots as detect_plots
from grus.inspection.detection.record import telling_series, watched
from grus.inspection.detection.wording import detect_verdict, event_sentence
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
from grus.preprocess.frequency import stamp
from grus.preprocess.records import Records
from grus.training import History

#: At most so many events in the table, the most severe ones.
_EVENTS = 20


@dataclass(frozen=True)
class SeriesShown:
    """A series as it is shown: its name, and a picture for each column and for the score."""

    name: str
    pictures: list[Picture]


@dataclass(frozen=True)
class DetectPage:
    """Everything the template needs, ready to print; see `detect_page`."""

    sentence: str
    headline: dict[str, str]
    facts: list[tuple[str, str]]
    series: list[SeriesShown]
    series_sentence: str
    events: list[list[str]]
    events_names: list[str]
    events_sentence: str
    table: list[dict[str, str]]
    table_caption: str
    learning: list[Picture]
    learning_sentence: str


def detect_page(
    live: LiveDetector,
    records: Records,
    severity: np.ndarray,
    history: History,
    evaluation: DetectEvaluation | None,
) -> DetectPage:
    """Gather the page of a detector from the rows that it was trained on, and what it says of them."""
    names, rows, sentence = event_table(live, records, severity)
    chosen = telling_series(records, severity)
    which = "" if len(chosen) == records.n_series else f" The {len(chosen)} series with the most severe rows."
    return DetectPage(
        sentence=describe_detector(live),
        headline=headline(live, records, severity, evaluation),
        facts=facts(live, records, history),
        series=[series_shown(live, records, severity, i) for i in chosen],
        series_sentence="A line is the mean of a column, the band around it its range; what is marked is an event that "
        f"the model sees.{which}",
        events=rows,
        events_names=names,
        events_sentence=sentence,
        table=[] if evaluation is None else score_table(evaluation, recurrent_of(live.model).name),
        table_caption=""
        if evaluation is None
        else f"{detect_verdict(evaluation)}. {event_sentence(evaluation)}.",
        learning=learning_curves(history, "Huber loss of a scaled value"),
        learning_sentence=describe_training(history, "windows"),
    )


def describe_detector(live: LiveDetector) -> str:
    """One sentence: what expects what, and what becomes of the errors."""
    task, layers = live.task, recurrent_of(live.model)
    memory = f"their last {task.memory:,} rows" if task.memory else "those of training"
    _, after = around_recurrent(live.model)
    return (
        f"A {layers.title}{after} ({layers.hidden} units, {count_weights(live.model):,} weights in all) expects the "
        f"next value of {count(len(task.columns), 'column')} from the rows before it; the mean error of about "
        f"{task.short} rows is compared with {memory}."
    )


def headline(
    live: LiveDetector, records: Records, severity: np.ndarray, e: DetectEvaluation | None
) -> dict[str, str]:
    """The figure that matters, what it means, and what it was measured on."""
    caveat = "These are the rows that the model was trained on and its threshold set by."
    if e is not None and e.anomalous:
        small = (
            f"of the labelled rows' F1; {percent(e.model.false_alarms, 2)} of the other rows called anomalous"
        )
        return {"big": percent(e.model.f1), "small": small, "where": f"{event_sentence(e)}. {caveat}"}
    found = len(find_events(live.task, live.threshold, records, severity)["start"])
    return {
        "big": f"{found:,}",
        "small": f"{'event' if found == 1 else 'events'} in {len(records):,} rows",
        "where": caveat,
    }


def facts(live: LiveDetector, records: Records, history: History) -> list[tuple[str, str]]:
    """A few figures for the first glance: (name, value)."""
    return [
        ("threshold of the score", figure(live.threshold, 3)),
        ("quiet rows between alarms", f"{live.task.quiet:,}"),
        ("rows to learn from", f"{len(records):,}"),
        ("of training", duration(history.seconds)),
    ]


def series_shown(live: LiveDetector, records: Records, severity: np.ndarray, i: int) -> SeriesShown:
    """A series with its events, column by column, and its score."""
    task = live.task
    w = watched(records, severity, i, task.columns, live.threshold, task.quiet)
    pictures = []
    for number, (name, values) in enumerate(w.columns.items()):
        ax = detect_plots.plot_column(w.times, values, events=w.events, labelled=w.labelled, unit=name)
        if number and (legend := ax.get_legend()) is not None:
            legend.remove()
        said = f"{name} with {count(len(w.events), 'event')} marked"
        pictures.append(Picture(to_svg(plots.figure_of(ax), f"series{i}-{number}", said)))
    ax = detect_plots.plot_score(w.times, w.score, live.threshold, missed=w.missed, false=w.false)
    pictures.append(Picture(to_svg(plots.figure_of(ax), f"score{i}", "The score and its threshold")))
    return SeriesShown(w.name, pictures)


def event_table(
    live: LiveDetector, records: Records, severity: np.ndarray
) -> tuple[list[str], list[list[str]], str]:
    """The most severe events as text: names of the columns, rows, and a sentence above them."""
    found = find_events(live.task, live.threshold, records, severity)
    total = len(found["start"])
    if not total:
        return [], [], "No row is above the threshold."
    order = np.sort(np.argsort(-found["severity"], kind="stable")[:_EVENTS])
    shown = [
        [
            stamp(value) if name in ("start", "end") and live.task.time is not None
            else figure(float(value), 3) if name in ("severity", "score")
            else str(value)
            for name, value in ((name, values[k]) for name, values in found.items())
        ]
        for k in order.tolist()
    ]  # fmt: skip
    which = "" if total <= _EVENTS else f"; the {_EVENTS} most severe ones"
    sentence = (
        f"{count(total, 'event')}{which}. A severity of 5 is an error that comes once in 100,000 steps."
    )
    return list(found), shown, sentence


def score_table(e: DetectEvaluation, own: str) -> list[dict[str, str]]:
    """Scores of the model, called ``own``, and of the simple rules as text."""
    return [
        {
            "name": own if not number else s.name,
            "f1": percent(s.f1),
            "bar": f"{100 * s.f1:.1f}",
            "precision": percent(s.precision),
            "recall": percent(s.recall),
            "false": percent(s.false_alarms, 2),
            "area": figure(s.average_precision, 3),
        }
        for number, s in enumerate(e.scores)
    ]
