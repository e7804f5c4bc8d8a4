"""What stands on the page about a forecaster: sentences, tables and pictures, section by section."""

from dataclasses import dataclass

import numpy as np

from grus.data.splits import Split
from grus.decode import Evaluation, Score
from grus.inspection import plots
from grus.inspection.forecast_record import (
    Window,
    coverage_by_step,
    evaluated_panel,
    overview,
    telling_windows,
    typical_series,
)
from grus.inspection.page import (
    Picture,
    around_recurrent,
    count_weights,
    describe_training,
    learning_curves,
    recurrent_of,
)
from grus.inspection.svg import to_svg
from grus.inspection.wording import count, duration, figure, percent, span, verdict
from grus.preprocess.panel import Panel
from grus.spec import Forecast, Model, ops
from grus.training import History


@dataclass(frozen=True)
class ScoreTable:
    """Scores on one part of the data: a heading, a sentence, rows with the model first."""

    part: str
    caption: str
    rows: list[dict[str, str]]


@dataclass(frozen=True)
class ForecastPage:
    """Everything the template needs, ready to print; see `forecast_page`."""

    sentence: str
    headline: dict[str, str]
    facts: list[tuple[str, str]]
    target: str
    overviews: list[Picture]
    parts: list[str]
    learning: list[Picture]
    learning_sentence: str
    tables: list[ScoreTable]
    by_step: Picture | None
    coverage: list[Picture]
    coverage_sentence: str
    windows: list[Picture]
    series: Picture | None
    worst_series: list[dict[str, str]]
    needs_future: bool


def forecast_page(
    panel: Panel, split: Split, history: History, evaluations: dict[str, Evaluation], model: Model
) -> ForecastPage:
    """Gather the page of a forecaster; the first evaluation is the one the pictures show."""
    task = model.task_as(Forecast)
    part, shown = next(iter(evaluations.items()), ("", None))
    seen = evaluated_panel(part, panel, split)
    return ForecastPage(
        sentence=describe_model(model, panel),
        headline={} if shown is None else headline(part, shown, task),
        facts=facts(shown, history, panel),
        target=task.target,
        overviews=overviews(panel, split, shown, task.target),
        parts=[name for name in ("validation", "test") if evaluated(name, split)],
        learning=learning_curves(history, "loss (scaled values)"),
        learning_sentence=describe_training(history, "windows"),
        tables=[score_table(name, e) for name, e in evaluations.items()],
        by_step=None if shown is None else error_by_step(shown, panel, task),
        coverage=[] if shown is None else coverage(seen, evaluations, shown, panel, task),
        coverage_sentence=describe_coverage(part, shown),
        windows=[] if shown is None else windows(seen, shown, task),
        series=None if shown is None else series_picture(shown, task),
        worst_series=[] if shown is None else worst_series(panel, shown),
        needs_future=bool(task.future),
    )


def evaluated(part: str, split: Split) -> bool:
    """Whether any rows are held back for a part."""
    first, end = split.ranges()[{"validation": "val"}.get(part, part)]
    return bool((end > first).any())


def describe_model(model: Model, panel: Panel) -> str:
    """One sentence: what reads what and says what."""
    task = model.task_as(Forecast)
    nodes = [node.op for node in model.parts["main"].nodes]
    layers = recurrent_of(model)
    # A GRU-D reads step by step, whatever the horizon is decoded by.
    by_step = any(isinstance(op, ops.GRUD) for op in nodes)
    segments = [op.length for op in nodes if isinstance(op, ops.Segment) and not by_step]
    size = f"{layers.hidden} units" + (f", {layers.layers} layers" if layers.layers > 1 else "")
    over = f" over segments of {panel.frequency.count(segments[0])}" if segments else ""
    covariates = [*task.past, *task.future, *task.static]
    helped = f" and of {', '.join(covariates)}" if covariates else ""
    series = f" One model serves all {panel.n_series:,} series." if panel.n_series > 1 else ""
    before, after = around_recurrent(model)
    return (
        f"A {before}{layers.title}{over}{after} ({size}; {count_weights(model):,} weights in all) reads the last "
        f"{panel.frequency.count(task.lookback)} of {task.target}{helped} and forecasts the next "
        f"{panel.frequency.count(task.horizon)}.{series}"
    )


