"""The error that csrc/core/activations.h states, measured."""

import numpy as np
import pytest

from grus.kernels import _native
from grus.kernels.reference import sigmoid

MAX_ULP = 2.5
FUNCTIONS = {"sigmoid": sigmoid, "tanh": np.tanh, "decay": lambda a: np.exp(-np.maximum(a, 0))}


def ulps(actual: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Error in units in the last place of the exact result, where that is a normal number."""
    tiny = np.finfo(actual.dtype).tiny
    normal = np.abs(exact) >= tiny
    spacing = np.spacing(np.abs(exact[normal]).astype(actual.dtype)).astype(exact.dtype)
    return np.abs(actual[normal].astype(exact.dtype) - exact[normal]) / spacing


def float32_inputs() -> np.ndarray:
    every = np.arange(0, 2**32, 1009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    dense = np.linspace(-20, 20, 400_001, dtype=np.float32)
    ends = np.linspace(-104, -80, 100_001, dtype=np.float32)
    return np.concatenate([every[np.isfinite(every)], dense, ends, -ends])


def float64_inputs() -> np.ndarray:
    rng = np.random.default_rng(0)
    small = 10.0 ** rng.uniform(-300, 1, 50_000) * rng.choice([-1, 1], 50_000)
    return np.concatenate([rng.uniform(-40, 40, 200_000), rng.uniform(-708, 708, 50_000), small])


@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_error_is_within_the_stated_ulps(name: str, isa: str) -> None:
    x = float32_inputs()
    exact = FUNCTIONS[name](x.astype(np.float64))
    actual = _native.activation(name, x, isa)
    assert actual.dtype == np.float32
    assert ulps(actual, exact).max() <= MAX_ULP
    subnormal = np.abs(exact) < np.finfo(np.float32).tiny
    assert (np.abs(actual[subnormal] - exact[subnormal]) <= np.finfo(np.float32).tiny).all()


@pytest.mark.skipif(
    np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps, reason="needs a wider long double"
)
@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_error_is_within_the_stated_ulps(name: str, isa: str) -> None:
    x = float64_inputs()
    exact = FUNCTIONS[name](x.astype(np.longdouble))
    assert ulps(_native.activation(name, x, isa), exact).max() <= MAX_ULP


@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_the_range(isa: str, dtype: type) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, np.finfo(dtype).max, np.finfo(dtype).min], dtype)
    np.testing.assert_array_equal(_native.activation("sigmoid", x, isa), [np.nan, 1, 0, 0.5, 0.5, 1, 0])
    np.testing.assert_array_equal(_native.activation("decay", x, isa), [np.nan, 0, 1, 1, 1, 0, 1])
    np.testing.assert_array_equal(_native.activation("decay", -x[:1], isa), [np.nan])  # its sign is no answer
    tanh = _native.activation("tanh", x, isa)
    np.testing.assert_array_equal(tanh, [np.nan, 1, -1, 0, 0, 1, -1])
    assert np.signbit(tanh[4])
    assert not np.signbit(tanh[3])


@pytest.mark.parametrize("isa", _native.available_isas())
@pytest.mark.parametrize("size", [1, 3, 15, 16, 17, 31])
def test_tails_give_the_bits_of_the_body(isa: str, size: int) -> None:
    x = np.linspace(-9, 9, 64, dtype=np.float32)
    for name in FUNCTIONS:
        whole = _native.activation(name, x, isa)
        np.testing.assert_array_equal(_native.activation(name, x[:size], isa), whole[:size])


def test_ulps_rejects_a_wrong_function() -> None:
    x = np.linspace(-5, 5, 1001, dtype=np.float32)
    exact = np.tanh(x.astype(np.float64))
    assert ulps((exact * (1 + 1e-6)).astype(np.float32), exact).max() > MAX_ULP
