"""Proof of an export: the files are compiled and run beside the runtime on random rows."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from grus.errors import GrusError
from grus.export.c99.builder import quantise
from grus.export.c99.compiler import build, find_compiler, run
from grus.export.c99.driver import Call
from grus.export.c99.program import Program

Tensors = Mapping[str, np.ndarray]

#: Weights are moved by this share of themselves to see how far rounding may carry the outputs: float32 has 2^-24, and
#: a value in 16 bits 2^-16.
_STIRRED = {"float32": 2.0**-20, "int8": 2.0**-16}
#: How many times that movement the outputs may differ by, beside this share of the greatest output.
_FACTOR, _SHARE = 8.0, {"float32": 5e-7, "int8": 2e-6}


class Trial(Protocol):
    """Random calls of a program, and what the runtime makes of the same rows."""

    calls: list[Call]

    def expected(self, tensors: Tensors) -> list[np.ndarray]:
        """The outputs of every call that has outputs, by the runtime with these tensors."""
        ...


@dataclass(frozen=True)
class Proof:
    """What the comparison found; ``compiler`` is empty where there is none.

    Attributes:
        compiler: its name.
        error: greatest difference to the runtime with the weights as they are stored.
        quantisation: greatest difference of that runtime to the one with float32 weights.
        outputs: how many were compared.
        size: the greatest of them.
    """

    compiler: str = ""
    error: float = 0.0
    quantisation: float = 0.0
    outputs: int = 0
    size: float = 0.0


def prove(program: Program, trial: Trial, tensors: Tensors) -> Proof:
    """Compile a program and compare it with the runtime.

    Raises:
        GrusError: it does not compile, does not run, or gives other numbers.
    """
    compiler = find_compiler()
    if compiler is None:
        return Proof()
    with tempfile.TemporaryDirectory(prefix="grus-c99-") as folder:
        target = build([program], Path(folder), compiler)
        answers = run(target, [program], trial.calls)
    return compare(program, trial, tensors, answers, Path(compiler[0]).name)


def compare(program: Program, trial: Trial, tensors: Tensors, answers: list, by: str) -> Proof:
    """Hold the answers of a compiled program to the runtime's.

    The bound is not fixed: the runtime says how far its outputs move when every weight moves by a little more than
    rounding moves it. A model that amplifies rounding may differ more than one that forgets it.

    Raises:
        GrusError: some output differs by more, or only one of the two is NaN.
    """
    got = np.concatenate([np.ravel(value) for outputs in answers for value in outputs]).astype(np.float64)
    same = as_stored(tensors, program)
    flat = [
        np.concatenate([np.ravel(v) for v in trial.expected(t)])
        for t in (same, _stirred(same, program), tensors)
    ]
    wanted, stirred, exact = (value.astype(np.float64) for value in flat)
    assert wanted.shape == got.shape
    precision = program.unit.precision
    size = float(np.abs(wanted).max(initial=0.0))
    bound = _FACTOR * np.abs(stirred - wanted).max(initial=0.0) + _SHARE[precision] * size
    error = np.abs(got - wanted)
    if not (error <= bound).all():
        worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
        raise GrusError(
            f"export: the C files as compiled by {by} must give what the runtime gives, {wanted[worst]:.6g} (within "
            f"{bound:.1e}), but give {got[worst]:.6g}; nothing was written",
            hint="this is a fault of Grus or of the compiler: please report it",
        )
    moved = float(np.abs(exact - wanted).max(initial=0.0))
    return Proof(by, float(error.max(initial=0.0)), moved, len(got), size)


def as_stored(tensors: Tensors, program: Program) -> dict[str, np.ndarray]:
    """The numbers that the files hold: with 8-bit weights each matrix as it comes back from them."""
    out = dict(tensors)
    if program.unit.precision == "int8":
        for name in program.unit.matrices:
            weight = out[f"main.{name}"]
            narrow, scale = quantise(weight.reshape(len(weight), -1))  # a convolution has three axes
            out[f"main.{name}"] = (narrow * scale[:, None]).reshape(weight.shape)
    return out


def _stirred(tensors: Tensors, program: Program) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    share = _STIRRED[program.unit.precision]
    return {
        name: (value * (1 + share * rng.choice([-1.0, 1.0], value.shape))).astype(value.dtype)
        if name.startswith("main.")
        else value
        for name, value in tensors.items()
    }
