"""Live models that tell people how far they are, once they have worked for two seconds."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode import (
    LiveClassifier,
    LiveComposer,
    LiveDetector,
    LiveForecaster,
    LiveGenerator,
    LiveTranscriber,
    LiveTranslator,
)
from grus.decode.detector import Chunk
from grus.decode.windows import Forecasts
from grus.preprocess.features import Features
from grus.preprocess.panel import Panel
from grus.preprocess.ragged import Ragged
from grus.preprocess.records import Records
from grus.spec import Model
from grus.training.progress import TimeLeft, format_seconds

if TYPE_CHECKING:
    from rich.progress import Progress

#: Nothing is shown before; on a terminal a bar is then redrawn, elsewhere a line comes as often as this.
WAIT_SECONDS, REDRAW_SECONDS, LINE_SECONDS = 2.0, 0.25, 10.0


class WatchedForecaster(LiveForecaster):
    """See `LiveForecaster`; ``quiet`` shows nothing."""

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], quiet: bool = False) -> None:
        super().__init__(model, tensors)
        self._quiet = quiet
        self._meter: _Meter | None = None

    def forecast(self, panel: Panel, *where: Any, **more: Any) -> Forecasts:
        """Forecast windows of a panel, after what was noticed about it; see `LiveForecaster.forecast`."""
        if not self._quiet:
            for note in (*panel.notes, *self._preprocessor.strangers(panel)):
                print(note, file=sys.stderr)
        return super().forecast(panel, *where, **more)

    def outputs(self, features: Features, series: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """The network's outputs; see `LiveForecaster.outputs`."""
        self._meter = None if self._quiet else _Meter(len(series), "windows")
        try:
            return super().outputs(features, series, origins)
        finally:
            if self._meter is not None:
                self._meter.close()
            self._meter = None

    def inputs(self, features: Features, series: np.ndarray, origins: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs of the next batch: the one before it is done by now."""
        if self._meter is not None:
            self._meter.batch(len(series))
        return super().inputs(features, series, origins)


class WatchedClassifier(LiveClassifier):
    """See `LiveClassifier`; ``quiet`` shows nothing."""

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], quiet: bool = False) -> None:
        super().__init__(model, tensors)
        self._quiet = quiet

    def logits(self, sequences: Ragged) -> np.ndarray:
        """The network's outputs; see `LiveClassifier.logits`."""
        self._meter = None if self._quiet else _Meter(len(sequences), "rows")
        try:
            return super().logits(sequences)
        finally:
            if self._meter is not None:
                self._meter.close()

    def batch_logits(self, sequences: Ragged, rows: np.ndarray) -> np.ndarray:
        """The outputs of the next batch: the one before it is done by now."""
        if self._meter is not None:
            self._meter.batch(len(rows))
        return super().batch_logits(sequences, rows)


class WatchedGenerator(LiveGenerator):
    """See `LiveGenerator`; ``quiet`` shows nothing."""

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], quiet: bool = False) -> None:
        super().__init__(model, tensors)
        self._quiet = quiet

    def parts(self, codes: np.ndarray) -> Iterator[np.ndarray]:
        """The parts of a long stream: when the next is asked for, the one before it is done."""
        meter = None if self._quiet else _Meter(len(codes), f"{self.codec.unit}s")
        try:
            for part in super().parts(codes):
                if meter is not None:
                    meter.batch(len(part))
                yield part
        finally:
            if meter is not None:
                meter.close()


class WatchedTranslator(LiveTranslator):
    """See `LiveTranslator`; ``quiet`` shows nothing."""

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], quiet: bool = False) -> None:
        super().__init__(model, tensors)
        self._quiet = quiet
        self._meter: _Meter | None = None

    def translate(self, sentences: Sequence[str], **options: Any) -> Any:
        """Translate sentences; see `LiveTranslator.translate`."""
        self._meter = None if self._quiet else _Meter(len(sentences), "sentences")
        try:
            return super().translate(sentences, **options)
        finally:
            if self._meter is not None:
                self._meter.close()
            self._meter = None

    def _each(self, function: Callable[[np.ndarray], Any], parts: list[np.ndarray]) -> Iterator[Any]:
        """What becomes of each batch: the one before it is done by now."""
        for part, found in zip(parts, super()._each(function, parts)):
            if self._meter is not None:
                self._meter.batch(len(part))
            yield found


class WatchedTranscriber(LiveTranscriber):
    """See `LiveTranscriber`; ``quiet`` shows nothing."""

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], quiet: bool = False) -> None:
        super().__init__(model, tensors)
        self._quiet = quiet
        self._meter: _Meter | None = None

    def logits(self, recordings: Sequence[Any]) -> list[np.ndarray]:
        """The network's outputs; see `LiveTranscriber.logits`."""
        self._meter = None if self._quiet else _Meter(len(recordings), "recordings")
        try:
            return super().logits(recordings)
        finally:
            if self._meter is not None:
                self._meter.close()
            self._meter = None

    def batch_logits(self, x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The outputs of the next batch: the one before it is done by now."""
        if self._meter is not None:
            self._meter.batch(len(x))
        return super().batch_logits(x, lengths)


class WatchedComposer(LiveComposer):
    """See `LiveComposer`; ``quiet`` shows nothing."""

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], quiet: bool = False) -> None:
        super().__init__(model, tensors)
        self._quiet = quiet

    def scored(self, pieces: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """The pieces one by one: when the next is asked for, the one before it is done."""
        meter = None if self._quiet else _Meter(len(pieces), "pieces")
        try:
            for piece in super().scored(pieces):
                if meter is not None:
                    meter.batch(1)
                yield piece
        finally:
            if meter is not None:
                meter.close()


class WatchedDetector(LiveDetector):
    """See `LiveDetector`; ``quiet`` shows nothing."""

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], quiet: bool = False) -> None:
        super().__init__(model, tensors)
        self._quiet = quiet

    def chunks(self, records: Records) -> Iterator[Chunk]:
        """The pieces of all series: when the next is asked for, the one before it is done."""
        meter = None if self._quiet else _Meter(len(records), "rows")
        try:
            for chunk in super().chunks(records):
                if meter is not None:
                    meter.batch(chunk[2].shape[1])
                yield chunk
        finally:
            if meter is not None:
                meter.close()


class _Meter:
    """Counts windows or rows and shows them."""

    def __init__(self, total: int, noun: str) -> None:
        self._total, self._done, self._next, self._noun = total, 0, 0, noun
        self._bar: Progress | None = None
        now = time.monotonic()
        self._left = TimeLeft(0, total, now)
        self._show_at = now + WAIT_SECONDS

    def batch(self, size: int) -> None:
        """A batch of so many begins."""
        self._done, self._next = self._next, self._next + size
        now = time.monotonic()
        if self._done and now >= self._show_at:
            self._show(format_seconds(self._left(self._done, now) or 0))
            self._show_at = now + (REDRAW_SECONDS if self._bar else LINE_SECONDS)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _show(self, left: str) -> None:
        if not sys.stderr.isatty():
            text = f"{self._done:,} of {self._total:,} {self._noun}, {left} left"
            print(text, file=sys.stderr, flush=True)
            return
        if self._bar is None:
            self._start_bar()
        assert self._bar is not None
        self._bar.update(self._task, completed=self._done, left=left)
        self._bar.refresh()

    def _start_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn(self._noun), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]} left"),
            console=Console(file=sys.stderr), auto_refresh=False, transient=True, redirect_stdout=False,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=self._total, left="")
        self._bar.start()
