"""The detection task as data: which columns are watched, and how errors of forecasts become scores."""

import math

import msgspec

from grus.errors import SpecError
from grus.spec.ops import Weights
from grus.spec.shapes import check_size
from grus.spec.steps import check_unique


class Detect(msgspec.Struct, frozen=True, tag_field="task", tag="detect", forbid_unknown_fields=True):
    """The detection task: the network expects the next value of every column, and what it did not expect is scored.

    The graph has one input ``x`` on the clock ``src``: of every column the value before (and whether it was there, for
    those that had gaps in training), then the calendar of the step itself. Its one output ``mean``, a seq on the same
    clock, is the expected value of every column, scaled.

    ``short`` and ``memory`` are the steps of the two means that `grus.decode.likelihood` compares; with a memory of 0
    the long one stays what it was in training. ``outside`` is the share of the range of all values so far by which a
    new one must leave it to be as severe as an error of 8 digits; 0: the range does not count. ``quiet`` is how many
    rows must not have been above the threshold before an alarm. With ``level`` a column's scaled value is judged beside
    the error, as if nothing but its mean had been expected; with ``joint`` a row is judged by all columns together.
    """

    columns: tuple[str, ...]
    id: str | None
    time: str | None
    label: str | None
    short: int
    memory: int
    outside: float
    quiet: int
    level: bool = False
    joint: bool = False

    def arrays(self) -> Weights:
        """Fitted float64 tensors: of every column's error, then with ``level`` of every column's value, the long mean
        of the short one and its spread, and how many rows these are of; the range of every column's values, scaled;
        and the threshold of the score.
        """
        each = (len(self.columns),)
        judged = (len(self.columns) * (2 if self.level else 1),)
        return {
            "mean": judged,
            "spread": judged,
            "rows": judged,
            "low": each,
            "high": each,
            "threshold": (1,),
        }

    def check(self) -> None:
        """Raise SpecError unless the numbers and names make sense."""
        check_unique("detect: columns", self.columns)
        if not self.columns:
            raise SpecError("detect: columns must be at least 1, got 0")
        check_size("detect: short", self.short)
        check_size("detect: memory", self.memory, low=0, high=1 << 40)
        check_size("detect: quiet", self.quiet, low=0, high=1 << 16)
        if not (math.isfinite(self.outside) and self.outside >= 0):
            raise SpecError(f"detect: outside must be a number of at least 0, got {self.outside}")
