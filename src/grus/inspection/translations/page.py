"""What stands on the page about a translator: sentences, tables and pictures, section by section."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grus.data.pairs import Pairs
from grus.decode.translation_scores import TranslationEvaluation
from grus.decode.translator import LiveTranslator, Translation
from grus.inspection import plots
from grus.inspection.page import Picture, describe_training, learning_curves
from grus.inspection.svg import to_svg
from grus.inspection.translations.plots import MOST, plot_attention
from grus.inspection.translations.wording import probability_sentence, translation_verdict
from grus.inspection.wording import count, duration, figure
from grus.spec import Model, Subwords, Translate, ops
from grus.training import History

#: Translations that are shown, and attention maps among them; how many characters of a text.
_SAMPLES, _MAPS, _CHARACTERS = 10, 3, 400
#: Sentences of so many tokens make a picture that can be read.
_READABLE = range(5, 19)
#: Hypotheses of the search for the pictures.
_BEAM = 5


@dataclass(frozen=True)
class Sample:
    """A sentence, its translation and what was wanted; ``same`` if they agree to the letter."""

    source: str
    translation: str
    reference: str
    same: bool


@dataclass(frozen=True)
class TranslatePage:
    """Everything the template needs, ready to print; see `translate_page`."""

    sentence: str
    headline: dict[str, str]
    facts: list[tuple[str, str]]
    tables: list[dict[str, object]]
    signatures: tuple[str, ...]
    samples: list[Sample]
    samples_sentence: str
    maps: list[Picture]
    maps_sentence: str
    learning: list[Picture]
    learning_sentence: str


def translate_page(
    parts: Mapping[str, Pairs],
    history: History,
    evaluations: Mapping[str, TranslationEvaluation],
    live: LiveTranslator,
) -> TranslatePage:
    """Gather the page of a translator; the first evaluation is the one that is shown from."""
    part, e = next(iter(evaluations.items()), ("", None))
    maps = [] if e is None else attention_maps(live, readable(live, e.sources))
    return TranslatePage(
        sentence=describe_translator(live.model),
        headline={} if e is None else headline(part, e),
        facts=facts(e, history, parts),
        tables=[score_table(name, found) for name, found in evaluations.items()],
        signatures=() if e is None else e.signatures,
        samples=[] if e is None else samples(e),
        samples_sentence="" if e is None else samples_sentence(part, e),
        maps=maps,
        maps_sentence=ATTENTION_SENTENCE if maps else "",
        learning=learning_curves(history, "loss of a token"),
        learning_sentence=describe_training(history, "pairs"),
    )


ATTENTION_SENTENCE = (
    "A row is a token of the translation, a column one of the source; the deeper a cell, the more of its attention "
    "the token had there (numbers are percent, a row adds up to 100). A piece with a dot before it goes on with a word."
)


def describe_translator(model: Model) -> str:
    """One sentence: what reads what, what looks at it, and what it writes."""
    task = model.task_as(Translate)
    encoder = next(node.op for node in model.parts["encode"].nodes if isinstance(node.op, ops.Recurrent))
    decoder = next(node.op for node in model.parts["decode"].nodes if isinstance(node.op, ops.AttentiveGRU))
    weights = sum(
        int(np.prod(shape))
        for name, (_, shape) in model.tensors().items()
        if not name.startswith("preprocess.")
    )
    layers = f", {count(encoder.layers, 'layer')}" if encoder.layers > 1 else ""
    both = "bidirectional " if encoder.bidirectional else ""
    steps = task.vocabularies(model.preprocess)
    unit = (
        "pieces of words"
        if isinstance(steps[0], Subwords)
        else f"{steps[0].kind}s".replace("chars", "characters")
    )
    return (
        f"A {both}{encoder.title} ({encoder.hidden} units{layers}) reads up to {task.max_source:,} {unit} of "
        f"{task.source}, and a GRU of {decoder.hidden} units writes {task.target} while it looks at what was read "
        f"({decoder.form} decoder, {decoder.score} attention; {weights:,} weights in all)."
    )


def headline(part: str, e: TranslationEvaluation) -> dict[str, str]:
    """The figure that matters, what it is relative to, and what it was measured on."""
    caveat = {
        "test": "Neither training nor the choice of the best epoch has seen these pairs.",
        "validation": "These pairs also chose the best epoch; fit with --test-size for figures on pairs that nothing "
        "has seen.",
    }.get(part, "")
    return {
        "big": figure(e.bleu, 3),
        "small": f"BLEU by greedy search; copying the source gives {figure(e.copied, 3)}",
        "where": f"{part.capitalize()}: {count(e.n, 'sentence')}. {caveat}",
    }


def facts(
    e: TranslationEvaluation | None, history: History, parts: Mapping[str, Pairs]
) -> list[tuple[str, str]]:
    """A few figures for the first glance: (name, value)."""
    found = []
    if e is not None:
        found = [("chrF", figure(e.chrf, 3)), ("perplexity of a token", figure(e.perplexity, 3))]
    if "train" in parts:
        found.append(("pairs to learn from", f"{len(parts['train']):,}"))
    return [*found, ("of training", duration(history.seconds))]


def score_table(part: str, e: TranslationEvaluation) -> dict[str, object]:
    """Scores of the translations and of copying as text; the bar shows BLEU."""
    rows = [
        {
            "name": "translations",
            "bleu": figure(e.bleu, 3),
            "bar": f"{e.bleu:.1f}",
            "chrf": figure(e.chrf, 3),
        },
        {"name": "copied sources", "bleu": figure(e.copied, 3), "bar": f"{e.copied:.1f}", "chrf": ""},
    ]
    said = f"{count(e.n, 'sentence')}; {translation_verdict(e)}; {probability_sentence(e)}."
    return {"part": part, "caption": said, "rows": rows}


def samples(e: TranslationEvaluation) -> list[Sample]:
    """Sentences from all over the set, in its order."""
    rows = np.unique(np.linspace(0, e.n - 1, min(_SAMPLES, e.n)).astype(int))
    return [
        Sample(*map(_short, texts), same=texts[1] == texts[2])
        for texts in ((e.sources[row], e.translations[row], e.references[row]) for row in rows)
    ]


def samples_sentence(part: str, e: TranslationEvaluation) -> str:
    """Where the samples are from, and how many translations are the reference itself."""
    same = sum(mine == theirs for mine, theirs in zip(e.translations, e.references))
    return (
        f"Spread over the {part} pairs, not chosen; {count(same, 'translation')} of {e.n:,} "
        f"{'is' if same == 1 else 'are'} the reference to the letter."
    )


def readable(live: LiveTranslator, sources: Sequence[str]) -> list[str]:
    """A few sentences short enough for a picture, from all over a set."""
    tokens = live.source.tokens(list(sources))
    fit = [text for text, some in zip(sources, tokens) if len(some) in _READABLE]
    if not fit:
        return []
    rows = np.unique(np.linspace(0, len(fit) - 1, min(_MAPS, len(fit))).astype(int))
    return [fit[row] for row in rows]


def attention_maps(live: LiveTranslator, sources: Sequence[str]) -> list[Picture]:
    """A picture of each sentence's translation."""
    found = live.translate(list(sources), n_best=1, beam=_BEAM)
    return [
        attention_picture(live, best[0], f"attention{n}") for n, best in enumerate(found) if best[0].tokens
    ]


def attention_picture(live: LiveTranslator, found: Translation, name: str) -> Picture:
    """The attention of one translation, the ends included."""
    source, target = live.source.shown(found.source_tokens), live.target.shown(found.tokens)
    ax = plot_attention(found.attention, [*source, "(end)"], [*target, "(end)"])
    svg = to_svg(plots.figure_of(ax), name, f"What each token of “{found.text}” looked at in the source")
    more = max(len(source), len(target)) + 1 - MOST
    caption = f"The first {MOST} tokens of each side." if more > 0 else ""
    width = f"{72 * plots.figure_of(ax).get_figwidth():.0f}pt"
    return Picture(svg, title=found.text, caption=caption, width=width)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CHARACTERS else text[:_CHARACTERS].rstrip() + "…"
