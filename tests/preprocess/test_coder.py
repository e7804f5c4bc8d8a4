"""Texts to codes and back, for pieces, words and characters."""

import numpy as np
import pytest

from grus.errors import UsageError
from grus.preprocess.coder import UNKNOWN, Coder, join_words
from grus.preprocess.text import split
from grus.preprocess.translate import VocabularyOptions, fit_vocabularies

TEXTS = ["Ein Hund läuft.", "ein  Hund\tläuft schnell!", "Zwei Hunde, eine Katze – 3.5 €", "Hund"] * 2


def coder(tokenizer, lower=False, most=100):
    (step,) = fit_vocabularies(TEXTS, TEXTS, VocabularyOptions(tokenizer, 300, lower=lower))
    return Coder(step, most)


@pytest.mark.parametrize("tokenizer", ["bpe", "word", "char"])
def test_what_was_cut_is_put_together_again(tokenizer):
    found = coder(tokenizer)
    for text, tokens in zip(TEXTS, found.tokens(TEXTS)):
        codes = found.codes(tokens)
        assert codes.dtype == np.int64
        assert 0 <= codes.min() <= codes.max() < found.end == found.step.port().size
        assert found.spell(codes) == tokens
        assert found.join(tokens) == " ".join(text.split())


def test_pieces_know_every_text():
    found = coder("bpe", lower=True)
    assert found.knows_all
    for text in ("日本語 ÄÖÜ 🎉", "x", "a\u0301"):
        (tokens,) = found.tokens([text])
        assert found.join(found.spell(found.codes(tokens))) == text.lower().replace("a\u0301", "á")
    assert found.tokens(["", "  "]) == [[], []]
    assert found.tokens([]) == []


def test_pieces_belong_to_words():
    found = coder("bpe")
    (tokens,) = found.tokens(["Hund Katze"])
    words = found.words(tokens)
    assert words[0] == 0
    assert words[-1] == 1
    assert [found.join([t for t, w in zip(tokens, words) if w == n]) for n in (0, 1)] == ["Hund", "Katze"]
    shown = found.shown(tokens)
    assert "".join(shown).replace("·", "") == "HundKatze"
    assert found.shown(["Ġ", "Ã©"]) == ["␣", "·é"]


def test_pieces_that_are_no_text():
    found = coder("bpe")
    assert found.join(["Ġ", "Ã"]) == "\ufffd"
    assert found.join(["漢"]) == "?", "a hostile piece has letters that are no bytes"


def test_words_that_are_not_known():
    found = coder("word")
    assert not found.knows_all
    codes = found.codes(["Hund", "Esel"])
    assert codes[1] == 0
    assert found.spell(codes) == ["Hund", UNKNOWN]
    assert found.words(["a", "b"]).tolist() == [0, 1]
    assert found.shown(["a", "b"]) == ["a", "b"]


def test_the_first_tokens_are_kept():
    found = coder("char", most=4)
    assert len(found.codes(list("abcdefg"))) == 4


@pytest.mark.parametrize(
    "text",
    [
        "It's well-made, isn't it?",
        'He said: "go (now)!", and they\'d go.',
        "3.5 dogs; a cat's tail...",
        "wait - what?!",
        "",
    ],
)
def test_words_as_people_write_them(text):
    assert join_words(split(text, "word")) == text.replace("wait - what", "wait-what")


def test_two_vocabularies():
    steps = fit_vocabularies(["a b", "a b"], ["c d e"] * 2, VocabularyOptions("word", joint=False))
    assert [(step.side, len(step.tokens)) for step in steps] == [("source", 2), ("target", 3)]
    with pytest.raises(UsageError, match="tokenizer: must be bpe, word or char, got 'letters'"):
        fit_vocabularies(["a"], ["b"], VocabularyOptions("letters"))
