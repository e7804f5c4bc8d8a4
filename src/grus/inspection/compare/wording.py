"""A comparison in words: what to pick, by how much, and whether that is more than noise."""

import math
from fractions import Fraction

from grus.decode.comparing.paired import Interval
from grus.decode.comparing.records import CellResult, Outcome, Point
from grus.decode.comparing.verdict import ALIKE, Verdict, judge
from grus.inspection.wording import count, figure, percent

#: Cells as people call them.
CELL_NAMES = {"gru": "GRU", "lstm": "LSTM", "rnn": "simple RNN", "mingru": "MinGRU"}
#: Ratios of weights that are told as a fraction, if they are this close to it.
_FRACTIONS, _CLOSE = [Fraction(a, b) for b in (2, 3, 4) for a in range(1, b)], 0.02


def cell_name(cell: str) -> str:
    """``GRU``, ``simple RNN``."""
    return CELL_NAMES.get(cell, cell)


def is_rate(metric: str) -> bool:
    """Whether a metric is a share of the test units, which is told in percent."""
    return metric.startswith("error rate")


def error_text(value: float, metric: str, digits: int = 4) -> str:
    """An error as people read it: ``47.63``, ``4.2%``."""
    return percent(value, max(1, digits - 3)) if is_rate(metric) else figure(value, digits)


def plus_minus(interval: Interval, metric: str, magnitude: bool = False) -> str:
    """``0.31 ± 0.82``, with as many decimals on both sides as the half width has in two digits."""
    value = abs(interval.value) if magnitude else interval.value
    scale, unit = (100.0, " percentage points") if is_rate(metric) else (1.0, "")
    value, half = scale * value, scale * interval.half
    if math.isnan(half):
        return f"{figure(value)}{unit}"
    text = figure(half, 2)
    decimals = len(text.partition(".")[2]) if "e" not in text else 6
    return f"{value:,.{decimals}f} ± {text}{unit}"


def unit_of(metric: str) -> str:
    """What follows a difference: the metric's own name, unless it is told in percent."""
    return "" if is_rate(metric) else f" {metric}"


def point_name(outcome: Outcome, point: Point) -> str:
    """``10% of the training rows, 48 steps``; nothing where there is only one point."""
    said = []
    if len({p.share for p in outcome.points}) > 1:
        said.append(
            f"{percent(point.share, 0 if point.share >= 0.01 else 2)} of the training rows" if point.share < 1
            else "all training rows"
        )  # fmt: skip
    if point.length is not None:
        said.append(count(point.length, "step"))
    return ", ".join(said)


def verdict_sentence(outcome: Outcome, point: Point | None = None) -> str:
    """One sentence: what to pick at a point (default: the main one), and whether the difference is more than noise."""
    point = outcome.main if point is None else point
    found = judge(point, outcome.level)
    if found is None:
        return "No cell came to the end of its training."
    parts = _equals(outcome, found)
    others = _others(outcome, point, found)
    if found.floor is not None:
        name, value = found.floor
        against = f"{error_text(value, outcome.metric)} against {error_text(found.pick.mean, outcome.metric)}"
        if value < found.best.mean:
            parts = [f"no cell beats the baseline {name} ({against})", *parts]
        else:
            others.append(f"the baseline {name} has a smaller error than it ({against})")
    # What is taken comes last of the first parts; why, after it.
    text = (
        "; ".join(parts) + (("; " if ": " in parts[-1] else ": ") + "; ".join(others) if others else "") + "."
    )
    return text[0].upper() + text[1:]


def noise_sentence(outcome: Outcome) -> str:
    """What the intervals are over."""
    level = percent(outcome.level, 0)
    over = f"over test units and {count(outcome.seeds, 'training run')}" if outcome.seeds > 1 else (
        "over test units only, since one training run a cell says nothing about the noise between runs"
    )  # fmt: skip
    return f"± is half a {level} interval {over}; differences allow for the number of pairs."


def _equals(outcome: Outcome, found: Verdict) -> list[str]:
    """What is as good as the pick, and why the pick is taken all the same."""
    metric, pick = outcome.metric, found.pick
    rivals = [result for result in found.alike if result is not pick]
    if not rivals:
        return [f"take the {cell_name(pick.cell)}"]
    runs = f"over {count(outcome.seeds, 'seed')}"
    said = [
        f"{plus_minus(found.differences[r.cell], metric, magnitude=True)}{unit_of(metric)}"
        + (f" to the {cell_name(r.cell)}" if len(rivals) > 1 else "")
        for r in rivals
    ]
    names = listed([cell_name(result.cell) for result in (pick, *rivals)])
    parts = [f"{names} do not differ by more than noise ({', '.join(said)}, {runs})"]
    gains = listed([gain for r in rivals for gain in _gains(pick, r, len(rivals) > 1)])
    return [*parts, f"take the {cell_name(pick.cell)}" + (f": {gains}" if gains else "")]


def _gains(pick: CellResult, rival: CellResult, named: bool) -> list[str]:
    """``3/4 of the weights``, ``1.6 times as fast to train``, where that is so."""
    whose, than = (f"{cell_name(rival.cell)}'s ", f" as the {cell_name(rival.cell)}") if named else ("", "")
    gains = []
    share = pick.cost.parameters / rival.cost.parameters
    if share < 1.0 - ALIKE:
        gains.append(f"{_fraction(share)} of the {whose}weights")
    speed = rival.cost.epoch_seconds / pick.cost.epoch_seconds
    if speed > 1.0 + ALIKE:
        gains.append(f"{speed:.1f} times as fast to train{than}")
    return gains


def _others(outcome: Outcome, point: Point, found: Verdict) -> list[str]:
    """The cells that are not as good."""
    metric, pick = outcome.metric, found.pick
    rest = [result for result in point.trained if result is not pick and result not in found.alike]
    worse = [result for result in rest if found.differences[result.cell].is_clear]
    unclear = [result for result in rest if result not in worse]

    def said(results: list[CellResult]) -> str:
        amounts = [f"{plus_minus(found.differences[r.cell], metric)}{unit_of(metric)}" for r in results]
        return listed(
            [
                f"the {cell_name(r.cell)}{'' if i else ' is worse'} by {a}"
                for i, (r, a) in enumerate(zip(results, amounts))
            ]
        )

    parts = [said(worse)] if worse else []
    if unclear:
        parts.append(f"{said(unclear)}, which may still be noise (more seeds or more test rows would tell)")
    lost = [result for result in point.cells if not result.runs]
    return parts + [f"the {cell_name(result.cell)} diverged at every learning rate" for result in lost]


def _fraction(share: float) -> str:
    """``3/4``, or ``81%`` where no simple fraction is near."""
    near = min(_FRACTIONS, key=lambda fraction: abs(float(fraction) - share))
    return str(near) if abs(float(near) - share) <= _CLOSE else percent(share, 0)


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
