"""Symbolic shapes: what kind of value a name in a graph holds, how wide it is, and on which clock it ticks."""

from typing import Literal

import msgspec

from grus.errors import SpecError

Kind = Literal["seq", "vec", "tokens", "mask", "gap", "memory", "alignment"]

#: No layer of a model may be wider than this; a spec is hostile input, so sizes are bounded before any allocation.
MAX_SIZE = 1 << 24


class Shape(msgspec.Struct, frozen=True):
    """Kind, integer size and clock of a value; only batch and time are symbolic.

    A ``seq`` is [batch, time, size] with time given by its clock; a ``vec`` is [batch, size] and has no clock;
    ``tokens`` are integers below ``size``, [batch, time] on a clock or [batch] without one. A ``memory`` is
    [batch, steps, size] like a seq, but is given whole, whatever chunks the seqs beside it come in. An ``alignment`` is
    an output only, [batch, time, steps of a memory]: what share of it each step looked at; its size is 1.
    """

    kind: Kind
    size: int
    clock: str = ""

    def __str__(self) -> str:
        return f"{self.kind}[{self.size}]" + (f" on clock {self.clock!r}" if self.clock else "")


def check_size(what: str, size: int, low: int = 1, high: int = MAX_SIZE) -> None:
    """Raise SpecError unless ``low <= size <= high``."""
    if isinstance(size, bool) or not isinstance(size, int) or not low <= size <= high:
        raise SpecError(f"{what} must be a whole number from {low} to {high}, got {size!r}")


def check_rate(what: str, rate: float) -> None:
    """Raise SpecError unless ``0 <= rate < 1`` (a dropout or zoneout probability)."""
    if not 0.0 <= rate < 1.0:
        raise SpecError(f"{what} must be at least 0 and below 1, got {rate!r}")


def want(op: str, shape: Shape, *kinds: Kind) -> Shape:
    """Return ``shape`` if it is of one of ``kinds``, else raise SpecError."""
    if shape.kind not in kinds:
        raise SpecError(f"{op}: input must be {' or '.join(kinds)}, got {shape}")
    return shape
