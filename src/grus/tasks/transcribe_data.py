"""From recordings and their transcripts to what a transcriber trains on, validates and is tested on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grus.data.spoken import Spoken
from grus.data.stratify import split_rows
from grus.decode.ctc import least_steps
from grus.errors import DataError
from grus.inspection.wording import count
from grus.preprocess.log_mel import LogMelFrames, fit_log_mel, log_mel_step
from grus.preprocess.ragged import Ragged
from grus.preprocess.text import clean, encode_texts, fit_vocabulary, split
from grus.spec import AnyStep, LogMel, Transcribe, Vocabulary

_MOST_UNITS = 5_000


@dataclass(frozen=True)
class FrameOptions:
    """How samples become steps; see `grus.spec.LogMel`."""

    frame_ms: float
    hop_ms: float
    bands: int
    preemphasis: float
    stack: int

    @property
    def least(self) -> float:
        """Seconds of one step."""
        return (self.frame_ms + (self.stack - 1) * self.hop_ms) / 1000


@dataclass(frozen=True)
class Coded:
    """Steps of recordings, and what was said as codes: int64 [U] of each."""

    sequences: Ragged
    codes: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Prepared:
    """What a transcriber is trained from.

    Attributes:
        task, steps: the spec of all but the network; arrays: their numbers, by the names of the model file.
        parts: the recordings by ``train``, ``validation`` and ``test``; train, val: the first two as steps and codes.
        plan: the data in words.
    """

    task: Transcribe
    steps: tuple[AnyStep, ...]
    arrays: dict[str, np.ndarray]
    parts: dict[str, Spoken]
    train: Coded
    val: Coded
    plan: list[str]

    @property
    def log_mel(self) -> LogMel:
        """The step that makes steps of samples."""
        return next(step for step in self.steps if isinstance(step, LogMel))

    @property
    def vocabulary(self) -> Vocabulary:
        """The units."""
        return self.task.vocabulary(self.steps)


def prepare(
    spoken: Spoken,
    validation: Spoken | None,
    *,
    val_size: float,
    test_size: float,
    seed: int,
    units: str,
    lower: bool,
    frames: FrameOptions,
    skip_bad: bool = False,
) -> Prepared:
    """Set recordings aside, fit the units and the bands to those of training, and make steps and codes of all.

    Raises:
        DataError: a transcript that its recording has too few steps for, or none has any unit.
    """
    step = log_mel_step(
        spoken.rate, frame_ms=frames.frame_ms, hop_ms=frames.hop_ms, bands=frames.bands,
        preemphasis=frames.preemphasis, stack=frames.stack,
    )  # fmt: skip
    assert spoken.texts is not None
    kind = "word" if units == "word" else "char"

    def least(text: str) -> int:
        return least_steps(split(clean(text, lower), kind))  # type: ignore[arg-type]

    spoken, lost = fitting(spoken, step, least, units, skip_bad)
    rows = split_rows([()] * len(spoken), 0 if validation is not None else val_size, test_size, seed, "data")
    parts = {
        "train": spoken.take(rows.train),
        "validation": spoken.take(rows.val),
        "test": spoken.take(rows.test),
    }
    if validation is not None:
        parts["validation"], _ = fitting(validation, step, least, units, skip_bad)
    train = parts["train"]
    assert train.texts is not None
    vocabulary = fit_vocabulary(train.texts, kind, lower=lower, size=_MOST_UNITS, min_count=1)  # type: ignore[arg-type]
    fitted = fit_log_mel(step, train.samples, train.offsets)
    arrays = {f"preprocess.{step.key}.{name}": values for name, values in fitted.items()}
    maker = LogMelFrames(step, fitted["center"], fitted["scale"])
    coded = [encode(parts[name], maker, vocabulary) for name in ("train", "validation")]
    plan = [*_plan(spoken, parts, step, vocabulary), *spoken.notes, *([lost] if lost else [])]
    task = Transcribe(spoken.column or None)
    return Prepared(task, (step, vocabulary), arrays, parts, coded[0], coded[1], plan)


def fitting(
    spoken: Spoken, step: LogMel, least: Callable[[str], int], units: str, skip_bad: bool
) -> tuple[Spoken, str]:
    """The recordings that have steps enough for their transcripts, and a sentence on the others.

    Raises:
        DataError: one has not, unless they are skipped.
    """
    assert spoken.texts is not None
    bad: list[int] = []
    for row, text in enumerate(spoken.texts):
        samples = int(spoken.offsets[row + 1] - spoken.offsets[row])
        needed, got = least(text), step.steps(samples)
        if needed <= got:
            continue
        if not skip_bad:
            raise DataError(
                f"{spoken.names[row]}: expected a transcript that fits its recording, of {samples / spoken.rate:.2f} s "
                f"or {count(got, 'step')}, got one that needs {needed:,}: {text[:60]!r}",
                f"mend or leave out the file (--skip-bad), or have more steps: a smaller --stack or --hop-ms, --units "
                f"{'char' if units == 'word' else 'word'}",
            )
        bad.append(row)
    if not bad:
        return spoken, ""
    kept = np.setdiff1d(np.arange(len(spoken)), bad)
    if not len(kept):
        raise DataError("data: expected transcripts that fit their recordings, got none that does")
    return spoken.take(kept), f"{count(len(bad), 'recording')} left out, too short for the transcript"


def encode(spoken: Spoken, maker: LogMelFrames, vocabulary: Vocabulary) -> Coded:
    """Steps and codes; a unit that training does not have is left out of the codes, as it cannot be learned."""
    assert spoken.texts is not None
    most = max(map(len, spoken.texts), default=0) + 1
    codes = [row[row > 0].astype(np.int64) for row in encode_texts(spoken.texts, vocabulary, most)]
    return Coded(maker.ragged(spoken.samples, spoken.offsets), codes)


def _plan(spoken: Spoken, parts: dict[str, Spoken], step: LogMel, vocabulary: Vocabulary) -> list[str]:
    lengths = np.diff(spoken.offsets) / spoken.rate
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in parts.items() if len(part))
    kind = "words" if vocabulary.kind == "word" else "characters"
    where = f" from {spoken.column!r}" if spoken.column else ""
    shown = " ".join(repr(token) for token in vocabulary.tokens[:12])
    more = " ..." if len(vocabulary.tokens) > 12 else ""
    return [
        f"audio     {len(spoken):,} recordings of {lengths.min():.2f} to {lengths.max():.2f} s, "
        f"{lengths.sum() / 60:.1f} minutes at {spoken.rate:,} Hz",
        f"units     {len(vocabulary.tokens):,} {kind}{where}: {shown}{more}",
        f"steps     one every {1000 * step.stride / step.rate:g} ms, of {step.bands * step.stack} features",
        f"rows      {sizes}",
    ]
