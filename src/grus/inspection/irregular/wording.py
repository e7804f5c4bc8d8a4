"""Measurements in words, the same on the page and on the terminal, and as plain data for JSON."""

from typing import TYPE_CHECKING, Any

import numpy as np

from grus.inspection.irregular.readings import Readings
from grus.inspection.wording import count, figure, percent

if TYPE_CHECKING:
    from grus.inspection.irregular.parts import Measurements

#: Measurements that are named in a sentence, on each side.
_NAMED = 4
#: Parts smaller than this share of the largest are not worth a word.
_LEAST = 0.02


def probability(log_odds: float) -> float:
    """1 / (1 + exp(-log-odds))."""
    return float(0.5 * (1 + np.tanh(log_odds / 2)))


def strongest_sentence(found: "Measurements") -> str:
    """``Most raised the probability of 'yes': GCS 3 at minute 1,872 (+0.41), ...; most lowered it: ...``."""
    strongest, added = found.strongest(), found.added
    if not strongest:
        return (
            "Nothing was measured in this row: the model has only the times of its steps to go by, and what it learned "
            "of rows in general."
        )
    least = _LEAST * abs(added[strongest[0]])
    up = [at for at in strongest if added[at] > least][:_NAMED]
    down = [at for at in strongest if added[at] < -least][:_NAMED]
    said = []
    if up:
        said.append(f"Most raised the probability of {found.label!r}: {_listed(found, up)}")
    if down:
        start = "most lowered it" if up else f"Most lowered the probability of {found.label!r}"
        said.append(f"{start}: {_listed(found, down)}")
    if not said:
        return f"No measurement moved the probability of {found.label!r}."
    return "; ".join(said) + "."


def _listed(found: "Measurements", places: list[tuple[int, int]]) -> str:
    readings = found.readings
    return ", ".join(
        f"{readings.columns[c]} {readings.value(t, c)} at {readings.moment(t)} ({signed(found.added[t, c])})"
        for t, c in places
    )


def signed(value: float) -> str:
    """``+0.41``, ``-0.08``; what rounds to nothing as ``0``."""
    text = f"{value:+.2f}"
    return "0" if float(text) == 0 else text


def sum_sentence(found: "Measurements") -> str:
    """From nothing measured to the answer, in log-odds and in probabilities."""
    parts, form = found.parts, found.readings.form
    steps = [f"With nothing measured{_no_time(form)} the probability of {found.label!r} would be "
             f"{percent(probability(parts.base))}"]  # fmt: skip
    if form in ("indicators", "decay"):
        steps.append(
            f"what was measured and when, whatever came out, adds {signed(parts.presence.sum())} to its log-odds, the "
            f"time that passed {signed(parts.time.sum())} ({percent(probability(parts.at_mean))})"
        )
    steps.append(
        f"the values themselves, over those of a mean row, {'' if len(steps) > 1 else 'add '}"
        f"{signed(parts.values.sum())}{'' if len(steps) > 1 else ' to its log-odds'}: "
        f"{percent(probability(parts.answer))}"
    )
    return f"{'; '.join(steps)}. The parts miss the answer by {figure(abs(parts.gap), 2)}."


def _no_time(form: str) -> str:
    return " and no time passing" if form in ("indicators", "decay") else ""


def read_sentence(readings: Readings) -> str:
    """How much was measured, and what of it the model did not read as it is."""
    said = [f"{readings.said().capitalize()}." if readings.known.any() else ""]
    outside = int((readings.values != readings.read)[readings.known].sum())
    if outside:
        verb = "lies" if outside == 1 else "lie"
        said.append(f"{count(outside, 'value')} {verb} outside what training saw and {'is' if outside == 1 else 'are'} "
                    "read as its bounds.")  # fmt: skip
    if readings.first:
        said.append(f"The model reads the last {readings.steps - readings.first:,} of {readings.steps:,} steps; older "
                    "values count only as far as they are carried on.")  # fmt: skip
    return " ".join(filter(None, said))


def measurements_dict(found: "Measurements") -> dict[str, Any]:
    """What was measured and what it adds as plain data."""
    readings, parts = found.readings, found.parts
    when = [str(value) if readings.dated else int(value) for value in readings.where]
    steps, columns = np.nonzero(readings.known)
    return {
        "label": found.label,
        "unit": "log-odds",
        "base": parts.base,
        "at_mean": parts.at_mean,
        "answer": parts.answer,
        "gap": parts.gap,
        "readings": [
            {
                "time": when[t],
                "column": readings.columns[c],
                "value": float(readings.values[t, c]),
                "read_as": float(readings.read[t, c]),
                "value_adds": float(parts.values[t, c]),
                "presence_adds": float(parts.presence[t, c]),
            }
            for t, c in zip(steps.tolist(), columns.tolist())
        ],
        "time_adds": [{"time": t, "adds": float(part)} for t, part in zip(when, parts.time)],
        "unfolding": [
            {"time": when[t], "probability": float(p)} for t, p in zip(readings.answers, found.probabilities)
        ],
    }
