"""CTC decoding against brute force: every path of tiny cases is written out and summed."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grus.decode.ctc import PrefixBeam, greedy, least_steps, log_likelihood, log_softmax, prefix_beam


def steps(seed, time, codes, sharp=1.5):
    return log_softmax(sharp * np.random.default_rng(seed).standard_normal((time, codes)))


def written(path):
    """B: repetitions away, then blanks."""
    return tuple(code for code, _ in itertools.groupby(path) if code)


def every_text(log_probabilities):
    """log p of every text, by every path."""
    time, codes = log_probabilities.shape
    found = {}
    for path in itertools.product(range(codes), repeat=time):
        score = sum(log_probabilities[t, code] for t, code in enumerate(path))
        found[written(path)] = np.logaddexp(found.get(written(path), -np.inf), score)
    return found


@pytest.mark.parametrize(("time", "codes"), [(1, 2), (3, 3), (5, 4), (6, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_likelihood_and_a_wide_beam_are_those_of_brute_force(time, codes, seed):
    log_probabilities = steps(seed, time, codes)
    wanted = every_text(log_probabilities)
    for text, score in wanted.items():
        assert log_likelihood(log_probabilities, text) == pytest.approx(score, abs=1e-10)
    found = dict(prefix_beam(log_probabilities, 10**6))
    assert found.keys() == wanted.keys()
    for text, score in found.items():
        assert score == pytest.approx(wanted[text], abs=1e-10)
    assert np.logaddexp.reduce(list(found.values())) == pytest.approx(0, abs=1e-10)
    best = max(wanted, key=wanted.get)
    assert prefix_beam(log_probabilities, 10**6)[0][0] == best


def test_likelihood_is_that_of_torch():
    log_probabilities = steps(0, 30, 7)
    codes = [3, 3, 1, 6, 6, 6, 2]
    wanted = torch.nn.functional.ctc_loss(
        torch.from_numpy(log_probabilities)[:, None], torch.tensor([codes]), (30,), (7,), reduction="sum"
    )
    assert log_likelihood(log_probabilities, codes) == pytest.approx(-float(wanted), abs=1e-9)


def test_a_narrow_beam_is_no_better_than_a_wide_one():
    for seed in range(5):
        log_probabilities = steps(seed, 12, 5)
        scores = [log_likelihood(log_probabilities, prefix_beam(log_probabilities, w)[0][0]) for w in (1, 64)]
        assert scores[0] <= scores[1] + 1e-12


def test_where_beam_and_greedy_differ_the_beam_sums_paths():
    # Two steps, p(blank) = .6, p(a) = .4: greedy writes nothing (.36), but "a" has .4 * .4 + 2 * .24 = .64.
    log_probabilities = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert greedy(log_probabilities)[0].tolist() == []
    (best, score), *_ = prefix_beam(log_probabilities, 4)
    assert best == (1,)
    assert np.exp(score) == pytest.approx(0.64)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30), st.lists(st.integers(0, 9), min_size=1, max_size=9)
)
def test_greedy_in_pieces_is_greedy_of_all(path, cuts):
    scores = np.eye(4)[path]
    codes, begins, last = greedy(scores)
    assert tuple(codes.tolist()) == written(path)
    assert [path[t] for t in begins] == codes.tolist()
    found, before, place = [], 0, 0
    for size in [*cuts, len(path)]:
        piece, _, before = greedy(scores[place : place + size], before)
        found += piece.tolist()
        place += size
    assert (found, before) == (codes.tolist(), last)


def test_a_beam_in_pieces_is_the_beam_of_all():
    log_probabilities = steps(1, 20, 5)
    beam = PrefixBeam(8)
    for first in range(0, 20, 3):
        beam.advance(log_probabilities[first : first + 3])
    assert beam.best() == prefix_beam(log_probabilities, 8)


@pytest.mark.parametrize(("codes", "least"), [([], 0), ([1], 1), ([1, 1], 3), ([1, 2, 1], 3), ([1, 1, 1], 5)])
def test_how_many_steps_a_text_needs(codes, least):
    assert least_steps(codes) == least
    assert np.isfinite(log_likelihood(steps(0, least, 3), codes))
    if least:
        assert log_likelihood(steps(0, least - 1, 3), codes) == -np.inf


def test_no_steps_write_nothing():
    empty = np.zeros((0, 3))
    assert prefix_beam(empty, 4) == [((), 0.0)]
    assert greedy(empty, 2)[2] == 2
