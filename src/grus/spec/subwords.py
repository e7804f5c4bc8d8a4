"""The one form of the definition of subwords: the JSON of the library ``tokenizers``, written and checked without it.

A definition is hostile input, and that library's JSON can ask for much: regular expressions, templates, scripts of
replacements. So only the pieces and the merges vary here; all else is fixed, and what differs by a byte is refused.
"""

from collections.abc import Sequence

import msgspec

from grus.errors import SpecError
from grus.spec.shapes import MAX_SIZE, check_size

Merges = Sequence[tuple[str, str]]


class _Model(msgspec.Struct, frozen=True):
    vocab: dict[str, int]
    merges: list[tuple[str, str]]


class _Definition(msgspec.Struct, frozen=True):
    model: _Model


def write_definition(pieces: Sequence[str], merges: Merges, exact: bool = False) -> str:
    """The JSON of a byte-level BPE tokenizer.

    Args:
        pieces: in the order of their numbers.
        merges: pairs of pieces, the first merged first.
        exact: add no space before the first word, so that a text is its pieces joined.
    """
    how = {"type": "ByteLevel", "add_prefix_space": not exact, "trim_offsets": True, "use_regex": True}
    definition = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": how,
        "post_processor": None,
        "decoder": how,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {piece: number for number, piece in enumerate(pieces)},
            "merges": merges,
        },
    }
    return msgspec.json.encode(definition).decode()


def read_definition(definition: str, exact: bool = False) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Pieces in the order of their numbers, and merges; raises SpecError unless `write_definition` wrote it."""
    try:
        model = msgspec.json.decode(definition, type=_Definition).model
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise SpecError(f"subwords: definition must be that of a BPE tokenizer ({error})") from None
    pieces = tuple(sorted(model.vocab, key=model.vocab.__getitem__))
    check_size("subwords: how many pieces", len(pieces), high=MAX_SIZE - 1)
    if "" in model.vocab or list(map(model.vocab.__getitem__, pieces)) != list(range(len(pieces))):
        raise SpecError(f"subwords: pieces must be numbered from 0 to {len(pieces) - 1}, each once")
    for left, right in model.merges:
        if not {left, right, left + right} <= model.vocab.keys():
            raise SpecError(f"subwords: a merge must be of known pieces, got {left!r} and {right!r}")
    if write_definition(pieces, model.merges, exact) != definition:
        raise SpecError("subwords: definition must be as Grus writes it, with no other parts")
    return pieces, model.merges
