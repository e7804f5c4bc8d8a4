"""Texts as streams of codes and back: what a language model of text reads and writes.

Text is cut in one of four ways. ``char``: every code point, line ends too. ``word``: the words of
`grus.preprocess.text`. ``space``: what stands between blanks, for text that is cut already. ``bpe``: byte-level pieces.
For the last three a text is cut line by line, so that its codes do not depend on the blocks in which it is read; a line
of more than `LONGEST` characters is cut there. For words, the end of a line is a token of its own.
"""

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Literal, Protocol, cast

import numpy as np

from grus.errors import DataError, SpecError
from grus.preprocess.subwords import encode_subwords, fit_subwords
from grus.preprocess.text import clean, most_frequent, split
from grus.preprocess.tokens import Encoded
from grus.spec import Subwords, Vocabulary

Tokenizer = Literal["char", "word", "space", "bpe"]

LINE_END = "\n"
#: What text that was prepared for a vocabulary writes for a word outside it.
UNKNOWN = "<unk>"
#: Characters of a line that are cut into tokens at once.
LONGEST = 1 << 20
_SHOWN = "\ufffd"


class Writer(Protocol):
    """Turns codes into text as they come."""

    def __call__(self, code: int) -> str:
        """The text that is complete with this code."""
        ...


def fit_text_step(
    pieces: Iterable[str],
    tokenizer: Tokenizer,
    *,
    size: int,
    min_count: int | None = None,
    lower: bool = False,
) -> Vocabulary | Subwords:
    """Learn what a language model knows from the text that it is trained on.

    Args:
        pieces: the text, in pieces that need not end where lines end.
        tokenizer: how the text is cut.
        size: the most characters, words or pieces known.
        min_count: how often one must occur to be known. None: once for characters, and for words where the text itself
            has ``<unk>`` for the others; else twice, so that those that occur once teach what an unknown one is.
        lower: put the text in lower case.

    Raises:
        DataError: nothing is left to be known.
        MissingExtraError: ``bpe`` without the library.
    """
    if tokenizer == "bpe":
        return fit_subwords(lines(pieces), lower=lower, size=size, min_count=min_count or 2, exact=True)
    kind: Literal["char", "word"] = "char" if tokenizer == "char" else "word"
    probe = Vocabulary(kind, lower, (), exact=tokenizer != "word")
    counts: Counter[str] = Counter()
    for piece in pieces if kind == "char" else lines(pieces):
        counts.update(_cut(piece, probe))
    least = min_count or (1 if kind == "char" or UNKNOWN in counts else 2)
    return Vocabulary(kind, lower, most_frequent(counts, kind, size, least), probe.exact)


def lines(pieces: Iterable[str]) -> Iterator[str]:
    """The lines of a text with their ends, however it was cut into pieces; a long one in parts of `LONGEST`."""
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split(LINE_END)
        for line in whole:
            yield from _parts(line + LINE_END)
        while len(rest) > LONGEST:
            yield rest[:LONGEST]
            rest = rest[LONGEST:]
    if rest:
        yield rest


def _parts(line: str) -> Iterator[str]:
    for begin in range(0, len(line), LONGEST):
        yield line[begin : begin + LONGEST]


def _cut(text: str, step: Vocabulary) -> list[str]:
    """The tokens of a line, or of any text where they are characters."""
    lowered = text.lower() if step.lower else text
    if step.kind == "char":
        return list(lowered)
    found = lowered.split() if step.exact else split(clean(text, step.lower), "word")
    return [*found, LINE_END] if text.endswith(LINE_END) else found


