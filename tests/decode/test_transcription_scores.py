"""Edits by dynamic programming against brute force, and error rates of whole sets."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grus.decode.transcription_scores import edits, evaluate_transcripts
from grus.errors import DataError


def distance(a, b):
    """Levenshtein's recursion as it is written."""

    @cache
    def d(i, j):
        if not i or not j:
            return i + j
        return min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return d(len(a), len(b))


@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_edits_are_the_least(reference, found):
    e = edits(reference, found)
    assert e.substitutions + e.deletions + e.insertions == distance(reference, found)
    assert len(found) == len(reference) - e.deletions + e.insertions
    assert e.length == len(reference)


def test_rates_of_a_set():
    e = evaluate_transcripts(
        ["x", "y"], ["one two  three", "four"], ["one too", "four four"], [-1.0, -2.0], 6, 3.0
    )
    assert (e.words.substitutions, e.words.deletions, e.words.insertions, e.words.length) == (1, 1, 1, 4)
    assert (e.wer, e.right, e.log_loss, e.n) == (0.75, 0.0, 0.5, 2)
    assert e.references == ("one two three", "four")
    assert e.cer == pytest.approx((1 + 6 + 5) / 17)


def test_nothing_to_score():
    with pytest.raises(DataError, match=r"^data: expected recordings with transcripts to score, got none$"):
        evaluate_transcripts([], [], [], [], 0, 0.0)
