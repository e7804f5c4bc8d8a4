"""What `grus.export.check_onnx` returns."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["reset", "batch", "time", "state"]


@dataclass(frozen=True)
class Finding:
    """One thing that is probably wrong.

    Attributes:
        node: the name of the GRU node.
        kind: ``reset`` (linear_before_reset), ``batch`` or ``time`` (a frozen axis), ``state`` (no way to carry it).
        message: what is wrong.
        hint: what to do.
    """

    node: str
    kind: Kind
    message: str
    hint: str


@dataclass(frozen=True)
class OnnxCheck:
    """Who wrote a file, how many GRU nodes it has, and what is probably wrong with them."""

    producer: str
    nodes: int
    findings: tuple[Finding, ...]
