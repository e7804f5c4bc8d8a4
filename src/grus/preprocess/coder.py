"""One language's texts to codes and back: what a translator reads and writes.

White space counts as one space between words, and the ends of a text do not count. How a text is cut is the step's
affair; put together again, pieces and characters give the text as it was cut, and words stand as people write them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from grus.preprocess.subwords import piece_coder, spell_pieces
from grus.preprocess.text import clean, split
from grus.spec import Subwords, Vocabulary

#: What stands for a token that is not known, where nothing better is known either.
UNKNOWN = "<unk>"

_CLOSING = frozenset(".,;:!?%)]}»”…")
_OPENING = frozenset("([{«„$£")
_CONTRACTIONS = frozenset(["n't", "'s", "'m", "'d", "'re", "'ve", "'ll"])


class Coder:
    """A vocabulary in use.

    Args:
        step: the vocabulary.
        most: how many tokens of a text are kept.

    Attributes:
        end: the code that follows the vocabulary's own: it closes every sentence.
        knows_all: whether there is no token that it does not know, as with pieces of words.
    """

    def __init__(self, step: Vocabulary | Subwords, most: int) -> None:
        self.step, self.most = step, most
        self.end = step.port().size
        self.knows_all = isinstance(step, Subwords)
        self._cut: Callable[[list[str]], list[list[str]]]
        if isinstance(step, Subwords):
            self._cut, numbers = piece_coder(step)
            self._tokens = ("", *sorted(numbers, key=numbers.__getitem__))
        else:
            kind = step.kind
            self._cut = lambda texts: [split(text, kind) for text in texts]
            self._tokens = (UNKNOWN, *step.tokens)
        self._codes = {token: code for code, token in enumerate(self._tokens) if code}

    def tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """All tokens of each text, as the vocabulary spells them."""
        return self._cut([" ".join(clean(text, self.step.lower).split()) for text in texts])

    def codes(self, tokens: Sequence[str]) -> np.ndarray:
        """Codes int64 of the first tokens that are kept; 0 for one that is not known. The end is not among them."""
        kept = tokens[: self.most]
        return np.fromiter((self._codes.get(token, 0) for token in kept), np.int64, len(kept))

    def spell(self, codes: Sequence[int] | np.ndarray) -> list[str]:
        """The tokens of some codes; the end is not one of them."""
        return [self._tokens[code] for code in codes]

    def join(self, tokens: Sequence[str]) -> str:
        """A text of its tokens."""
        if isinstance(self.step, Subwords):
            return spell_pieces(tokens).strip()
        return "".join(tokens) if self.step.kind == "char" else join_words(tokens)

    def words(self, tokens: Sequence[str]) -> np.ndarray:
        """Which word each token belongs to, int64, from 0: pieces to the word that they are of, others alone."""
        if not isinstance(self.step, Subwords):
            return np.arange(len(tokens))
        begins = np.array([token.startswith("Ġ") for token in tokens], np.int64)
        return np.maximum(np.cumsum(begins) - 1, 0)

    def shown(self, tokens: Sequence[str]) -> list[str]:
        """Tokens for people: of pieces, those that go on with a word begin with a dot."""
        if not isinstance(self.step, Subwords):
            return list(tokens)
        spelled = ((token, spell_pieces([token])) for token in tokens)
        return [text[1:] or "␣" if token.startswith("Ġ") else f"·{text}" for token, text in spelled]


def join_words(tokens: Sequence[str]) -> str:
    """Words and marks as people write them: ``['do', "n't", 'go', ',', '"', 'he', '"', 'said']``.

    Marks that close stand at the word before, marks that open at the one after; a hyphen between words joins them, and
    of straight quotes every other one opens.
    """
    out, glue, quoted = "", True, {'"': False, "'": False}
    for number, token in enumerate(tokens):
        before = tokens[number - 1] if number else ""
        after = tokens[number + 1] if number + 1 < len(tokens) else ""
        hyphen = token == "-" and before.isalnum() and after.isalnum()
        closes = (token[:1] in _CLOSING and not token.isalnum()) or token.lower() in _CONTRACTIONS or hyphen
        opens = token in _OPENING or hyphen
        if token in quoted:
            closes, opens = quoted[token], not quoted[token]
            quoted[token] = not quoted[token]
        out += token if glue or closes else f" {token}"
        glue = opens
    return out