class TextCodec:
    """Text to codes and back, by a fitted step.

    Args:
        step: a Vocabulary, or Subwords that are exact.

    Raises:
        SpecError: pieces that are no bytes.
    """

    def __init__(self, step: Vocabulary | Subwords) -> None:
        self.step = step
        if isinstance(step, Vocabulary):
            self.tokens = step.tokens
            self._code = {token: number + 1 for number, token in enumerate(step.tokens)}
        else:
            self.tokens = step.pieces()
            self._bytes = [_piece_bytes(piece) for piece in self.tokens]
        self.size = len(self.tokens) + 1
        if isinstance(step, Vocabulary):
            self._unknown = self._code.get(UNKNOWN, 0) if step.kind == "word" else 0
            self.begin = self._code.get(LINE_END, 0)
        else:
            self.begin = next((n + 1 for n, piece in enumerate(self._bytes) if piece == b"\n"), 0)

    @property
    def unit(self) -> str:
        """What a code stands for: character, word or piece."""
        return (
            "piece" if isinstance(self.step, Subwords) else {"char": "character"}.get(self.step.kind, "word")
        )

    def encode(self, text: str) -> Encoded:
        """The codes of a text; 0, or that of ``<unk>``, for what is not known."""
        parts = list(self.encode_pieces([text]))
        codes = [part.codes for part in parts]
        whole = np.concatenate(codes) if codes else np.empty(0, np.int32)
        return Encoded(whole, sum(part.unknown for part in parts))

    def encode_pieces(self, pieces: Iterable[str]) -> Iterator[Encoded]:
        """The codes of a text in pieces, the same however it was cut."""
        if isinstance(self.step, Subwords):
            for some in _batches(lines(pieces)):
                yield Encoded(np.concatenate(list(encode_subwords(some, self.step))), 0)
        elif self.step.kind == "char":
            for piece in pieces:
                codes = self._characters(piece.lower() if self.step.lower else piece)
                yield Encoded(codes, int((codes == 0).sum()))
        else:
            for some in _batches(lines(pieces)):
                found = [self._code.get(token, 0) for line in some for token in _cut(line, self.step)]
                codes = np.array(found, np.int32)
                missing = codes == 0
                yield Encoded(np.where(missing, np.int32(self._unknown), codes), int(missing.sum()))

    def first_unknown(self, text: str) -> tuple[int, str] | None:
        """Which token of a text is the first that is not known: its place among them, from 1, and the token."""
        if isinstance(self.step, Subwords):
            return None
        tokens = [token for line in lines([text]) for token in _cut(line, self.step)]
        return next(((n + 1, token) for n, token in enumerate(tokens) if token not in self._code), None)

    def decode(self, codes: Iterable[int]) -> str:
        """The text of some codes, from the beginning of a text."""
        writer = self.writer()
        return "".join(map(writer, codes))

    def spell(self, code: int) -> str:
        """One code by itself, for people."""
        if not 0 < code < self.size:
            return UNKNOWN
        if isinstance(self.step, Subwords):
            return self._bytes[code - 1].decode("utf-8", "replace")
        return self.tokens[code - 1]

    def writer(self, before: Sequence[int] = ()) -> Writer:
        """A writer that goes on after the codes ``before``, of which the last few are enough."""
        if isinstance(self.step, Subwords):
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            write: Writer = lambda code: decoder.decode(self._bytes[code - 1] if code else b"?")  # noqa: E731
        elif self.step.kind == "char":
            shown = (_SHOWN, *self.tokens)
            return cast(Writer, shown.__getitem__)  # twice as fast as a function around it
        else:
            write = self._words()
        for code in before:
            write(code)
        return write

    def _words(self) -> Writer:
        """Words with a blank between them, but for the ends of lines."""
        shown, open_ = (UNKNOWN, *self.tokens), False

        def write(code: int) -> str:
            nonlocal open_
            word, blank = shown[code], " " if open_ else ""
            open_ = word != LINE_END
            return blank + word if open_ else word

        return write

    def _characters(self, text: str) -> np.ndarray:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        return self._table[np.minimum(points, len(self._table) - 1)]

    @cached_property
    def _table(self) -> np.ndarray:
        """The code of every code point up to the greatest that is known; after it one that is not."""
        points = np.array([ord(token) for token in self.tokens], np.int64)
        table = np.zeros(points.max(initial=0) + 2, np.int32)
        table[points] = np.arange(1, len(points) + 1)
        return table


def _batches(found: Iterator[str], size: int = 4096) -> Iterator[list[str]]:
    some: list[str] = []
    for line in found:
        some.append(line)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _letters() -> dict[str, int]:
    """The letter of each byte in pieces (Radford et al. 2019): itself where it is printable, else one from 256 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}


_BYTES = _letters()


def _piece_bytes(piece: str) -> bytes:
    try:
        return bytes(_BYTES[letter] for letter in piece)
    except KeyError as error:
        raise SpecError(
            f"subwords: a piece must be made of the letters of bytes, got {error.args[0]!r}"
        ) from None


def check_known(codec: TextCodec, text: str, where: str) -> None:
    """Raise DataError, naming the first, if a text holds what a model does not know."""
    found = codec.first_unknown(text)
    if found is not None:
        place, token = found
        known = f"the {codec.size - 1:,} {codec.unit}s the model knows"
        raise DataError(
            f"{where}, {codec.unit} {place:,}: {token!r} is not among {known}",
            hint="write it otherwise, or let it stand for an unknown one (--unknown map)",
        )
