"""Figures in words, the same in reports and on the terminal, and as plain data for JSON."""

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grus.decode import Evaluation


def count(n: int, noun: str) -> str:
    """``1 window``, ``1,024 windows``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def figure(value: float, digits: int = 4) -> str:
    """A number to so many significant digits, in powers of ten only where it is tiny; ``-`` for none."""
    if not math.isfinite(value):
        return "-"
    if value and abs(value) < 1e-4:
        return f"{value:.{digits - 1}g}"
    whole = math.floor(math.log10(abs(value))) + 1 if value else 1
    return f"{value:,.{max(0, digits - whole)}f}"


def percent(share: float, digits: int = 1) -> str:
    """``41.2%`` of a share from 0 to 1; ``-`` for none."""
    return f"{100 * share:.{digits}f}%" if math.isfinite(share) else "-"


def duration(seconds: float) -> str:
    """``4.2 s``, ``3 min 5 s``, ``2 h 14 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def span(evaluation: "Evaluation") -> str:
    """``56 windows from 2012-11-06 to 2012-12-31``; the time of day only where it is not midnight."""
    e, midnight = evaluation, " 00:00:00"
    days = e.first.endswith(midnight) and e.last.endswith(midnight)
    first, last = (t.removesuffix(midnight) if days else t for t in (e.first, e.last))
    return (
        f"{count(e.windows, 'window')} from {first} to {last}" if e.windows > 1 else f"1 window from {first}"
    )


def verdict(evaluation: "Evaluation") -> str:
    """``MAE 41.2% under the best baseline (seasonal naive 168)``."""
    gain, best = evaluation.gain, evaluation.best_baseline
    if not math.isfinite(gain):
        return "nothing to compare with: no window has a known truth"
    if best.mae == 0:
        ours = figure(evaluation.model.mae)
        return f"the best baseline ({best.name}) makes no error at all, and the model an MAE of {ours}"
    return f"MAE {percent(abs(gain))} {'under' if gain >= 0 else 'over'} the best baseline ({best.name})"


def interval_sentences(evaluation: "Evaluation") -> list[str]:
    """``80% interval: 76.4% of the true values inside, 120 wide on average, pinball loss 9.87``, by level."""
    e = evaluation
    return [
        f"{level:g}% interval: {percent(share)} of the true values inside, {figure(e.width[level], 3)} wide "
        f"on average, pinball loss {figure(e.pinball[level], 3)}"
        for level, share in e.coverage.items()
    ]


def evaluation_dict(evaluation: "Evaluation") -> dict[str, Any]:
    """An evaluation as plain data."""
    e = evaluation
    return {
        "windows": e.windows,
        "values": e.values,
        "first_origin": e.first,
        "last_origin": e.last,
        "scores": e.rows(),
        "best_baseline": e.best_baseline.name,
        "gain": e.gain,
        "coverage": {f"{level:g}": share for level, share in e.coverage.items()},
        "width": {f"{level:g}": width for level, width in e.width.items()},
        "pinball": {f"{level:g}": loss for level, loss in e.pinball.items()},
        "mean_pinball": e.mean_pinball,
        "mae_by_step": {score.name: score.by_step.tolist() for score in e.scores},
    }


def to_json(value: Any) -> str:
    """JSON with a newline at the end; NaN and infinity, which JSON does not have, as null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
