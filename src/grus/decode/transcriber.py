"""A trained transcriber without torch: recordings in, what was said out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode.ctc import greedy, log_likelihood, log_softmax, prefix_beam
from grus.decode.streaming.live import LiveModel
from grus.decode.transcription_scores import TranscriptionEvaluation, evaluate_transcripts
from grus.errors import DataError, UsageError
from grus.preprocess.log_mel import LogMelFrames, as_samples
from grus.preprocess.text import clean, split
from grus.runtime import Program, State
from grus.spec import LogMel, Model, Transcribe, Vocabulary

if TYPE_CHECKING:
    from grus.decode.fusion import Fusion
    from grus.decode.streaming.sound import SpeechStream

#: Prefixes of a search with a language model, where nothing is said.
FUSION_BEAM = 16
#: Numbers in the padded input of recordings that run together.
_VALUES = 1 << 21


def beam_width(beam: int | None, fusion: "Fusion | None") -> int:
    """How many prefixes a search keeps; 1 is greedy. Raises UsageError for what cannot be."""
    if beam is None:
        return 1 if fusion is None else FUSION_BEAM
    if isinstance(beam, bool) or not isinstance(beam, int) or beam < 1:
        raise UsageError(f"beam: must be a whole number of at least 1, got {beam!r}")
    if beam == 1 and fusion is not None:
        raise UsageError("beam: must be above 1 with a language model, got 1")
    return beam


@dataclass(frozen=True)
class Transcript:
    """What was said in a recording.

    Attributes:
        text: with blanks squeezed.
        units: the characters or words as they were written.
        times: seconds from the beginning at which each unit was known: the end of the step it was first written at.
            Of a beam search, whose texts are sums of many paths, none.
        log_probability: log p(text | recording), of its paths that were kept; of greedy search, of the one path.
    """

    text: str
    units: tuple[str, ...]
    times: tuple[float, ...]
    log_probability: float


class LiveTranscriber(LiveModel):
    """What ``grus.load`` returns for a transcriber; also what the estimator itself transcribes with.

    Args:
        model: the spec.
        tensors: its numbers, by the names of the model file.
        precision: what the network's matrices are kept as: see `grus.runtime.Program`.
    """

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], precision: str = "float32") -> None:
        self.model = model
        self.task = model.task_as(Transcribe)
        self.log_mel: LogMel = model.step(LogMel)
        self.vocabulary: Vocabulary = self.task.vocabulary(model.preprocess)
        #: Fitted arrays of the preprocessing, by the names of the model file.
        self.fitted = {k: v for k, v in tensors.items() if k.startswith("preprocess.")}
        key = f"preprocess.{self.log_mel.key}"
        self._frames = LogMelFrames(self.log_mel, self.fitted[f"{key}.center"], self.fitted[f"{key}.scale"])
        weights = {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}
        self.program = Program(model.parts["main"], weights, precision)

    @property
    def rate(self) -> int:
        """Hz of the recordings it reads."""
        return self.log_mel.rate

    def transcribe(
        self, recordings: Sequence[Any], *, beam: int | None = None, fusion: "Fusion | None" = None
    ) -> list[Transcript]:
        """Write down what is said.

        Args:
            recordings: samples [N] of one channel each at ``rate``, float (-1 to 1) or int16.
            beam: 1 is greedy search, the text of the most probable path; more: a prefix beam search, which sums the
                paths of a text. None: 1, or with a language model 16.
            fusion: a language model, which helps a beam search to choose; see `grus.decode.fusion.Fusion`.

        Returns:
            A transcript for each; of a recording shorter than a step, an empty one.

        Raises:
            DataError: a recording that is no samples. UsageError: a beam, or a language model, that does not fit.
        """
        search = self._search(beam, fusion)
        return [search(logits) for logits in self.logits(recordings)]

    def evaluate(
        self,
        recordings: Sequence[Any],
        texts: Sequence[str],
        *,
        names: Sequence[str] = (),
        beam: int | None = None,
        fusion: "Fusion | None" = None,
    ) -> TranscriptionEvaluation:
        """Word and character error rates of some recordings whose texts are known.

        The texts are compared in the form of training: cleaned, and in lower case if it was.

        Args:
            recordings, beam, fusion: as for `transcribe`.
            texts: one a recording.
            names: of the recordings; by default their numbers.
        """
        search = self._search(beam, fusion)
        if len(recordings) != len(texts):
            raise DataError(f"texts: expected {len(recordings):,}, one a recording, got {len(texts):,}")
        samples = [as_samples(x, f"recording {i}") for i, x in enumerate(recordings)]
        code = {token: number + 1 for number, token in enumerate(self.vocabulary.tokens)}
        wanted = [clean(text, self.vocabulary.lower) for text in texts]
        found, likelihoods, units = [], [], 0
        for logits, text in zip(self.logits(samples), wanted):
            found.append(search(logits).text)
            codes = [code[unit] for unit in split(text, self.vocabulary.kind) if unit in code]
            likelihoods.append(log_likelihood(log_softmax(logits), codes))
            units += len(codes)
        seconds = sum(map(len, samples)) / self.rate
        own = names or [str(number) for number in range(len(texts))]
        return evaluate_transcripts(own, wanted, found, likelihoods, units, seconds)

    def logits(self, recordings: Sequence[Any]) -> list[np.ndarray]:
        """The network's outputs of each recording, float32 [T, units + 1]; those of like length run together."""
        samples = [as_samples(x, f"recording {i}") for i, x in enumerate(recordings)]
        found: list[np.ndarray] = [np.empty((0, len(self.vocabulary.tokens) + 1), np.float32)] * len(samples)
        lengths = np.array([self.log_mel.steps(len(one)) for one in samples], np.int64)
        for rows in self._batches(lengths):
            x = np.zeros((len(rows), int(lengths[rows].max(initial=0)), self.log_mel.port().size), np.float32)
            for place, row in enumerate(rows.tolist()):
                x[place, : lengths[row]] = self._frames(samples[row])
            out = self.batch_logits(x, lengths[rows])
            for place, row in enumerate(rows.tolist()):
                found[row] = out[place, : lengths[row]]
        return found

    def frames(self, recording: Any) -> np.ndarray:
        """A recording as the network sees it, float32 [T, bands * stack]."""
        return self._frames(as_samples(recording, "recording"))

    def batch_logits(self, x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The network's outputs of steps [B, T, F] as one batch, float32 [B, T, units + 1]."""
        return self.program({"x": x}, {"src": lengths})["logits"]

    def _batches(self, lengths: np.ndarray) -> list[np.ndarray]:
        """Numbers of the recordings that have steps, the longest first, as many at once as the padded input allows."""
        order = np.argsort(-lengths, kind="stable")
        order = order[lengths[order] > 0]
        batches: list[np.ndarray] = []
        while len(order):
            fit = max(_VALUES // (int(lengths[order[0]]) * self.log_mel.port().size), 1)
            batches.append(order[:fit])
            order = order[fit:]
        return batches

    def _search(self, beam: int | None, fusion: "Fusion | None") -> Callable[[np.ndarray], Transcript]:
        """How logits [T, units + 1] become a transcript; raises UsageError for what does not fit."""
        width = beam_width(beam, fusion)
        if width == 1:
            return self._greedy
        worth = None
        if fusion is not None:
            from grus.decode.fusion import FusedTexts

            worth = FusedTexts(fusion, self.vocabulary)

        def search(logits: np.ndarray) -> Transcript:
            codes, score = prefix_beam(log_softmax(logits), width, worth)[0]
            return self._transcript(np.array(codes, np.int64), None, score)

        return search

    def _greedy(self, logits: np.ndarray) -> Transcript:
        codes, steps, _ = greedy(logits)
        return self._transcript(codes, steps, float(log_softmax(logits).max(axis=1).sum()))

    def _transcript(self, codes: np.ndarray, steps: np.ndarray | None, score: float) -> Transcript:
        units = tuple(self.vocabulary.tokens[code - 1] for code in codes.tolist())
        times = () if steps is None else tuple(map(self.known_at, steps.tolist()))
        return Transcript(self.joined(units), units, times, score)

    def word_scores(self, recordings: Sequence[Any], word: str) -> list[np.ndarray]:
        """How probable a word is at each step of recordings, float64 [T]: what `grus.decode.wake` looks at.

        Raises:
            UsageError: the model writes characters, or does not know the word.
        """
        code = self.word_code(word)
        return [np.exp(log_softmax(logits)[:, code]) for logits in self.logits(recordings)]

    def word_code(self, word: str) -> int:
        """The code of a unit that is a word; raises UsageError as `word_scores`."""
        if self.vocabulary.kind != "word":
            raise UsageError(
                "word: must be a unit of the model, which writes characters", "fit with units word"
            )
        token = clean(word, self.vocabulary.lower)
        if token not in self.vocabulary.tokens:
            some = ", ".join(map(repr, self.vocabulary.tokens[:12]))
            raise UsageError(f"word: must be one of the model's, {some}, got {word!r}")
        return self.vocabulary.tokens.index(token) + 1

    def known_at(self, step: int) -> float:
        """Seconds at which a step is complete, the first being 0."""
        return (self.log_mel.window + step * self.log_mel.stride) / self.rate

    def joined(self, units: Sequence[str]) -> str:
        """Units as text, blanks squeezed."""
        return " ".join((" " if self.vocabulary.kind == "word" else "").join(units).split())

    # -- live --------------------------------------------------------------------------------------------------

    @cached_property
    def _stream(self) -> "SpeechStream":
        from grus.decode.streaming.sound import SpeechStream

        return SpeechStream(self)

    def run(
        self, x: Any, state: State | None = None, lengths: Any = None
    ) -> tuple[list[tuple[str, ...]], State]:
        """Take in the next samples of every stream, and write what is new in them (greedy search).

        Args:
            x: samples [N, T], or [T] of one stream, float or int16.
            state: before them; None: the beginning.
            lengths: how many of each stream are real, int [N].

        Returns:
            The units that each stream wrote now: those of all chunks, one after the other and `joined`, are the text of
            `transcribe`, to the bit. And the state after the samples.

        Raises:
            UnsupportedError: a bidirectional model, which reads whole recordings.
        """
        codes, after = self._stream.run(x, state, lengths)
        return [tuple(self.vocabulary.tokens[code - 1] for code in some) for some in codes], after

    def listen(self, x: Any, word: str, state: State | None = None) -> tuple[np.ndarray, State]:
        """Take in the next samples of one stream; how probable a word is at each step that is new, float64 [S].

        Those of all chunks, one after the other, are `word_scores` of the whole, to the bit.
        """
        code = self.word_code(word)
        outputs, after, _ = self._stream.feed(x, state)
        before = self._stream.begin(1) if state is None else state
        return np.exp(log_softmax(outputs["logits"][0])[:, code]), State(
            {**after.nodes, "path": before.nodes["path"]}, after.owner
        )
