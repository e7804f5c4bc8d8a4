"""Ragged sequences: a batch is its rows padded with zeros, whatever the steps are kept as."""

import numpy as np
import pytest

from grus.preprocess.ragged import MultiHot, Pixels, Ragged

OFFSETS = np.array([0, 3, 3, 4, 9])


def steps(kind, rng=None):
    rng = rng or np.random.default_rng(0)
    if kind == "array":
        return rng.normal(size=(9, 2)).astype(np.float32)
    if kind == "tokens":
        return rng.integers(1, 9, 9).astype(np.int32)
    if kind == "pixels":
        return Pixels(rng.integers(0, 256, (9, 4), np.uint8), np.arange(4.0), np.arange(1.0, 5.0))
    counts = rng.integers(0, 4, 9)
    bounds = np.concatenate(([0], np.cumsum(counts)))
    return MultiHot(
        rng.integers(0, 5, bounds[-1]).astype(np.int32), bounds, 5, rng.normal(size=(9, 1)).astype(np.float32)
    )


@pytest.mark.parametrize("kind", ["array", "tokens", "pixels", "codes"])
@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [3], [1, 2], [2, 0, 2], []], ids=str)
def test_a_batch_is_its_rows(kind, rows):
    values = steps(kind)
    ragged = Ragged({"x": values}, OFFSETS)
    assert len(ragged) == 4
    assert len(values) == 9
    arrays, lengths = ragged.batch(rows)
    np.testing.assert_array_equal(lengths, ragged.lengths[rows])
    dense = values[np.arange(9)]
    assert arrays["x"].dtype == dense.dtype
    assert arrays["x"].shape == (len(rows), max([*lengths.tolist(), 1]), *dense.shape[1:])
    for row, number in enumerate(rows):
        length = lengths[row]
        np.testing.assert_array_equal(arrays["x"][row, :length], dense[OFFSETS[number] : OFFSETS[number + 1]])
        assert not arrays["x"][row, length:].any()


def test_rows_without_steps_have_one_of_padding():
    arrays, lengths = Ragged({"x": steps("array")}, OFFSETS).batch([1, 1])
    assert arrays["x"].shape == (2, 1, 2)
    assert lengths.tolist() == [0, 0]


def test_several_ports_share_the_clock():
    arrays, _ = Ragged({"x": steps("array"), "tokens": steps("tokens")}, OFFSETS).batch(np.array([3, 0]))
    assert arrays["x"].shape == (2, 5, 2)
    assert arrays["tokens"].shape == (2, 5)


def test_codes_are_one_where_they_stand_once_or_twice():
    hot = MultiHot(
        np.array([2, 2, 0], np.int32), np.array([0, 2, 2, 3]), 4, np.array([[5], [6], [7]], np.float32)
    )
    np.testing.assert_array_equal(hot[np.array([2, 0, 1, 0])], [
        [1, 0, 0, 0, 7], [0, 0, 1, 0, 5], [0, 0, 0, 0, 6], [0, 0, 1, 0, 5],
    ])  # fmt: skip


def test_pixels_are_scaled_in_float64_then_rounded_once():
    pixels = steps("pixels")
    expected = ((pixels.values.astype(float) - pixels.center) / pixels.scale).astype(np.float32)
    np.testing.assert_array_equal(pixels[np.arange(9)], expected)
