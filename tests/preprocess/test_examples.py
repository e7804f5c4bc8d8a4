"""Examples refuse arrays that do not fit together, and give any of their rows in any order."""

import dataclasses

import numpy as np
import pytest

from example_classifiers import events, examples_for, images, series, texts
from grus.errors import DataError
from grus.preprocess.examples import Examples


def as_rows(examples: Examples):
    """Every row as plain Python values."""
    rows = []
    for r in range(len(examples)):
        row = [examples.labels and examples.labels[r], None if examples.ids is None else examples.ids[r]]
        if examples.texts is not None:
            row.append(examples.texts[r])
        if examples.images is not None:
            row.append(examples.images[r].tolist())
        steps = range(*examples.offsets[r : r + 2]) if examples.offsets is not None else ()
        if examples.series is not None:
            row += [examples.series[t].tolist() for t in steps]
        if examples.visits is not None:
            for v in steps:
                codes = examples.codes[examples.visits[v] : examples.visits[v + 1]]
                row.append((examples.gaps[v], [examples.words[code] for code in codes]))
        rows.append(repr(row))
    return rows


@pytest.mark.parametrize("kind", ["text", "series", "images", "events"])
def test_rows_in_any_order(kind):
    examples = examples_for(kind)
    rows = as_rows(examples)
    for index in ([], [3], [5, 0, 5], np.arange(30)[::-1], np.arange(0, 30, 7)):
        some = examples.take(index)
        assert len(some) == some.rows == len(index)
        assert as_rows(some) == [rows[i] for i in index]
    bare = dataclasses.replace(examples, ids=None, labels=None).take([1, 2])
    assert bare.ids is None
    assert bare.labels is None


@pytest.mark.parametrize(
    ("make", "changes", "sentence"),
    [
        (texts, {"texts": ["a"]}, r"texts must be 30, got 1"),
        (texts, {"texts": None}, r"texts must be 30, got None"),
        (texts, {"texts": ["a"] * 29 + [None]}, r"row 29 \(counting from 0\): expected text, got None"),
        (texts, {"labels": []}, r"labels must be 30, one an example, got 0"),
        (texts, {"ids": np.arange(3)}, r"ids must be 30, one an example, got 3"),
        (series, {"series": None}, r"a series must be float64 \[steps, channels\], with offsets"),
        (series, {"columns": ("a",)}, r"must have 1 channels as there are columns, got 3"),
        (series, {"offsets": np.arange(31)}, r"offsets must rise from 0 to \d+ in 31 numbers"),
        (images, {"images": np.zeros((30, 6, 5), np.uint8)}, r"got uint8 \[30, 6, 5\]"),
        (images, {"images": np.zeros((30, 6, 5, 1))}, r"got float64 \[30, 6, 5, 1\]"),
        (images, {"images": np.zeros((30, 0, 5, 1), np.uint8)}, r"got uint8 \[30, 0, 5, 1\]"),
        (events, {"words": ("I10",)}, r"codes must be numbers of the 1 words"),
        (events, {"gaps": None}, r"events must have words, codes, visits, gaps and offsets"),
    ],
)
def test_what_does_not_fit_is_refused(make, changes, sentence):
    with pytest.raises(DataError, match=rf"^examples.*{sentence}"):
        dataclasses.replace(make(), **changes)


def test_infinite_values_are_named():
    examples = series()
    values = examples.series.copy()
    step = int(examples.offsets[4])
    values[step, 2] = -np.inf
    with pytest.raises(
        DataError,
        match=r"^examples, row 4 \(counting from 0\), column 'c': expected a finite number, got -inf$",
    ):
        dataclasses.replace(examples, series=values)


@pytest.mark.parametrize("gap", [-1.0, np.inf])
def test_gaps_that_cannot_be(gap):
    examples = events()
    gaps = examples.gaps.copy()
    gaps[3] = gap
    with pytest.raises(DataError, match="gaps must be finite and at least 0"):
        dataclasses.replace(examples, gaps=gaps)
