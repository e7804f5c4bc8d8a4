"""Streams of tokens, whatever they stand for: codes in one flat array on disk, since they may be larger than memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from grus.preprocess.storage import append, nameless


class Encoded(NamedTuple):
    """Codes int32 [T], and how many of them stand for what is not known."""

    codes: np.ndarray
    unknown: int


@dataclass(frozen=True)
class Tokens:
    """A stream of tokens.

    Attributes:
        codes: int32 [N], in memory or mapped from a nameless file.
        unknown: how many of them stand for what is not known.
        characters: of the text that they were made of; 0 if it was none.
    """

    codes: np.ndarray
    unknown: int = 0
    characters: int = 0

    def __len__(self) -> int:
        return len(self.codes)


def spool(encoded: Iterable[Encoded]) -> Tokens:
    """Put codes on disk as they come, so that no more than a block of them is in memory."""
    rows = unknown = 0
    with nameless() as file:
        for some in encoded:
            append(file, some.codes.astype(np.int32, copy=False))
            rows, unknown = rows + len(some.codes), unknown + some.unknown
        codes = np.memmap(file, np.int32, "r", shape=(rows,)) if rows else np.empty(0, np.int32)
    return Tokens(codes, unknown)
