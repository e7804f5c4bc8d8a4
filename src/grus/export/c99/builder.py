"""A C file in the making: constants, the members of the state, and functions as straight lines of calls.

Scratch memory is planned: a line names a buffer by a mark, a buffer lives from the first line that names it to the
last, and buffers that never live at once share their place in the state's ``work``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from grus.export.c99.text import array, number

Precision = Literal["float32", "int8"]
_MARK = re.compile(r"<(\d+)>")


@dataclass(frozen=True)
class Value:
    """Numbers of a graph in C: ``at`` points to [steps, size] of them; steps is 0 for a vec."""

    at: str
    size: int
    steps: int

    @property
    def stride(self) -> int:
        """How far from one step to the next: 0 repeats a vec."""
        return self.size if self.steps else 0


@dataclass(frozen=True)
class Argument:
    """What a function of the header takes or gives; count 0 is a plain number, not an array."""

    kind: Literal["float", "int32_t"]
    name: str
    count: int
    note: str = ""

    @property
    def input(self) -> str:
        """As an input stands in the prototype."""
        return f"const {self.kind} {self.name}[{self.count}]" if self.count else f"{self.kind} {self.name}"

    @property
    def output(self) -> str:
        """As an output stands in the prototype."""
        return f"{self.kind} {self.name}[{self.count}]"


@dataclass(frozen=True)
class Function:
    """A function of the header, after ``<name>_``."""

    verb: str
    doc: str
    inputs: tuple[Argument, ...] = ()
    outputs: tuple[Argument, ...] = ()
    body: str = ""
    multiplies: int = 0


@dataclass
class Unit:
    """The constants and the state of one C file.

    Attributes:
        precision: of matrices.
        constants: C text of each constant.
        matrices: pointers to the weight matrices by tensor; tied weights stand once.
        flash: bytes of the constants.
        sizes: of the state's members (work, memory, sums, counts, rounded), in elements.
        headers: files beside this one whose text the model needs after ``support.h``.
    """

    precision: Precision = "float32"
    constants: list[str] = field(default_factory=list)
    matrices: dict[str, str] = field(default_factory=dict)
    flash: int = 0
    sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MEMBERS, 0))
    headers: set[str] = field(default_factory=set)
    _made: dict[str, str] = field(default_factory=dict)

    def keep(self, member: str, size: int) -> str:
        """Room in a member of the state that lasts from call to call, as a C pointer."""
        begin = self.sizes[member]
        self.sizes[member] += size
        return f"s->{member} + {begin}"

    def reserve(self, member: str, size: int) -> None:
        """Make sure that a member has room for a call."""
        self.sizes[member] = max(self.sizes[member], size)

    def floats(self, name: str, values: np.ndarray | None) -> str:
        """A constant array of floats, or NULL."""
        return "NULL" if values is None else self._constant("float", name, values, 4)

    def doubles(self, name: str, values: np.ndarray) -> str:
        """A constant array of doubles."""
        return self._constant("double", name, np.asarray(values, np.float64), 8)

    def flags(self, name: str, values: list[int]) -> str:
        """A constant array of small numbers."""
        return self._constant("unsigned char", name, np.array(values, np.uint8), 1)

    def matrix(self, name: str, weight: np.ndarray) -> str:
        """A weight matrix in the unit's precision, as a pointer to it; ``name`` is that of the tensor."""
        if self.precision == "int8":
            narrow, scale = quantise(weight)
            parts = (
                f"NULL, {self._constant('int8_t', name, narrow, 1)}, {self.floats(name + '.scale', scale)}"
            )
            self.reserve("rounded", weight.shape[1])
        else:
            parts = f"{self.floats(name, weight)}, NULL, NULL"
        if name not in self.matrices:
            own = f"m{len(self.constants)}_{_word(name)}"
            sizes = f"{weight.shape[0]}, {weight.shape[1]}"
            self.constants.append(f"static const grus_matrix {own} = {{{sizes}, {parts}}};")
            self.matrices[name] = f"&{own}"
        return self.matrices[name]

    def layers(self, name: str, rows: list[list[str]], kind: str = "grus_layer") -> str:
        """The constant array of a stack's layers, of a C type."""
        own = f"l{len(self.constants)}_{_word(name)}"
        cells = ",\n    ".join("{" + ", ".join(row) + "}" for row in rows)
        self.constants.append(f"static const {kind} {own}[{len(rows)}] = {{\n    {cells}}};")
        return own

    def _constant(self, kind: str, name: str, values: np.ndarray, width: int) -> str:
        key = f"{kind} {name}"
        if key not in self._made:
            self._made[key] = f"k{len(self.constants)}_{_word(name)}"
            self.constants.append(array(kind, self._made[key], values))
            self.flash += values.size * width
        return self._made[key]

    @property
    def ram(self) -> int:
        """Bytes of the state; its greatest alignment is that of its first member."""
        total = sum(size * WIDTHS[member] for member, size in self.sizes.items())
        align = 8 if self.sizes["sums"] else 4
        return -(-max(total, 1) // align) * align if total else 4


#: Members of the state, widest first, so that there is no padding but at the end.
MEMBERS: Mapping[str, str] = {
    "sums": "double",
    "memory": "float",
    "work": "float",
    "counts": "int32_t",
    "rounded": "int16_t",
}
WIDTHS = {"sums": 8, "memory": 4, "work": 4, "counts": 4, "rounded": 2}


@dataclass
class Body:
    """The lines of one function.

    Attributes:
        unit: the file.
        carried: whether ops remember from call to call; else a call is a whole sequence.
        phase: 0 for what the state needs, 1 for what only the outputs need.
        multiplies: products of a call.
    """

    unit: Unit
    carried: bool
    phase: int = 0
    multiplies: int = 0
    _lines: list[tuple[int, str]] = field(default_factory=list)
    _buffers: list[int] = field(default_factory=list)

    def line(self, text: str) -> None:
        """Add a line to the phase."""
        self._lines.append((self.phase, text))

    def scratch(self, size: int) -> str:
        """A buffer of floats for this call, as a mark that stands for a C pointer."""
        self._buffers.append(size)
        return f"<{len(self._buffers) - 1}>"

    def value(self, size: int, steps: int) -> Value:
        """A new value in scratch memory."""
        return Value(self.scratch(size * max(steps, 1)), size, steps)

    def remembered(self, size: int) -> str:
        """Floats that begin as 0 and last as long as the state does, or the call."""
        if self.carried:
            return self.unit.keep("memory", size)
        mark = self.scratch(size)
        self.line(f"memset({mark}, 0, {size} * sizeof(float));")
        return mark

    def kept(self, member: Literal["sums", "counts"], size: int) -> str:
        """Doubles or whole numbers that begin as 0 and last as long as the state does, or the call."""
        place = self.unit.keep(member, size)
        if not self.carried:
            self.line(f"memset({place}, 0, {size} * sizeof({MEMBERS[member]}));")
        return place

    def text(self, gate: str = "") -> str:
        """The function's lines with every buffer in its place; ``gate`` stands before what only outputs need."""
        order = [text for phase in (0, 1) for p, text in self._lines if p == phase]
        places = self._plan(order)
        early = sum(p == 0 for p, _ in self._lines)
        lines = [_MARK.sub(lambda found: f"s->work + {places[int(found[1])]}", text) for text in order]
        if gate and early < len(lines):
            lines.insert(early, gate)
        return "\n".join("  " + line for text in lines for line in text.split("\n"))

    def _plan(self, lines: list[str]) -> list[int]:
        """Where each buffer stands: the largest first, each at the lowest place that no neighbour in time has."""
        alive: dict[int, tuple[int, int]] = {}
        for place, text in enumerate(lines):
            for mark in map(int, _MARK.findall(text)):
                alive[mark] = (alive.get(mark, (place, 0))[0], place)
        offsets = [0] * len(self._buffers)
        placed: list[int] = []
        for mark in sorted(alive, key=lambda i: -self._buffers[i]):
            first, last = alive[mark]
            near = [o for o in placed if alive[o][0] <= last and first <= alive[o][1]]
            begin = 0
            for other in sorted(near, key=lambda i: offsets[i]):
                if begin + self._buffers[mark] <= offsets[other]:
                    break
                begin = max(begin, offsets[other] + self._buffers[other])
            offsets[mark] = begin
            placed.append(mark)
            self.unit.reserve("work", begin + self._buffers[mark])
        return offsets


def quantise(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows in 8 bits: w = scale * q, scale = max |w| / 127 of each row; a row of zeros has scale 0.

    Args:
        weight: float32 [rows, size].

    Returns:
        q int8 [rows, size], scale float32 [rows].
    """
    most = np.abs(weight).max(axis=1, initial=0.0)
    scale = (most / np.float32(127)).astype(np.float32)
    unit = np.where(scale > 0, scale, np.float32(1))
    return np.clip(np.rint(weight / unit[:, None]), -127, 127).astype(np.int8), scale


def _word(name: str) -> str:
    return re.sub(r"\W", "_", name)


__all__ = ["MEMBERS", "Argument", "Body", "Function", "Precision", "Unit", "Value", "number", "quantise"]
