import numpy as np
import pytest
import torch

from numerics import assert_bitwise_equal, assert_close_to_oracle


def oracles() -> tuple[np.ndarray, np.ndarray]:
    exact = np.linspace(-2, 2, 24).reshape(4, 6) + 1e-9
    return exact, exact.astype(np.float32)


def test_accepts_the_oracle_itself_and_a_tensor_and_noise_within_the_bound() -> None:
    exact, rough = oracles()
    assert_close_to_oracle(rough, exact, rough)
    assert_close_to_oracle(torch.from_numpy(rough).requires_grad_(), exact, rough)
    noisy_oracle = rough + np.float32(1e-4)
    assert_close_to_oracle(rough + np.float32(3e-4), exact, noisy_oracle)


def test_accepts_empty_arrays_and_scalars() -> None:
    assert_close_to_oracle(np.zeros((0, 3), np.float32), np.zeros((0, 3)), np.zeros((0, 3), np.float32))
    assert_close_to_oracle(np.float32(1), np.float64(1), np.float32(1))


@pytest.mark.parametrize("index", [(0, 0), (3, 5)])
def test_rejects_one_element_off_by_more_than_four_errors(index: tuple[int, int]) -> None:
    exact, rough = oracles()
    rough = rough + np.float32(1e-4)
    wrong = rough.copy()
    wrong[index] = exact[index] + 4.2e-4
    with pytest.raises(AssertionError, match=rf"exceeds .* at \({index[0]}, {index[1]}\)"):
        assert_close_to_oracle(wrong, exact, rough)


def test_rejects_six_ulp_when_the_oracle_is_exact() -> None:
    exact = np.full(3, 1.0)
    rough = exact.astype(np.float32)
    ulp = np.spacing(np.float32(1))
    assert_close_to_oracle(rough + 4 * ulp, exact, rough)
    with pytest.raises(AssertionError, match="exceeds"):
        assert_close_to_oracle(rough + 6 * ulp, exact, rough)


def test_ulp_follows_the_magnitude_of_each_element() -> None:
    exact = np.array([1.0, 1024.0])
    rough = exact.astype(np.float32)
    assert_close_to_oracle(rough + np.float32([0, 4 * 2.0**-13]), exact, rough)
    with pytest.raises(AssertionError, match=r"at \(0,\)"):
        assert_close_to_oracle(rough + np.float32([4 * 2.0**-13, 0]), exact, rough)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_rejects_a_value_that_is_not_finite_or_huge(bad: float) -> None:
    exact, rough = oracles()
    wrong = rough.copy()
    wrong[1, 2] = bad
    with pytest.raises(AssertionError):
        assert_close_to_oracle(wrong, exact, rough)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_where_the_oracle_is_not_finite_the_result_must_match(value: float) -> None:
    exact, rough = oracles()
    exact[1, 2] = rough[1, 2] = value
    assert_close_to_oracle(rough, exact, rough)
    for wrong_value in {0.0, np.nan, np.inf, -np.inf} - {value}:
        if np.isnan(value) and np.isnan(wrong_value):
            continue
        wrong = rough.copy()
        wrong[1, 2] = wrong_value
        with pytest.raises(AssertionError, match="NaN or infinity"):
            assert_close_to_oracle(wrong, exact, rough)


def test_an_oracle_that_fails_in_float32_gives_no_free_pass() -> None:
    exact, rough = oracles()
    broken = rough.copy()
    broken[0, 0] = np.inf
    with pytest.raises(AssertionError, match="oracle32 is not finite"):
        assert_close_to_oracle(rough, exact, broken)


def test_rejects_shapes_that_broadcast() -> None:
    exact, rough = oracles()
    for wrong in (rough[:1], rough.reshape(6, 4), rough[..., None], rough[0]):
        with pytest.raises(AssertionError, match="shapes differ"):
            assert_close_to_oracle(wrong, exact, rough)


def test_rejects_mixed_up_dtypes() -> None:
    exact, rough = oracles()
    with pytest.raises(AssertionError, match="dtypes differ"):
        assert_close_to_oracle(exact, exact, rough)
    with pytest.raises(AssertionError, match="must be wider"):
        assert_close_to_oracle(rough, rough, rough)
    with pytest.raises(AssertionError, match="must be an array"):
        assert_close_to_oracle([1.0], exact, rough)


def test_bitwise_accepts_equal_bits_only() -> None:
    a = np.array([[0.0, 1.0], [np.nan, np.inf]], np.float32)
    assert_bitwise_equal(a, a.copy())
    assert_bitwise_equal(a.T, np.ascontiguousarray(a.T))
    assert_bitwise_equal(np.float32(1), np.float32(1))
    assert_bitwise_equal(a[:0], a[:0])
    with pytest.raises(AssertionError, match="1 of 4 differ, first at \\(0, 0\\)"):
        assert_bitwise_equal(np.where(a == 0, np.float32(-0.0), a), a)
    with pytest.raises(AssertionError, match="differ"):
        assert_bitwise_equal(np.nextafter(a, np.float32(9)), a)
    with pytest.raises(AssertionError, match="bit for bit"):
        assert_bitwise_equal(np.float32(1), np.float32(2))
    with pytest.raises(AssertionError, match="dtypes differ"):
        assert_bitwise_equal(a.astype(np.float64), a)
    with pytest.raises(AssertionError, match="shapes differ"):
        assert_bitwise_equal(a[:1], a)
