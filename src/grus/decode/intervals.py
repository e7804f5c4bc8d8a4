"""Central prediction intervals by split conformal calibration.

Vovk et al. 2005; for quantile models the conformalised form of Romano, Patterson and Candes 2019: the half-width (or,
with quantiles, the margin) c of a level is the ceil((n+1) * level)-th smallest of the n calibration scores
max(lower - y, y - upper), separately for each step of the horizon, in units of each series' scale. A point model's
lower and upper are both the point, so that the score is |y - point|.
"""

import numpy as np

#: Levels in percent that a model file carries margins for.
LEVELS = np.arange(1, 100)


def base_interval(
    outputs: np.ndarray, quantiles: tuple[float, ...], level: float
) -> tuple[np.ndarray, np.ndarray]:
    """The network's own central interval of a level, before calibration.

    Args:
        outputs: [..., Q], increasing along Q (one output: a point).
        quantiles: the Q probabilities; empty for a point model.
        level: in percent.

    Returns:
        lower and upper, each [...]. A level beyond the outermost quantiles uses the outermost.
    """
    if not quantiles:
        return outputs[..., 0], outputs[..., 0]
    tail = (1.0 - level / 100.0) / 2.0
    return _at(outputs, quantiles, tail), _at(outputs, quantiles, 1.0 - tail)


def point(outputs: np.ndarray, quantiles: tuple[float, ...]) -> np.ndarray:
    """The point forecast [...]: the network's own, or the median of its quantiles."""
    return _at(outputs, quantiles, 0.5) if quantiles else outputs[..., 0]


def calibrate(outputs: np.ndarray, truth: np.ndarray, quantiles: tuple[float, ...]) -> np.ndarray:
    """Margins [99, H] from calibration windows.

    Args:
        outputs: [W, H, Q] of the network, scaled.
        truth: [W, H] scaled, NaN where missing.
        quantiles: the Q probabilities; empty for a point model.

    Returns:
        float64 [99, H], one row per level of `LEVELS`; a step without any truth takes the margins of all steps.
    """
    known = np.isfinite(truth)
    margins = np.empty((len(LEVELS), truth.shape[1]))
    for row, level in enumerate(LEVELS):
        lower, upper = base_interval(outputs, quantiles, float(level))
        scores = np.maximum(lower - truth, truth - upper)
        for step in range(truth.shape[1]):
            mask = known[:, step]
            values = scores[:, step][mask] if mask.any() else scores[known]
            margins[row, step] = _conformal_quantile(values, level / 100.0)
    # A wider level may never be narrower than the one before it.
    return np.maximum.accumulate(margins, axis=0) if not quantiles else margins


def margin(margins: np.ndarray, level: float) -> np.ndarray:
    """Margin [H] of any level in (0, 100) percent, interpolated between the stored ones."""
    place = np.clip(level, LEVELS[0], LEVELS[-1]) - LEVELS[0]
    low = int(place)
    high = min(low + 1, len(LEVELS) - 1)
    return margins[low] + (place - low) * (margins[high] - margins[low])


def _conformal_quantile(scores: np.ndarray, share: float) -> float:
    if not scores.size:
        return 0.0
    rank = int(np.ceil((scores.size + 1) * share))
    return float(np.partition(scores, min(rank, scores.size) - 1)[min(rank, scores.size) - 1])


def _at(outputs: np.ndarray, quantiles: tuple[float, ...], probability: float) -> np.ndarray:
    """Interpolate the quantile function at a probability, constant beyond its ends."""
    place = float(np.interp(probability, quantiles, np.arange(len(quantiles))))
    low = int(place)
    high = min(low + 1, len(quantiles) - 1)
    return outputs[..., low] + np.asarray(place - low, outputs.dtype) * (
        outputs[..., high] - outputs[..., low]
    )
