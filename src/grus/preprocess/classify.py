"""From examples to a classifier's input: fitted on training rows only, saved with the model, NumPy only.

The same code prepares the rows of training, of evaluation and of a live prediction, so they cannot differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from grus.errors import DataError, SpecError, UsageError
from grus.preprocess.channels import MOST
from grus.preprocess.examples import Examples
from grus.preprocess.irregular import IrregularRows, fit_irregular
from grus.preprocess.log_mel import BANDS, FRAME_MS, HOP_MS, LogMelFrames, fit_log_mel, log_mel_step
from grus.preprocess.ragged import MultiHot, Pixels, Ragged
from grus.preprocess.row_tables import forward_fill
from grus.preprocess.scaling import apply, fit_scaler
from grus.preprocess.subwords import encode_subwords, fit_subwords
from grus.preprocess.text import encode_texts, fit_vocabulary
from grus.spec import (
    AnyStep,
    Classify,
    Codes,
    CovariateScale,
    Images,
    Irregular,
    IrregularForm,
    LogMel,
    Port,
    Subwords,
    Vocabulary,
)

Arrays = dict[str, np.ndarray]
Tokenizer = Literal["word", "char", "bpe"]


@dataclass(frozen=True)
class StepOptions:
    """What can be chosen about preprocessing; what another kind of example needs is not looked at.

    Attributes:
        tokenizer: word, char or bpe.
        vocabulary_size: most words, characters, pieces or event codes that are known.
        min_count: how often one must occur in training to be known.
        lower: put texts in lower case.
        irregular: what becomes of missing values and of times of series, see `grus.spec.Irregular`; None: a missing
            value is the last one known, with a mask for channels that had gaps in training.
        frame_ms, hop_ms, bands, preemphasis: of recordings; see `grus.spec.LogMel`.
    """

    tokenizer: Tokenizer = "word"
    vocabulary_size: int = 20_000
    min_count: int = 2
    lower: bool = True
    irregular: IrregularForm | None = None
    frame_ms: float = FRAME_MS
    hop_ms: float = HOP_MS
    bands: int = BANDS
    preemphasis: float = 0.0


def fit_classify_steps(
    examples: Examples, options: StepOptions | None = None
) -> tuple[tuple[AnyStep, ...], Arrays]:
    """Fit the one preprocessing step of a classifier on its training rows.

    Returns:
        The steps, and their float64 arrays by the names of the model file.

    Raises:
        DataError: there is nothing to learn from, such as a channel without any value.
    """
    options = StepOptions() if options is None else options
    if not len(examples):
        raise DataError("examples: expected rows to learn from, got none")
    fit = {
        "text": _fit_text, "series": _fit_series, "images": _fit_images, "events": _fit_events, "audio": _fit_audio,
    }[examples.kind]  # fmt: skip
    step, arrays = fit(examples, options)
    return (step,), {f"preprocess.{step.key}.{name}": array for name, array in arrays.items()}


def _fit_text(examples: Examples, options: StepOptions) -> tuple[AnyStep, Arrays]:
    assert examples.texts is not None
    size, least, lower = options.vocabulary_size, options.min_count, options.lower
    if options.tokenizer == "bpe":
        return fit_subwords(examples.texts, lower=lower, size=size, min_count=least), {}
    if options.tokenizer not in ("word", "char"):
        raise UsageError(f"tokenizer: must be word, char or bpe, got {options.tokenizer!r}")
    return fit_vocabulary(examples.texts, options.tokenizer, lower=lower, size=size, min_count=least), {}


def _fit_series(examples: Examples, options: StepOptions) -> tuple[AnyStep, Arrays]:
    assert examples.series is not None
    if options.irregular is not None:
        return fit_irregular(examples, options.irregular)
    center, scale = fit_scaler(examples.series, "standard", examples.columns)
    masked = tuple(name for i, name in enumerate(examples.columns) if np.isnan(examples.series[:, i]).any())
    return CovariateScale(examples.columns, masked), {"center": center, "scale": scale}


def _fit_images(examples: Examples, options: StepOptions) -> tuple[AnyStep, Arrays]:
    assert examples.images is not None
    _, height, width, channels = examples.images.shape
    # Of 256 possible values there need be no table of floats: their shares give the same moments.
    values = np.arange(256.0)
    moments = []
    for channel in range(channels):
        share = (
            np.bincount(examples.images[..., channel].ravel(), minlength=256) / examples.images[..., 0].size
        )
        mean = values @ share
        moments.append((mean, np.sqrt((values - mean) ** 2 @ share) or 1.0))
    center, scale = np.array(moments).T
    return Images(height, width, channels), {"center": center, "scale": scale}


def _fit_events(examples: Examples, options: StepOptions) -> tuple[AnyStep, Arrays]:
    assert examples.words is not None
    assert examples.codes is not None
    assert examples.gaps is not None
    counts = np.bincount(examples.codes, minlength=len(examples.words))
    words = examples.words
    kept = [n for n in range(len(words)) if counts[n] >= options.min_count]
    kept.sort(key=lambda n: (-counts[n], words[n]))
    if not kept:
        raise DataError(f"events: expected at least one code that occurs {options.min_count} times, got none")
    apart = examples.gaps[examples.gaps > 0]
    unit = float(np.median(apart)) if len(apart) else 1.0
    codes = tuple(words[n] for n in kept[: options.vocabulary_size])
    return Codes(codes), {"gap_scale": np.array([unit])}


def _fit_audio(examples: Examples, options: StepOptions) -> tuple[AnyStep, Arrays]:
    assert examples.samples is not None
    assert examples.offsets is not None
    assert examples.rate is not None
    step = log_mel_step(
        examples.rate, frame_ms=options.frame_ms, hop_ms=options.hop_ms, bands=options.bands,
        preemphasis=options.preemphasis,
    )  # fmt: skip
    return step, fit_log_mel(step, examples.samples, examples.offsets)


class ClassifyPreprocessor:
    """Turns examples into sequences, as the model was trained to see them.

    Args:
        task: says the kind, the columns and how many steps are kept.
        steps: fitted by `fit_classify_steps`.
        arrays: their numbers, by the names of the model file.

    Raises:
        SpecError: steps that are not the task's, or a scale that is not above zero.
    """

    def __init__(self, task: Classify, steps: tuple[AnyStep, ...], arrays: Mapping[str, np.ndarray]) -> None:
        self.task = task
        self._port = task.port(steps)
        self._step = steps[0]
        self._arrays = {name: arrays[f"preprocess.{self._step.key}.{name}"] for name in self._step.arrays()}
        for name in ("scale", "gap_scale"):
            if not (self._arrays.get(name, np.ones(1)) > 0).all():
                raise SpecError(f"model: preprocess.{self._step.key}.{name} must be above zero")

    def port(self) -> Port:
        """The graph's input."""
        return self._port

    def sequences(self, examples: Examples) -> Ragged:
        """The sequences of all examples, float32 or codes, gaps filled and cut to ``max_length`` steps.

        Raises:
            DataError: examples of another kind, with other channels, or images of another size, than in training.
        """
        if examples.kind != self.task.kind:
            raise DataError(f"examples: must be {self.task.kind} as in training, got {examples.kind}")
        step = self._step
        if isinstance(step, Vocabulary | Subwords):
            return self._text(examples, step)
        if isinstance(step, CovariateScale):
            return self._series(examples, step)
        if isinstance(step, Irregular):
            return self._irregular(examples, step)
        if isinstance(step, Images):
            return self._images(examples, step)
        if isinstance(step, LogMel):
            return self._audio(examples, step)
        assert isinstance(step, Codes)
        return self._events(examples, step)

    def _text(self, examples: Examples, step: Vocabulary | Subwords) -> Ragged:
        assert examples.texts is not None
        encode = encode_texts if isinstance(step, Vocabulary) else encode_subwords
        codes = list(encode(examples.texts, step, self.task.max_length))  # type: ignore[arg-type]
        offsets = np.concatenate(([0], np.cumsum([len(row) for row in codes], dtype=np.int64)))
        return Ragged({"tokens": np.concatenate([np.empty(0, np.int32), *codes])}, offsets)

    def _series(self, examples: Examples, step: CovariateScale) -> Ragged:
        """Channels scaled and filled; each that had gaps in training is followed by its 0/1 mask."""
        assert examples.series is not None
        assert examples.offsets is not None
        _check_channels(examples, step)
        kept, offsets = _newest(examples.offsets, self.task.max_length)
        out = np.empty((len(kept), self._port.size), np.float32)
        column = 0
        for channel, name in enumerate(step.columns):
            values = apply(
                examples.series[:, channel], self._arrays["center"][channel], self._arrays["scale"][channel]
            )
            filled = np.nan_to_num(forward_fill(values, examples.offsets))[kept]
            out[:, column] = np.clip(filled, -MOST, MOST)
            column += 1
            if name in step.masked:
                out[:, column] = ~np.isnan(values[kept])
                column += 1
        return Ragged({"x": out}, offsets)

    def _irregular(self, examples: Examples, step: Irregular) -> Ragged:
        """What a missing value becomes is decided over whole series; then they are cut to the last steps."""
        assert examples.offsets is not None
        _check_channels(examples, step)
        steps = IrregularRows(step, self._arrays).series(examples, self.task.time)
        kept, offsets = _newest(examples.offsets, self.task.max_length)
        return Ragged({"x": steps if len(kept) == len(steps) else steps[kept]}, offsets)

    def _images(self, examples: Examples, step: Images) -> Ragged:
        assert examples.images is not None
        wanted, shape = (step.height, step.width, step.channels), examples.images.shape[1:]
        if shape != wanted:
            raise DataError(
                f"images: must be {' x '.join(map(str, wanted))} (height, width, channels) as in training, "
                f"got {' x '.join(map(str, shape))}"
            )
        kept, offsets = _newest(np.arange(len(examples) + 1) * step.height, self.task.max_length)
        rows = examples.images.reshape(-1, step.width * step.channels)
        rows = rows if len(kept) == len(rows) else rows[kept]
        center, scale = (np.tile(self._arrays[name], step.width) for name in ("center", "scale"))
        return Ragged({"x": Pixels(rows, center, scale)}, offsets)

    def _audio(self, examples: Examples, step: LogMel) -> Ragged:
        """Log-mel frames of each recording."""
        assert examples.samples is not None
        assert examples.offsets is not None
        if examples.rate != step.rate:
            raise DataError(
                f"recordings: must be at {step.rate:,} Hz as in training, got {examples.rate:,} Hz"
            )
        frames = LogMelFrames(step, self._arrays["center"], self._arrays["scale"])
        return frames.ragged(examples.samples, examples.offsets, self.task.max_length)

    def _events(self, examples: Examples, step: Codes) -> Ragged:
        """Visits with the codes that are known, and log(1 + gap / unit); an unknown gap counts as none."""
        assert examples.offsets is not None
        assert examples.words is not None
        assert examples.codes is not None
        assert examples.visits is not None
        assert examples.gaps is not None
        kept, offsets = _newest(examples.offsets, self.task.max_length)
        known = {code: number for number, code in enumerate(step.codes)}
        number = np.array([known.get(word, -1) for word in examples.words], np.int32)
        counts = np.diff(examples.visits)
        visit = np.repeat(np.arange(len(counts)), counts)
        place = np.full(len(counts), -1)
        place[kept] = np.arange(len(kept))
        codes = number[examples.codes]
        real = (codes >= 0) & (place[visit] >= 0)
        per_step = np.bincount(place[visit[real]], minlength=len(kept))
        gaps = np.log1p(np.nan_to_num(examples.gaps[kept]) / self._arrays["gap_scale"][0])
        features = gaps.astype(np.float32)[:, None]
        starts = np.concatenate(([0], np.cumsum(per_step, dtype=np.int64)))
        return Ragged({"x": MultiHot(codes[real], starts, len(step.codes), features)}, offsets)


def _check_channels(examples: Examples, step: CovariateScale | Irregular) -> None:
    assert examples.series is not None
    if examples.series.shape[1] != len(step.columns):
        raise DataError(
            f"examples: must have {len(step.columns)} channels as in training, got {examples.series.shape[1]}"
        )


def _newest(offsets: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the last ``most`` steps of each row, and the offsets among them."""
    lengths = np.minimum(np.diff(offsets), most)
    bounds = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return np.arange(bounds[-1]) + np.repeat(offsets[1:] - bounds[1:], lengths), bounds
