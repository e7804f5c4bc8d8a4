"""The oracle's gradient, proved by central differences along random directions."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gru_cases import DECAYS, VARIANTS, Case, Shape, make_case
from grus.kernels.layout import GRUWeights
from grus.kernels.reference import gru_stack

STEP = 1e-6  # at 1e-5 the error of the difference itself, of order STEP^2, fails layer norm over three units


def loss(case: Case, x: np.ndarray, h_0: np.ndarray, weights: tuple[GRUWeights, ...]) -> float:
    result = gru_stack(x, h_0, weights, case.options)
    return float((result.output * case.d_output).sum() + (result.h_n * case.d_h_n).sum())


def slope(function: Callable[[np.ndarray], float], at: np.ndarray, direction: np.ndarray) -> float:
    return (function(at + STEP * direction) - function(at - STEP * direction)) / (2 * STEP)


def replaced(weights: tuple[GRUWeights, ...], i: int, name: str, array: np.ndarray) -> tuple[GRUWeights, ...]:
    changed = GRUWeights(**{**dict(weights[i].items()), name: array})
    return (*weights[:i], changed, *weights[i + 1 :])


def check(name: str, function: Callable[[np.ndarray], float], at: np.ndarray, gradient: np.ndarray) -> None:
    assert gradient.shape == at.shape
    rng = np.random.default_rng(1)
    for _ in range(2):
        direction = rng.standard_normal(at.shape)
        expected = slope(function, at, direction)
        assert abs((gradient * direction).sum() - expected) <= 1e-7 * (1 + abs(expected)), name


@pytest.mark.parametrize("shape", [*VARIANTS, *DECAYS], ids=str)
def test_every_gradient_matches_finite_differences(shape: Shape) -> None:
    case = make_case(shape, seed=2)
    _, grads = case.backward()
    check("x", lambda x: loss(case, x, case.h_0, case.weights), case.x, grads.x)
    check("h_0", lambda h: loss(case, case.x, h, case.weights), case.h_0, grads.h_0)
    if case.options.decays is not None:
        assert grads.decays is not None

        def of_decays(decays: np.ndarray) -> float:
            changed = replace(case, options=replace(case.options, decays=decays))
            return loss(changed, case.x, case.h_0, case.weights)

        check("decays", of_decays, case.options.decays, grads.decays)
    for i, (weights, gradient) in enumerate(zip(case.weights, grads.weights)):
        for name, array in weights.items():
            check(
                f"{name} of entry {i}",
                lambda a, i=i, name=name: loss(case, case.x, case.h_0, replaced(case.weights, i, name, a)),
                array,
                getattr(gradient, name),
            )
        assert [name for name, _ in gradient.items()] == [name for name, _ in weights.items()]


def test_the_check_rejects_a_wrong_gradient() -> None:
    case = make_case()
    _, grads = case.backward()
    wrong = grads.x.copy()
    wrong[-1, 0, 0] += 1e-3
    with pytest.raises(AssertionError):
        check("x", lambda x: loss(case, x, case.h_0, case.weights), case.x, wrong)


def test_gradients_survive_saturated_gates() -> None:
    case = make_case(Shape(T=4))
    big = Case(case.x * 1e4, case.h_0, case.weights, case.options, case.d_output, case.d_h_n)
    _, grads = big.backward()
    assert np.isfinite(grads.x).all()
    assert all(np.isfinite(array).all() for _, array in grads.weights[0].items())
