"""Wake words: what fires, what is missed, how often it is wrong and how late."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grus.decode.wake import Heard, fires, wake_curve
from grus.errors import DataError, UsageError
from sound_cases import sentences, transcriber


def test_it_fires_once_and_then_holds():
    scores = np.array([0.1, 0.9, 0.9, 0.2, 0.9, 0.9, 0.9])
    assert fires(scores, 0.5, 0) == [1, 2, 4, 5, 6]
    assert fires(scores, 0.5, 2) == [1, 4]
    assert fires(scores, 0.5, 2, last=-1) == [2, 5]
    assert fires(scores, 0.95, 0) == []


@given(
    st.lists(st.floats(0, 1), max_size=40),
    st.integers(0, 5),
    st.lists(st.integers(0, 9), min_size=1, max_size=9),
)
def test_in_pieces_it_fires_at_the_same_steps(scores, hold, cuts):
    whole, found, place, last = np.array(scores), [], 0, None
    for size in [*cuts, len(scores)]:
        piece = whole[place : place + size]
        new = [place + step for step in fires(piece, 0.5, hold, None if last is None else last - place)]
        last = new[-1] if new else last
        found += new
        place += size
    assert found == fires(whole, 0.5, hold)


def test_misses_false_accepts_and_latency():
    scores = np.zeros(3600)  # an hour of seconds
    scores[[12, 100, 205, 300]] = 0.9, 0.9, 0.7, 0.6
    heard = [Heard(scores, [(10, 12), (203, 206), (500, 501)])]
    low, high = wake_curve(heard, (1.0, 1.0), thresholds=(0.65, 0.8), late=1.0, hold=0.5)
    # At 0.65 it fires at 13, 101 and 206 s: two of three words, one false accept; 1 s and 0 s after their ends.
    assert (low.missed, low.false_accepts_per_hour, low.latency) == (pytest.approx(1 / 3), 1.0, 0.5)
    assert (high.missed, high.false_accepts_per_hour, high.latency) == (pytest.approx(2 / 3), 1.0, 1.0)
    (nothing,) = wake_curve([Heard(np.zeros(36))], (1.0, 1.0), thresholds=(0.5,))
    assert math.isnan(nothing.missed)
    assert math.isnan(nothing.latency)
    assert nothing.false_accepts_per_hour == 0
    with pytest.raises(DataError, match=r"^wake: expected recordings to score, got none$"):
        wake_curve([], (1.0, 1.0))


def test_a_word_that_is_somewhere_is_noticed_by_what_no_other_word_took():
    scores = np.zeros(100)
    scores[[10, 30, 60]] = 0.9
    for somewhere, missed, false in ((0, 0, 2), (1, 0, 1), (2, 0, 0), (4, 2, 0)):
        (point,) = wake_curve(
            [Heard(scores, [(8, 10)], somewhere), Heard(np.zeros(260))],
            (1.0, 1.0),
            thresholds=(0.5,),
            late=2.0,
        )
        assert point.missed == pytest.approx(missed / (1 + somewhere))
        assert point.false_accepts_per_hour == pytest.approx(false * 10)
        assert point.latency == 1.0  # of the one alone whose place is known
    (point,) = wake_curve([Heard(scores, (), 3)], (1.0, 1.0), thresholds=(0.5,))
    assert point.missed == 0
    assert math.isnan(point.latency)


@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.6, 1.0]), min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), max_size=3),
    st.integers(0, 3),
)
def test_a_lower_threshold_never_fires_less_without_a_hold(scores, words, somewhere):
    heard = [Heard(np.array(scores), [(b, b + n) for b, n in words], somewhere)]
    points = wake_curve(heard, (0.5, 1.0), thresholds=(0.1, 0.5, 0.9), hold=0.0)
    hours, said = len(scores) / 3600, len(words) + somewhere
    fired = [(1 - p.missed) * said * bool(said) if said else 0 for p in points]
    counts = [f + p.false_accepts_per_hour * hours for f, p in zip(fired, points)]
    for point, count in zip(points, counts):
        assert count == pytest.approx(
            sum(s >= point.threshold for s in scores)
        )  # all that fired is one or the other


def test_a_transcriber_listens_for_a_word_as_it_scores_the_whole():
    live = transcriber().live_
    samples = np.concatenate(sentences(3, seed=2)[0])
    (whole,) = live.word_scores([samples], "Mid")
    assert ((whole >= 0) & (whole <= 1)).all()
    state, found = live.init_state(1), []
    for piece in np.split(samples, [1, 500, 777, 3000]):
        scores, state = live.listen(piece, "mid", state)
        found.append(scores)
    assert np.concatenate(found).tobytes() == whole.tobytes()
    with pytest.raises(
        UsageError, match=r"^word: must be one of the model's, 'high', 'low', 'mid', got 'top'$"
    ):
        live.word_scores([samples], "top")
    with pytest.raises(UsageError, match=r"^word: must be a unit of the model, which writes characters$"):
        transcriber(units="char", stack=1).live_.word_scores([samples], "mid")
