"""The tables on the page of ``grus inspect``."""

from dataclasses import dataclass

import numpy as np

from grus.inspection.inside import gate_plots
from grus.inspection.inside.findings import Findings
from grus.inspection.inside.gate_words import place_name, short, span_words
from grus.inspection.wording import count, figure, percent
from grus.preprocess.frequency import stamp

#: Steps that are named before one that is a character or a piece of a word.
_CONTEXT = 12
#: Units that are listed one by one.
_UNITS = 16


@dataclass(frozen=True)
class Table:
    """Names of the columns and rows of text."""

    names: list[str]
    rows: list[list[str]]


def moments_table(found: Findings) -> Table | None:
    """The moments at which most was overwritten, with what happened then."""
    case = found.case
    if case.names and case.axis != "visit" and len(case.names) <= gate_plots.NAMED:
        return None  # the words themselves are coloured, and named below the picture
    share, moved = (values[found.main].mean(axis=(0, 1)) for values in (found.written, found.moved))
    size = found.size(found.main)
    last = found.last_rows()
    names = [
        "",
        case.axis if size == 1 else f"{case.axis}s",
        "state moved",
        "overwritten",
        f"adds ({case.unit})",
    ]
    names += list(case.channels[:4]) if case.series is not None else ["what it read"] if case.names else []
    rows, most = [], float(np.abs(found.attribution).max())
    for number, step in enumerate(found.moments(), start=1):
        end = int(last[step])
        begin = end + 1 - size
        if case.times is None:
            where = f"{end + 1:,}" if size == 1 else f"{begin + 1:,} to {end + 1:,}"
        else:
            where = "" if size == 1 else f"{stamp(case.times[begin])} to "
            where += stamp(case.times[end])
        part = float(found.attribution[begin : end + 1].sum())
        row = [
            str(number),
            where,
            figure(float(moved[step]), 2),
            percent(float(share[step])),
            figure(part, 3) if abs(part) > 1e-6 * most else "0",
        ]
        if case.series is not None:
            row += [span_words(case.series[begin : end + 1, c]) for c in range(min(4, len(case.channels)))]
        elif case.names:
            before = _CONTEXT if case.within_words else 0
            row.append("".join(case.names[max(0, end - before) : end + 1]))
        rows.append(row)
    return Table(names, rows)


def layer_table(found: Findings) -> Table:
    """Every layer and direction of every GRU in one line."""
    names = [
        "",
        "units",
        "half-life",
        "longest",
        "measured",
        "z > 0.9",
        "z < 0.1",
        "r > 0.9",
        "r < 0.1",
        "dead",
    ]
    rows = []
    for name, units in found.units.items():
        horizon = found.horizons[name]
        for layer, d in found.places():
            measured = horizon.steps[layer, d]
            label = place_name(units.keep.shape, layer, d)
            rows.append(
                [
                    f"{name}, {label}" if label else name,
                    str(units.keep.shape[2]),
                    figure(float(np.median(units.half_life[layer, d])), 3),
                    _longest(units.half_life[layer, d]),
                    short(float(np.nanmedian(measured))) if np.isfinite(measured).any() else "-",
                    *(
                        percent(float(share[layer, d].mean()), 0)
                        for share in (units.keep_high, units.keep_low, units.reset_high, units.reset_low)
                    ),
                    str(int(units.dead[layer, d].sum())),
                ]
            )
    return Table(names, rows)


def _longest(values: np.ndarray) -> str:
    longest = float(values.max())
    return figure(longest, 3) if np.isfinite(longest) else "never forgets"


def unit_table(found: Findings) -> Table:
    """The units with the longest memory, one a line."""
    name = found.main
    units, horizon = found.units[name], found.horizons[name]
    shape = units.keep.shape
    rows = []
    for flat in np.argsort(-units.half_life, axis=None, kind="stable")[:_UNITS]:
        at = tuple(int(i) for i in np.unravel_index(int(flat), shape))
        measured = float(horizon.steps[at])
        more = "at least " if horizon.open[at] else ""
        label = place_name(shape, at[0], at[1])
        rows.append(
            [
                f"{at[2]}" + (f" of {label}" if label else ""),
                _longest(units.half_life[at][None]),
                f"{more}{short(measured)}" if np.isfinite(measured) else "-",
                figure(float(units.keep[at]), 3),
                percent(float(units.keep_high[at]), 0),
                percent(float(units.keep_low[at]), 0),
                figure(float(units.reset[at]), 3),
                figure(float(units.spread[at]), 3) + (" (dead)" if units.dead[at] else ""),
            ]
        )
    names = ["unit", "half-life", "measured", "mean z", "z > 0.9", "z < 0.1", "mean r", "spread of h"]
    return Table(names, rows)


def units_caption(found: Findings) -> str:
    """Which units are listed, and what they were judged by."""
    record = found.records[found.main]
    total = found.units[found.main].keep.size
    rows, steps = len(record.lengths), int(record.lengths.sum())
    which = f"The {_UNITS} of {count(total, 'unit')} that remember longest" if total > _UNITS else "All units"
    return f"{which}, over {count(steps, 'step')} of {count(rows, 'row')} of the data; --json has every one."
