"""What a comparison is made of, checked before any work: cells, sizes, rates, seeds, shares and lengths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from grus.errors import UsageError
from grus.tasks import rules as r
from grus.tasks.cells import CELLS
from grus.training.config import Rule

#: The rates that are tried first are these times the task's own.
FACTORS = (1 / 3, 1.0, 3.0)
#: While the best rate is the first or the last, another is tried beyond it, at this distance, up to so many in all.
STEP, MOST_RATES = 3.0, 5

_POSITIVE_LIST = Rule(
    lambda v: r.is_list(v) and len(v) > 0 and all(map(r.POSITIVE.holds, v)),
    "a list of whole numbers of at least 1",
)
RULES: dict[str, Rule] = {
    "cells": Rule(
        lambda v: r.is_list(v) and len(v) > 1 and len(set(v)) == len(v) and all(cell in CELLS for cell in v),
        f"a list of at least two different cells of {', '.join(CELLS)}",
    ),
    "equal": r.choice(("parameters", "width")),
    "hidden_size": r.POSITIVE,
    "parameters": r.or_none(r.POSITIVE),
    "rates": r.or_none(
        Rule(
            lambda v: r.is_list(v) and len(v) > 0 and all(r.number(0)(x) and x > 0 for x in v),
            "a list of numbers above 0",
        )
    ),
    "learning_rate": Rule(lambda v: r.number(0)(v) and v > 0, "a number above 0"),
    "seed": r.COUNT,
    "seeds": r.POSITIVE,
    "sizes": Rule(
        lambda v: r.is_list(v) and len(v) > 0 and all(r.number(0)(x) and 0 < x <= 1 for x in v),
        "a list of shares above 0, of at most 1",
    ),
    "lengths": r.or_none(_POSITIVE_LIST),
    "level": Rule(lambda v: r.number(0, 1)(v) and v > 0, "a share between 0 and 1"),
}


@dataclass(frozen=True)
class Settings:
    """What is compared.

    Attributes:
        cells: which, of `grus.tasks.cells.CELLS`.
        equal: ``parameters``: every cell as wide as gives it the number of weights of a GRU of ``hidden_size``, or
            ``parameters`` of them; ``width``: all as wide as that.
        hidden_size, parameters: see there.
        rates: learning rates to try for every cell; None: a third of ``learning_rate``, itself, three times it, and
            on from there while the best is at an end.
        learning_rate: where that search begins.
        seeds: training runs of every cell at its best rate, counted from ``seed``.
        sizes: shares of the training rows; lengths: of sequences; None: the task's own.
        level: of the intervals.
        seed: the first.

    Raises:
        UsageError: from `of`, for what cannot be used.
    """

    cells: tuple[str, ...]
    equal: Literal["parameters", "width"]
    hidden_size: int
    parameters: int | None
    rates: tuple[float, ...] | None
    learning_rate: float
    seeds: int
    sizes: tuple[float, ...]
    lengths: tuple[int, ...] | None
    level: float
    seed: int

    @classmethod
    def of(
        cls, *, cells: Sequence[str] | None, rates: Any, sizes: Any, lengths: Any, **more: Any
    ) -> "Settings":
        """Checked settings; lists are put in order, without repeats."""
        given = {
            "cells": CELLS if cells is None else cells,
            "rates": rates,
            "sizes": sizes,
            "lengths": lengths,
        }
        found = r.check(given | more, RULES)
        for name in ("rates", "sizes", "lengths"):
            if found[name] is not None:
                found[name] = tuple(sorted(set(found[name])))
        if found["parameters"] is not None and found["equal"] == "width":
            raise UsageError(f"parameters must be None for equal='width', got {found['parameters']!r}")
        return cls(**found)

    def points(self) -> Iterator[tuple[int | None, float]]:
        """Length and share of every point."""
        return ((length, share) for length in self.lengths or (None,) for share in self.sizes)

    def first_rates(self) -> list[float]:
        """The rates every cell begins with."""
        return list(self.rates) if self.rates else [_short(self.learning_rate * factor) for factor in FACTORS]

    def next_rate(self, scores: dict[float, float]) -> float | None:
        """Another rate to try, by the validation scores of those that were; None when the search is over."""
        best = min(scores, key=lambda rate: (scores[rate], rate))
        if self.rates or len(scores) >= MOST_RATES:
            return None
        if scores[best] == float("inf") or best == min(scores):
            return _short(min(scores) / STEP)
        return _short(best * STEP) if best == max(scores) else None

    def most_runs(self) -> int:
        """Runs of one cell at one point, if its search goes on to the end: for a plan."""
        return (len(self.rates) if self.rates else len(FACTORS)) + self.seeds - 1


def _short(rate: float) -> float:
    """A rate to two digits, so that it can be typed in."""
    return float(f"{rate:.2g}")
