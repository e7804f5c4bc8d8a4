"""What stands on the page of ``grus compare``: the verdict, tables, and pictures, point by point."""

from dataclasses import dataclass

import numpy as np

from grus.decode.comparing.records import CellResult, Outcome, Point, Run
from grus.decode.comparing.verdict import judge
from grus.inspection.compare import plots as compare_plots
from grus.inspection.compare.plots import Estimates
from grus.inspection.compare.table import columns_sentence, people_header, people_rows
from grus.inspection.compare.wording import (
    cell_name,
    is_rate,
    listed,
    noise_sentence,
    point_name,
    verdict_sentence,
)
from grus.inspection.page import Picture
from grus.inspection.plots import figure_of
from grus.inspection.svg import to_svg
from grus.inspection.wording import count, duration


@dataclass(frozen=True)
class PointSection:
    """One point: its verdict, its table (the cells, then what costs nothing), and which row is the pick."""

    name: str
    verdict: str
    rows: list[list[str]]
    pick: str


@dataclass(frozen=True)
class ComparePage:
    """Everything the template needs, ready to print; see `compare_page`."""

    kind: str
    verdict: str
    noise: str
    facts: list[tuple[str, str]]
    header: list[str]
    main: PointSection
    points: list[PointSection]
    errors: Picture | None
    curves: list[Picture]
    learning: list[Picture]
    learning_caption: str
    rates: list[Picture]
    reach: list[Picture]
    reach_sentence: str
    costs: str
    machine: str


def compare_page(outcome: Outcome) -> ComparePage:
    """Gather the page of a comparison."""
    main = outcome.main
    trained = main.trained
    shown = {cell_name(result.cell): result for result in trained}
    return ComparePage(
        kind=f"Comparison of cells at equal {'numbers of weights' if outcome.equal == 'parameters' else 'width'}",
        verdict=verdict_sentence(outcome),
        noise=noise_sentence(outcome),
        facts=_facts(outcome),
        header=people_header(outcome),
        main=_section(outcome, main),
        points=[_section(outcome, point) for point in outcome.points if point is not main],
        errors=_errors(outcome, main, shown) if shown else None,
        curves=_curves(outcome),
        learning=[_learning(shown)] if shown else [],
        learning_caption=(
            "A line a training run, marks after every epoch; the first seed in full strength. Seconds are epochs at "
            "the pace that was measured in turns."
        ),
        rates=[_rates(main)],
        reach=_reach(shown),
        reach_sentence=_reach_sentence(shown),
        costs=_costs(outcome),
        machine=outcome.machine,
    )


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    point = outcome.main
    every = [run for p in outcome.points for result in p.cells for run in _distinct(result)]
    spent = sum(run.seconds for run in every)
    found = [
        ("cells", f"{len(point.cells)}"),
        ("training runs", f"{len(every):,}"),
        ("trained for", duration(spent)),
    ]
    units = next((len(result.runs[0].losses) for result in point.trained), 0)
    return [*found, ("test units", f"{units:,}"), ("seeds", f"{outcome.seeds}")]


def _distinct(result: CellResult) -> list[Run]:
    """Runs of the search and of the seeds, the one that is both once."""
    return [*result.tried, *(run for run in result.runs if run not in result.tried)]


def _section(outcome: Outcome, point: Point) -> PointSection:
    found = judge(point, outcome.level)
    pick = "" if found is None else f"{cell_name(found.pick.cell)} {found.pick.hidden}"
    return PointSection(
        point_name(outcome, point), verdict_sentence(outcome, point), people_rows(outcome, point), pick
    )


def _unit(outcome: Outcome) -> tuple[str, float]:
    """The axis of errors, and what they are multiplied by."""
    return ("error rate (%)", 100.0) if is_rate(outcome.metric) else (outcome.metric, 1.0)


def _errors(outcome: Outcome, point: Point, shown: dict[str, CellResult]) -> Picture:
    unit, scale = _unit(outcome)
    found = {}
    for name, result in shown.items():
        interval = result.interval(outcome.level)
        found[name] = (
            scale * interval.value,
            scale * interval.half,
            [scale * run.error for run in result.runs],
        )
    floor = point.best_floor
    ax = compare_plots.plot_errors(
        found, unit=unit, floor=None if floor is None else (floor[0], scale * floor[1])
    )
    svg = to_svg(
        figure_of(ax), "errors", "Test error of each cell with its interval, and of each training run"
    )
    caption = (
        f"Mark and line: mean and {100 * outcome.level:g}% interval over test units and training runs; short strokes: "
        "the training runs. Intervals of two cells may overlap although their difference, unit by unit, is clear."
    )
    return Picture(svg, caption=caption)


