"""A trained translator without torch: sentences in, translations out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from grus.decode.translation_scores import TranslationEvaluation, evaluate_translations
from grus.decode.translation_search import (
    Decoder,
    Hypothesis,
    Memory,
    Search,
    beam_search,
    decode_inputs,
    normaliser,
)
from grus.errors import DataError, UsageError
from grus.kernels.native import limit_threads, num_threads
from grus.preprocess.coder import UNKNOWN, Coder
from grus.runtime import Program
from grus.spec import Model, Translate

#: Sentences that are searched together at most; more of them are no faster, as the weights stay in the cache anyway.
BATCH = 64
#: Batches for each thread where that does not make them smaller than so many sentences: with few batches some threads
#: have nothing to do at the end.
_EACH, _FEW = 4, 16


@dataclass(frozen=True)
class Translation:
    """One translation of a sentence.

    Attributes:
        text: as people write it.
        score: log p(y) / |y|^a, by which translations are ranked; log_probability: log p(y), the end included.
        tokens, source_tokens: what was put out and what was read, as the vocabularies spell them.
        attention: float32 [tokens + 1, source tokens + 1]: what each token looked at; the last of both is the end.
        alignment: pairs (source word, word of the translation), counted from 0: what each word looked at most.
    """

    text: str
    score: float
    log_probability: float
    tokens: tuple[str, ...] = ()
    source_tokens: tuple[str, ...] = ()
    attention: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    alignment: tuple[tuple[int, int], ...] = ()


class LiveTranslator:
    """What ``grus.load`` returns for a translator; also what the estimator itself translates with.

    Args:
        model: the spec.
        tensors: its numbers, by the names of the model file.
        precision: what the network's matrices are kept as, ``"float32"``, ``"bf16"`` or ``"int8"``: see
            `grus.runtime.Program`.

    Raises:
        MissingExtraError: its texts are cut by the library tokenizers, which is not installed.
    """

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], precision: str = "float32") -> None:
        self.model = model
        self.task = model.task_as(Translate)
        steps = self.task.vocabularies(model.preprocess)
        self.source, self.target = (
            Coder(step, most)
            for step, most in zip(steps, (self.task.max_source, self.task.max_target), strict=True)
        )
        self._encoder, self._decoder = (
            Program(model.parts[part], model.part_tensors(part, tensors), precision)
            for part in ("encode", "decode")
        )
        self._search_decoder = Decoder(self._decoder)

    @overload
    def translate(
        self, sentences: Sequence[str], *, n_best: None = None, beam: int = 5, length_penalty: float | None = None,
        max_length: int | None = None, copy_unknown: bool = True,
    ) -> list[str]: ...  # fmt: skip

    @overload
    def translate(
        self, sentences: Sequence[str], *, n_best: int, beam: int = 5, length_penalty: float | None = None,
        max_length: int | None = None, copy_unknown: bool = True,
    ) -> list[list[Translation]]: ...  # fmt: skip

    def translate(
        self,
        sentences: Sequence[str],
        *,
        n_best: int | None = None,
        beam: int = 5,
        length_penalty: float | None = None,
        max_length: int | None = None,
        copy_unknown: bool = True,
    ) -> Any:
        """Translate sentences by beam search, many at once.

        Args:
            sentences: texts; an empty one is translated by an empty one. Of a long one the first ``task.max_source``
                tokens are read, see `cut`.
            n_best: how many translations of each, at most ``beam``, with scores, attention and alignments; None: the
                best one's text alone.
            beam: hypotheses kept; 1 is greedy search.
            length_penalty: a of the score log p(y) / |y|^a; None: the model's own.
            max_length: most tokens of a translation; None: twice those of its source and 20, at most
                ``task.max_target``.
            copy_unknown: put the source word that it looked at most in the place of an unknown word.

        Returns:
            Texts; with ``n_best`` a list of `Translation` for each sentence, the best first.

        Raises:
            UsageError: a setting that cannot be used; DataError: a sentence that is no text.
        """
        count = 1 if n_best is None else n_best
        how = self._search(beam, length_penalty, count)
        if max_length is not None and not _whole(max_length, 1):
            raise UsageError(f"max_length must be a whole number of at least 1, got {max_length!r}")
        tokens = self.source.tokens(_texts(sentences, "sentences"))
        found: list[list[Translation]] = [[Translation("", 0.0, 0.0)] for _ in tokens]
        full = np.array([row for row, some in enumerate(tokens) if some], np.int64)
        lengths = np.array([min(len(tokens[row]), self.source.most) for row in full], np.int64)
        limits = 2 * lengths + 20 if max_length is None else np.full(len(full), max_length)
        limits = np.minimum(limits, self.target.most)
        order = np.argsort(-lengths, kind="stable")
        size = min(BATCH, max(_FEW, -(-len(order) // (_EACH * num_threads()))))
        parts = [order[begin : begin + size] for begin in range(0, len(order), size)]

        def search(some: np.ndarray) -> list[list[Hypothesis]]:
            return beam_search(
                self._search_decoder, self.encode([tokens[r] for r in full[some]]), limits[some], how
            )

        for some, made in zip(parts, self._each(search, parts)):
            for row, hypotheses in zip(full[some], made, strict=True):
                read = tokens[row][: self.source.most]
                found[row] = self._translations(hypotheses, read, n_best, copy_unknown)
        return [best[0].text for best in found] if n_best is None else found

    def score(self, sources: Sequence[str], targets: Sequence[Any]) -> np.ndarray:
        """log p(target | source) of given translations, the end included, float64 [R].

        Args:
            sources: texts.
            targets: texts; or sequences of tokens, such as `Translation.tokens`.

        Raises:
            DataError: not as many targets as sources, or something that is no text.
        """
        return np.array([row.sum() for row in self.log_probabilities(sources, targets)], np.float64)

    def log_probabilities(self, sources: Sequence[str], targets: Sequence[Any]) -> list[np.ndarray]:
        """log p of each token of given translations and their ends, float64 [tokens + 1] each; see `score`."""
        if len(sources) != len(targets):
            raise DataError(f"targets: must be as many as the sources, {len(sources)}, got {len(targets)}")
        read = self.source.tokens(_texts(sources, "sources"))
        texts = [target for target in targets if isinstance(target, str)]
        cut = iter(self.target.tokens(texts))
        written = [self.target.codes(next(cut) if isinstance(one, str) else list(one)) for one in targets]
        out: list[np.ndarray] = [np.empty(0)] * len(read)
        order = np.argsort([len(codes) for codes in written], kind="stable")
        for begin in range(0, len(order), BATCH):
            some = order[begin : begin + BATCH]
            for row, values in zip(some, self._forced([read[r] for r in some], [written[r] for r in some])):
                out[row] = values
        return out

    def evaluate(
        self, sources: Sequence[str], targets: Sequence[str], **options: Any
    ) -> TranslationEvaluation:
        """Translate, and score the translations by given ones.

        Args:
            sources, targets: as many texts each, at least one.
            options: of `translate`; greedy search (``beam=1``) is several times as fast.

        Raises:
            DataError: not as many targets as sources, or none. MissingExtraError: sacrebleu is not installed.
        """
        if not len(sources):
            raise DataError("sources: expected texts to translate, got none")
        found = self.log_probabilities(sources, targets)
        translations = self.translate(sources, **options)
        return evaluate_translations(sources, targets, translations, found, self.target.step.lower)

    def cut(self, sentences: Sequence[str]) -> list[int]:
        """Numbers of the sentences, from 0, that have more tokens than the ``task.max_source`` that are read."""
        return [row for row, some in enumerate(self.source.tokens(sentences)) if len(some) > self.source.most]

    def encode(self, tokens: Sequence[Sequence[str]]) -> Memory:
        """The memory of some sentences, given as tokens."""
        codes, lengths = padded([self.source.codes(some) for some in tokens], self.source.end)
        made = self._encoder({"source": codes}, {"src": lengths})
        return Memory(made["memory"], made["keys"], made["state"], lengths)

    def _each(self, function: Callable[[np.ndarray], Any], parts: list[np.ndarray]) -> Iterator[Any]:
        """The function of each part in order, in as many threads as `grus.kernels.native.num_threads` says."""
        threads = min(num_threads(), len(parts))
        if threads < 2:
            yield from map(function, parts)
            return
        # Each by itself: a call that looked for others to help it would find them busy with batches of their own.
        pool = ThreadPoolExecutor(threads, initializer=limit_threads, initargs=(1,))
        try:
            yield from pool.map(function, parts)
        finally:
            pool.shutdown(cancel_futures=True)

    def _forced(self, tokens: list[list[str]], written: list[np.ndarray]) -> list[np.ndarray]:
        truth, lengths = padded(written, self.target.end)
        given = np.concatenate([np.full((len(truth), 1), self.target.end), truth[:, :-1]], axis=1)
        memory = self.encode(tokens)
        outputs = self._decoder(decode_inputs(given, memory), {"src": memory.lengths, "tgt": lengths})
        logits = outputs["logits"]
        found = np.take_along_axis(logits, truth[..., None], axis=2)[..., 0] - normaliser(logits)
        return [row[:n].astype(np.float64) for row, n in zip(found, lengths)]

    def _search(self, beam: int, length_penalty: float | None, count: int) -> Search:
        if not _whole(beam, 1):
            raise UsageError(f"beam must be a whole number of at least 1, got {beam!r}")
        if not _whole(count, 1) or count > beam:
            raise UsageError(f"n_best must be a whole number from 1 to beam, which is {beam}, got {count!r}")
        penalty = self.task.length_penalty if length_penalty is None else length_penalty
        if isinstance(penalty, bool) or not isinstance(penalty, int | float) or not 0 <= penalty <= 10:
            raise UsageError(f"length_penalty must be a number from 0 to 10, got {penalty!r}")
        return Search(beam, float(penalty), self.target.end, (0,) if self.target.knows_all else ())

    def _translations(
        self, found: list[Hypothesis], source: list[str], n_best: int | None, copy_unknown: bool
    ) -> list[Translation]:
        if not found:  # weights so large that nothing is finite
            return [Translation("", -np.inf, -np.inf, (), tuple(source))]
        if n_best is None:
            best = found[0]
            return [Translation(self._text(best, source, copy_unknown), best.score, best.log_probability)]
        return [self._translation(one, source, copy_unknown) for one in found[:n_best]]

    def _text(self, found: Hypothesis, source: list[str], copy_unknown: bool) -> str:
        spelled = self.target.spell(found.codes)
        if copy_unknown and source:
            for place in np.flatnonzero(found.codes == 0):
                spelled[place] = source[int(found.attention[place, : len(source)].argmax())]
        return self.target.join(spelled)

    def _translation(self, found: Hypothesis, source: list[str], copy_unknown: bool) -> Translation:
        tokens = self.target.spell(found.codes)
        look = found.attention[: len(tokens), : len(source)]
        alignment = align(look, self.source.words(source), self.target.words(tokens))
        return Translation(
            self._text(found, source, copy_unknown), found.score, found.log_probability, tuple(tokens),
            tuple(source), found.attention, alignment,
        )  # fmt: skip


def align(attention: np.ndarray, source: np.ndarray, target: np.ndarray) -> tuple[tuple[int, int], ...]:
    """For each word of a translation the word of the source that its tokens looked at most.

    Args:
        attention: [T, S], the ends left out.
        source, target: the word of each token, counted from 0, int64 [S] and [T].

    Returns:
        Pairs (source word, target word), in the order of the target.
    """
    if not attention.size:
        return ()
    by_word = np.zeros((int(target.max()) + 1, int(source.max()) + 1))
    np.add.at(by_word, (target[:, None], source[None, :]), attention)
    return tuple((int(word), number) for number, word in enumerate(by_word.argmax(axis=1)))


def padded(codes: Sequence[np.ndarray], end: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes with the end behind each, int64 [R, T], padded with zeros; and the lengths with it, int64 [R]."""
    lengths = np.array([len(row) + 1 for row in codes], np.int64)
    out = np.zeros((len(codes), int(lengths.max(initial=1))), np.int64)
    for row, some in zip(out, codes):
        row[: len(some)] = some
        row[len(some)] = end
    return out, lengths


def _texts(given: Any, what: str) -> list[str]:
    if isinstance(given, str | bytes):
        raise UsageError(f"{what}: must be several texts, got one {type(given).__name__}")
    texts = list(given)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"{what}: text {number} must be text, got {type(text).__name__}")
    return texts


def _whole(value: Any, low: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= low


__all__ = ["UNKNOWN", "LiveTranslator", "Translation", "align", "padded"]
