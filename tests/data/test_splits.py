"""Splits by time: sizes, parts that do not overlap, series that are too short."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grus.data.splits import split_panel
from grus.data.windows import window_index
from grus.errors import DataError, UsageError
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles


def panel_of(*lengths):
    ids = np.repeat([f"s{i}" for i in range(len(lengths))], lengths).astype(object)
    times = np.concatenate([np.arange(n) for n in lengths])
    return build_panel({"id": ids, "t": times, "y": np.arange(len(times)) + 1.0}, Roles("y", "id", "t"))


@settings(max_examples=200, deadline=None)
@given(
    lengths=st.lists(st.integers(2, 80), min_size=1, max_size=4),
    lookback=st.integers(1, 20),
    horizon=st.integers(1, 8),
    val=st.none() | st.integers(8, 20) | st.just(0),
    test=st.none() | st.integers(8, 20) | st.just(0),
)
def test_no_target_is_seen_before_its_part(lengths, lookback, horizon, val, test):
    panel = panel_of(*lengths)
    try:
        panel, split, _ = split_panel(panel, lookback, horizon, val, test)
    except DataError:
        return
    seen = {}
    for part, (first, last) in split.ranges().items():
        series, origin = window_index(panel.offsets, first, last, lookback, horizon)
        targets = origin[:, None] + np.arange(horizon)
        assert (targets < panel.offsets[series + 1][:, None]).all()
        assert (origin - lookback >= panel.offsets[series]).all()
        seen[part] = set(targets.ravel().tolist())
    assert seen["train"]
    assert not seen["train"] & seen["val"]
    assert not (seen["train"] | seen["val"]) & seen["test"]
    for i in range(panel.n_series):
        rows = panel.rows(i)
        parts = [[r for r in seen[p] if rows.start <= r < rows.stop] for p in ("train", "val", "test")]
        highest = [max(p) for p in parts if p]
        assert highest == sorted(highest)
    assert bool(seen["test"]) == (test != 0)
    assert bool(seen["val"]) == (val != 0)


def test_named_sizes():
    panel, split, notes = split_panel(panel_of(100), 24, 6, 12, 18)
    assert (split.train_end, split.val_end, split.test_end) == (70, 82, 100)
    assert notes == ()
    assert split.ranges()["val"] == (70, 82)
    assert panel.n_rows == 100


@pytest.mark.parametrize(("length", "size"), [(100, 6), (130, 12), (1000, 96), (42, 6), (43, 6)])
def test_default_is_a_tenth_in_whole_horizons(length, size):
    split = split_panel(panel_of(length), 24, 6)[1]
    assert split.test_end - split.val_end == split.val_end - split.train_end == size


def test_exactly_long_enough_and_one_too_short():
    split = split_panel(panel_of(72), 48, 24, 0, 0)[1]
    assert split.train_end == 72
    with pytest.raises(DataError) as caught:
        split_panel(panel_of(71, 40), 48, 24, 0, 0)
    assert str(caught.value) == "series 's0': 71 rows, but lookback 48 + horizon 24 need at least 72"
    assert caught.value.hint == "shorten the lookback or the horizon, or give longer series"


def test_parts_are_in_the_sentence():
    with pytest.raises(DataError) as caught:
        split_panel(panel_of(40), 24, 6, 6, 12)
    assert str(caught.value) == (
        "series 's0': 40 rows, but lookback 24 + horizon 6 + validation 6 + test 12 need at least 48"
    )


def test_some_too_short_are_left_out_with_a_note():
    panel, split, notes = split_panel(panel_of(50, 10, 50, 11, 12, 13), 24, 6, 6, 6)
    assert panel.ids == ("s0", "s2")
    assert split.test_end.tolist() == [50, 50]
    assert notes == ("4 series shorter than 42 rows left out of training ('s1', 's3', 's4', ...)",)


def test_different_ends_are_said():
    notes = split_panel(panel_of(50, 60), 24, 6, 6, 6)[2]
    assert notes == ("series end at different times, between 49 and 59: each is split by its own end",)
    assert split_panel(panel_of(50, 60), 24, 6, 0, 0)[2] == ()


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ((24, 6, 5, 0), "val_size: expected 0 or at least the horizon of 6, got 5"),
        ((24, 6, 0, -1), "test_size: expected 0 or at least the horizon of 6, got -1"),
        ((0, 6), "lookback and horizon: expected at least 1 each, got 0 and 6"),
        ((24, 0), "lookback and horizon: expected at least 1 each, got 24 and 0"),
    ],
)
def test_sizes_that_make_no_sense(sizes, sentence):
    with pytest.raises(UsageError) as caught:
        split_panel(panel_of(100), *sizes)
    assert str(caught.value) == sentence
