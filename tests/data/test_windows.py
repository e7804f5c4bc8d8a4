"""Windows never read or score outside their part; batches are a pure function of seed and epoch."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grus.data import windows
from grus.data.windows import epoch_batches, epoch_order, window_index
from grus.errors import UsageError
from grus.preprocess import storage


def slowly(offsets, first, last, lookback, horizon, stride, observed):
    """The definition, window by window."""
    found = []
    for i, (begin, end) in enumerate(itertools.pairwise(offsets)):
        for position in range(first[i], min(last[i], end - begin) - horizon + 1, stride):
            rows = slice(begin + position, begin + position + horizon)
            if position >= lookback and observed[rows].any():
                found.append((i, begin + position))
    return found


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_window_and_no_other(data):
    lengths = data.draw(st.lists(st.integers(0, 25), min_size=1, max_size=4))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    first = [data.draw(st.integers(0, 26)) for _ in lengths]
    last = [data.draw(st.integers(0, 30)) for _ in lengths]
    lookback, horizon, stride = (data.draw(st.integers(a, 6)) for a in (0, 1, 1))
    observed = np.random.default_rng(data.draw(st.integers(0, 99))).random(offsets[-1]) < 0.4
    disk = storage.full(len(observed), False, np.bool_, disk=data.draw(st.booleans()))
    disk[:] = observed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "CHUNK", data.draw(st.sampled_from([1, 5, 1000])))
        series, origin = window_index(
            offsets, np.array(first), np.array(last), lookback, horizon, stride, disk
        )
    assert not len(origin) or storage.on_disk(origin) == storage.on_disk(disk)
    assert series.dtype == np.int32
    assert origin.dtype == np.int64
    assert list(zip(series.tolist(), origin.tolist())) == slowly(
        offsets, first, last, lookback, horizon, stride, observed
    )


def test_number_of_windows_of_the_standard_protocol():
    # ETTh1: test rows 11520 to 14400, horizon 96: 2785 windows whatever the lookback.
    for lookback in (96, 336, 720):
        assert len(window_index(np.array([0, 17420]), 11520, 14400, lookback, 96)[0]) == 2785


def test_without_observed_all_windows_stay():
    assert len(window_index(np.array([0, 10]), 0, 10, 2, 3)[0]) == 6


@pytest.mark.parametrize("wrong", [(-1, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_sizes_that_make_no_sense(wrong):
    with pytest.raises(UsageError, match=r"^windows: expected lookback >= 0, horizon >= 1, stride >= 1, got"):
        window_index(np.array([0, 10]), 0, 10, *wrong)


def test_order_is_a_permutation_that_depends_on_seed_and_epoch_alone():
    order = epoch_order(1000, 7, 3)
    assert sorted(order.tolist()) == list(range(1000))
    np.random.default_rng(0).random(10)
    np.testing.assert_array_equal(order, epoch_order(1000, 7, 3))
    for other in (epoch_order(1000, 7, 4), epoch_order(1000, 8, 3), epoch_order(1000, 3, 7)):
        assert (order != other).mean() > 0.9
    assert (epoch_order(1000, -1, 0) != epoch_order(1000, 1, 0)).any()


def test_order_is_the_same_on_every_machine_and_version():
    assert epoch_order(8, 0, 0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]


def test_every_order_is_about_as_likely():
    counts = np.zeros(6)
    orders = {order: i for i, order in enumerate(itertools.permutations(range(3)))}
    for seed in range(1200):
        counts[orders[tuple(epoch_order(3, seed, 5).tolist())]] += 1
    assert (np.abs(counts - 200) < 5 * np.sqrt(200)).all()
    assert epoch_order(0, 1, 1).tolist() == []
    assert epoch_order(1, 1, 1).tolist() == [0]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 16, 17, 1000, 4097])
def test_large_orders_are_permutations_too(monkeypatch, n):
    monkeypatch.setattr(windows, "MOST_SORTED", 0)
    order = epoch_order(n, 7, 3)
    assert sorted(order.tolist()) == list(range(n))
    for most in (0, 1, n // 2, 2 * n):
        np.testing.assert_array_equal(epoch_order(n, 7, 3, most), order[:most])
    if n > 100:
        assert (order != epoch_order(n, 7, 4)).mean() > 0.9
        assert (order != epoch_order(n, 8, 3)).mean() > 0.9


def test_large_orders_scatter_evenly():
    """Numbers that stand beside each other come from anywhere: uniform over bins, and in pairs of bins."""
    order = epoch_order(50_000_000, 1, 0, 64_000)
    assert order.max() < 50_000_000
    assert len(set(order.tolist())) == 64_000
    bins = order * 16 // 50_000_000
    for counts, mean in ((np.bincount(bins), 4000), (np.bincount(bins[:-1] * 16 + bins[1:]), 250)):
        assert (np.abs(counts - mean) < 5 * np.sqrt(mean)).all()


def test_the_first_of_an_order():
    np.testing.assert_array_equal(epoch_order(1000, 7, 3, 10), epoch_order(1000, 7, 3)[:10])
    assert len(epoch_order(5, 0, 0, 10)) == 5


def test_batches_cut_the_order():
    batches = epoch_batches(10, 4, 1, 2)
    assert [len(b) for b in batches] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(batches), epoch_order(10, 1, 2))
    assert epoch_batches(0, 4, 1, 2) == []
    with pytest.raises(UsageError, match=r"^batch size: expected 1 or more, got 0$"):
        epoch_batches(10, 0, 1, 2)
