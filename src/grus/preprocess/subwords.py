"""Texts as codes of subwords: byte pair encoding by the library ``tokenizers``, an extra (``grus[text]``)."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from grus.errors import DataError, MissingExtraError
from grus.preprocess.text import clean, without_surrogates
from grus.spec import Subwords
from grus.spec.subwords import write_definition

#: Texts handed to the library at once.
_BATCH = 4096


def fit_subwords(
    texts: Iterable[str], *, lower: bool = True, size: int = 8_000, min_count: int = 2, exact: bool = False
) -> Subwords:
    """Learn byte-level byte pair encoding (Sennrich et al. 2016; on bytes: Radford et al. 2019) from training texts.

    Args:
        texts: of the training rows.
        lower: put texts in lower case.
        size: how many pieces there are at most, the 256 bytes included.
        min_count: how often a pair must occur to be merged.
        exact: clean nothing and add no space, so that a text is its pieces joined.

    Raises:
        DataError: a size below 257.
        MissingExtraError: the library is not installed.
    """
    if size < 257:
        raise DataError(f"bpe: expected a vocabulary of at least 257 pieces (every byte is one), got {size}")
    library = _library()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=not exact)
    trainer = library.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=min_count,
        show_progress=False,
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator((_cleaned(text, lower, exact) for text in texts), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [(left, right) for left, right in model["merges"]]
    return Subwords(lower, write_definition(pieces, merges, exact), exact)


def encode_subwords(
    texts: Sequence[str], subwords: Subwords, most: int | None = None
) -> Iterator[np.ndarray]:
    """Codes int32 of the first ``most`` pieces of each text (None: of all), from 1."""
    tokenizer = load_tokenizer(subwords)
    for first in range(0, len(texts), _BATCH):
        some = [_cleaned(text, subwords.lower, subwords.exact) for text in texts[first : first + _BATCH]]
        for found in tokenizer.encode_batch(some):
            yield np.array(found.ids[:most], np.int32) + 1


def spelled(text: str, subwords: Subwords) -> list[str]:
    """The pieces of one text as they stand in it, one for each of its codes; a piece of one letter's bytes is empty."""
    cleaned = clean(text, subwords.lower)
    found = load_tokenizer(subwords).encode(cleaned)
    return [cleaned[begin:end].strip() for begin, end in found.offsets]


def _cleaned(text: str, lower: bool, exact: bool) -> str:
    if not exact:
        return clean(text, lower)
    return without_surrogates(text.lower() if lower else text)


def piece_coder(subwords: Subwords) -> tuple[Callable[[list[str]], list[list[str]]], dict[str, int]]:
    """A function that cuts clean texts into pieces, spelled a letter a byte, and the number of every piece."""
    tokenizer = load_tokenizer(subwords)

    def cut(texts: list[str]) -> list[list[str]]:
        return (
            [found.tokens for found in tokenizer.encode_batch(texts)] if any(texts) else [[] for _ in texts]
        )

    return cut, tokenizer.get_vocab()


def spell_pieces(pieces: Sequence[str]) -> str:
    """The text of some pieces; bytes that are no character become the sign for what is unknown."""
    numbers = _byte_letters()
    found = bytes(numbers.get(letter, ord("?")) for piece in pieces for letter in piece)
    return found.decode("utf-8", errors="replace")


@cache
def _byte_letters() -> dict[str, int]:
    """Which byte a letter of a piece stands for: printable bytes are themselves, the others follow from U+0100 on."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


def load_tokenizer(subwords: Subwords) -> Any:
    """The tokenizer of the library ``tokenizers`` that a step describes."""
    return _library().Tokenizer.from_str(subwords.definition)


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtraError(
            "a bpe tokenizer needs tokenizers, which is not installed", hint="pip install 'grus[text]'"
        ) from error
    return tokenizers
