"""Splits of labelled rows: shares kept label by label, nothing lost, and sentences where it cannot be done."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grus.data.stratify import split_rows
from grus.errors import DataError, UsageError


def rows(**counts):
    return [(name,) for name, count in counts.items() for _ in range(count)]


def count(labels, part):
    names = sorted({label for row in labels for label in row})
    return [sum(labels[i] == (name,) for i in part) for name in names]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(3, 40), min_size=1, max_size=5), st.floats(0, 0.4), st.floats(0, 0.4),
    st.integers(0, 5),
)  # fmt: skip
def test_every_row_is_in_one_part_and_every_label_keeps_its_share(counts, val, test, seed):
    labels = rows(**{f"c{i}": n for i, n in enumerate(counts)})
    split = split_rows(labels, val, test, seed)
    everything = np.concatenate([split.train, split.val, split.test])
    assert sorted(everything.tolist()) == list(range(len(labels)))
    for part, size in ((split.val, val), (split.test, test)):
        assert part.tolist() == sorted(part.tolist())
        for found, n in zip(count(labels, part), counts):
            assert abs(found - n * round(len(labels) * size) / len(labels)) <= 1
    assert min(count(labels, split.train)) >= 1


def test_sizes_are_shares_or_numbers_of_rows():
    labels = rows(a=60, b=30, c=10)
    split = split_rows(labels, 0.1, 20, 0)
    assert [len(part) for part in (split.train, split.val, split.test)] == [70, 10, 20]
    assert count(labels, split.val) == [6, 3, 1]
    assert count(labels, split.test) == [12, 6, 2]
    whole = split_rows(labels, 0, 0, 0)
    assert (len(whole.train), len(whole.val), len(whole.test)) == (100, 0, 0)


def test_the_choice_is_a_function_of_the_seed():
    labels = rows(a=60, b=30)
    assert (split_rows(labels, 0.2, 0, 1).val == split_rows(labels, 0.2, 0, 1).val).all()
    assert (split_rows(labels, 0.2, 0, 1).val != split_rows(labels, 0.2, 0, 2).val).any()


def test_a_row_of_several_labels_counts_for_the_rarest():
    labels = [("a",)] * 50 + [("a", "rare")] * 10 + [()] * 10
    split = split_rows(labels, 0.2, 0, 0)
    assert sum("rare" in labels[i] for i in split.val) == 2
    assert sum(labels[i] == () for i in split.val) == 2


@pytest.mark.parametrize(
    ("sizes", "parts", "got"),
    [
        ((0.1, 0), "2 rows (for training, validation)", 1),
        ((0.1, 0.1), "3 rows (for training, validation, test)", 1),
    ],
)
def test_too_few_rows_of_a_label(sizes, parts, got):
    with pytest.raises(DataError) as error:
        split_rows(rows(a=20, rare=1), *sizes, 0, "train.csv")
    assert str(error.value) == f"train.csv: label 'rare' must have at least {parts}, got {got}"
    assert error.value.hint == (
        "give more rows of it, or leave it out, or set the sizes of validation and test to 0"
    )


def test_one_row_of_no_label():
    with pytest.raises(DataError, match=r"^data: the empty set of labels must have at least 2 rows") as error:
        split_rows([("a",)] * 9 + [()], 0.1, 0, 0)
    assert "got 1" in str(error.value)


def test_sizes_that_leave_nothing():
    with pytest.raises(UsageError) as error:
        split_rows(rows(a=10, b=10), 12, 8, 0)
    assert str(error.value) == "val_size and test_size must leave rows to train on, got 12 and 8 of 20"


def test_one_row_of_a_label_is_enough_without_other_parts():
    assert len(split_rows(rows(a=5, b=1), 0, 0, 0).train) == 6
