"""Byte pair encoding: the definition is the library's, training repeats itself, and without the library a sentence."""

import json
import sys

import numpy as np
import pytest
import tokenizers

from grus.errors import DataError, MissingExtraError
from grus.preprocess.subwords import encode_subwords, fit_subwords
from grus.preprocess.text import clean
from grus.spec.subwords import read_definition, write_definition

TEXTS = [
    "the film is not good at all",
    "the films are good",
    "it isn't a good film",
    "Ein schöner Film 日本 👍🏽",
] * 3


@pytest.fixture(scope="module")
def subwords():
    return fit_subwords(TEXTS, size=300)


def test_the_definition_is_the_library_s_own(subwords):
    """What it writes after reading ours is ours: nothing was added, dropped or misread."""
    tokenizer = tokenizers.Tokenizer.from_str(subwords.definition)
    assert json.loads(tokenizer.to_str()) == json.loads(subwords.definition)
    pieces, merges = read_definition(subwords.definition)
    assert len(pieces) == tokenizer.get_vocab_size() == subwords.port().size - 1
    assert write_definition(pieces, merges) == subwords.definition


def test_training_repeats_itself(subwords):
    assert all(fit_subwords(TEXTS, size=300) == subwords for _ in range(3))


def test_codes_say_the_text_again(subwords):
    tokenizer = tokenizers.Tokenizer.from_str(subwords.definition)
    texts = [*TEXTS, "", "never seen: Ωμέγα \ud800 \x00", " spaces  inside "]
    for text, codes in zip(texts, encode_subwords(texts, subwords, 1000), strict=True):
        assert codes.dtype == np.int32
        assert (codes > 0).all()
        assert (codes < subwords.port().size).all()
        assert tokenizer.decode((codes - 1).tolist()).lstrip() == clean(text, True).lstrip()
    assert len(next(encode_subwords(["the film"], subwords, 1000))) < len("the film")  # something was merged


def test_only_the_first_codes_are_kept(subwords):
    long = next(encode_subwords([TEXTS[0]], subwords, 1000))
    np.testing.assert_array_equal(next(encode_subwords([TEXTS[0]], subwords, 3)), long[:3])


def test_a_special_name_in_a_text_is_only_text(subwords):
    (codes,) = encode_subwords(["[UNK] <s> [PAD]"], subwords, 100)
    assert (codes > 0).all()


def test_too_small_a_vocabulary():
    with pytest.raises(DataError, match="expected a vocabulary of at least 257 pieces"):
        fit_subwords(TEXTS, size=256)


def test_without_the_library_the_extra_is_named(subwords, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for use in (lambda: fit_subwords(TEXTS), lambda: list(encode_subwords(TEXTS, subwords, 9))):
        with pytest.raises(MissingExtraError, match=r"^a bpe tokenizer needs tokenizers") as caught:
            use()
        assert caught.value.hint == "pip install 'grus[text]'"
