"""Texts as codes of words or characters, by rules of our own that need no library.

A text is brought to Unicode's NFC form, optionally in lower case; zero-width spaces become spaces, soft hyphens and
byte order marks go, the curly apostrophe becomes the straight one. Characters (kind ``char``) are then code points, a
run of white space counting as one space. Words (kind ``word``) are, where several rules fit, by the first of:

    a number with points or commas inside                    3.14   1,000,000
    one Chinese or Japanese character                        日 本
    an English contraction                                   n't 's 'm 'd 're 've 'll
    what stands before n't                                   do | n't   ca | n't
    letters and digits, with their accents and vowel signs   word   naïve   1990s   हिन्दी
    any other mark, up to three equal ones together          -  "  !!!  ...

so that ``"It's well-made, isn't it?"`` is cut into it 's well - made , is n't it ?, and cutting the words joined by
spaces gives the same words. Scripts that put no spaces between words (Thai, Khmer) are better cut by ``char`` or bpe.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Literal

import numpy as np

from grus.errors import DataError
from grus.spec import Vocabulary

_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACED = {0xAD: None, 0xFEFF: None, 0x200B: " ", 0x2019: "'"}
_HAN_AND_KANA = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"


def clean(text: str, lower: bool) -> str:
    """The text in the form that every tokenizer here starts from; what is already clean stays as it is."""
    if lower:
        text = text.lower()
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", without_surrogates(text).translate(_REPLACED))


def split(text: str, kind: Literal["word", "char"]) -> list[str]:
    """Words or characters of a clean text."""
    if kind == "char":
        return list(" ".join(text.split()))
    return [match[0] for match in _pattern(text.isascii()).finditer(text)]


def fit_vocabulary(
    texts: Iterable[str],
    kind: Literal["word", "char"] = "word",
    *,
    lower: bool = True,
    size: int = 20_000,
    min_count: int = 2,
) -> Vocabulary:
    """The most frequent words or characters of training texts, equally frequent ones in the order of the alphabet.

    Args:
        texts: of the training rows.
        kind: word or char.
        lower: put texts in lower case.
        size: how many are kept at most.
        min_count: how often one must occur. With 2, those that occur once teach the network what an unknown is.

    Raises:
        DataError: no word is left.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split(clean(text, lower), kind))
    return Vocabulary(kind, lower, most_frequent(counts, kind, size, min_count))


def most_frequent(counts: Counter[str], kind: str, size: int, min_count: int) -> tuple[str, ...]:
    """At most ``size`` of what occurs at least ``min_count`` times, the most frequent first; see `fit_vocabulary`."""
    kept = [word for word, count in counts.items() if count >= min_count]
    if not kept:
        raise DataError(
            f"texts: expected at least one {kind} that occurs {min_count} times, got {len(counts)} that do not"
        )
    kept.sort(key=lambda word: (-counts[word], word))
    return tuple(kept[:size])


def without_surrogates(text: str) -> str:
    """The text with halves of surrogate pairs, which are no characters, replaced by the sign for what is unknown."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def encode_texts(texts: Sequence[str], vocabulary: Vocabulary, most: int) -> Iterator[np.ndarray]:
    """Codes int32 of the first ``most`` words or characters of each text; 0 for one that is not known."""
    code = {token: number + 1 for number, token in enumerate(vocabulary.tokens)}
    for text in texts:
        tokens = split(clean(text, vocabulary.lower), vocabulary.kind)[:most]
        yield np.fromiter((code.get(token, 0) for token in tokens), np.int32, len(tokens))


@cache
def _pattern(ascii_only: bool) -> re.Pattern[str]:
    """The rules as one expression. The short one cuts plain English the same way, half as fast again."""
    letter, marks, ideograph = "A-Za-z0-9", "", ""
    if not ascii_only:
        letter, marks = rf"\W_{_HAN_AND_KANA}", f"\u200c\u200d{_marks()}"
        ideograph = f"[{_HAN_AND_KANA}][{marks}]*|"
    letters = f"[{letter}]" if ascii_only else f"[^{letter}]"
    end = f"(?!{letters})" if ascii_only else f"(?!{letters}|[{marks}])"
    rules = (
        rf"\d+(?:[.,]\d+)+|{ideograph}",
        f"[nN]'[tT]{end}|'(?:[sSmMdD]|[rR][eE]|[vV][eE]|[lL][lL]){end}|",
        f"{letters}+?(?=[nN]'[tT]{end})|",
        f"{letters}+|" if ascii_only else f"(?:{letters}++|[{marks}]++)++|",
        r"([^\s\w]|_)\1{0,2}" + (f"[{marks}]*" if marks else ""),
    )
    return re.compile("".join(rules))


@cache
def _marks() -> str:
    """All combining marks, as ranges of a character class: what \\w leaves out of the words of many scripts."""
    ranges: list[list[int]] = []
    for point in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)):  # planes 2 to 13 hold none
        if unicodedata.category(chr(point))[0] == "M":
            if ranges and ranges[-1][1] == point - 1:
                ranges[-1][1] = point
            else:
                ranges.append([point, point])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
