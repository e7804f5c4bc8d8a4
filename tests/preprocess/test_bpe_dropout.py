"""BPE-dropout: without dropout the library's own pieces; with it the same text, cut otherwise and as often as it says."""

import numpy as np
import pytest

from grus.preprocess.bpe_dropout import BPEDropout
from grus.preprocess.coder import Coder
from grus.preprocess.subwords import fit_subwords

TEXTS = [
    "zwei hunde spielen im schnee",
    "ein hund spielt",
    "  Zwei  Hunde ",
    "",
    "schneehund 日本 it's 42!",
] * 3


@pytest.fixture(scope="module")
def subwords():
    return fit_subwords(TEXTS, size=330)


@pytest.fixture(scope="module")
def coder(subwords):
    return Coder(subwords, 1000)


def test_without_dropout_the_pieces_are_the_library_s(subwords, coder):
    texts = [*TEXTS, "nie gesehen: Ωμέγα, schnee-spiele\u00a0hunde"]
    drawn = BPEDropout(texts, subwords, 0.0).draw(0)
    for mine, tokens in zip(drawn, coder.tokens(texts), strict=True):
        np.testing.assert_array_equal(mine, coder.codes(tokens))


def test_dropout_changes_the_pieces_and_never_the_text(subwords, coder):
    drops = BPEDropout(TEXTS, subwords, 0.3)
    plain = coder.tokens(TEXTS)
    seen = set()
    for epoch in range(20):
        for codes, tokens in zip(drops.draw(0, epoch), plain, strict=True):
            assert coder.join(coder.spell(codes)) == coder.join(tokens)
        seen.add(tuple(drops.draw(0, epoch)[0]))
    assert len(seen) > 10


def test_draws_are_a_function_of_the_position(subwords):
    drops = BPEDropout(TEXTS, subwords, 0.3)
    first, other = drops.draw(1, 2), drops.draw(1, 3)
    for one, again in zip(first, drops.draw(1, 2), strict=True):
        np.testing.assert_array_equal(one, again)
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(first, other, strict=True))


def test_a_merge_is_left_out_as_often_as_it_says():
    """One merge is known, so " ab" is two pieces, or with probability p three."""
    subwords = fit_subwords(["ab"] * 10, size=257)
    rows = 4000
    drawn = BPEDropout(["ab"] * rows, subwords, 0.25).draw(0)
    lengths = np.array([len(codes) for codes in drawn])
    assert set(lengths) == {2, 3}
    assert abs((lengths == 3).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / rows)


def test_at_most_everything_is_letters(subwords):
    (codes,) = BPEDropout(["hunde"], subwords, 1 - 1e-12).draw(0)
    assert len(codes) == len(" hunde")
