"""``grus inspect`` of a translator: one sentence, what its translation looked at, and how sure each token was."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grus.artifact import write_file
from grus.decode.translator import LiveTranslator, Translation
from grus.errors import UsageError
from grus.inspection.page import Picture
from grus.inspection.render import render
from grus.inspection.translations.page import ATTENTION_SENTENCE, attention_picture, describe_translator
from grus.inspection.wording import count, figure, percent

#: Hypotheses of the search, all of which are listed.
_BEAM = 5


@dataclass(frozen=True)
class Look:
    """One sentence and its translations.

    Attributes:
        row: its number, from 1; source: the sentence.
        translations: the best first.
        log_probabilities: of each token of the best and of its end, float64 [T + 1].
    """

    row: int
    source: str
    translations: list[Translation]
    log_probabilities: np.ndarray

    @property
    def best(self) -> Translation:
        """The best translation."""
        return self.translations[0]


@dataclass(frozen=True)
class LookPage:
    """Everything the template needs, ready to print."""

    sentence: str
    row: str
    source: str
    answer: str
    facts: list[tuple[str, str]]
    map: Picture | None
    maps_sentence: str
    words: list[tuple[str, str, str]]
    words_sentence: str
    tokens: list[tuple[str, str, str]]
    tokens_sentence: str
    others: list[tuple[str, str, str]]
    penalty: str


def look(live: LiveTranslator, sources: list[str], row: int | None) -> Look:
    """Translate one of some sentences, by number from 1; None: the first that holds something.

    Raises:
        UsageError: there is no such sentence, or it is empty.
    """
    full = [number for number, text in enumerate(sources, start=1) if text.strip()]
    if row is not None and not 1 <= row <= len(sources):
        raise UsageError(f"--row must be from 1 to {len(sources):,}, got {row:,}")
    if not full or (row is not None and row not in full):
        raise UsageError(f"row {row or 1:,}: expected a sentence to translate, got an empty line")
    number = full[0] if row is None else row
    source = sources[number - 1]
    found = live.translate([source], n_best=_BEAM, beam=_BEAM)[0]
    return Look(number, source, found, live.log_probabilities([source], [found[0].tokens])[0])


def look_dict(found: Look, live: LiveTranslator) -> dict[str, Any]:
    """A look as plain data."""
    best = found.best
    return {
        "row": found.row,
        "source": found.source,
        "translation": best.text,
        "score": best.score,
        "log_probability": best.log_probability,
        "source_tokens": live.source.shown(best.source_tokens),
        "tokens": live.target.shown(best.tokens),
        "log_probabilities": found.log_probabilities.tolist(),
        "attention": best.attention.tolist(),
        "alignment": [list(pair) for pair in best.alignment],
        "others": [{"text": one.text, "score": one.score} for one in found.translations[1:]],
    }


def describe_look(found: Look) -> list[str]:
    """The answer, and where it was least sure, for the terminal."""
    return [f"{found.source} -> {found.best.text}", doubt_sentence(found)]


def doubt_sentence(found: Look) -> str:
    """How sure the translation is, and at which token it is least so."""
    mean, least = (
        float(np.exp(value)) for value in (found.log_probabilities.mean(), found.log_probabilities.min())
    )
    return f"A token has a probability of {percent(mean)} (geometric mean), the least sure {percent(least)}."


def look_page(found: Look, live: LiveTranslator) -> LookPage:
    """Gather the page of one sentence."""
    best = found.best
    chance = np.exp(found.log_probabilities)
    shown = [*live.target.shown(best.tokens), "(end)"]
    return LookPage(
        sentence=describe_translator(live.model),
        row=f"Row {found.row:,}",
        source=found.source,
        answer=best.text or "(nothing)",
        facts=[
            ("tokens read", f"{len(best.source_tokens):,}"),
            ("tokens written", f"{len(best.tokens):,}"),
            ("score", figure(best.score, 3)),
            ("log p", figure(best.log_probability, 3)),
        ],
        map=attention_picture(live, best, "attention"),
        maps_sentence=ATTENTION_SENTENCE,
        words=_words(best, live),
        words_sentence=f"{count(len(best.alignment), 'word')} of the translation, each beside the word of the source "
        "that its tokens looked at most, with what share of their attention.",
        tokens=[(name, percent(float(p)), f"{100 * p:.1f}") for name, p in zip(shown, chance)],
        tokens_sentence=f"How probable each token was after those before it. {doubt_sentence(found)}",
        others=[
            (one.text or "(nothing)", figure(one.score, 3), figure(one.log_probability, 3))
            for one in found.translations
        ],
        penalty=f"{live.task.length_penalty:g}",
    )


def _words(best: Translation, live: LiveTranslator) -> list[tuple[str, str, str]]:
    """Each word of the translation, the word it looked at most, and how much."""
    rows = []
    source, target = live.source.words(best.source_tokens), live.target.words(best.tokens)
    sides = ((live.source, best.source_tokens, source), (live.target, best.tokens, target))
    names = [
        [
            coder.join([t for t, w in zip(tokens, words) if w == n])
            for n in range(int(words.max(initial=-1)) + 1)
        ]
        for coder, tokens, words in sides
    ]
    for read, written in best.alignment:
        part = best.attention[: len(target)][target == written][:, : len(source)][:, source == read]
        rows.append((names[1][written], names[0][read], percent(float(part.sum(axis=1).mean()))))
    return rows


def write_look(path: Path, found: Look, live: LiveTranslator, *, title: str, command: str) -> None:
    """Write the page; ``path`` is replaced."""
    page = look_page(found, live)
    write_file(path, render("attention.html.j2", title=title, command=command, page=page).encode())