def _curves(outcome: Outcome) -> list[Picture]:
    """Error by share of the rows for every length, and by length at the largest share."""
    pictures = []
    lengths = list(dict.fromkeys(point.length for point in outcome.points))
    shares = list(dict.fromkeys(point.share for point in outcome.points))
    if len(shares) > 1:
        for length in lengths:
            points = [point for point in outcome.points if point.length == length]
            names = [f"{100 * point.share:g}%" for point in points]
            where = "" if len(lengths) == 1 else f", {count(length or 0, 'step')}"
            pictures.append(
                _curve(
                    outcome,
                    points,
                    shares,
                    names,
                    f"share of the training rows{where}",
                    f"size{length or ''}",
                )
            )
    if len(lengths) > 1:
        points = [point for point in outcome.points if point.share == max(shares)]
        places = [float(point.length or 0) for point in points]
        names = [f"{point.length:,}" for point in points]
        pictures.append(_curve(outcome, points, places, names, "length (steps)", "length"))
    return pictures


def _curve(
    outcome: Outcome, points: list[Point], places: list[float], names: list[str], axis: str, key: str
) -> Picture:
    unit, scale = _unit(outcome)
    cells = [result.cell for result in points[-1].cells]
    found = {}
    for cell in cells:
        results = [next(r for r in point.cells if r.cell == cell) for point in points]
        intervals = [r.interval(outcome.level) if r.runs else None for r in results]
        found[cell_name(cell)] = Estimates(
            np.array([scale * i.value if i else np.nan for i in intervals]),
            np.array([scale * i.half if i else np.nan for i in intervals]),
        )
    floors = [point.best_floor for point in points]
    least = {"floor": np.array([scale * f[1] for f in floors if f])} if all(floors) else None
    ax = compare_plots.plot_curve(np.array(places), found, unit=unit, axis=axis, names=names, floors=least)
    return Picture(to_svg(figure_of(ax), key, f"Test error of each cell by {axis}"))


def _learning(shown: dict[str, CellResult]) -> Picture:
    curves = {}
    for name, result in shown.items():
        pace = result.cost.epoch_seconds
        curves[name] = [
            (pace * np.arange(1, len(run.validation) + 1), np.array(run.validation)) for run in result.runs
        ]
    ax = compare_plots.plot_seconds(curves, unit="validation score")
    return Picture(to_svg(figure_of(ax), "learning", "Validation score against seconds of training"))


def _rates(point: Point) -> Picture:
    tried = {
        cell_name(result.cell): (
            np.array([run.learning_rate for run in result.tried]),
            np.array([run.score for run in result.tried]),
        )
        for result in point.cells
    }
    ax = compare_plots.plot_rates(tried, unit="best validation score")
    return Picture(to_svg(figure_of(ax), "rates", "Best validation score by learning rate"))


def _reach(shown: dict[str, CellResult]) -> list[Picture]:
    """Gradients by lag, where some run has them and there is more than one step."""
    pictures = []
    for key, unit, axis, title in (
        (
            "last_state",
            "gradient (share of the newest)",
            "steps of the layer before the end",
            "Of the last state",
        ),
        ("gradient", "gradient (share of the newest)", "steps of the layer before the end", "Of the loss"),
    ):
        norms = {name: np.array(getattr(result.runs[0], key)) for name, result in shown.items()}
        norms = {name: values for name, values in norms.items() if len(values) > 1}
        if norms:
            ax = compare_plots.plot_reach(norms, unit=unit, axis=axis)
            svg = to_svg(figure_of(ax), f"reach-{key}", f"{title}: gradient by steps before the end")
            pictures.append(Picture(svg, title=title))
    return pictures


def _reach_sentence(shown: dict[str, CellResult]) -> str:
    """After how many steps a thousandth of the gradient of the last state is left, cell by cell."""
    after: dict[int, list[str]] = {}
    never: list[str] = []
    steps = 0
    for name, result in shown.items():
        values = np.array(result.runs[0].last_state)
        if len(values) < 2 or not values[0] > 0:
            continue
        steps = len(values)
        below = np.flatnonzero(values / values[0] < 1e-3)
        (after.setdefault(int(below[0]), []) if len(below) else never).append(name)
    if not after and not never:
        return ""
    said = [f"after {count(lag, 'step')} in the {listed(after[lag])}" for lag in sorted(after)]
    parts = [f"it falls under a thousandth {listed(said)}"] if said else []
    parts += (
        [f"it stays above a thousandth over all {count(steps, 'step')} in the {listed(never)}"]
        if never
        else []
    )
    return (
        "How strongly the trained layer still passes on what it read k of its steps before the end, as a share of the "
        f"newest step: {'; '.join(parts)}."
    )


def _costs(outcome: Outcome) -> str:
    """What is behind the columns of costs."""
    said = columns_sentence(outcome, outcome.main)
    return (
        f"{said[0].upper()}{said[1:]}, in the runtime without torch, median; training: what the backward pass of one "
        "batch keeps, with weights, gradients and the optimiser's moments. Seconds an epoch: the training loop itself, "
        "on the same batches, the cells in turns, median of five rounds."
    )
