"""Labelled examples of any kind as arrays: texts, numeric series, images, events, or recordings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grus.errors import DataError
from grus.preprocess.storage import take_runs
from grus.spec import ClassifyKind

Labels = list[tuple[str, ...]]
"""The labels of each example: one in a 1-tuple, or with several labels any number of them."""


@dataclass(frozen=True)
class Examples:
    """R examples of one kind; what the other kinds need is None.

    Attributes:
        kind: text, series, images, events or audio.
        rows: how many examples, R.
        columns: names of the inputs: the text column, the channels, the column of codes; none for images and audio.
        ids: the user's own ids [R], as they came, or None.
        labels: of each example, or None where they are not known.
        texts: text: R strings.
        offsets: series, events and audio, int64 [R + 1]: example r is steps (visits, samples) ``offsets[r]`` to
            ``offsets[r + 1]``.
        series: series: float64 [N, C], NaN is a gap.
        times: series: when each step was, datetime64[ns] or int64 [N], rising within an example; None: not known.
        images: images: uint8 [R, H, W, C].
        words: events: the different codes.
        codes: events: int32 [E], numbers of words.
        visits: events: int64 [V + 1]: visit v has the codes ``visits[v]`` to ``visits[v + 1]``.
        gaps: events: float64 [V], time since the visit before, at least 0; NaN where unknown, as at the first.
        samples: audio: float32 [N], -1 to 1. rate: of all recordings, in Hz.

    Raises:
        DataError: arrays that do not fit together, or a value that cannot be.
    """

    kind: ClassifyKind
    rows: int
    columns: tuple[str, ...] = ()
    ids: np.ndarray | None = None
    labels: Labels | None = None
    texts: list[str] | None = None
    offsets: np.ndarray | None = None
    series: np.ndarray | None = None
    times: np.ndarray | None = None
    images: np.ndarray | None = None
    words: tuple[str, ...] | None = None
    codes: np.ndarray | None = None
    visits: np.ndarray | None = None
    gaps: np.ndarray | None = None
    samples: np.ndarray | None = None
    rate: int | None = None

    def __post_init__(self) -> None:
        for name in ("ids", "labels"):
            given: Any = getattr(self, name)
            if given is not None and len(given) != self.rows:
                raise DataError(f"examples: {name} must be {self.rows}, one an example, got {len(given)}")
        getattr(self, f"_{self.kind}")()

    def __len__(self) -> int:
        return self.rows

    def take(self, rows: np.ndarray | Sequence[int]) -> "Examples":
        """Some of the examples, in the order asked for."""
        index = np.asarray(rows, np.int64)
        out: dict[str, Any] = {"rows": len(index)}
        if self.ids is not None:
            out["ids"] = self.ids[index]
        for name in ("labels", "texts"):
            if (given := getattr(self, name)) is not None:
                out[name] = [given[i] for i in index]
        if self.images is not None:
            out["images"] = self.images[index]
        if self.offsets is not None:
            out |= self._take_steps(index, self.offsets)
        return replace(self, **out)

    def _take_steps(self, index: np.ndarray, offsets: np.ndarray) -> dict[str, Any]:
        first, lengths = offsets[:-1][index], np.diff(offsets)[index]
        out: dict[str, Any] = {"offsets": _bounds(lengths)}
        if self.kind == "series":
            assert self.series is not None
            out["series"] = _runs(self.series, first, lengths)
            if self.times is not None:
                out["times"] = _runs(self.times, first, lengths)
            return out
        if self.kind == "audio":
            assert self.samples is not None
            out["samples"] = take_runs(self.samples, first, lengths)
            return out
        assert self.visits is not None
        assert self.codes is not None
        assert self.gaps is not None
        begin = _runs(self.visits[:-1], first, lengths)
        counts = _runs(np.diff(self.visits), first, lengths)
        gaps = _runs(self.gaps, first, lengths)
        return out | {"visits": _bounds(counts), "codes": _runs(self.codes, begin, counts), "gaps": gaps}

    def _text(self) -> None:
        if self.texts is None or len(self.texts) != self.rows:
            raise DataError(f"examples: texts must be {self.rows}, got {self.texts and len(self.texts)}")
        for row, text in enumerate(self.texts):
            if not isinstance(text, str):
                raise DataError(f"examples, row {row} (counting from 0): expected text, got {text!r}")

    def _series(self) -> None:
        series, offsets = self.series, self.offsets
        if series is None or offsets is None or series.dtype != np.float64 or series.ndim != 2:
            raise DataError("examples: a series must be float64 [steps, channels], with offsets")
        _check_bounds("offsets", offsets, self.rows, len(series))
        if series.shape[1] != len(self.columns):
            raise DataError(
                f"examples: must have {len(self.columns)} channels as there are columns, got {series.shape[1]}"
            )
        self._check_times(offsets, len(series))
        if np.isinf(series).any():
            step, channel = (int(i[0]) for i in np.nonzero(np.isinf(series)))
            row = int(np.searchsorted(offsets, step, side="right")) - 1
            raise DataError(
                f"examples, row {row} (counting from 0), column {self.columns[channel]!r}: expected a finite number, "
                f"got {series[step, channel]}"
            )

    def _check_times(self, offsets: np.ndarray, steps: int) -> None:
        times = self.times
        if times is None:
            return
        if times.shape != (steps,) or (times.dtype != np.int64 and times.dtype != np.dtype("M8[ns]")):
            raise DataError(f"examples: times must be datetime64[ns] or int64 [{steps}], one a step")
        back = np.diff(times.astype(np.int64)) <= 0
        bounds = offsets[1:-1]
        back[bounds[(bounds > 0) & (bounds <= len(back))] - 1] = False
        if back.any():
            row = int(np.searchsorted(offsets, int(np.argmax(back)) + 1, side="right")) - 1
            raise DataError(
                f"examples, row {row} (counting from 0): expected times that rise from step to step"
            )

    def _images(self) -> None:
        images = self.images
        if (
            images is None
            or images.dtype != np.uint8
            or images.ndim != 4
            or len(images) != self.rows
            or 0 in images.shape[1:]
        ):
            got = None if images is None else f"{images.dtype} {list(images.shape)}"
            raise DataError(
                f"examples: images must be uint8 [{self.rows}, height, width, channels], got {got}"
            )

    def _audio(self) -> None:
        samples, offsets = self.samples, self.offsets
        if samples is None or offsets is None or self.rate is None or samples.dtype != np.float32:
            raise DataError("examples: recordings must be float32 samples, with offsets and a rate")
        _check_bounds("offsets", offsets, self.rows, len(samples))

    def _events(self) -> None:
        words, codes, visits, gaps, offsets = self.words, self.codes, self.visits, self.gaps, self.offsets
        if words is None or codes is None or visits is None or gaps is None or offsets is None:
            raise DataError("examples: events must have words, codes, visits, gaps and offsets")
        _check_bounds("offsets", offsets, self.rows, len(gaps))
        _check_bounds("visits", visits, len(gaps), len(codes))
        if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < len(words):
            raise DataError(f"examples: codes must be numbers of the {len(words)} words")
        if not (np.isnan(gaps) | ((gaps >= 0) & (gaps < np.inf))).all():
            raise DataError("examples: gaps must be finite and at least 0, or NaN where they are not known")


def _check_bounds(name: str, bounds: np.ndarray, parts: int, total: int) -> None:
    if bounds.shape != (parts + 1,) or bounds[0] != 0 or bounds[-1] != total or (np.diff(bounds) < 0).any():
        raise DataError(f"examples: {name} must rise from 0 to {total} in {parts + 1} numbers")


def _bounds(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def _runs(values: np.ndarray, first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Rows ``first[i] : first[i] + lengths[i]`` for every i, one after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return values[np.arange(total) + np.repeat(first - (ends - lengths), lengths)]
