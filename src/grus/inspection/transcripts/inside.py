"""``grus inspect`` of a transcriber: one recording, where its units were written, and which sounds opened the gates."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grus.artifact import write_file
from grus.decode.ctc import BLANK, greedy, log_softmax
from grus.decode.transcriber import LiveTranscriber, Transcript
from grus.errors import DataError
from grus.inspection import plots
from grus.inspection.inside import gate_plots, memory
from grus.inspection.inside.case import check_row
from grus.inspection.inside.gate_words import place_name
from grus.inspection.inside.gates import Record, program_records
from grus.inspection.inside.tables import Table
from grus.inspection.page import Picture
from grus.inspection.render import render
from grus.inspection.svg import to_svg
from grus.inspection.transcripts import plots as own_plots
from grus.inspection.transcripts.report import describe
from grus.inspection.wording import count, duration, figure, percent

#: Moments that are named on each side, heat maps of gates, and units of the table.
_NAMED, _MAPS, _UNITS = 3, 4, 200


@dataclass(frozen=True, eq=False)
class Heard:
    """One recording of T steps.

    Attributes:
        row: its number, from 1; name: of the recording; of: how many there are.
        seconds: how long it is; times: the middle of each step in seconds [T].
        frames: log energies of the mel bands over their mean in training, in deviations [frames, bands].
        transcript: of greedy search; codes, steps: of its units, and the step each was first written at [n].
        probabilities: of the blank and of every unit at each step, float64 [T, units + 1].
        record: of the recurrent layers.
        written: share of the memory that each step overwrites, the mean over units, layers and directions [T].
    """

    row: int
    name: str
    of: int
    seconds: float
    times: np.ndarray
    frames: np.ndarray
    transcript: Transcript
    codes: np.ndarray
    steps: np.ndarray
    probabilities: np.ndarray
    record: Record
    written: np.ndarray


@dataclass(frozen=True)
class HeardPage:
    """Everything the template needs, ready to print."""

    sentence: str
    row: str
    answer: str
    facts: list[tuple[str, str]]
    picture: Picture
    gates_sentence: str
    units: Table
    units_caption: str
    maps: list[Picture]


def hear(
    live: LiveTranscriber, names: Sequence[str], recordings: Sequence[np.ndarray], row: int | None = None
) -> Heard:
    """Look at one recording while a transcriber writes it down.

    Args:
        live: the model.
        names: of the recordings; recordings: samples at its rate.
        row: number of the recording, the first is 1 (default: 1).

    Raises:
        UsageError: there is no such recording; UnsupportedError: the model has no GRU. DataError: it is too short.
    """
    chosen = check_row(row, len(recordings), "the recordings of the data", 1)
    steps = live.frames(recordings[chosen])
    if not len(steps):
        raise DataError(f"{names[chosen]}: must have at least one step to look at, got none")
    (logits,) = live.logits([recordings[chosen]])
    codes, at, _ = greedy(logits)
    record = next(iter(program_records(live.program, {"x": steps[None]}).values()))
    step = live.log_mel
    return Heard(
        row=chosen + 1,
        name=names[chosen],
        of=len(recordings),
        seconds=len(recordings[chosen]) / live.rate,
        times=(step.window / 2 + np.arange(len(steps)) * step.stride) / live.rate,
        frames=steps.reshape(-1, step.bands),
        transcript=live.transcribe([recordings[chosen]])[0],
        codes=codes,
        steps=at,
        probabilities=np.exp(log_softmax(logits)),
        record=record,
        written=memory.written(record)[:, :, 0].mean(axis=(0, 1)),
    )


def describe_heard(found: Heard, live: LiveTranscriber) -> list[str]:
    """What was written and which moments opened the gates, for the terminal."""
    return [f"{found.name}: {found.transcript.text or '(nothing)'}", gates_sentence(found, live)]


def gates_sentence(found: Heard, live: LiveTranscriber) -> str:
    """At which moments most was overwritten, and at which least, with what was written then."""
    order = np.argsort(-found.written, kind="stable")
    few = min(_NAMED, len(order) // 2)
    if not few:
        return f"One step is all there is, which overwrites {percent(float(found.written[0]))}."

    def named(step: int) -> str:
        code = int(found.probabilities[step].argmax())
        what = f" at “{live.vocabulary.tokens[code - 1]}”" if code != BLANK else ""
        return f"{found.times[step]:.2f} s{what} ({percent(float(found.written[step]))})"

    most = ", ".join(map(named, order[:few].tolist()))
    least = ", ".join(map(named, order[::-1][:few].tolist()))
    return f"Most of the memory was overwritten at {most}; least at {least}."


def heard_dict(found: Heard, live: LiveTranscriber) -> dict[str, Any]:
    """The same as plain data."""
    path = found.probabilities.argmax(axis=1)
    tokens = ("", *live.vocabulary.tokens)
    return {
        "row": found.row,
        "recording": found.name,
        "text": found.transcript.text,
        "log_probability": found.transcript.log_probability,
        "units": [
            {"unit": unit, "step": int(step), "time": time, "probability": float(found.probabilities[step, code])}
            for unit, step, time, code in zip(
                found.transcript.units, found.steps, found.transcript.times, found.codes
            )
        ],
        "steps": [
            {
                "time": float(time), "unit": tokens[code], "probability": float(p[code]), "blank": float(p[BLANK]),
                "overwritten": float(share),
            }
            for time, code, p, share in zip(found.times, path, found.probabilities, found.written)
        ],
    }  # fmt: skip


def heard_page(found: Heard, live: LiveTranscriber) -> HeardPage:
    """Gather the page of one recording."""
    blank = found.probabilities[:, BLANK]
    return HeardPage(
        sentence=describe(live),
        row=f"Recording {found.row:,} of {found.of:,}, {found.name}",
        answer=found.transcript.text or "(nothing)",
        facts=[
            ("of sound", duration(found.seconds)),
            ("steps read", f"{len(found.times):,}"),
            ("units written", f"{len(found.codes):,}"),
            ("log p of the path", figure(found.transcript.log_probability, 3)),
            ("mean probability of nothing", percent(float(blank.mean()))),
            ("overwritten at each step", percent(float(found.written.mean()))),
        ],
        picture=picture(found, live),
        gates_sentence=gates_sentence(found, live),
        units=unit_table(found),
        units_caption=_caption(found),
        maps=gate_maps(found),
    )


def picture(found: Heard, live: LiveTranscriber) -> Picture:
    """The sound, the units that were written of it, and what was overwritten, on one time axis."""
    known = list(dict.fromkeys(found.codes.tolist()))[: own_plots.LINES]
    shown = [BLANK, *known]
    names = ["(nothing)", *(own_plots.visible(live.vocabulary.tokens[code - 1]) for code in known)]
    axes = gate_plots.stacked_axes([2.0, 0.6 + own_plots.LINE * len(shown), 1.5])
    end = found.seconds
    own_plots.plot_spectrogram(
        found.frames.T, end=len(found.frames) * live.log_mel.hop / live.rate, low=live.log_mel.low,
        high=live.log_mel.high, ax=axes[0],
    )  # fmt: skip
    marks = [
        (float(found.times[step]), own_plots.visible(live.vocabulary.tokens[code - 1]))
        for step, code in zip(found.steps, found.codes)
    ]
    own_plots.plot_alignment(
        found.probabilities[:, shown].T, names, times=found.times, marks=marks, ax=axes[1]
    )
    own_plots.plot_overwritten(found.times, found.written, ax=axes[2])
    for ax in axes:
        ax.set_xlim(0, end)
    for ax in axes[:-1]:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    more = len(set(found.codes.tolist())) - len(known)
    left = f" {count(more, 'further unit')} left to --json." if more > 0 else ""
    return Picture(
        to_svg(
            plots.figure_of(axes[0]),
            "heard",
            f"{found.name}: spectrogram, units by time, and what was overwritten",
        ),
        caption="Top: the mel bands, the darker the louder. Middle: how probable each unit was at each step, the "
        f"darker the more; thin lines where one was written.{left} Bottom: the share of the memory that a step "
        "overwrote, the mean of 1 - z over units, layers and directions.",
    )


def unit_table(found: Heard) -> Table:
    """Each unit, when it was written and known, and how probable it was."""
    rows = [
        [
            own_plots.visible(unit), f"{found.times[step]:.2f}", f"{known:.2f}",
            percent(float(found.probabilities[step, code])), percent(float(found.written[step])),
        ]
        for unit, step, known, code in zip(
            found.transcript.units, found.steps, found.transcript.times, found.codes
        )
    ]  # fmt: skip
    return Table(["unit", "written at (s)", "known at (s)", "probability", "overwritten then"], rows[:_UNITS])


def _caption(found: Heard) -> str:
    more = len(found.codes) - _UNITS
    left = f" The first {_UNITS}; {more:,} more are left to --json." if more > 0 else ""
    return f"Greedy search: the most probable of all units and nothing at each step.{left}"


def gate_maps(found: Heard) -> list[Picture]:
    """The update gates of the layers and directions over time."""
    record, pictures = found.record, []
    layers, directions = record.z.shape[:2]
    for layer, d in [(layer, d) for layer in range(layers) for d in range(directions)][:_MAPS]:
        gate = record.z[layer, d, 0]
        order = np.argsort(-gate.mean(axis=0), kind="stable")
        ax = gate_plots.plot_gate(gate[:, order].T, times=found.times, axis="time (s)")
        own_plots.seconds(ax)
        where = place_name(record.h.shape, layer, d)
        title = f"update gate, {where}" if where else "update gate"
        pictures.append(Picture(to_svg(plots.figure_of(ax), f"z{layer}{d}", title), title=title))
    return pictures


def write_heard(path: Path, found: Heard, live: LiveTranscriber, *, title: str, command: str) -> None:
    """Write the page; ``path`` is replaced."""
    page = heard_page(found, live)
    write_file(path, render("heard.html.j2", title=title, command=command, page=page).encode())
