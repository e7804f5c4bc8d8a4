"""The choice of the next token, held to computation by hand: what Hugging Face's names mean, one by one."""

import math

import numpy as np
import pytest

from grus.decode.sampling import (
    MOST_SEED,
    Sampling,
    choose,
    draw,
    keep_top_k,
    keep_top_p,
    log_probabilities,
    log_probability_of,
    penalise,
    probabilities,
    uniform,
)
from grus.errors import UsageError

NONE = -np.inf
NOTHING_SEEN = np.zeros(4, bool)


def logs(*values):
    """Logits whose softmax is the values, if they sum up to 1."""
    with np.errstate(divide="ignore"):
        return np.log(np.array(values))


def test_repetition_penalty_divides_what_is_positive_and_multiplies_what_is_negative():
    logits, seen = np.array([2.0, -2.0, 3.0, NONE]), np.array([True, True, False, True])
    assert penalise(logits, seen, 2.0).tolist() == [1.0, -4.0, 3.0, NONE]
    assert penalise(logits, seen, 0.5).tolist() == [4.0, -1.0, 3.0, NONE]
    assert penalise(logits, seen, 1.0) is logits


@pytest.mark.parametrize(
    ("k", "kept"), [(0, 5), (1, 1), (2, 3), (3, 3), (4, 4), (5, 5), (9, 5)]
)  # two are equal at the edge
def test_top_k_keeps_the_greatest_and_their_equals(k, kept):
    logits = np.array([1.0, 5.0, 3.0, 3.0, -1.0])
    found = keep_top_k(logits, k)
    order = np.sort(logits)[::-1]
    assert np.isfinite(found).sum() == kept
    assert found[found > NONE].min() >= order[min(k or 5, 5) - 1]
    np.testing.assert_array_equal(found[np.isfinite(found)], logits[np.isfinite(found)])


@pytest.mark.parametrize(
    ("p", "kept"), [(0.01, [1]), (0.49, [1]), (0.5, [1]), (0.51, [1, 2]), (0.79, [1, 2]), (0.85, [0, 1, 2]), (1.0, [0, 1, 2, 3])]
)  # fmt: skip
def test_top_p_keeps_the_fewest_likeliest_that_reach_the_share(p, kept):
    found = keep_top_p(np.array([0.0, math.log(4), math.log(2.4), math.log(0.6)]), p)  # 1, 4, 2.4, 0.6 of 8
    assert np.flatnonzero(np.isfinite(found)).tolist() == kept


def test_top_p_of_many_rows_and_of_what_cannot_come():
    found = keep_top_p(np.stack([logs(0.9, 0.1, 0.0), logs(0.0, 0.5, 0.5)]), 0.6)
    assert np.isfinite(found).tolist() == [[True, False, False], [False, True, True]]
    assert np.isfinite(keep_top_p(logs(0.0, 1.0, 0.0), 0.99)).tolist() == [False, True, False]


def test_probabilities_are_those_of_the_softmax():
    logits = np.array([[1000.0, 999.0, NONE], [0.0, 0.0, 0.0]], np.float32)
    e = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(probabilities(logits), [[e, 1 - e, 0], [1 / 3] * 3], rtol=1e-7)
    finite = np.array([[3.0, -2.0, 0.5], [1.0, 1.0, 7.0]])
    np.testing.assert_allclose(log_probabilities(finite), np.log(probabilities(finite)))
    wanted = np.log(probabilities(finite))[[0, 1], [1, 2]]
    np.testing.assert_allclose(log_probability_of(finite, np.array([1, 2])), wanted)


@pytest.mark.parametrize(
    ("number", "code"),
    [(0.0, 1), (0.19999, 1), (0.20001, 2), (0.49999, 2), (0.50001, 3), (1 - 2.0**-53, 3)],
)
def test_a_draw_is_where_the_sum_passes_the_number(number, code):
    assert draw(logs(0.0, 0.2, 0.3, 0.5, 0.0), number) == code


def test_draws_have_the_probabilities_of_the_softmax():
    logits, wanted = np.log(np.array([1.0, 2.0, 3.0, 4.0], np.float32)), np.array([0.1, 0.2, 0.3, 0.4])
    counts = np.bincount([draw(logits, uniform(7, i)) for i in range(4000)], minlength=4)
    assert np.abs(counts / 4000 - wanted).max() < 4 * 0.5 / math.sqrt(4000)


def test_random_numbers_are_functions_of_seed_and_place():
    # SplitMix64's own first numbers from seed 0, as published (Vigna's splitmix64.c): _mix of the counter.
    from grus.decode.sampling import _STEP, _mix

    assert [_mix((i + 1) * _STEP) for i in range(3)] == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]
    many = np.array([uniform(seed, i) for seed in (0, 1, 2, MOST_SEED) for i in range(2500)])
    assert ((many >= 0) & (many < 1)).all()
    assert len(set(many.tolist())) == len(many)
    assert np.abs(np.bincount((many * 10).astype(int), minlength=10) - 1000).max() < 5 * math.sqrt(900)
    assert abs(np.corrcoef(many[:2500], many[2500:5000])[0, 1]) < 0.1


def test_the_order_is_penalty_temperature_top_k_top_p():
    logits = np.array([4.0, 3.9, 1.0, NONE])
    seen = np.array([True, False, False, False])
    assert choose(logits, NOTHING_SEEN, Sampling(temperature=0), 0.99) == 0
    assert choose(logits, seen, Sampling(temperature=0, repetition_penalty=1.1), 0.99) == 1
    assert choose(logits, NOTHING_SEEN, Sampling(top_k=1), 0.99) == 0
    assert choose(logits, NOTHING_SEEN, Sampling(), 0.999) == 2
    assert choose(logits, NOTHING_SEEN, Sampling(top_k=2), 0.999) == 1
    # At temperature 1 the first two make up 97%, at 4 only 81%: top-p sees what the temperature left.
    assert choose(logits, NOTHING_SEEN, Sampling(top_p=0.85), 0.999) == 1
    assert choose(logits, NOTHING_SEEN, Sampling(temperature=4.0, top_p=0.85), 0.999) == 2
    # The share is of what top-k left.
    assert choose(logits, NOTHING_SEEN, Sampling(temperature=4.0, top_k=2, top_p=0.9), 0.999) == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"temperature": -0.1}, "temperature must be a number of at least 0, got -0.1"),
        ({"temperature": math.nan}, "temperature must be a number of at least 0, got nan"),
        ({"temperature": math.inf}, "temperature must be a number of at least 0, got inf"),
        ({"top_k": -1}, "top_k must be a whole number of at least 0, got -1"),
        ({"top_k": 1.5}, "top_k must be a whole number of at least 0, got 1.5"),
        ({"top_p": 0}, "top_p must be above 0 and at most 1, got 0"),
        ({"top_p": 1.1}, "top_p must be above 0 and at most 1, got 1.1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be a number above 0, got 0.0"),
    ],
)
def test_what_cannot_be_is_refused(values, sentence):
    with pytest.raises(UsageError) as caught:
        Sampling(**values)
    assert str(caught.value) == sentence
