"""A trained model of music without torch: MIDI in, a piece that goes on from it out."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from grus.decode.music.prime import at_tempo, read_prime, with_its_own
from grus.decode.music.scores import Floors, MusicEvaluation, allowed_masks, masked_nats, unforced
from grus.decode.sampling import Sampling, choose, uniform
from grus.decode.token_model import TokenModel, check_seed
from grus.errors import DataError, SpecError, UsageError
from grus.preprocess.music.codes import END, codes_of
from grus.preprocess.music.grammar import Grammar
from grus.preprocess.music.midi import write_midi
from grus.preprocess.music.piece import Piece
from grus.preprocess.music.tokens import encode_fitting, encode_prime
from grus.runtime import State
from grus.spec import Model, Music

#: Beats that are generated where nothing is said: sixteen bars of 4/4.
MAX_BEATS = 64
#: Tokens whose logits are computed together.
_TOKENS = 1 << 12


@dataclass(frozen=True)
class Composition:
    """A piece that was generated.

    Attributes:
        piece: with its prime.
        given: steps of the prime.
        ended: whether the model ended it, rather than the limit.
        log_probability: the natural logarithm of the probability of what was drawn, at temperature 1 and among all that
            could be.
    """

    piece: Piece
    given: int
    ended: bool
    log_probability: float

    def midi(self) -> bytes:
        """The piece as a MIDI file; MissingExtraError without mido."""
        return write_midi(self.piece)


class LiveComposer:
    """What ``grus.load`` returns for a model of music; also what the estimator itself generates with.

    Args:
        model: the spec.
        tensors: its numbers, by the names of the model file.
        precision: what the network's matrices are kept as; see `grus.runtime.Program`.

    Raises:
        SpecError: numbers or tokens that cannot be.
    """

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], precision: str = "float32") -> None:
        self.model = model
        self.network = TokenModel(model, tensors, precision)
        self.task = self.network.task
        step = model.step(Music)
        assert isinstance(step, Music)
        self.step, self.codes = step, codes_of(step)
        if self.task.begin != END:
            raise SpecError(f"model: begin must be the end of a piece, {END}, got {self.task.begin}")
        unigram, pairs = tensors["task.unigram"], tensors.get("task.bigram")
        if (unigram < 0).any() or (pairs is not None and (pairs < 0).any()):
            raise SpecError("model: counts of tokens must be at least 0")
        self._floors = Floors(unigram, pairs)

    # -- generation ----------------------------------------------------------------------------------------------

    def generate(
        self,
        prime: Piece | str | Path | None = None,
        *,
        prime_beats: float | None = None,
        min_beats: int = 0,
        max_beats: int = MAX_BEATS,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        tempo: int | None = None,
        seed: int | None = None,
        num_return_sequences: int = 1,
    ) -> list[Composition]:
        """Go on from a prime, or begin from nothing.

        Every token is drawn among those that the grammar allows there, so every outcome is a piece: voices stay in
        their ranges, and what begins ends.

        Args:
            prime: a MIDI file or a piece, up to its last note. Its notes are moved to the grid; its tempos stay.
            prime_beats: only so many beats of it.
            min_beats: the model may not end the piece before it has added so many beats.
            max_beats: beats that are added at most.
            temperature, top_k, top_p: see `grus.decode.sampling.Sampling`; temperature 0 always takes the likeliest.
            tempo: of the outcome, in beats a minute; None: that of the prime, or what the model draws.
            seed: number i is drawn from seed + i; None: a new one.
            num_return_sequences: how many.

        Raises:
            DataError: a prime that cannot be read, or does not fit the model's voices. UsageError: an argument that
                cannot be. MissingExtraError: a MIDI file without mido.
        """
        how = Sampling(temperature, top_k, top_p)
        _check_whole("max_beats", max_beats, 1, 1 << 16)
        _check_whole("min_beats", min_beats, 0, max_beats)
        _check_whole("num_return_sequences", num_return_sequences, 1, 1 << 10)
        if tempo is not None:
            _check_whole("tempo", tempo, 4, 1000)
        if prime_beats is not None and not 0 < prime_beats < math.inf:
            raise UsageError(f"prime_beats must be a number above 0, got {prime_beats!r}")
        seed = int(np.random.default_rng().integers(1 << 32)) if seed is None else check_seed(seed)
        given: Piece | None = None
        tokens: list[int] = []
        if prime is not None:
            given, source = read_prime(prime, self.step, prime_beats)
            tokens = encode_prime(given, self.step, source).tolist()
        elif tempo is not None:
            tokens = [self.codes.tempo + int(np.abs(np.log(np.array(self.step.tempos) / tempo)).argmin())]
        return [
            self._finished(walk, given, drawn, tempo)
            for walk, drawn in self._drawn(tokens, how, seed, (min_beats, max_beats), num_return_sequences)
        ]

    def _finished(self, walk: Grammar, given: Piece | None, drawn: "_Row", tempo: int | None) -> Composition:
        for token in walk.closing():
            walk.push(token)
        piece = walk.piece()
        if given is not None:
            piece = with_its_own(piece, given, bool(self.step.meters))
        if tempo is not None:
            piece = at_tempo(piece, tempo)
        return Composition(piece, 0 if given is None else given.length, drawn.ended, drawn.log_probability)

    def _drawn(
        self, tokens: Sequence[int], how: Sampling, seed: int, beats: tuple[int, int], rows: int
    ) -> list[tuple[Grammar, "_Row"]]:
        """Walks that go on after ``tokens``, one a row, up to the beat that would be one too many."""
        first = Grammar(self.step)
        for token in tokens:
            first.push(token)
        walks = [first.copy() for _ in range(rows)]
        least, last = (first.length + count * self.step.steps_per_beat for count in beats)
        found = [_Row() for _ in walks]
        network = self.network.program.init_state(rows)
        given = np.tile(np.array([END, *tokens], np.int64), (rows, 1))
        number, nothing = 0, np.zeros(len(self.codes), bool)
        while True:
            logits, network = self._next_logits(given, network)
            given = np.full((rows, 1), END, np.int64)
            for row, (walk, drawn) in enumerate(zip(walks, found, strict=True)):
                if not drawn.over:
                    allowed = walk.allowed()
                    allowed[END] &= walk.length >= least
                    masked = np.where(allowed, logits[row], -np.inf)
                    code = choose(masked, nothing, how, uniform(seed + row, number))
                    drawn.take(walk, code, masked, last)
                    given[row] = code
            number += 1
            if all(drawn.over for drawn in found):
                return list(zip(walks, found, strict=True))

    def _next_logits(self, given: np.ndarray, network: State) -> tuple[np.ndarray, State]:
        """The logits after the last of some tokens [B, T], float32 [B, V]."""
        logits = np.empty((0, 0, 0), np.float32)
        for begin in range(0, given.shape[1], _TOKENS):
            logits, network = self.network.logits(given[:, begin : begin + _TOKENS], network)
        return logits[:, -1], network

    # -- scores --------------------------------------------------------------------------------------------------

    def evaluate(self, pieces: Sequence[Piece], sources: Sequence[str] = ()) -> MusicEvaluation:
        """How probable pieces are, each by itself from the beginning, beside what counting would say.

        Args:
            pieces: some; those that do not fit the model's voices are left out, and the evaluation says so.
            sources: their names, for messages.

        Raises:
            DataError: no pieces, or none that fits.
        """
        if not len(pieces):
            raise DataError("music: expected pieces to score, got none")
        tokens, left_out = encode_fitting(pieces, self.step, sources)
        if not tokens:
            raise DataError(left_out[0])
        return replace(self.evaluate_tokens(tokens), left_out=tuple(left_out))

    def evaluate_tokens(self, pieces: Sequence[np.ndarray]) -> MusicEvaluation:
        """The same of the tokens of pieces."""
        counts = np.zeros(3, np.int64)
        nats, free = 0.0, 0.0
        floors: dict[str, float] = {}
        for tokens in self.scored(pieces):
            allowed, steps = allowed_masks(tokens, self.step)
            own, network = masked_nats(self.logits(tokens), tokens, allowed)
            nats, free = nats + own, free + network
            for name, value in self._floors.nats(tokens, allowed, self.codes):
                floors[name] = floors.get(name, 0.0) + value
            counts += [steps, len(tokens), unforced(tokens, self.codes)]
        all_steps, all_tokens, notes = counts.tolist()
        return MusicEvaluation(len(pieces), all_steps, all_tokens, notes, nats, free, floors)

    def scored(self, pieces: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """The pieces, as they are scored one by one."""
        yield from pieces

    def logits(self, tokens: np.ndarray) -> np.ndarray:
        """What the network says before each token of a piece, float32 [T, V]."""
        before = np.concatenate([[END], tokens[:-1]]).astype(np.int64)
        return np.concatenate(list(self._parts(before)))

    def _parts(self, before: np.ndarray) -> Iterator[np.ndarray]:
        network = self.network.program.init_state(1)
        for begin in range(0, len(before), _TOKENS):
            logits, network = self.network.logits(before[None, begin : begin + _TOKENS], network)
            yield logits[0]


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise UsageError(f"{name} must be a whole number from {low} to {high}, got {value!r}")


class _Row:
    """What became of one row so far."""

    def __init__(self) -> None:
        self.over = self.ended = False
        self.log_probability = 0.0

    def take(self, walk: Grammar, code: int, scores: np.ndarray, last: int) -> None:
        """Go on with a token, or be over where it would begin a beat from step ``last`` on."""
        if walk.begins_beat(code) and walk.beat_end >= last:
            self.over = True
            return
        top = scores.max()
        self.log_probability += float(scores[code] - top - np.log(np.exp(scores - top).sum()))
        walk.push(code)
        self.over = self.ended = walk.over