def headline(part: str, e: Evaluation, task: Forecast) -> dict[str, str]:
    """The figure that matters, what it is relative to, and what it was measured on; empty if there is none."""
    mae, best, unit = e.model.mae, e.best_baseline, task.target
    if not np.isfinite(mae):
        return {}
    against = f"MAE {figure(mae)} against {figure(best.mae)}, in units of {unit}"
    if best.mae > 0:
        big = percent(abs(e.gain), 0)
        small = f"{'lower' if e.gain >= 0 else 'higher'} error than the best baseline, {best.name}: {against}"
    else:
        big, small = figure(mae), f"mean error; the best baseline, {best.name}, makes none: {against}"
    caveat = {
        "test": "Neither training nor the choice of the best epoch has seen these rows.",
        "validation": "These rows also chose the best epoch and calibrated the intervals; fit with --test-size for "
        "figures on rows that nothing has seen.",
    }.get(part, "")
    if mae > best.mae:
        caveat += " As it is, the baseline is the better forecaster."
    return {"big": big, "small": small, "where": f"{part.capitalize()}: {span(e)}. {caveat}"}


def facts(e: Evaluation | None, history: History, panel: Panel) -> list[tuple[str, str]]:
    """A few figures for the first glance: (name, value)."""
    found = []
    if e is not None:
        found += [("MASE", figure(e.model.mase, 3)), ("sMAPE", f"{figure(e.model.smape, 3)}%")]
        found += [(f"inside the {level:g}% interval", percent(share)) for level, share in e.coverage.items()]
    found.append((f"series, {panel.n_rows:,} rows", f"{panel.n_series:,}"))
    return [*found, ("of training", duration(history.seconds))]


def overviews(panel: Panel, split: Split, e: Evaluation | None, target: str) -> list[Picture]:
    """A few series from first to last row."""
    pictures = []
    for i in [0] if e is None else typical_series(e):
        o = overview(panel, split, i)
        ax = plots.plot_parts(o.times, o.low, o.middle, o.high, parts=o.parts, unit=target)
        held = ", ".join(o.parts) or "nothing"
        svg = to_svg(plots.figure_of(ax), f"overview{i}", f"{target} of series {o.name}; shaded: {held}")
        error = "" if e is None else f"MAE {figure(e.model.by_series[i])}"
        pictures.append(Picture(svg, o.name, error) if panel.n_series > 1 else Picture(svg))
    return pictures


def score_table(part: str, e: Evaluation) -> ScoreTable:
    """Scores of the model and the baselines as text."""
    most = max((s.mae for s in e.scores if np.isfinite(s.mae)), default=1.0) or 1.0

    def row(s: Score) -> dict[str, str]:
        bar = 100 * s.mae / most if np.isfinite(s.mae) else 0.0
        return {
            "name": s.name,
            "mae": figure(s.mae),
            "rmse": figure(s.rmse),
            "smape": figure(s.smape, 3),
            "mase": figure(s.mase, 3),
            "bar": f"{bar:.1f}",
        }

    return ScoreTable(part, f"{span(e)}; {verdict(e)}.", [row(s) for s in e.scores])


def error_by_step(e: Evaluation, panel: Panel, task: Forecast) -> Picture | None:
    """MAE at each step of the horizon."""
    if task.horizon == 1:
        return None
    scores = {s.name: s.by_step for s in e.scores}
    ax = plots.plot_by_step(scores, unit=f"MAE ({task.target})", step=_ahead(panel))
    first, last = e.model.by_step[0], e.model.by_step[-1]
    text = f"MAE of {e.model.name} from {figure(first)} at the first step to {figure(last)} at the last"
    return Picture(to_svg(plots.figure_of(ax), "by-step", text), caption=f"{text}.")


