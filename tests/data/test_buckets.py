"""Bucketed batches: every row once, little padding, and nothing but (seed, epoch) decides them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grus.data.buckets import bucketed_batches
from grus.data.windows import epoch_batches
from grus.errors import UsageError


def padding(lengths, batches):
    return 1 - lengths.sum() / sum(len(rows) * lengths[rows].max() for rows in batches)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=200), st.integers(1, 40), st.integers(0, 9), st.integers(0, 9))
def test_every_row_is_in_exactly_one_batch(lengths, batch_size, seed, epoch):
    batches = bucketed_batches(np.array(lengths, np.int64), batch_size, seed, epoch)
    assert sorted(row for batch in batches for row in batch.tolist()) == list(range(len(lengths)))
    assert all(0 < len(batch) <= batch_size for batch in batches)
    assert len(batches) == -(-len(lengths) // batch_size)


def test_the_same_seed_and_epoch_give_the_same_batches_whatever_was_asked_before():
    lengths = np.random.default_rng(0).integers(1, 60, 500)
    first = bucketed_batches(lengths, 16, 3, 7)
    bucketed_batches(lengths, 16, 3, 8)
    again = bucketed_batches(lengths, 16, 3, 7)
    assert [batch.tolist() for batch in again] == [batch.tolist() for batch in first]
    for other in (bucketed_batches(lengths, 16, 4, 7), bucketed_batches(lengths, 16, 3, 8)):
        assert {frozenset(b.tolist()) for b in other} != {frozenset(b.tolist()) for b in first}


def test_batches_hold_rows_of_about_one_length():
    lengths = np.maximum(1, np.random.default_rng(0).lognormal(2.8, 0.6, 20_000).astype(int))
    assert padding(lengths, epoch_batches(len(lengths), 32, 0, 0)) > 0.6
    assert padding(lengths, bucketed_batches(lengths, 32, 0, 0)) < 0.1


def test_few_rows_still_meet_others_from_epoch_to_epoch():
    lengths = np.random.default_rng(0).integers(5, 30, 64)
    seen = {
        frozenset(batch.tolist()) for epoch in range(4) for batch in bucketed_batches(lengths, 16, 0, epoch)
    }
    assert len(seen) == 16


def test_batches_do_not_come_in_order_of_length():
    lengths = np.arange(1, 1001)
    means = [lengths[batch].mean() for batch in bucketed_batches(lengths, 10, 0, 0)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_rows_of_one_length_are_shuffled():
    batches = bucketed_batches(np.full(400, 9), 20, 0, 0)
    assert all(np.ptp(batch) > 100 for batch in batches)


def test_a_batch_must_hold_something():
    with pytest.raises(UsageError, match=r"^batch size: expected 1 or more, got 0$"):
        bucketed_batches(np.ones(3, int), 0, 0, 0)
