"""The pictures on the page of ``grus inspect``."""

import numpy as np

from grus.inspection import plots
from grus.inspection.inside import gate_plots
from grus.inspection.inside.findings import Findings
from grus.inspection.inside.gate_words import place_name, steps_word
from grus.inspection.page import Picture
from grus.inspection.svg import to_svg
from grus.inspection.transcripts import plots as sound_plots

#: At most so many heat maps.
_MAPS = 4


def course(found: Findings) -> Picture | None:
    """The row, what was overwritten, and what each step adds to the answer, on one time axis."""
    case, name = found.case, found.main
    ticks = case.names if case.axis != "visit" else ()
    if len(ticks) > gate_plots.NAMED:
        ticks = ()
    marks = [] if ticks else found.moments().tolist()
    axes = gate_plots.stacked_axes([1.9] * (case.series is not None) + [1.5, 1.5, 1.6 + 0.7 * bool(ticks)])
    times, size = _times(found), found.size(name)
    shown = (found.last_rows()[marks] - (size - 1) // 2).tolist() if marks else []
    if case.bands is not None:
        low, high = case.hertz
        sound_plots.plot_spectrogram(
            case.bands.T,
            begin=0.5,
            end=case.steps + 0.5,
            low=low,
            high=high,
            marks=[m + 1 for m in shown],
            ax=axes[0],
        )
    elif case.series is not None:
        gate_plots.plot_series(
            case.series, case.channels, times=case.times, axis=case.axis, unit=case.scale, marks=shown, ax=axes[0]
        )  # fmt: skip
    share = 100 * found.written[name]
    lines = {"all": share.mean(axis=(0, 1))}
    if len(found.places()) > 1:
        lines |= {place_name(share.shape, layer, d): share[layer, d] for layer, d in found.places()[:_MAPS]}
    gate_plots.plot_course(
        lines, unit="overwritten (%)", times=times, axis=case.axis, blocks=size > 1, ax=axes[-3]
    )
    gate_plots.plot_course(
        {"all": found.moved[name].mean(axis=(0, 1))}, unit="state moved", times=times, axis=case.axis, marks=marks,
        blocks=size > 1, how="max", ax=axes[-2],
    )  # fmt: skip
    gate_plots.plot_attribution(
        found.attribution, times=case.times, axis=case.axis, unit=case.unit, ticks=ticks, ax=axes[-1]
    )
    for ax in axes[:-1]:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
    what = f"{case.title}: what was overwritten at each step, and what each adds to the answer"
    more = len(case.channels) - gate_plots.CHANNELS
    caption = f"The first {gate_plots.CHANNELS} of {len(case.channels)} channels." if more > 0 else ""
    return Picture(to_svg(plots.figure_of(axes[0]), "course", what), caption=caption)


def gate_maps(found: Findings) -> list[Picture]:
    """The update gates of the row over time, and the reset gates of the last layer."""
    units, places = found.units[found.main], found.places()
    pictures = []
    for layer, d in places[:_MAPS]:
        order = np.argsort(-units.half_life[layer, d], kind="stable")
        pictures.append(_gate_map(found, "z", (layer, d), order, "update gate", ("0 overwrites", "1 keeps")))
    last = (places[-1][0], 0)
    order = np.argsort(-units.reset[last], kind="stable")
    return [*pictures, _gate_map(found, "r", last, order, "reset gate", ("0 ignores", "1 uses h"))]


def _gate_map(
    found: Findings, letter: str, place: tuple[int, int], order: np.ndarray, name: str, ends: tuple[str, str]
) -> Picture:
    """One gate of one layer and direction, its units in an order."""
    case, record = found.case, found.records[found.main]
    length = int(record.lengths[0])
    named = len(case.names) == length <= gate_plots.NAMED and case.axis != "visit"
    ax = gate_plots.plot_gate(
        getattr(record, letter)[(*place, 0)][:length, order].T,
        times=_times(found),
        axis=case.axis,
        label=f"{name} {letter}",
        ends=ends,
        ticks=case.names if named else (),
        ax=plots.new_axes(height=3.2 if named else 2.6)[0],
    )
    where = place_name(record.h.shape, *place)
    title = f"{name}, {where}" if where else name
    return Picture(to_svg(plots.figure_of(ax), f"{letter}{place[0]}{place[1]}", title), title=title)


def horizon_pictures(found: Findings) -> list[Picture]:
    """Half-lives of the units, and what is left of a changed input."""
    name = found.main
    units, horizon = found.units[name], found.horizons[name]
    ax = gate_plots.plot_horizon(
        units.half_life.ravel(),
        horizon.steps.ravel(),
        unit=f"half-life ({steps_word(found)})",
    )
    first = Picture(
        to_svg(plots.figure_of(ax), "horizon", "Half-life of every unit, by the gates and measured")
    )
    curves = {}
    for layer, d in found.places()[:_MAPS]:
        size = np.sqrt((horizon.change[layer, d] ** 2).mean(axis=-1))
        most = float(size.max(initial=0.0))
        if most > 0:
            curves[place_name(units.keep.shape, layer, d)] = 100 * size / most
    if not curves:
        return [first]
    ax = gate_plots.plot_lags(
        curves, unit="of the change is left (%)", axis=f"{steps_word(found)} after the change"
    )
    return [
        first,
        Picture(to_svg(plots.figure_of(ax), "change", "What is left of a changed input, by steps after it")),
    ]


def gradient_pictures(found: Findings) -> list[Picture]:
    """How strongly the loss pulls at inputs further back, and the last state of this and of untrained layers."""
    back = f"{found.case.axis}s before the end"
    ax = gate_plots.plot_lags(
        {"the answer of this model": found.gradients}, unit="gradient (share of the largest)", axis=back
    )
    first = Picture(to_svg(plots.figure_of(ax), "gradient", "Gradient of the loss by steps before the end"))
    if not found.last_state:
        return [first]
    ax = gate_plots.plot_lags(
        found.last_state,
        unit="gradient (share of the newest)",
        axis=f"{steps_word(found)} before the last state",
    )
    second = Picture(
        to_svg(
            plots.figure_of(ax),
            "last",
            "Gradient of the last state by steps before it, beside untrained layers",
        )
    )
    return [first, second]


def _times(found: Findings) -> np.ndarray | None:
    """Where each step of the main GRU stands: in the middle of the rows it reads; None for 1, 2, 3, ..."""
    size, times = found.size(found.main), found.case.times
    middle = found.last_rows() - (size - 1) // 2
    if times is None:
        return None if size == 1 else middle + 1
    return times[middle]
