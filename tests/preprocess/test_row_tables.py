"""Tables of rows: windows taken and joined as plain indexing would."""

import numpy as np
import pytest

from grus.preprocess.row_tables import joined, series_of, side_by_side, take_rows

TABLE = np.arange(60, dtype=np.float32).reshape(20, 3)


@pytest.mark.parametrize(
    "rows", [[[0, 1, 2], [17, 18, 19]], [[0, 0, 1], [5, 6, 7]], np.zeros((0, 3), int), [[3], [19]]]
)
def test_rows_taken_are_those_of_the_index(rows):
    rows = np.asarray(rows)
    np.testing.assert_array_equal(take_rows(TABLE, rows), TABLE[rows])
    np.testing.assert_array_equal(take_rows(TABLE[:, ::2], rows), TABLE[:, ::2][rows])


@pytest.mark.parametrize("widths", [(2, 5), (1, 4, 3), (0, 2, 0), (0, 3)])
@pytest.mark.parametrize("batch", [0, 1, 4])
def test_joined_is_concatenate(widths, batch):
    whole = np.random.default_rng(0).normal(size=(batch, 6, 9)).astype(np.float32)
    parts = [whole[..., :width] for width in widths]
    np.testing.assert_array_equal(joined(*parts), np.concatenate(parts, axis=-1))
    assert joined(*parts).dtype == np.float32


def test_columns_side_by_side():
    table = side_by_side([np.array([1, np.nan]), np.array([True, False])], 2)
    assert table.dtype == np.float32
    assert table.tolist() == [[1, 1], [0, 0]]
    assert side_by_side([], 2).shape == (2, 0)


def test_the_series_of_rows():
    offsets = np.array([0, 3, 3, 7, 10])
    expected = np.repeat([0, 1, 2, 3], [3, 0, 4, 3])
    for first in range(10):
        for last in range(first, 11):
            np.testing.assert_array_equal(series_of(offsets, slice(first, last)), expected[first:last])
