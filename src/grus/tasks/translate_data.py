"""From sentences and their translations to what a translator trains on, validates and is tested on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from grus.data.pairs import Pairs, drop_empty
from grus.data.stratify import split_rows
from grus.errors import DataError
from grus.inspection.wording import count, percent
from grus.preprocess.bpe_dropout import BPEDropout
from grus.preprocess.coder import Coder
from grus.preprocess.ragged import Ragged
from grus.preprocess.translate import VocabularyOptions, fit_vocabularies
from grus.spec import AnyStep, Subwords, Translate

#: Tokens of a sentence that are kept where ``max_length`` is not given.
MAX_LENGTH = 100


@dataclass(frozen=True)
class Coded:
    """Pairs as codes, each side with the end behind every sentence."""

    source: Ragged
    target: Ragged

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Prepared:
    """What a translator is trained from.

    Attributes:
        task, steps: the spec of all but the network.
        parts: the pairs by ``train``, ``validation`` and ``test``; train, val: the first two as codes.
        plan: which rows are which, in words.
        redraw: the training pairs in the pieces of a pass through them, by its number; None where they are always the
            same.
    """

    task: Translate
    steps: tuple[AnyStep, ...]
    parts: dict[str, Pairs]
    train: Coded
    val: Coded
    plan: list[str]
    redraw: Callable[[int], Coded] | None = None


def prepare(
    pairs: Pairs,
    validation: Pairs | None,
    *,
    val_size: float,
    test_size: float,
    seed: int,
    options: VocabularyOptions,
    max_length: int | None,
    length_penalty: float,
    bpe_dropout: float = 0.0,
) -> Prepared:
    """Set pairs aside, fit the vocabularies to the training pairs, and make codes of all.

    Pairs with an empty side are left out, and longer sentences than ``max_length`` cut; the plan says so.

    Raises:
        DataError: no pair is left to learn from.
    """
    plan = [f"source    {pairs.names[0]}", f"target    {pairs.names[1]}", *pairs.notes]
    full, lost = drop_empty(pairs)
    if not len(full):
        raise DataError(
            f"{pairs.origin}: expected pairs of sentences to learn from, got {len(pairs):,} with an empty side"
        )
    own, lost_too = (None, "") if validation is None else drop_empty(validation)
    split = split_rows([()] * len(full), val_size if own is None else 0, test_size, seed, pairs.origin)
    parts = {
        "train": full.take(split.train),
        "validation": full.take(split.val),
        "test": full.take(split.test),
    }
    if own is not None:
        parts["validation"] = own
    steps = fit_vocabularies(parts["train"].source, parts["train"].target, options)
    most = MAX_LENGTH if max_length is None else max_length
    task = Translate(*pairs.names, most, most, length_penalty)
    coders = [Coder(step, most) for step in task.vocabularies(steps)]
    train, cut = encode(parts["train"], coders)
    val, _ = encode(parts["validation"], coders)
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in parts.items() if len(part))
    plan += [f"pairs     {sizes}", *filter(None, (lost, lost_too)), *_vocabulary_plan(steps, coders, train)]
    if cut:
        plan.append(
            f"{count(cut, 'sentence')} of more than {most:,} tokens in training: the first {most:,} are read "
            "(max_length)"
        )
    redraw = _redrawing(parts["train"], coders, bpe_dropout, seed) if bpe_dropout else None
    return Prepared(task, steps, parts, train, val, plan, redraw)


def encode(pairs: Pairs, coders: list[Coder]) -> tuple[Coded, int]:
    """Pairs as codes, and how many sentences were cut."""
    sides, cut = [], 0
    for texts, coder in zip((pairs.source, pairs.target), coders, strict=True):
        tokens = coder.tokens(texts)
        cut += sum(len(some) > coder.most for some in tokens)
        sides.append(_closed([coder.codes(some) for some in tokens], coder.end))
    return Coded(sides[0], sides[1]), cut


def _closed(sentences: Sequence[np.ndarray], end: int) -> Ragged:
    """Codes of sentences, with the end behind each."""
    codes = [np.append(some, end) for some in sentences]
    offsets = np.concatenate(([0], np.cumsum([len(some) for some in codes], dtype=np.int64)))
    return Ragged({"tokens": np.concatenate([np.empty(0, np.int64), *codes])}, offsets)


def _redrawing(pairs: Pairs, coders: list[Coder], rate: float, seed: int) -> Callable[[int], Coded]:
    """A function of the number of a pass: the pairs as codes, with merges left out at random."""
    draws: list[BPEDropout] = []
    for texts, coder in zip((pairs.source, pairs.target), coders, strict=True):
        assert isinstance(coder.step, Subwords)
        draws.append(BPEDropout(texts, coder.step, rate))

    def redraw(turn: int) -> Coded:
        source, target = (
            _closed([codes[: coder.most] for codes in drawn.draw(seed, turn, side)], coder.end)
            for side, (drawn, coder) in enumerate(zip(draws, coders, strict=True))
        )
        return Coded(source, target)

    return redraw


def _vocabulary_plan(steps: tuple[AnyStep, ...], coders: list[Coder], train: Coded) -> list[str]:
    words = []
    for step, coder in zip(steps, coders):
        kind = (
            "pieces of words"
            if isinstance(step, Subwords)
            else "words"
            if getattr(step, "kind", "") == "word"
            else "characters"
        )
        side = getattr(step, "side", "")
        words.append(f"{coder.end - 1:,} {kind}" + (f" ({side})" if side else " for both sides"))
    lines = [f"tokens    {', '.join(words)}"]
    for side, coded in zip(("source", "target"), (train.source, train.target)):
        values = coded.ports["tokens"]
        unknown = int((np.asarray(values) == 0).sum())
        if unknown:
            lines.append(
                f"{percent(unknown / len(values))} of the {side}'s tokens occur too rarely to be known"
            )
    return lines
