"""A comparison as a table: every figure as a column for machines, and the few that people read, in words."""

from typing import Any

import numpy as np

from grus.decode.comparing.records import CellResult, Outcome, Point
from grus.inspection.compare.wording import cell_name, error_text, is_rate, plus_minus
from grus.inspection.wording import count, figure
from grus.preprocess.columns import Columns

_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def table_columns(outcome: Outcome) -> Columns:
    """One row for every cell and every answer that costs nothing at every point; NaN where a figure does not apply."""
    rows = [row for point in outcome.points for row in _rows(outcome, point)]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _column([row.get(name, np.nan) for row in rows]) for name in names}


def _column(values: list[Any]) -> np.ndarray:
    if any(isinstance(value, str) for value in values):
        return np.array(values, object)
    # A whole number stays one beside rows without any, so that a file does not say 64.0 units.
    whole = any(isinstance(value, int) for value in values)
    return np.array(values, object if whole else np.float64)


def _rows(outcome: Outcome, point: Point) -> list[dict[str, Any]]:
    place = {"length": np.nan if point.length is None else point.length, "share": point.share}
    rows = [place | _figures(result, outcome.level) for result in point.cells]
    return rows + [place | {"cell": name, "error": value} for name, value in point.floors.items()]


def _figures(result: CellResult, level: float) -> dict[str, Any]:
    """Everything about one cell at one point; where every rate diverged, only how large it is."""
    cost, found = result.cost, {}
    if result.runs:
        interval = result.interval(level)
        also = {
            name: float(np.mean([run.also[name] for run in result.runs]))
            for name in result.runs[0].also
            if all(name in run.also for run in result.runs)
        }
        found = {
            "error": interval.value, "error_low": interval.low, "error_high": interval.high, "spread": result.spread,
            **also, "seeds": len(result.runs), "learning_rate": result.rate, "validation": result.validation,
            "best_epoch": result.best_epoch, "seconds_to_best": result.seconds_to_best,
            "seconds_per_epoch": cost.epoch_seconds, "cpu_seconds_per_epoch": cost.cpu_seconds,
            "latency_us": cost.latency_us, "latency_steps": cost.latency_steps, "training_bytes": cost.memory,
        }  # fmt: skip
    return {
        "cell": result.cell,
        "hidden": result.hidden,
        "parameters": cost.parameters,
        "bytes": cost.bytes,
        **found,
        "diverged": result.diverged,
    }


#: Columns of `people_rows` that fit a terminal of 80 characters.
_NARROW = (0, 1, 2, 4, 5, 6)


def people_header(outcome: Outcome) -> list[str]:
    """Names of the columns that people read."""
    error = "error (%)" if is_rate(outcome.metric) else "error"
    return ["", error, "weights", "rate", "s/epoch", "to best", "latency", "training"]


def narrow(row: list[str]) -> list[str]:
    """A row, or the header, for a terminal of 80 characters: without the rate and what a training step holds."""
    return [row[column] for column in _NARROW]


def people_rows(outcome: Outcome, point: Point) -> list[list[str]]:
    """The figures of a point as people read them: the cells by rising error, then what costs nothing."""
    ranked = sorted(point.cells, key=lambda result: result.mean)
    floors = sorted(point.floors.items(), key=lambda item: item[1])
    rest = [""] * (len(people_header(outcome)) - 2)
    return [
        *(_people(outcome, result) for result in ranked),
        *([name, error_text(value, outcome.metric).rstrip("%"), *rest] for name, value in floors),
    ]


def _people(outcome: Outcome, result: CellResult) -> list[str]:
    cost, name = result.cost, f"{cell_name(result.cell)} {result.hidden}"
    if not result.runs:
        return [name, "diverged", f"{cost.parameters:,}", "-", "-", "-", "-", "-"]
    error = plus_minus(result.interval(outcome.level), outcome.metric).removesuffix(" percentage points")
    return [
        name,
        error + (f" ({result.diverged} diverged)" if result.diverged else ""),
        f"{cost.parameters:,}",
        f"{result.rate:g}",
        figure(cost.epoch_seconds, 3),
        figure(result.seconds_to_best, 3),
        time_text(cost.latency_us),
        size_text(cost.memory),
    ]


def columns_sentence(outcome: Outcome, point: Point) -> str:
    """What the columns of errors and latencies are."""
    costs = [result.cost for result in point.trained]
    what = "one step with the state carried" if all(cost.streams for cost in costs) else "one row"
    if costs and not costs[0].streams and len({p.length for p in outcome.points}) == 1:
        what += f" of {count(costs[0].latency_steps, 'step')}"
    return (
        f"error: {outcome.metric}; to best: seconds of training to the best validation score; latency: {what}"
    )


def time_text(microseconds: float) -> str:
    """``3.1 µs``, ``21 ms``."""
    if microseconds < 1e3:
        return f"{figure(microseconds, 3)} µs"
    return f"{figure(microseconds / 1e3, 3)} ms"


def size_text(size: float) -> str:
    """``1.4 MB``."""
    scale, unit = next(((s, u) for s, u in _SIZES if size >= s), (1.0, "B"))
    return f"{figure(size / scale, 3)} {unit}"
