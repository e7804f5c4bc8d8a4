"""Words and characters: each rule, any Unicode, and words that are cut the same once they are joined by spaces."""

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grus.errors import DataError
from grus.preprocess import text as module
from grus.preprocess.text import clean, encode_texts, fit_vocabulary, split
from grus.spec import Vocabulary


def words(text, lower=True):
    return split(clean(text, lower), "word")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's well-made, isn't it?", "it 's well - made , is n't it ?"),
        ("Can't, won't; I'll we've you're he'd I'm", "ca n't , wo n't ; i 'll we 've you 're he 'd i 'm"),
        ("it 's n't DON'T", "it 's n't do n't"),
        ("o'clock 'tis 'red' rock 'n' roll", "o ' clock ' tis ' red ' rock ' n ' roll"),
        ("'90s 1990s 3d covid19 b2b", "' 90s 1990s 3d covid19 b2b"),
        ("3.14 1,000,000 v1.2.3 10:30 .5 5.", "3.14 1,000,000 v1 . 2.3 10 : 30 . 5 5 ."),
        ("wow!!!!! ... ?! `` '' --", "wow !!! !! ... ? ! `` '' --"),
        ("a_b __c a/b c@d.org #x", "a _ b __ c a / b c @ d . org # x"),
        ("", ""),
        (" \t\n\u00a0\u3000 ", ""),
        ("naïve CAFÉ cafe\u0301", "naïve café café"),
        ("don’t “quote”", "do n't “ quote ”"),
        ("日本語のテキスト", "日 本 語 の テ キ ス ト"),
        ("한국어 텍스트", "한국어 텍스트"),
        ("हिन्दी में", "हिन्दी में"),
        ("مُحَمَّد ١٢٫٥", "مُحَمَّد ١٢ ٫ ٥"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👍🏽 👨\u200d👩\u200d👧 ❤\ufe0f", "👍 🏽 👨\u200d 👩\u200d 👧 ❤\ufe0f"),
        ("co\u00adop \ufeffbegin a\u200bb", "coop begin a b"),
        ("\ud800x", "\ufffd x"),
        ("İSTANBUL STRASSE", "i\u0307stanbul strasse"),
    ],
)
def test_the_rules(text, expected):
    assert words(text) == expected.split()


def test_letters_may_keep_their_case():
    assert words("ISN'T It's CAN’T", lower=False) == ["IS", "N'T", "It", "'s", "CA", "N'T"]


TEXTS = st.text(
    st.one_of(st.characters(), st.sampled_from("aN'nT sS’!.,_-3١日é\u0301\u093f\u200d\u00ad👍")), max_size=40
)


@given(TEXTS, st.booleans())
@settings(max_examples=300)
@example("n'n't", True)
@example("a.1.2,3n't's", True)
def test_joined_words_are_cut_the_same(text, lower):
    found = words(text, lower)
    assert words(" ".join(found), lower) == found
    assert all(found)


@given(TEXTS, st.booleans())
@settings(max_examples=300)
def test_nothing_but_white_space_is_lost(text, lower):
    cleaned = clean(text, lower)
    assert "".join(words(text, lower)) == "".join(cleaned.split())
    assert clean(cleaned, lower) == cleaned
    assert "".join(split(cleaned, "char")) == " ".join(cleaned.split())


@given(st.text(st.characters(max_codepoint=127)))
@settings(max_examples=300)
def test_the_short_pattern_is_the_long_one(text):
    found = [match[0] for match in module._pattern(False).finditer(text)]
    assert split(text, "word") == found


@pytest.mark.parametrize("text", ["a", "n'", "1,", "\u0308", "!", "é", "n't", "日", " ", "'s'"])
def test_no_text_takes_more_than_linear_time(text):
    begin = time.perf_counter()
    words(text * 100_000)
    words(text * 100_000 + "é")
    assert time.perf_counter() - begin < 5  # quadratic would be hours


def test_characters():
    assert split(clean("  Grün \n\t ab ", True), "char") == list("grün ab")
    assert split("", "char") == []


def test_the_vocabulary_is_by_frequency_then_alphabet():
    texts = ["b b a a c c", "c d", "The end"]
    assert fit_vocabulary(texts).tokens == ("c", "a", "b")
    assert fit_vocabulary(texts, min_count=1).tokens == ("c", "a", "b", "d", "end", "the")
    assert fit_vocabulary(texts, size=2).tokens == ("c", "a")
    assert fit_vocabulary(["aab ", "b a"], "char", min_count=1).tokens == ("a", "b", " ")
    assert "The" in fit_vocabulary(texts, lower=False, min_count=1).tokens


def test_a_vocabulary_of_nothing_is_an_error():
    with pytest.raises(
        DataError, match=r"^texts: expected at least one word that occurs 2 times, got 3 that do not$"
    ):
        fit_vocabulary(["a b c"])
    with pytest.raises(DataError, match="got 0 that do not"):
        fit_vocabulary(["", "  "])


def test_codes_begin_at_one_and_zero_is_unknown():
    vocabulary = Vocabulary("word", True, ("good", "n't", "is"))
    found = list(encode_texts(["Isn't GOOD film", "", "good " * 9], vocabulary, 4))
    for codes, expected in zip(found, ([3, 2, 1, 0], [], [1, 1, 1, 1]), strict=True):
        assert codes.dtype == np.int32
        np.testing.assert_array_equal(codes, expected)
