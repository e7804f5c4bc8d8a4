"""Perplexity, bits and the floors beside them, held to counting by hand."""

import math

import numpy as np
import pytest

from grus.decode import language_scores
from grus.decode.language_scores import LanguageEvaluation, Pairs, count_codes, floors

SIZE, BEGIN = 5, 1


def test_the_figures_of_an_evaluation():
    e = LanguageEvaluation(
        4, 1, 8, 4 * math.log(10), {"unigram": 4 * math.log(20), "bigram": 4 * math.log(12)}
    )
    assert e.loss == pytest.approx(math.log(10))
    assert e.perplexity == pytest.approx(10)
    assert e.bits_per_character == pytest.approx(math.log2(10) / 2)
    assert [row["model"] for row in e.rows()] == ["model", "bigram", "unigram"]
    assert [row["perplexity"] for row in e.rows()] == pytest.approx([10, 12, 20])
    assert math.isnan(LanguageEvaluation(4, 0, 0, 1.0).bits_per_character)
    assert LanguageEvaluation(1, 0, 0, 800.0).perplexity == math.inf


@pytest.mark.parametrize("block", [1, 3, 1 << 20])
@pytest.mark.parametrize("kept", ["table", "keys"])
def test_floors_are_those_of_counting(block, kept, monkeypatch):
    monkeypatch.setattr(language_scores, "_BLOCK", block)
    rng = np.random.default_rng(0)
    train, text = rng.integers(0, 4, 200), rng.integers(0, SIZE, 60)  # code 4 never stands in training
    unigram = count_codes(train, SIZE)
    assert unigram.tolist() == [int((train == code).sum()) for code in range(SIZE)]
    pairs = Pairs.of(train, BEGIN, SIZE)
    pairs = Pairs.from_table(pairs.table()) if kept == "table" else pairs

    counted = np.zeros((SIZE, SIZE))
    for a, b in zip([BEGIN, *train], train):
        counted[a, b] += 1
    np.testing.assert_array_equal(pairs.table(), counted)

    single = (unigram + 1) / (200 + SIZE)
    wanted = {"unigram": 0.0, "bigram": 0.0}
    for a, b in zip([BEGIN, *text], text):
        n, t = counted[a].sum(), (counted[a] > 0).sum()
        wanted["unigram"] -= math.log(single[b])
        wanted["bigram"] -= math.log((counted[a, b] + t * single[b]) / (n + t) if n else single[b])
    assert floors(text, BEGIN, unigram, pairs) == pytest.approx(wanted)
    assert set(floors(text, BEGIN, unigram, None)) == {"unigram"}


def test_pair_probabilities_sum_up_to_one():
    train = np.array([0, 1, 1, 2, 0, 1])
    unigram, pairs = count_codes(train, SIZE), Pairs.of(train, BEGIN, SIZE)
    for before in range(SIZE):
        nats = [floors(np.array([before, code]), BEGIN, unigram, pairs)["bigram"] for code in range(SIZE)]
        alone = floors(np.array([before]), BEGIN, unigram, pairs)["bigram"]
        assert sum(math.exp(alone - value) for value in nats) == pytest.approx(1)


def test_no_pairs_at_all():
    empty = Pairs.from_table(np.zeros((SIZE, SIZE)))
    found = floors(np.array([1, 2]), BEGIN, np.ones(SIZE), empty)
    assert found["bigram"] == pytest.approx(found["unigram"])
