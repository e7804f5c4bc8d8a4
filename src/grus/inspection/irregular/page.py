"""What stands on the page of ``grus inspect`` about irregular series: which measurement, and when."""

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from grus.inspection import plots
from grus.inspection.inside.findings import Findings
from grus.inspection.inside.tables import Table
from grus.inspection.irregular import plots as own_plots
from grus.inspection.irregular.parts import Measurements
from grus.inspection.irregular.readings import Readings, short_of
from grus.inspection.irregular.wording import (
    probability,
    read_sentence,
    signed,
    strongest_sentence,
    sum_sentence,
)
from grus.inspection.page import Picture
from grus.inspection.svg import to_svg
from grus.inspection.wording import count, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Measurements that are listed, lines of the map, and columns in the table.
_LISTED, _LINES, _COLUMNS = 12, 24, 40
#: Measurements that are numbered in the picture: more would cover each other.
_MARKED = 6


@dataclass(frozen=True)
class MeasurementsPage:
    """Everything the template needs, ready to print; see `measurements_page`."""

    label: str
    sentence: str
    sum_sentence: str
    read_sentence: str
    picture: Picture
    strongest: Table | None
    columns: Table | None
    columns_caption: str


def measurements_page(found: Findings) -> MeasurementsPage:
    """Gather the part of the page about one row of irregular series."""
    measured = found.measured
    assert measured is not None
    lines = line_order(measured)
    return MeasurementsPage(
        label=measured.label,
        sentence=strongest_sentence(measured),
        sum_sentence=sum_sentence(measured),
        read_sentence=read_sentence(measured.readings),
        picture=picture(found, measured, lines),
        strongest=strongest_table(measured),
        columns=column_table(found, measured, lines),
        columns_caption=columns_caption(found, measured, lines),
    )


def line_order(found: Measurements) -> np.ndarray:
    """The columns that were measured, those first whose measurements added or took most."""
    known = found.readings.known
    size = np.abs(np.where(known, found.added, 0.0)).sum(axis=0)
    return np.array([c for c in np.argsort(-size, kind="stable") if known[:, c].any()], np.int64)


def picture(found: Findings, measured: Measurements, lines: np.ndarray) -> Picture:
    """The three pictures of `draw` as one, with what it shows in words."""
    axes = draw(found, measured, lines)
    what = (
        f"{found.case.title}: probability of {measured.label}, what each measurement added, and what was kept"
    )
    return Picture(to_svg(plots.figure_of(axes[0]), "measurements", what), caption=_caption(measured, lines))


def draw(found: Findings, measured: Measurements, lines: np.ndarray) -> "list[Axes]":
    """The probability as the row unfolds, the measurements, and what was kept of the memory, on one time axis."""
    readings, shown = measured.readings, lines[:_LINES]
    axes, right = own_plots.measurement_axes(max(len(shown), 1), (1.9, 1.7))
    numbered = list(takewhile(lambda at: at[1] in shown, measured.strongest()[:_MARKED]))
    times, axis = readings.where, readings.axis
    p = measured.probabilities
    own_plots.plot_unfolding(
        times[readings.answers], p, unit=f"p of {measured.label} (%)", axis=axis,
        start=probability(measured.parts.base), ax=axes[0],
    )  # fmt: skip
    place = {int(c): line for line, c in enumerate(shown)}
    own_plots.plot_measurements(
        times, measured.added[:, shown], readings.known[:, shown], [readings.columns[c] for c in shown],
        axis=axis, marks=[(t, place[c]) for t, c in numbered], ax=axes[1],
    )  # fmt: skip
    own_plots.plot_sums(measured.added[:, shown].sum(axis=0), unit="in all (log-odds)", ax=right)
    own_plots.plot_kept(times[readings.first :], _kept(found), axis=axis, ax=axes[2])
    for ax in axes:
        own_plots.along(ax, times, axis)
    for ax in axes[:-1]:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    return axes


def _kept(found: Findings) -> dict[str, np.ndarray]:
    """What the time and what the update gate left of the memory at each step."""
    lines = {}
    if found.main in found.faded:
        lines["left by the time since the step before"] = 1 - found.faded[found.main]
    lines["kept by the update gate"] = 1 - found.written[found.main].mean(axis=(0, 1))
    return lines


