"""A trained language model of text without torch: text in, text that goes on from it out, token by token."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np

from grus.decode.beams import Beam, beam_search
from grus.decode.language_scores import LanguageEvaluation, Pairs, floors
from grus.decode.sampling import Sampling
from grus.decode.streaming.live import LiveModel
from grus.decode.token_model import PLACE, Run, TokenModel, check_seed, spread, with_seed
from grus.errors import DataError, SpecError, UsageError
from grus.preprocess.language import TextCodec, Writer, check_known
from grus.preprocess.tokens import Tokens
from grus.runtime import State
from grus.spec import Model, Subwords, Vocabulary

Unknown = Literal["refuse", "map"]
#: Tokens that are generated where nothing is said.
MAX_NEW_TOKENS = 200


@dataclass(frozen=True)
class Generation:
    """What was generated: the texts without their prompt, the number of tokens of each, and the state after them."""

    texts: tuple[str, ...]
    tokens: tuple[int, ...]
    state: State

    @property
    def text(self) -> str:
        """The first text."""
        return self.texts[0]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Scored:
    """How probable a text is: its tokens as text, the natural logarithm of each one's probability, and their sum."""

    tokens: tuple[str, ...]
    log_probabilities: np.ndarray
    unknown: int

    @property
    def total(self) -> float:
        """The logarithm of the probability of the whole text."""
        return float(self.log_probabilities.sum())


class TextStream:
    """Text as it is generated: iterate to get it token by token; ``state`` is what goes on from there, exactly.

    A piece may be empty, where a token ends in the middle of a letter.
    """

    def __init__(self, run: Run, writer: Writer, most: int, stop: Sequence[str]) -> None:
        self._run, self._writer, self._most = run, writer, most
        self._stop, self._tail = tuple(stop), ""
        self._longest = max(map(len, self._stop), default=0)
        self.tokens = 0
        self.stopped = False

    @property
    def state(self) -> State:
        """The state after the tokens so far."""
        return self._run.state

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if self.stopped or self.tokens >= self._most:
            raise StopIteration
        piece = self._writer(next(self._run))
        self.tokens += 1
        if self._stop:
            self._tail += piece
            self.stopped = any(text in self._tail for text in self._stop)
            self._tail = self._tail[-self._longest :] if self._longest > 1 else ""
        return piece


