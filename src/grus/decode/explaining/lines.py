"""The equations of one step as lines with the numbers in them, and the page that they make."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grus.decode.explaining.cell import GATES, Step, counted, mistakes, normalised
from grus.decode.explaining.expression import (
    Call,
    Difference,
    Expression,
    LatexWriter,
    Number,
    Product,
    Sum,
    Symbol,
    Vector,
    Writer,
    dot,
    evaluate,
    fill,
)
from grus.errors import UsageError

#: A line that is longer is broken at its equals signs.
_WIDTH = 110
_ONE = Number(1.0)
_MEANING = {
    "pytorch": "update gate: how much of the old state is kept",
    "chung": "update gate: how much of the old state is replaced",
}
_NOTATION = {
    "pytorch": "z keeps the old state, h' = (1 - z) n + z h (PyTorch, Cho et al. 2014)",
    "chung": "z replaces the old state, h' = (1 - z) h + z n (Chung et al. 2014)",
}
_PLACEMENT = {
    True: "reset gate after the recurrent product, r (W_hn h + b_hn) (PyTorch, cuDNN)",
    False: "reset gate before the recurrent product, W_hn (r h) + b_hn (Cho et al. 2014)",
}


@dataclass(frozen=True)
class Line:
    """One equation: ``name = formula = numbers = value``."""

    name: str
    formula: Expression
    numbers: Expression
    value: float | tuple[float, ...]

    def forms(self) -> list[Expression]:
        """What stands after the name, one equals sign each."""
        forms = [self.formula, self.numbers]
        if isinstance(self.numbers, Call) and not isinstance(self.numbers.argument, Number):
            forms.append(Call(self.numbers.function, Number(evaluate(self.numbers.argument))))
        if isinstance(self.value, tuple):
            forms[1:] = [Vector(self.value)]
        else:
            forms.append(Number(self.value))
        return forms


@dataclass(frozen=True)
class Group:
    """Lines that compute one thing, and what it is."""

    title: str
    lines: list[Line]


class _Unit:
    """Builds the lines of one unit."""

    def __init__(self, step: Step, unit: int) -> None:
        self._step, self._unit = step, unit
        self._values: dict[str, Expression] = {"h": Number(float(step.h[unit])), "k": Number(step.cell.keep)}
        self._lines: list[Line] = []

    def groups(self) -> list[Group]:
        """All lines, in the order of computation."""
        step = self._step
        found = [self._gate("r", "reset gate: how much of the old state the candidate sees")]
        found.append(self._gate("z", _MEANING[step.notation]))
        if not step.cell.reset_after:
            scaled = Product((Symbol("r"), Symbol("h")))
            self._lines.append(Line("v", scaled, scaled, tuple(step.v.tolist())))
        self._argument("i", "n")
        self._argument("h", "n")
        recurrent: Expression = Symbol("a_hn")
        if step.cell.reset_after:
            recurrent = Product((Symbol("r"), recurrent))
        self._add("n", Call("tanh", Sum((Symbol("a_in"), recurrent))), step.n)
        found.append(self._group("candidate: what the input and the state propose"))
        new, old = (Symbol("n"), Symbol("h")) if step.notation == "pytorch" else (Symbol("h"), Symbol("n"))
        mixed = Sum((Product((Difference(_ONE, Symbol("z")), new)), Product((Symbol("z"), old))))
        if step.cell.keep:
            self._add("c", mixed, step.new)
            kept = Product((Symbol("k"), Symbol("h")))
            mixed = Sum((kept, Product((Difference(_ONE, Symbol("k")), Symbol("c")))))
        self._add("h'", mixed, step.after)
        found.append(self._group("new state" + (", with zoneout k" if step.cell.keep else "")))
        return found

    def _gate(self, gate: str, title: str) -> Group:
        self._argument("i", gate)
        self._argument("h", gate)
        value = getattr(self._step, gate)
        self._add(gate, Call("sigmoid", Sum((Symbol(f"a_i{gate}"), Symbol(f"a_h{gate}")))), value)
        return self._group(title)

    def _argument(self, side: str, gate: str) -> None:
        """a_i or a_h of a gate: a product of matrix and vector, normalised if the layer is, and a bias."""
        step, unit, index = self._step, self._unit, f"{side}{gate}"
        weights, is_input = step.weights, side == "i"
        seen = "x" if is_input else ("h" if gate != "n" or step.cell.reset_after else "v")
        row = step.block(weights.weight_ih if is_input else weights.weight_hh, gate)[unit]
        product: Expression = Symbol(f"W_{index} {seen}")
        self._values[f"W_{index} {seen}"] = dot(row, getattr(step, seen))
        if weights.layer_norm:
            p, q, mean, inverse = normalised(step, side, gate)
            self._add(f"p_{index}", product, p)
            self._values |= {f"m_{index}": Number(mean), f"s_{index}": Number(inverse)}
            centred = Difference(Symbol(f"p_{index}"), Symbol(f"m_{index}"))
            self._add(f"q_{index}", Product((centred, Symbol(f"s_{index}"))), q)
            gain = weights.gain_ih if is_input else weights.gain_hh
            assert gain is not None
            self._values[f"g_{index}"] = Number(float(step.block(gain, gate)[unit]))
            product = Product((Symbol(f"g_{index}"), Symbol(f"q_{index}")))
        bias = weights.bias_ih if is_input else weights.bias_hh
        if bias is not None:
            self._values[f"b_{index}"] = Number(float(step.block(bias, gate)[unit]))
            product = Sum((product, Symbol(f"b_{index}")))
        self._add(f"a_{index}", product, (step.a_i if is_input else step.a_h)[gate])

    def _add(self, name: str, formula: Expression, values: np.ndarray) -> None:
        value = float(values[self._unit])
        self._lines.append(Line(name, formula, fill(formula, self._values), value))
        self._values[name] = Number(value)

    def _group(self, title: str) -> Group:
        lines, self._lines = self._lines, []
        return Group(title, lines)


@dataclass(frozen=True, eq=False)
class Explanation:
    """One step of one GRU cell on paper: what `grus.explain` returns.

    Attributes:
        step: every quantity of all units, float64.
        units: whose lines are written out.
    """

    step: Step
    units: tuple[int, ...]
    _groups: dict[int, list[Group]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_groups", {unit: _Unit(self.step, unit).groups() for unit in self.units})

    @property
    def state(self) -> np.ndarray:
        """The state after the step, float64 [H]."""
        return self.step.after

    def mistakes(self) -> dict[str, np.ndarray]:
        """The state [H] that the usual mistakes of a port would give; only those that change it."""
        return dict(mistakes(self.step))

    def __str__(self) -> str:
        return self.text()

    def text(self, digits: int = 4, *, mistakes: bool = False) -> str:
        """As plain text; every right-hand side with numbers could be typed into Python.

        Args:
            digits: significant digits; what is shown is rounded, what is computed is float64.
            mistakes: add the states that the usual mistakes of a port would give.
        """
        step, write = self.step, Writer(check_digits(digits))
        hidden = step.weights.hidden_size
        out = [
            f"{step.cell.name}: {counted(step.weights.input_size, 'input')}, {counted(hidden, 'unit')}",
            _NOTATION[step.notation],
            _PLACEMENT[step.cell.reset_after],
            *(f"{text}, {label}" for text, label in self._around(write)),
        ]
        for unit, groups in self._groups.items():
            out += ["", f"unit {unit}"]
            for group in groups:
                out += [f"  {group.title}", *(part for line in group.lines for part in _lay_out(line, write))]
        if len(self.units) < hidden:
            out += ["", f"{counted(hidden - len(self.units), 'other unit')} not shown"]
        if mistakes:
            found = self.mistakes()
            width = max(map(len, found), default=0)
            out += ["", "if a port has another h', it may be this mistake:"]
            out += [f"  {name:{width}}  h' = {self._some(state, write)}" for name, state in found.items()]
        return "\n".join(out) + "\n"

    def latex(self, digits: int = 4) -> str:
        """As LaTeX: one ``aligned`` (amsmath) a unit."""
        write = LatexWriter(check_digits(digits))
        around = [text for text, _ in self._around(write)]
        out = [r"\[", ", \\quad ".join(around), r"\]"]
        for unit, groups in self._groups.items():
            out += [f"% unit {unit}", r"\[", r"\begin{aligned}"]
            lines = [line for group in groups for line in group.lines]
            rows = [[write.symbol(line.name), *map(write, line.forms())] for line in lines]
            out += [f"{name} &= {' = '.join(forms)} \\\\" for name, *forms in rows]
            out += [r"\end{aligned}", r"\]"]
        return "\n".join(out) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON: vectors of all units in full precision, and the lines of the units asked for."""
        step, write = self.step, Writer()
        arrays = {
            f"a_{side}{gate}": values[gate]
            for gate in GATES
            for side, values in (("i", step.a_i), ("h", step.a_h))
        }
        arrays |= {"r": step.r, "z": step.z, "n": step.n, "new": step.new, "h_after": step.after}
        return {
            "cell": step.cell.name,
            "input_size": step.weights.input_size,
            "hidden_size": step.weights.hidden_size,
            "notation": step.notation,
            "reset_after": step.cell.reset_after,
            "layer_norm": step.weights.layer_norm,
            "zoneout": step.cell.keep,
            "x": step.x.tolist(),
            "h": step.h.tolist(),
            **{name: values.tolist() for name, values in arrays.items()},
            "units": [
                {"unit": unit, "lines": [_plain(line, write) for group in groups for line in group.lines]}
                for unit, groups in self._groups.items()
            ],
            "mistakes": {name: state.tolist() for name, state in self.mistakes().items()},
        }  # fmt: skip

    def _around(self, write: Writer) -> list[tuple[str, str]]:
        step = self.step
        arrays = (
            ("x", step.x, "the input"),
            ("h", step.h, "the state before"),
            ("h'", step.after, "the state after"),
        )
        return [
            (f"{write.symbol(name)} = {write(Vector(tuple(values.tolist())))}", label)
            for name, values, label in arrays
        ]

    def _some(self, state: np.ndarray, write: Writer) -> str:
        """The units that are shown, of a state."""
        return write(Vector(tuple(state[list(self.units)].tolist())))


def check_digits(digits: int) -> int:
    """Refuse a number of significant digits that float64 does not have."""
    if not 1 <= digits <= 17:
        raise UsageError(f"digits: must be from 1 to 17, got {digits}")
    return digits


def check_units(units: Sequence[int], hidden: int, name: str) -> tuple[int, ...]:
    """Refuse units that the cell does not have."""
    for unit in units:
        if not 0 <= unit < hidden:
            raise UsageError(f"{name}: unit must be from 0 to {hidden - 1}, got {unit}")
    return tuple(dict.fromkeys(units))


def _lay_out(line: Line, write: Writer) -> list[str]:
    head, forms = f"    {line.name:4} = ", [write(form) for form in line.forms()]
    whole = head + " = ".join(forms)
    if len(whole) <= _WIDTH:
        return [whole]
    return [head + forms[0], *(" " * (len(head) - 2) + f"= {form}" for form in forms[1:])]


def _plain(line: Line, write: Writer) -> dict[str, Any]:
    return {
        "name": line.name,
        "formula": write(line.formula),
        "numbers": write(line.numbers),
        "value": line.value,
    }
