"""What gates, memory and attribution come to, in words."""

from typing import TYPE_CHECKING

import numpy as np

from grus.inspection.wording import count, figure, percent

if TYPE_CHECKING:
    from grus.inspection.inside.findings import Findings

#: What is left of a change when it counts as forgotten.
FORGOTTEN = 0.05


def place_name(shape: tuple[int, ...], layer: int, direction: int) -> str:
    """``layer 2, backwards``; what there is only one of is not said."""
    parts = [f"layer {layer + 1}"] if shape[0] > 1 else []
    parts += [("forwards", "backwards")[direction]] if shape[1] > 1 else []
    return ", ".join(parts)


def steps_word(found: "Findings", n: float = 2) -> str:
    """What a step of the main GRU is, for n of them: ``words``, ``steps of 24 hours``."""
    size, axis = found.size(found.main), found.case.axis
    plural = "" if n == 1 else "s"
    return f"{axis}{plural}" if size == 1 else f"step{plural} of {size} {axis}s"


def short(value: float) -> str:
    """Four digits at most, none of them idle: ``3``, ``0.25``, ``1,812``."""
    return f"{float(f'{value:.4g}'):,g}"


def span_words(values: np.ndarray) -> str:
    """One value, or the least and the largest of several; ``-`` where none is known."""
    known = values[np.isfinite(values)]
    if not len(known):
        return "-"
    low, high = short(float(known.min())), short(float(known.max()))
    return low if low == high else f"{low} to {high}"


def moment_sentence(found: "Findings") -> str:
    """How much is overwritten and moved at an ordinary step, and how far the numbered ones stand out."""
    share = found.written[found.main].mean(axis=(0, 1))
    moved = found.moved[found.main].mean(axis=(0, 1))
    return (
        f"At an ordinary step {percent(float(np.median(share)))} of the memory is overwritten (the mean of 1 - z over "
        f"units; at most {percent(float(share.max()))}), and the state of a unit, which lives between -1 and 1, "
        f"moves by {figure(float(np.median(moved)), 2)} (at most {figure(float(moved.max()), 2)})."
    )


def describe_attribution(found: "Findings") -> str:
    """What the parts are, what they are relative to, and how well they add up."""
    case = found.case
    start = "all inputs at zero, their mean in training,"
    if case.mean_baseline:
        start = "every step at the mean of the window"
    elif case.axis in ("word", "character", "subword"):
        start = f"no {case.axis}s (embeddings of zero)"
    total = float(found.attribution.sum())
    return (
        f"What each {case.axis} adds to the {case.unit}, by integrated gradients: with {start} it would be "
        f"{figure(found.base, 3)}; the parts add {figure(total, 3)} and miss the answer by {figure(abs(found.gap), 2)}."
    )


def describe_memory(found: "Findings") -> str:
    """How long the units remember, by the gates and as measured."""
    units, horizon = found.units[found.main], found.horizons[found.main]
    lives = units.half_life
    known = lives[np.isfinite(lives)]
    longest = (
        f"the longest-lived after {figure(float(known.max()), 3)}" if len(known) else "none of them ever"
    )
    return (
        f"By its update gates alone the median unit has lost half of what it knew after "
        f"{figure(float(np.median(lives)), 3)} {steps_word(found)}, {longest}. Measured by changing an input, the "
        f"change is {_forgotten(horizon.change, found)}. A unit remembers longer than its gates say "
        "where what it knew comes back through the candidate, and shorter where that works against it."
    )


def _forgotten(change: np.ndarray, found: "Findings") -> str:
    """After how many steps less than a twentieth of the largest change is left, over all units."""
    size = np.sqrt((change**2).mean(axis=(0, 1, 3)))
    if not size.max(initial=0.0):
        return "nowhere to be seen"
    share = percent(FORGOTTEN, 0)
    still = int(np.flatnonzero(size >= FORGOTTEN * size.max())[-1])
    if still == len(size) - 1:
        followed = f"{len(size):,} {steps_word(found, len(size))}"
        return f"still above {share} of its largest after {followed}, as far as it was followed"
    return f"below {share} of its largest after {still + 1:,} {steps_word(found, still + 1)}"


def describe_gradient(found: "Findings") -> str:
    """How far back training can reach."""
    values, own = found.gradients, found.last_state.get("this model", np.ones(1))
    reach = int(np.flatnonzero(values >= 0.01).max(initial=0))
    whole = "The loss pulls at every input with at least 1% of its strongest pull"
    back = count(reach, found.case.axis)
    part = f"The loss pulls with at least 1% of its strongest pull as far as {back} before the end"
    low = min(len(own) - 1, 50)
    left = (
        f"; of the last state's gradient {_tenths(float(own[low]))} is left {low} steps back" if low else ""
    )
    return (
        f"{part if reach < len(values) - 1 else whole}{left}. Where a curve falls to nothing the gradient vanishes, "
        "and training cannot learn to remember that far; where it rises above 1 it explodes."
    )


def _tenths(share: float) -> str:
    """A share in percent, a very small one as such."""
    return percent(share) if share >= 1e-3 else "less than 0.1%"
