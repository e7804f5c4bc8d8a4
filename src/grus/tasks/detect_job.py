"""The detector as a training job: which windows, which loss, which validation score."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from grus.data.windows import epoch_order, window_index
from grus.decode.streaming.detector import WARM_UP
from grus.errors import DataError
from grus.models import GraphModule
from grus.preprocess.detect import DetectPreprocessor
from grus.preprocess.records import Records
from grus.preprocess.row_tables import take_rows
from grus.tasks.detect_networks import MEAN

#: Steps an epoch has at least, as for the other tasks: few windows are gone through several times.
MIN_STEPS = 50
#: Errors up to this size, in scales, are squared in the loss; larger ones count by their size alone, so that anomalies
#: among the training rows do not decide what is normal.
HUBER = 0.5
_VALIDATION_BATCH = 256


@dataclass(frozen=True)
class Table:
    """Rows as the network sees them, series by series.

    Attributes:
        inputs: float32 [R, features].
        truth: float32 [R, C], scaled; NaN where missing, or where a row is known to be anomalous.
        offsets: int64 [N + 1].
    """

    inputs: np.ndarray
    truth: np.ndarray
    offsets: np.ndarray


def make_table(records: Records, preprocessor: DetectPreprocessor) -> Table:
    """The rows of every series as the network sees them from its beginning."""
    inputs = np.empty((len(records), preprocessor.port().size), np.float32)
    truth = np.empty(records.values.shape, np.float32)
    for i in range(records.n_series):
        rows = records.rows(i)
        inputs[rows], truth[rows] = preprocessor.series_inputs(records, i)
    if records.anomalous is not None:
        truth[records.anomalous] = np.nan
    return Table(inputs, truth, records.offsets)


class DetectJob:
    """See `grus.training.Job`.

    Args:
        model: built from the spec.
        table: the rows.
        train_end: in each series, the row after the last one that is trained on; what follows validates, int [N].
        window: rows of a training window.
        batch_size: windows a step.
        windows_per_epoch: at most so many windows an epoch, drawn anew each time.
        seed: of the order of windows.
        min_steps: at least so many steps an epoch.

    Raises:
        DataError: no window holds a value.
    """

    def __init__(
        self,
        model: GraphModule,
        table: Table,
        train_end: np.ndarray,
        *,
        window: int,
        batch_size: int,
        windows_per_epoch: int,
        seed: int,
        min_steps: int = MIN_STEPS,
    ) -> None:
        self.model = model
        self._table = table
        self._window = min(window, int(train_end.max(initial=0)))
        # In the first steps the state is not yet what it would be: they count for nothing in the loss, as live.
        self._burn_in = min(WARM_UP, self._window // 4)
        known = np.asarray(~np.isnan(table.truth).all(1))
        self._train = self._origins(0, train_end, 1, known)
        if not len(self._train):
            raise DataError("rows: expected values to learn from, got only missing ones")
        step = max(self._window - self._burn_in, 1)
        begin = np.maximum(train_end - self._burn_in, 0)
        self._validation = self._origins(begin, np.diff(table.offsets), step, known)
        self._batch_size, self._seed = batch_size, seed
        self._per_pass = min(len(self._train), windows_per_epoch)
        self._steps_per_pass = -(-self._per_pass // batch_size)
        self._passes = -(-min_steps // self._steps_per_pass)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    @property
    def can_validate(self) -> bool:
        """Whether there are windows to validate on."""
        return len(self._validation) > 0

    def steps(self, epoch: int) -> int:
        """Batches in an epoch."""
        return self._passes * self._steps_per_pass

    def batch(self, epoch: int, step: int) -> dict[str, Tensor | np.ndarray]:
        """``x`` [B, T, features] and ``truth`` [B, T, C]."""
        turn, place = epoch * self._passes + step // self._steps_per_pass, step % self._steps_per_pass
        if self._order[0] != turn:
            self._order = (turn, epoch_order(len(self._train), self._seed, turn, self._per_pass))
        chosen = self._order[1][place * self._batch_size : (place + 1) * self._batch_size]
        return {**self._arrays(self._train[chosen])}

    def loss(self, batch: dict[str, Tensor], carry: Any) -> tuple[Tensor, Any]:
        """Mean Huber loss over the known values after the first steps."""
        truth = batch["truth"][:, self._burn_in :]
        mean = self.model({"x": batch["x"]})[MEAN][:, self._burn_in :]
        known = ~torch.isnan(truth)
        # An error of 0 costs nothing; a cost multiplied by 0 would still be NaN where it overflows.
        error = torch.where(known, torch.where(known, truth, 0.0) - mean, 0.0)
        cost = functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="sum", beta=HUBER)
        return cost / known.sum().clamp(min=1), carry

    def validate(self) -> dict[str, float]:
        """The loss over the validation windows; nothing if there are none."""
        total = count = 0.0
        for start in range(0, len(self._validation), _VALIDATION_BATCH):
            arrays = self._arrays(self._validation[start : start + _VALIDATION_BATCH])
            device = next(self.model.parameters()).device
            batch = {name: torch.from_numpy(values).to(device) for name, values in arrays.items()}
            known = float((~torch.isnan(batch["truth"][:, self._burn_in :])).sum())
            total += float(self.loss(batch, None)[0]) * known
            count += known
        return {"validation_loss": total / count} if count else {}

    def _origins(self, first: Any, last: Any, stride: int, known: np.ndarray) -> np.ndarray:
        """The first rows of all windows that lie between two places of each series, int64 [W]."""
        found = window_index(self._table.offsets, first, last, 0, self._window, stride, known)
        return found[1]

    def _arrays(self, origins: np.ndarray) -> dict[str, np.ndarray]:
        rows = origins[:, None] + np.arange(self._window)
        return {"x": take_rows(self._table.inputs, rows), "truth": take_rows(self._table.truth, rows)}
