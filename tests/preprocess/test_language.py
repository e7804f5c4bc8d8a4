"""Text as codes and back: nothing is lost, however the text was cut into blocks, and what is not known is counted."""

import numpy as np
import pytest

from example_language_models import TEXT, UNICODE
from grus.errors import DataError, SpecError
from grus.preprocess.language import LONGEST, TextCodec, check_known, fit_text_step, lines
from grus.preprocess.tokens import Encoded, spool
from grus.spec import Subwords, Vocabulary
from grus.spec.subwords import write_definition


def codec(tokenizer, text=TEXT, **options):
    return TextCodec(fit_text_step([text], tokenizer, **{"size": 500, "min_count": 1} | options))


def in_blocks(text, size):
    return [text[i : i + size] for i in range(0, len(text), size)]


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
@pytest.mark.parametrize("text", [TEXT, UNICODE, " \n\n  a\r\n\tb \n", "é" * 30 + "\n" + " " * 7])
def test_nothing_is_lost(tokenizer, text):
    known = codec(tokenizer, text)
    found = known.encode(text)
    assert known.decode(found.codes) == text
    assert found.unknown == 0
    assert found.codes.min() > 0
    assert found.codes.max() < known.size


@pytest.mark.parametrize("tokenizer", ["char", "word", "space", "bpe"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_codes_do_not_depend_on_the_blocks_in_which_a_text_is_read(tokenizer, size):
    text = UNICODE + TEXT + "\n \n no end of line"
    known = codec(tokenizer, TEXT)
    whole, parts = known.encode(text), list(known.encode_pieces(in_blocks(text, size)))
    np.testing.assert_array_equal(np.concatenate([part.codes for part in parts]), whole.codes)
    assert sum(part.unknown for part in parts) == whole.unknown
    assert (whole.unknown > 0) == (tokenizer != "bpe")
    again = fit_text_step(in_blocks(TEXT, size), tokenizer, size=500, min_count=1)
    assert again == known.step


def test_lines_keep_their_ends_and_long_ones_are_cut():
    assert list(lines(["a\n", "", "b", "c\n\nd"])) == ["a\n", "bc\n", "\n", "d"]
    long = "x" * (2 * LONGEST + 5) + "\ny"
    assert list(lines([long])) == list(lines(in_blocks(long, LONGEST // 3)))
    assert list(map(len, lines([long]))) == [LONGEST, LONGEST, 6, 1]
    assert list(lines([])) == []


def test_words_between_blanks_with_the_end_of_each_line():
    known = codec("space", " no it was n't  black monday \n but <unk> N \n")
    assert set(known.tokens) == {"no", "it", "was", "n't", "black", "monday", "but", "<unk>", "N", "\n"}
    found = known.encode(" no it was not \n but N")
    assert known.decode(found.codes) == "no it was <unk>\nbut N"
    assert found.unknown == 1
    assert found.codes[3] == known.tokens.index("<unk>") + 1, "the text's own sign for it"
    assert known.begin == known.tokens.index("\n") + 1


def test_words_of_plain_text():
    known = codec("word", "Don't stop, now!\n")
    assert known.decode(known.encode("Don't stop,\nnow! He").codes) == "Do n't stop ,\nnow ! <unk>"


def test_what_occurs_once_is_unknown_unless_it_is_a_character_or_the_text_has_a_sign_for_it():
    def known(tokenizer, text):
        return set(fit_text_step([text], tokenizer, size=99).tokens)

    assert known("space", "a a b\n\n") == {"a", "\n"}
    assert known("space", "a a b <unk>\n") == {"a", "b", "<unk>", "\n"}
    assert known("char", "aab") == {"a", "b"}
    assert set(fit_text_step(["a a b c\n"], "space", size=1, min_count=1).tokens) == {"a"}


def test_lower_case():
    known = codec("char", "AbC", lower=True)
    assert known.decode(known.encode("aBc").codes) == "abc"


def test_characters_that_are_not_known_are_code_0():
    known = codec("char", "ab\n")
    found = known.encode("a\U0010ffffbz")
    assert found.codes.tolist()[1] == found.codes.tolist()[3] == 0
    assert found.unknown == 2
    assert known.decode(found.codes) == "a\ufffdb\ufffd"
    with pytest.raises(DataError) as caught:
        check_known(known, "a\U0010ffffbz", "prompt")
    assert str(caught.value) == (
        "prompt, character 2: '\\U0010ffff' is not among the 3 characters the model knows"
    )
    assert codec("word", "a b\n").first_unknown("a\nb c") == (4, "c")
    check_known(codec("bpe"), "\U0010ffff", "prompt")


def test_half_of_a_surrogate_pair_is_an_unknown_character():
    assert codec("char", "ab").encode("a\ud800").codes.tolist() == [1, 0]


def test_a_letter_of_several_pieces_is_written_when_it_is_whole():
    known = codec("bpe", "abc\n")
    codes = known.encode("a東b").codes.tolist()
    assert len(codes) == 5
    write = known.writer()
    assert [write(code) for code in codes] == ["a", "", "", "東", "b"]
    after = known.writer(codes[:2])
    assert [after(code) for code in codes[2:]] == ["", "東", "b"]
    assert known.spell(codes[1]) == "\ufffd"


def test_words_go_on_after_those_before():
    known = codec("space", "a b\n")
    a, b, end = (known.tokens.index(token) + 1 for token in ("a", "b", "\n"))
    assert known.writer([a])(b) == " b"
    assert known.writer([a, end])(b) == "b"
    assert known.writer()(b) == "b"
    assert known.writer([b])(end) == "\n"


def test_nothing_to_know():
    with pytest.raises(
        DataError, match=r"^texts: expected at least one word that occurs 2 times, got 3 that do not$"
    ):
        fit_text_step(["a b c"], "space", size=9)


def test_pieces_are_bytes():
    step = Subwords(False, write_definition(["a", "é"], [], exact=True), exact=True)
    assert TextCodec(step).decode([1, 2, 1]) == "a\ufffda"
    with pytest.raises(
        SpecError, match=r"^subwords: a piece must be made of the letters of bytes, got '東'$"
    ):
        TextCodec(Subwords(False, write_definition(["東"], [], exact=True), exact=True))


def test_codes_on_disk():
    parts = [
        Encoded(np.array([1, 2], np.int32), 1),
        Encoded(np.empty(0, np.int32), 0),
        Encoded(np.array([3]), 2),
    ]
    tokens = spool(parts)
    assert tokens.codes.tolist() == [1, 2, 3]
    assert isinstance(tokens.codes, np.memmap)
    assert (len(tokens), tokens.unknown, tokens.characters) == (3, 3, 0)
    assert len(spool([])) == 0


def test_an_empty_vocabulary_knows_nothing():
    assert TextCodec(Vocabulary("char", False, (), exact=True)).encode("ab").codes.tolist() == [0, 0]