class LiveGenerator(LiveModel):
    """What ``grus.load`` returns for a language model; also what the estimator itself generates with.

    Args:
        model: the spec.
        tensors: its numbers, by the names of the model file.
        precision: what the network's matrices are kept as, ``"float32"``, ``"bf16"`` or ``"int8"``: see
            `grus.runtime.Program`.

    Raises:
        SpecError: numbers or tokens that cannot be.
    """

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], precision: str = "float32") -> None:
        self.model = model
        self.network = TokenModel(model, tensors, precision)
        self.task = self.network.task
        step = model.preprocess[0]
        assert isinstance(step, Vocabulary | Subwords)
        self.codec = TextCodec(step)
        self._unigram = tensors["task.unigram"]
        if (self._unigram < 0).any() or (self.task.pairs and (tensors["task.bigram"] < 0).any()):
            raise SpecError("model: counts of tokens must be at least 0")
        self._pairs = Pairs.from_table(tensors["task.bigram"]) if self.task.pairs else None

    # -- generation ----------------------------------------------------------------------------------------------

    def stream(
        self,
        prompt: str = "",
        *,
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        state: State | None = None,
        unknown: Unknown = "refuse",
    ) -> TextStream:
        """Go on with a text, a token at a time.

        Args:
            prompt: the text to go on with; it is not repeated. With ``state`` it follows what that state has seen.
            max_new_tokens: how many tokens are generated at most.
            temperature, top_k, top_p, repetition_penalty: see `grus.decode.sampling.Sampling`; temperature 0 is greedy.
            seed: of the random numbers; None: that of the state, or without one a new one.
            stop: end after a token with which one of these texts is there.
            state: go on from here, as if the generation that it comes from had not ended.
            unknown: what becomes of what the model does not know in the prompt: ``refuse``, or ``map`` to unknown.

        Raises:
            DataError: the prompt holds what is not known. UsageError: an argument that cannot be.
        """
        how = Sampling(temperature, top_k, top_p, repetition_penalty)
        _check_count("max_new_tokens", max_new_tokens, 0)
        before = self._begin(prompt, state, seed, unknown)
        writer = self.codec.writer(self._written(before, prompt, state))
        return TextStream(Run(self.network, before, how), writer, max_new_tokens, _texts(stop))

    def generate(
        self,
        prompt: str = "",
        *,
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        num_beams: int = 1,
        num_return_sequences: int = 1,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        state: State | None = None,
        unknown: Unknown = "refuse",
    ) -> Generation:
        """Go on with a text.

        Args:
            num_beams: above 1: search for the most probable continuation with so many beams, without chance.
            num_return_sequences: how many continuations; number i draws from seed + i. With beams: the best of them.
            prompt, max_new_tokens, temperature, top_k, top_p, repetition_penalty, seed, stop, state, unknown: as for
                `stream`.

        Returns:
            The texts, and the state after them, a row each.

        Raises:
            DataError, UsageError: as for `stream`.
        """
        how = Sampling(temperature, top_k, top_p, repetition_penalty)
        for name, count, low in (
            ("max_new_tokens", max_new_tokens, 0),
            ("num_beams", num_beams, 1),
            ("num_return_sequences", num_return_sequences, 1),
        ):
            _check_count(name, count, low)
        if num_beams > 1 and (temperature, top_k, top_p) != (1.0, 0, 1.0):
            raise UsageError(
                "num_beams: beams draw nothing, so temperature, top_k and top_p must not be given"
            )
        if 1 < num_beams < num_return_sequences:
            raise UsageError(
                f"num_return_sequences must be at most num_beams={num_beams}, got {num_return_sequences}"
            )
        before, stops = self._begin(prompt, state, seed, unknown), _texts(stop)
        written = self._written(before, prompt, state)
        if num_beams > 1:
            return self._search(
                before, written, how, (num_beams, num_return_sequences, max_new_tokens), stops
            )
        rows = spread(before, num_return_sequences)
        streams = [
            TextStream(Run(self.network, rows[i], how), self.codec.writer(written), max_new_tokens, stops)
            for i in range(num_return_sequences)
        ]
        texts = tuple("".join(stream) for stream in streams)
        after = State.join([stream.state for stream in streams])
        return Generation(texts, tuple(stream.tokens for stream in streams), after)

    def _search(
        self,
        before: State,
        written: list[int],
        how: Sampling,
        sizes: tuple[int, int, int],
        stops: tuple[str, ...],
    ) -> Generation:
        """The best continuations by beam search; ``sizes``: beams, how many are wanted, tokens at most."""
        beams, wanted, most = sizes

        def text(codes: list[int]) -> str:
            return "".join(map(self.codec.writer(written), codes))

        def ended(codes: list[int]) -> bool:
            said = text(codes)
            return any(stop in said for stop in stops)

        found: list[Beam] = beam_search(
            self.network, before, beams=beams, most=most, penalty=how.repetition_penalty,
            ended=ended if stops else None,
        )[:wanted]  # fmt: skip
        texts = tuple(text(beam.codes.tolist()) for beam in found)
        return Generation(
            texts, tuple(len(beam.codes) for beam in found), State.join([b.state for b in found])
        )

    def _begin(self, prompt: str, state: State | None, seed: int | None, unknown: Unknown) -> State:
        """The state after the prompt, with the seed."""
        if unknown not in ("refuse", "map"):
            raise UsageError(f"unknown must be 'refuse' or 'map', got {unknown!r}")
        if not isinstance(prompt, str):
            raise UsageError(f"prompt must be text, got {type(prompt).__name__}")
        if state is None:
            state = self.init_state()
            seed = int(np.random.default_rng().integers(1 << 32)) if seed is None else seed
        else:
            self.check_state(state)
            if state.batch != 1:
                raise UsageError(
                    f"state must have one row to go on from, got {state.batch}; state[i] is one of them"
                )
        if seed is not None:
            state = with_seed(state, check_seed(seed))
        if unknown == "refuse":
            check_known(self.codec, prompt, "prompt")
        return self.network.read(self.codec.encode(prompt).codes[None], state)

    def _written(self, before: State, prompt: str, state: State | None) -> list[int]:
        """The last tokens of the text so far; what is taken to stand before a text is not written."""
        if state is None and not prompt:
            return []
        recent = before.nodes[PLACE][0][0]
        return recent[recent >= 0].tolist()

    # -- scores --------------------------------------------------------------------------------------------------

    def score(self, texts: Sequence[str], *, unknown: Unknown = "map") -> list[Scored]:
        """How probable texts are, each by itself from the beginning.

        Args:
            texts: some.
            unknown: what becomes of tokens that the model does not know: ``map``, counted, or ``refuse``.

        Raises:
            DataError: an unknown token, where it is refused. UsageError: one text in place of several.
        """
        if isinstance(texts, str | bytes) or not all(isinstance(text, str) for text in texts):
            raise UsageError(f"texts: must be a list of text, got {type(texts).__name__}")
        return [self._scored(text, number, unknown) for number, text in enumerate(texts)]

    def _scored(self, text: str, number: int, unknown: Unknown) -> Scored:
        if unknown == "refuse":
            check_known(self.codec, text, f"text {number + 1}")
        encoded = self.codec.encode(text)
        found, _ = self.network.log_probabilities(encoded.codes)
        return Scored(tuple(map(self.codec.spell, encoded.codes.tolist())), found, encoded.unknown)

    def evaluate(self, data: Tokens | Sequence[str], pairs: Pairs | None = None) -> LanguageEvaluation:
        """Perplexity and bits per character of a text that is read in order with the state carried.

        Args:
            data: tokens, or texts that follow each other.
            pairs: counts of pairs in training, where the model has none itself.

        Raises:
            DataError: nothing to score.
        """
        tokens = data if isinstance(data, Tokens) else self._tokens(data)
        if not len(tokens):
            raise DataError("text: expected some to score, got none")
        nats, state = 0.0, self.init_state()
        for part in self.parts(tokens.codes):
            found, state = self.network.log_probabilities(part, state)
            nats -= float(found.sum())
        known = floors(tokens.codes, self.task.begin, self._unigram, self._pairs or pairs)
        return LanguageEvaluation(len(tokens), tokens.unknown, tokens.characters, nats, dict(known))

    def parts(self, codes: np.ndarray) -> Iterator[np.ndarray]:
        """A long stream a part at a time."""
        for begin in range(0, len(codes), 1 << 14):
            yield np.asarray(codes[begin : begin + (1 << 14)])

    def _tokens(self, texts: Sequence[str]) -> Tokens:
        if isinstance(texts, str | bytes) or not all(isinstance(text, str) for text in texts):
            raise UsageError(f"data: must be tokens or a list of text, got {type(texts).__name__}")
        found = self.codec.encode("".join(texts))
        return Tokens(found.codes, found.unknown, sum(map(len, texts)))

    # -- states --------------------------------------------------------------------------------------------------

    @cached_property
    def _stream(self) -> "_States":
        return _States(self)


class _States:
    """See `grus.decode.streaming.live.Stream`."""

    def __init__(self, live: LiveGenerator) -> None:
        self._live = live

    def begin(self, n: int) -> State:
        return self._live.network.init_state(n, owner=self._live.digest)

    def check(self, state: State) -> None:
        if state.owner not in ("", self._live.digest):
            raise UsageError("state: must be of this model, got one of another")
        self._live.network.check_state(state)


def _texts(stop: str | Sequence[str]) -> tuple[str, ...]:
    found = (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(isinstance(text, str) and text for text in found):
        raise UsageError(f"stop must be texts that are not empty, got {stop!r}")
    return found


def _check_count(name: str, value: int, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise UsageError(f"{name} must be a whole number of at least {low}, got {value!r}")
