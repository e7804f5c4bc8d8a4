"""Labels of cells and of Python values, one or several."""

import numpy as np
import pytest

from grus.errors import DataError
from grus.preprocess.labels import LABEL_HINT, label_codes, labels_of, looks_like_several


def cells(values, multi=False, **more):
    words, codes = label_codes(np.asarray(values), "label", multi, **more)
    return [words[code] for code in codes.tolist()]


def objects(*values):
    out = np.empty(len(values), object)
    out[:] = values
    return out


def test_one_label_a_cell():
    assert cells(objects("a", " a", "a|b")) == [("a",), ("a",), ("a|b",)]
    assert cells([1, 0]) == cells([1.0, 0.0]) == cells(["1", "0"]) == [("1",), ("0",)]
    assert cells([True, False]) == [("True",), ("False",)]


def test_several_labels_a_cell():
    values = objects("a|b", "b | a|", '["a", "b"]', "", None, "[]", "[1, 2]", "a|a")
    assert cells(values, True) == [("a", "b"), ("a", "b"), ("a", "b"), (), (), (), ("1", "2"), ("a",)]


def test_spellings_of_the_same_labels_have_one_number():
    words, codes = label_codes(objects("a|b", "b | a", '["a","b"]'), "label", True)
    assert (words, codes.tolist()) == ([("a", "b")], [0, 0, 0])


@pytest.mark.parametrize(
    ("values", "multi", "said", "hint"),
    [
        (["a", ""], False, "row 1 (counting from 0), column 'label': expected a label, got an empty cell", LABEL_HINT),
        ([1, np.nan], False, "row 1 (counting from 0), column 'label': expected a label, got an empty cell", LABEL_HINT),
        ([1, 0.25], False, "row 1 (counting from 0), column 'label': expected a label, got the number 0.25",
         "a classifier learns classes; name the column that holds them"),
        (["a", '["b"'], True, "row 1 (counting from 0), column 'label': expected labels joined by | or a JSON list "
         "of them, got '[\"b\"'", ""),
        (["[[1]]"], True, "row 0 (counting from 0), column 'label': expected labels joined by | or a JSON list "
         "of them, got '[[1]]'", ""),
    ],
)  # fmt: skip
def test_cells_that_are_no_labels(values, multi, said, hint):
    with pytest.raises(DataError) as caught:
        cells(values, multi)
    assert (str(caught.value), caught.value.hint) == (f"data, {said}", hint)


def test_missing_labels_may_be_asked_for():
    assert cells(objects("a", None), missing=True) == [("a",), None]


def test_several_are_noticed():
    assert looks_like_several(objects("a", "b|c"))
    assert looks_like_several(objects('["a"]', None))
    assert not looks_like_several(objects("a", "[b]", None))
    assert not looks_like_several(np.array([1, 2]))


def test_labels_beside_the_data():
    assert labels_of(["a", "b"], 2) == ([("a",), ("b",)], False)
    assert labels_of(np.array([2, 1], np.uint8), 2) == ([("2",), ("1",)], False)
    assert labels_of([["b", "a"], [], ("a",)], 3) == ([("a", "b"), (), ("a",)], True)
    assert labels_of([{"b", "a"}, "c"], 2) == ([("a", "b"), ("c",)], True)
    assert labels_of(["a|b", "c"], 2) == ([("a", "b"), ("c",)], True)
    assert labels_of(["a|b", "c"], 2, multi=False) == ([("a|b",), ("c",)], False)
    assert labels_of(["a", 1], 2) == ([("a",), ("1",)], False)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([1, 2, 3], "y: expected 2 labels, one an example, got 3"),
        (["a", None], "y, row 1 (counting from 0), column 'y': expected a label, got an empty cell"),
        ([0.5, 1.0], "y, row 0 (counting from 0), column 'y': expected a label, got the number 0.5"),
    ],
)
def test_labels_that_do_not_fit(y, said):
    with pytest.raises(DataError) as caught:
        labels_of(y, 2)
    assert str(caught.value) == said
