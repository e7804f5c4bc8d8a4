"""The registry of shapes at which the kernels are measured."""

from typing import Literal

import msgspec

from grus.errors import UsageError


class Size(msgspec.Struct, frozen=True, order=True):
    """Batch, time, input size and hidden size of one GRU layer."""

    B: int
    T: int
    I: int  # noqa: E741
    H: int

    def __str__(self) -> str:
        return f"B={self.B} T={self.T} I={self.I} H={self.H}"

    @property
    def flops(self) -> int:
        """Floating-point operations of the products of one forward pass; a training step has three times as many."""
        return 2 * self.B * self.T * 3 * self.H * (self.I + self.H)


SEVEN = (
    Size(1, 100, 16, 64),
    Size(32, 100, 32, 64),
    Size(32, 100, 64, 128),
    Size(64, 100, 128, 256),
    Size(128, 50, 16, 32),
    Size(16, 1000, 64, 128),
    Size(256, 30, 512, 512),
)
#: what the seven leave out: I != H, odd sizes, one step, one row, eight rows
GRID = (
    Size(1, 100, 128, 128),
    Size(1, 100, 64, 512),
    Size(1, 1, 64, 128),
    Size(8, 100, 32, 64),
    Size(8, 100, 300, 128),
    Size(8, 50, 128, 650),
    Size(32, 1, 64, 128),
    Size(32, 50, 97, 97),
    Size(32, 60, 256, 64),
    Size(32, 60, 16, 256),
    Size(64, 24, 10, 32),
    Size(20, 35, 650, 650),
)
#: one row, one step, called from Python
STEPS = tuple(Size(1, 1, 16, hidden) for hidden in (16, 64, 128, 256, 512))

Shapes = Literal["seven", "grid", "all"]
SHAPES: dict[Shapes, tuple[Size, ...]] = {"seven": SEVEN, "grid": GRID, "all": SEVEN + GRID}


def parse_size(text: str) -> Size:
    """``32,100,64,128`` as a size.

    Raises:
        UsageError: not four whole numbers of at least 1.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(part.isascii() and part.isdecimal() and int(part) for part in parts):
        raise UsageError(
            f"size must be four whole numbers B,T,I,H of at least 1 such as 32,100,64,128, got {text!r}"
        )
    return Size(*map(int, parts))
