"""From text to what a language model trains on, validates and is tested on: parts by position, codes on disk."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from grus.data.text_files import TextSource, read_source, read_tokens
from grus.decode.language_scores import Pairs, count_codes
from grus.errors import DataError
from grus.inspection.wording import count, percent
from grus.preprocess.language import TextCodec, Tokenizer, fit_text_step
from grus.preprocess.tokens import Tokens
from grus.spec import AnyStep, Generate, Port
from grus.spec.generate import MOST_PAIRS

#: Characters within which a line is looked for to begin a part with, or a hundredth of the text.
_NEAR = 1000
#: Tokens of a text whose pairs are counted for the report at most.
_MOST_TOKENS = 1 << 27


@dataclass(frozen=True)
class Prepared:
    """What a language model is trained from.

    Attributes:
        task, steps: the spec of all but the network; arrays: their numbers, by the names of the model file.
        port: the network's input.
        train, val, test: the tokens of each part; the last two may have none.
        pairs: how often each token follows each in training, if these were counted.
        plan: what was read and how it was cut, in words.
    """

    task: Generate
    steps: tuple[AnyStep, ...]
    arrays: dict[str, np.ndarray]
    port: Port
    train: Tokens
    val: Tokens
    test: Tokens
    pairs: Pairs | None
    plan: list[str]


@dataclass(frozen=True)
class TextOptions:
    """How text is divided and cut; see `grus.LanguageModel`."""

    tokenizer: Tokenizer
    vocabulary_size: int
    min_count: int | None
    lower: bool
    val_size: float
    test_size: float


def prepare_text(data: Any, validation: Any, test: Any, options: TextOptions) -> Prepared:
    """Read a text, learn its vocabulary from the training part, and make tokens of all parts.

    Args:
        data, validation, test: see `read_source`; the last two may be None, then parts of ``data`` are taken.
        options: how.

    Raises:
        DataError: no text to learn from.
    """
    sources, total = _divide(read_source(data), validation, test, options)
    step = fit_text_step(
        sources["train"].pieces(), options.tokenizer, size=options.vocabulary_size, min_count=options.min_count,
        lower=options.lower,
    )  # fmt: skip
    codec = TextCodec(step)
    none = Tokens(np.empty(0, np.int32))
    tokens = {part: read_tokens(source, codec) for part, source in sources.items()}
    train, val, found = (tokens.get(part, none) for part in ("train", "validate", "test"))
    small = codec.size <= MOST_PAIRS
    pairs = Pairs.of(train.codes, codec.begin, codec.size) if len(train) <= _MOST_TOKENS else None
    task = Generate("text", codec.size, codec.begin, small and pairs is not None)
    arrays = {"task.unigram": count_codes(train.codes, codec.size)}
    if task.pairs and pairs is not None:
        arrays["task.bigram"] = pairs.table()
    plan = _plan(sources, tokens, codec, options, total)
    return Prepared(task, (step,), arrays, step.port(), train, val, found, pairs, plan)


def _divide(
    source: TextSource, validation: Any, test: Any, options: TextOptions
) -> tuple[dict[str, TextSource], int]:
    """The sources of the parts, and the characters of ``source``.

    Parts follow each other in the text. Words and pieces are cut line by line, so a part of them begins with a line, or
    where there are none near, with a word.
    """
    total = source.characters()
    sizes = [0 if given is not None else _size(share, total) for given, share in
             ((validation, options.val_size), (test, options.test_size))]  # fmt: skip
    ends = [total - sum(sizes), total - sizes[1], total]
    if options.tokenizer != "char":
        near = max(_NEAR, total // 100)
        ends = [source.cut_after(end, near) if 0 < end < total else end for end in ends]
    if ends[0] <= 0:
        raise DataError(
            f"{source.name}: expected text to learn from, but validation and test take all {total:,} characters",
            hint="make --val-size and --test-size smaller",
        )
    parts = {"train": source.part(0, ends[0])}
    for name, given, begin, end in (
        ("validate", validation, ends[0], ends[1]),
        ("test", test, ends[1], ends[2]),
    ):
        if given is not None:
            parts[name] = read_source(given)
        elif begin < end:
            parts[name] = source.part(begin, end)
    return parts, total


def _size(size: float, total: int) -> int:
    """A share of the characters, or a number of them; rounded up, so that training is rounded down."""
    return int(size) if size >= 1 else total - int(total * (1 - size))


def _plan(
    sources: dict[str, TextSource],
    tokens: dict[str, Tokens],
    codec: TextCodec,
    options: TextOptions,
    total: int,
) -> list[str]:
    source = sources["train"]
    files = f" in {count(len(source.files), 'file')}" if len(source.files) > 1 else ""
    case = ", in lower case" if options.lower else ""
    lines = [
        f"text      {source.name}{files}: {count(total, 'character')}",
        f"tokens    {codec.unit}s, {codec.size - 1:,} known{case}",
        "parts     " + ", ".join(f"{len(found):,} tokens {part}" for part, found in tokens.items()),
    ]
    for part, found in tokens.items():
        if found.unknown:
            share = percent(found.unknown / len(found), 2)
            lines.append(f"unknown   {found.unknown:,} of the tokens of {part} ({share})")
    own = [f"{part} {other.name}" for part, other in sources.items() if other.name != source.name]
    return [*lines, *([f"files     {', '.join(own)}"] if own else [])]
