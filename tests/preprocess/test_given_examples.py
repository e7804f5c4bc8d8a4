"""Plain Python data as examples."""

import numpy as np
import pytest

from grus.errors import DataError
from grus.preprocess.given_examples import examples_of_arrays, examples_of_images, examples_of_texts


def test_texts():
    examples = examples_of_texts(["a", None], [("x",), ("y",)])
    assert (examples.texts, examples.columns, examples.labels) == (["a", ""], ("text",), [("x",), ("y",)])
    with pytest.raises(DataError, match=r"^examples, row 1 \(counting from 0\): expected text, got 3$"):
        examples_of_texts(["a", 3])


def test_arrays_of_any_length():
    parts = [np.arange(6, dtype=np.float32).reshape(3, 2), np.zeros((0, 2)), [[1, 2]]]
    examples = examples_of_arrays(parts)
    assert (examples.columns, examples.offsets.tolist()) == (("x0", "x1"), [0, 3, 3, 4])
    assert examples.series.tolist() == [[0, 1], [2, 3], [4, 5], [1, 2]]
    assert examples.series.dtype == np.float64
    assert examples_of_arrays([[1, 2, None], [3]]).series.shape == (4, 1)
    assert examples_of_arrays(np.zeros((2, 5))).offsets.tolist() == [0, 5, 10]
    assert examples_of_arrays(np.zeros((2, 5, 3), np.int8), columns=["a", "b", "c"]).columns == (
        "a",
        "b",
        "c",
    )


@pytest.mark.parametrize(
    ("arrays", "columns", "said"),
    [
        ([np.zeros((2, 3)), np.zeros((2, 2))], None, "row 1 (counting from 0): expected 3 channels as in the first, got 2"),
        ([np.zeros((2, 3))], ["a"], "row 0 (counting from 0): expected 1 channels as the model reads, got 3"),
        ([np.zeros((2, 3, 1))], None, "row 0 (counting from 0): expected an array [steps, channels], got shape (2, 3, 1)"),
        ([[1.0], "abc"], None, "row 1 (counting from 0): expected an array of numbers, got 'abc'"),
        ([[[1], [2, 3]]], None, "row 0 (counting from 0): expected an array of numbers, got [[1], [2, 3]]"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(arrays, columns, said):
    with pytest.raises(DataError) as caught:
        examples_of_arrays(arrays, columns=columns)
    assert str(caught.value) == f"data, {said}"


def test_images():
    pixels = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    examples = examples_of_images(pixels)
    assert (examples.images.shape, examples.images.dtype) == ((2, 3, 4, 1), np.uint8)
    np.testing.assert_array_equal(examples.images[..., 0], pixels)
    assert examples_of_images(np.zeros((2, 3, 4, 3), bool)).images.shape == (2, 3, 4, 3)


@pytest.mark.parametrize(
    ("images", "said", "hint"),
    [
        (np.full((2, 3, 4), 0.5), "data, row 0 (counting from 0): expected pixels that are whole numbers from 0 to 255, "
         "got values from 0.5 to 0.5", "scale them: (x * 255).round()"),
        (np.full((2, 3, 4), np.nan), "data, row 0 (counting from 0): expected pixels that are whole numbers from 0 to 255, "
         "got values from nan to nan", "scale them: (x * 255).round()"),
        (np.zeros((2, 3)), "data: expected images [rows, height, width] or [rows, height, width, channels], "
         "got float64 (2, 3)", ""),
        (np.zeros((2, 3, 3), "U1"), "data: expected images [rows, height, width] or [rows, height, width, channels], "
         "got <U1 (2, 3, 3)", ""),
    ],
)  # fmt: skip
def test_what_are_no_images(images, said, hint):
    with pytest.raises(DataError) as caught:
        examples_of_images(images)
    assert (str(caught.value), caught.value.hint) == (said, hint)