def coverage(
    seen: Panel, evaluations: dict[str, Evaluation], shown: Evaluation, panel: Panel, task: Forecast
) -> list[Picture]:
    """Promised against measured coverage, over all and by step."""
    if not any(np.isfinite(share) for share in shown.coverage.values()):
        return []
    measured = {
        name: {k: v for k, v in e.coverage.items() if np.isfinite(v)} for name, e in evaluations.items()
    }
    measured = {name: shares for name, shares in measured.items() if shares}
    ax = plots.plot_coverage(measured)
    svg = to_svg(plots.figure_of(ax), "coverage", describe_coverage("", shown))
    overall = Picture(svg, caption="Dotted: what the intervals promise.")
    if task.horizon == 1:
        return [overall]
    ax = plots.plot_coverage_by_step(coverage_by_step(seen, shown.forecasts), step=_ahead(panel))
    steps = to_svg(
        plots.figure_of(ax), "coverage-by-step", "Share of true values inside the interval by step"
    )
    return [overall, Picture(steps, caption="The same, step by step.", share=2)]


def describe_coverage(part: str, e: Evaluation | None) -> str:
    """What was promised, what was measured, and how wide the intervals are."""
    if e is None or not e.coverage:
        return (
            "This model has no calibrated intervals: there were no validation windows to calibrate them on."
        )
    found = [
        f"{percent(share)} of the true values lie inside the {level:g}% interval, "
        f"which is {figure(e.width[level], 3)} wide on average (pinball loss {figure(e.pinball[level], 3)})"
        for level, share in e.coverage.items()
    ]
    caveat = " These are the windows that the intervals were calibrated on." if part == "validation" else ""
    return "; ".join(found) + "." + caveat


def windows(seen: Panel, e: Evaluation, task: Forecast) -> list[Picture]:
    """The best, the typical and the worst forecast."""
    history = min(task.lookback, max(2 * task.horizon, 2 * task.season))
    found = telling_windows(seen, e, history)
    return [_window_picture(w, seen, task, legend=not number) for number, w in enumerate(found)]


def _window_picture(w: Window, panel: Panel, task: Forecast, legend: bool) -> Picture:
    ax = plots.plot_forecast(
        w.times, w.truth, w.point, unit=task.target, lower=w.lower, upper=w.upper,
        baseline=(w.baseline_name, w.baseline), name=task.alias, legend=legend,
    )  # fmt: skip
    series = f"{w.series}, " if panel.n_series > 1 else ""
    text = f"{series}{panel.frequency.count(task.horizon)} from {w.origin}: MAE {figure(w.mae)}"
    return Picture(to_svg(plots.figure_of(ax), f"window-{w.kind}", f"{w.kind} window, {text}"), w.kind, text)


def series_picture(e: Evaluation, task: Forecast) -> Picture | None:
    """Model against baseline, series by series; only where there are several."""
    best = e.best_baseline
    known = np.isfinite(e.model.by_series) & np.isfinite(best.by_series)
    if known.sum() < 3:
        return None
    wins = int((e.model.by_series[known] < best.by_series[known]).sum())
    text = f"Better than {best.name} in {wins:,} of {count(int(known.sum()), 'series').removesuffix('s')}"
    names = (e.model.name, best.name)
    ax = plots.plot_against(e.model.by_series, best.by_series, unit=f"MAE ({task.target})", names=names)
    return Picture(
        to_svg(plots.figure_of(ax), "series", text), caption=f"{text}: one dot each, below the line it wins."
    )


def worst_series(panel: Panel, e: Evaluation, most: int = 8) -> list[dict[str, str]]:
    """The series with the largest MAE, worst first; none if there are fewer than three."""
    errors = e.model.by_series
    known = np.flatnonzero(np.isfinite(errors))
    if len(known) < 3:
        return []
    order = known[np.argsort(-errors[known], kind="stable")][:most]
    baseline = e.best_baseline.by_series
    return [
        {"name": panel.ids[i], "mae": figure(float(errors[i])), "baseline": figure(float(baseline[i]))}
        for i in order
    ]


def _ahead(panel: Panel) -> str:
    """``hours ahead``, ``steps of 15 minutes ahead``."""
    return f"{panel.frequency.count(2).split(' ', 1)[1]} ahead"