def _caption(measured: Measurements, lines: np.ndarray) -> str:
    more = len(lines) - _LINES
    are = "is" if more == 1 else "are"
    left = f" {count(more, 'further column')} that moved less {are} left out." if more > 0 else ""
    return (
        f"Top: the probability of {measured.label!r} after each step, as the row came in; dashed, with nothing "
        "measured. Middle: a line is a column, a cell a measurement. Blue, in the upper half of the line: it raised "
        f"the probability; dark grey, in the lower half: it lowered it; the darker, the more.{left} Numbers are those "
        "of the table, where there is room. Bottom: means over the units."
    )


def strongest_table(found: Measurements) -> Table | None:
    """The measurements that moved the answer most."""
    readings, parts = found.readings, found.parts
    places = found.strongest()[:_LISTED]
    if not places:
        return None
    masks = bool(parts.presence.any())
    names = ["", "column", readings.axis or "time", "value", "in training", "adds"]
    names += ["its value", "being measured"] if masks else []
    rows = []
    for number, (t, c) in enumerate(places, start=1):
        held = readings.read[t, c] != readings.values[t, c]
        note = f" (read as {short_of(readings.read[t, c])})" if held else ""
        row = [str(number), readings.columns[c], readings.when(t), readings.value(t, c) + note, readings.spread(c),
               signed(found.added[t, c])]  # fmt: skip
        row += [signed(parts.values[t, c]), signed(parts.presence[t, c])] if masks else []
        rows.append(row)
    return Table(names, rows)


def column_table(found: Findings, measured: Measurements, lines: np.ndarray) -> Table | None:
    """Every column that was measured, with what its measurements add, and how fast its values grow stale."""
    readings, parts = measured.readings, measured.parts
    if not len(lines):
        return None
    record = found.records[found.main]
    masks, decays = bool(parts.presence.any()), record.input_decay is not None
    unit = readings.span_unit[0]
    names = ["column", "measured", "values add", *(["being measured adds"] if masks else [])]
    names += [f"last value at ({readings.axis})" if readings.axis else "last value at"]
    names += [f"halves in ({unit})", "left at the end"] if decays else []
    lives = half_lives(found, readings) if decays else np.empty(0)
    rows = []
    for c in lines[:_COLUMNS].tolist():
        last = int(np.flatnonzero(readings.known[:, c])[-1])
        row = [readings.columns[c], f"{int(readings.known[:, c].sum()):,}", signed(parts.values[:, c].sum())]
        row += [signed(parts.presence[:, c].sum())] if masks else []
        row.append(f"{readings.value(last, c)} at {readings.when(last)}")
        if record.input_decay is not None:
            end = record.input_decay[0, int(record.lengths[0]) - 1, c]
            left = 1.0 if last == readings.steps - 1 else float(end)
            row += [_life(float(lives[c])), percent(left, 0) if last >= readings.first else "-"]
        rows.append(row)
    return Table(names, rows)


def half_lives(found: Findings, readings: Readings) -> np.ndarray:
    """After what time a value has faded half way to its mean, by column, in the unit of spans; infinite for never.

    exp(-max(0, w s + b)) = 1/2 where s = (ln 2 - b) / w.
    """
    weight, bias = found.input_decays[found.main]
    size = readings.unit / readings.span_unit[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        span = (np.log(2) - bias.astype(np.float64)) / weight
    return np.where(weight > 0, np.maximum(span, 0.0) * size, np.where(bias >= np.log(2), 0.0, np.inf))


def _life(value: float) -> str:
    return "never" if not np.isfinite(value) else short_of(value)


def columns_caption(found: Findings, measured: Measurements, lines: np.ndarray) -> str:
    """What the table's figures mean, and what it leaves out."""
    said = []
    if len(lines) > _COLUMNS:
        said.append(f"The {_COLUMNS} of {len(lines)} columns whose measurements moved the answer most.")
    if found.records[found.main].input_decay is not None:
        said.append(
            "Halves: after how long a value that was not measured again has faded half way to its mean, as the model "
            "learned it. Left at the end: how much of the last value the last step still read."
        )
    never = len(measured.readings.columns) - len(lines)
    if never:
        said.append(f"{count(never, 'column')} {'was' if never == 1 else 'were'} never measured in this row.")
    return " ".join(said)
