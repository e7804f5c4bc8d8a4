"""Sums, products and calls as small trees: written as text or LaTeX, filled in with numbers, and evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from grus.kernels.reference import sigmoid

_FUNCTIONS = {"sigmoid": sigmoid, "tanh": np.tanh}
_LATEX = {"sigmoid": r"\sigma", "tanh": r"\tanh", "h": "h_{t-1}", "h'": "h_t", "x": "x_t"}
#: Of a longer sum or vector the first ones are shown, and how many follow.
MOST, FIRST = 8, 3


@dataclass(frozen=True)
class Number:
    """A value."""

    value: float


@dataclass(frozen=True)
class Symbol:
    """A name such as ``a_ir``, or two that are multiplied as matrix and vector, such as ``W_ir x``."""

    name: str


@dataclass(frozen=True)
class Sum:
    """Terms that are added."""

    terms: tuple["Expression", ...]


@dataclass(frozen=True)
class Difference:
    """The second subtracted from the first."""

    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Product:
    """Factors that are multiplied."""

    factors: tuple["Expression", ...]


@dataclass(frozen=True)
class Call:
    """``sigmoid`` or ``tanh`` of something."""

    function: str
    argument: "Expression"


@dataclass(frozen=True)
class Rest:
    """Terms of a sum that are not written out: how many, and what they add up to."""

    count: int
    value: float


@dataclass(frozen=True)
class Vector:
    """Several values."""

    values: tuple[float, ...]


Expression = Number | Symbol | Sum | Difference | Product | Call | Rest | Vector


def dot(left: np.ndarray, right: np.ndarray) -> Expression:
    """The products of two vectors' elements, added; of more than `MOST` the first are written out."""
    pairs = list(zip(left.tolist(), right.tolist()))
    shown = pairs if len(pairs) <= MOST else pairs[:FIRST]
    terms: list[Expression] = [Product((Number(a), Number(b))) for a, b in shown]
    if len(shown) < len(pairs):
        n = len(shown)
        terms.append(Rest(len(pairs) - n, float(left[n:] @ right[n:])))
    return Sum(tuple(terms))


def fill(e: Expression, values: Mapping[str, Expression]) -> Expression:
    """The same with every symbol replaced; sums within sums become one."""
    match e:
        case Symbol(name):
            return values[name]
        case Sum(terms):
            filled = [fill(term, values) for term in terms]
            return Sum(
                tuple(t for term in filled for t in (term.terms if isinstance(term, Sum) else (term,)))
            )
        case Difference(left, right):
            return Difference(fill(left, values), fill(right, values))
        case Product(factors):
            return Product(tuple(fill(factor, values) for factor in factors))
        case Call(function, argument):
            return Call(function, fill(argument, values))
    return e


def evaluate(e: Expression) -> float:
    """The value of an expression without symbols."""
    match e:
        case Number(value) | Rest(_, value):
            return value
        case Sum(terms):
            return sum(map(evaluate, terms))
        case Difference(left, right):
            return evaluate(left) - evaluate(right)
        case Product(factors):
            return float(np.prod([evaluate(factor) for factor in factors]))
        case Call(function, argument):
            return float(_FUNCTIONS[function](np.float64(evaluate(argument))))
    raise TypeError(f"{e} has no single value")


class Writer:
    """Writes expressions as plain text, which Python could read.

    Args:
        digits: significant digits of every number; None: as many as tell it from every other.
    """

    times, more = " * ", "... {} more"

    def __init__(self, digits: int | None = None) -> None:
        self.digits = digits

    def __call__(self, e: Expression) -> str:
        """One expression."""
        match e:
            case Number(value):
                return self.number(value)
            case Symbol(name):
                return self.symbol(name)
            case Sum(terms):
                return self._sum([self(term) for term in terms])
            case Difference(left, right):
                return f"{self(left)} - {self._tight(right)}"
            case Product(factors):
                first, *others = factors
                head = self(first) if isinstance(first, Number) else self._tight(first)
                return self.times.join([head, *map(self._tight, others)])
            case Call(function, argument):
                return f"{self.function(function)}({self(argument)})"
            case Rest(count):
                return self.more.format(count)
            case Vector(values):
                return self.vector(values)

    def number(self, value: float) -> str:
        """A number in so many significant digits."""
        value = value or 0.0  # never -0
        return repr(value) if self.digits is None else f"{value:.{self.digits}g}"

    def symbol(self, name: str) -> str:
        """A name."""
        return name

    def function(self, name: str) -> str:
        """The name of a function."""
        return name

    def vector(self, values: tuple[float, ...]) -> str:
        """Numbers in brackets; of more than `MOST` the first are written out."""
        return f"[{', '.join(self._some(values))}]"

    def _some(self, values: tuple[float, ...]) -> list[str]:
        if len(values) <= MOST:
            return [self.number(value) for value in values]
        return [*map(self.number, values[:FIRST]), self.more.format(len(values) - FIRST)]

    def _sum(self, terms: list[str]) -> str:
        text = terms[0]
        for term in terms[1:]:
            text += f" - {term[1:]}" if term.startswith("-") else f" + {term}"
        return text

    def _tight(self, e: Expression) -> str:
        """In brackets where the sign or the operator before it would else be misread."""
        text = self(e)
        return f"({text})" if text.startswith("-") or isinstance(e, Sum | Difference) else text


class LatexWriter(Writer):
    """Writes expressions as LaTeX for mathematics mode."""

    times, more = r" \cdot ", r"\cdots\text{{({} more)}}"

    def number(self, value: float) -> str:
        """A number, with a power of ten where it needs one."""
        text, _, power = super().number(value).partition("e")
        return rf"{text} \cdot 10^{{{int(power)}}}" if power else text

    def symbol(self, name: str) -> str:
        """A name with its index set low, at the step that it belongs to."""
        return " ".join(_LATEX.get(part) or _index(part) for part in name.split())

    def function(self, name: str) -> str:
        """The name of a function."""
        return _LATEX[name]

    def vector(self, values: tuple[float, ...]) -> str:
        """A row of numbers."""
        inside = r",\; ".join(self._some(values))
        return rf"\left[{inside}\right]"


def _index(name: str) -> str:
    stem, _, index = name.partition("_")
    return f"{stem}_{{{index}}}" if index else stem
