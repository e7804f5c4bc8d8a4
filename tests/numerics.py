"""Comparison helpers shared by all tests: closeness to the oracle, in the tolerance of the design."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FACTOR = 4
ULPS = 4


def to_numpy(array: Any) -> NDArray[np.floating]:
    """A NumPy view of an array or of a torch tensor on the CPU; lists and scalars are refused."""
    if hasattr(array, "detach"):
        array = array.detach().numpy()
    assert isinstance(array, np.ndarray | np.floating), f"must be an array, got {type(array).__name__}"
    return np.asarray(array)


def assert_close_to_oracle(actual: Any, oracle64: Any, oracle32: Any, name: str = "result") -> None:
    """Assert that ``actual`` is as near to the oracle as arithmetic of its own precision can be.

    The bound, for each element i, is

        |actual_i - oracle64_i| <= 4 * max_j |oracle32_j - oracle64_j| + 4 ulp(oracle64_i)

    where the ulp is that of the dtype of ``actual``.  ``oracle32`` is the oracle computed in the dtype of
    ``actual``, and ``oracle64`` in a wider one (for a float64 result: float64 and longdouble).  Elements
    where ``oracle64`` is NaN or infinite must match exactly.  Shapes and dtypes must match exactly too.
    """
    actual, exact, rough = to_numpy(actual), to_numpy(oracle64), to_numpy(oracle32)
    assert actual.shape == exact.shape == rough.shape, (
        f"{name}: shapes differ: actual {actual.shape}, oracle64 {exact.shape}, oracle32 {rough.shape}"
    )
    assert actual.dtype == rough.dtype, (
        f"{name}: dtypes differ: actual {actual.dtype}, oracle32 {rough.dtype}"
    )
    assert np.finfo(exact.dtype).eps < np.finfo(actual.dtype).eps, (
        f"{name}: the oracle's dtype {exact.dtype} must be wider than {actual.dtype}"
    )
    finite = np.isfinite(exact)
    same = (np.isnan(exact) & np.isnan(actual)) | (exact == actual)
    assert same[~finite].all(), f"{name}: NaN or infinity differ at {_first(~finite & ~same)}"
    assert np.isfinite(actual[finite]).all(), f"{name}: not finite at {_first(finite & ~np.isfinite(actual))}"
    assert np.isfinite(rough[finite]).all(), f"{name}: oracle32 is not finite where oracle64 is"
    _assert_bound(actual, exact, rough, finite, name)


def _assert_bound(actual: Any, exact: Any, rough: Any, finite: Any, name: str) -> None:
    wide = exact.dtype.type
    scale = np.abs(np.where(finite, rough.astype(wide) - np.where(finite, exact, 0), 0)).max(initial=0)
    ulp = np.spacing(np.abs(np.where(finite, exact, 0)).astype(actual.dtype)).astype(wide)
    error = np.abs(np.where(finite, actual, 0).astype(wide) - np.where(finite, exact, 0))
    bound = FACTOR * scale + ULPS * ulp
    if not (error <= bound).all():
        worst = np.unravel_index(np.argmax(error - bound), error.shape)
        raise AssertionError(
            f"{name}: error {error[worst]:.3e} exceeds {bound[worst]:.3e} at {tuple(map(int, worst))}: "
            f"actual {actual[worst]!r}, oracle {exact[worst]!r}; "
            f"oracle in {actual.dtype} errs by at most {scale:.3e}"
        )


def assert_bitwise_equal(actual: Any, expected: Any, name: str = "result") -> None:
    """Assert equal shape, dtype and bits; NaN equals NaN of the same bits, and -0.0 differs from 0.0."""
    actual, expected = to_numpy(actual), to_numpy(expected)
    assert actual.shape == expected.shape, f"{name}: shapes differ: {actual.shape} and {expected.shape}"
    assert actual.dtype == expected.dtype, f"{name}: dtypes differ: {actual.dtype} and {expected.dtype}"
    width = actual.dtype.itemsize
    bits = [
        np.ascontiguousarray(a).view(np.uint8).reshape(*a.shape, width) if a.ndim else a.tobytes()
        for a in (actual, expected)
    ]
    if actual.ndim == 0:
        assert bits[0] == bits[1], f"{name}: {actual!r} is not {expected!r} bit for bit"
        return
    differ = (bits[0] != bits[1]).any(axis=-1)
    assert not differ.any(), f"{name}: {int(differ.sum())} of {differ.size} differ, first at {_first(differ)}"


def _first(where: Any) -> tuple[int, ...]:
    """Index of the first True element."""
    return tuple(int(i) for i in np.argwhere(where)[0])
