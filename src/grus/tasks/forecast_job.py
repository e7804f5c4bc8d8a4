"""The forecaster as a training job: which windows, which loss, which validation score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grus.data.windows import epoch_order
from grus.decode import LiveForecaster
from grus.decode.intervals import (
    calibrate,
    mean_size,
    phase_spread,
    point,
    season_phases,
)
from grus.errors import DataError, UsageError
from grus.models import GraphModule
from grus.preprocess.features import Features, Preprocessor
from grus.preprocess.panel import Panel
from grus.tasks.hiding import generator, hide, masks_of

#: How often the code of the series is hidden in training, so that code 0 learns to stand for a series never seen.
SERIES_DROPOUT = 0.02
#: Steps an epoch has at least: with two or three, patience counted in epochs would end training before it has begun
#: (144 months of airline passengers: MAE 66 without, 22 with).
MIN_STEPS = 50
#: Validation windows are thinned to so many; scoring more costs time and changes the score by noise.
VALIDATION_WINDOWS = 4096
_VALIDATION_BATCH = 512


@dataclass(frozen=True)
class Windows:
    """Windows by series number and by the global row of their first step, both int [W]."""

    series: np.ndarray
    origins: np.ndarray

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, index: Any) -> "Windows":
        return Windows(self.series[index], self.origins[index])

    def thinned(self, most: int) -> "Windows":
        """At most ``most`` of them, evenly spread."""
        return self if len(self) <= most else self[np.linspace(0, len(self) - 1, most).astype(np.int64)]


class ForecastJob:
    """See `grus.training.Job`.

    Args:
        model: built from the spec.
        preprocessor: fitted on the training rows.
        features: of the whole panel.
        train, validation: windows; validation may be empty.
        steps_out: steps on the target clock.
        loss: ``mae``, ``mse`` or ``huber`` for points; with ``quantiles`` the pinball loss is used.
        quantiles: probabilities of the outputs; empty for points.
        batch_size: windows a step.
        windows_per_epoch: at most so many windows an epoch, drawn anew each time.
        seed: of the order of windows.
        series_code: name of the port whose code tells the series apart, or None.
        min_steps: at least so many steps an epoch; few windows are gone through several times, each time in an
            order of its own.
    """

    def __init__(
        self,
        model: GraphModule,
        preprocessor: Preprocessor,
        features: Features,
        train: Windows,
        validation: Windows,
        *,
        steps_out: int,
        loss: str,
        quantiles: tuple[float, ...],
        batch_size: int,
        windows_per_epoch: int,
        seed: int,
        series_code: str | None,
        min_steps: int = 1,
    ) -> None:
        if loss not in ("mae", "mse", "huber"):
            raise UsageError(f"loss must be 'mae', 'mse' or 'huber', got {loss!r}")
        if not len(train):
            task = preprocessor.task
            raise DataError(
                f"column {task.target!r}: expected values after the first {task.lookback} training rows of some "
                "series (its lookback), got only missing ones",
                "give longer or fuller series, or a shorter lookback",
            )
        self.model = model
        self._preprocessor, self._features = preprocessor, features
        self._train, self._validation = train, validation
        self._steps_out, self._horizon = steps_out, preprocessor.task.horizon
        self._loss, self._quantiles = loss, torch.tensor(quantiles)
        self._batch_size, self._seed, self._series_code = batch_size, seed, series_code
        # After the filled target and whether there is a row.
        self._masks = masks_of(preprocessor.steps, 2)
        self._per_pass = min(len(train), windows_per_epoch)
        self._steps_per_pass = -(-self._per_pass // batch_size)
        self._passes = -(-min_steps // self._steps_per_pass)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def steps(self, epoch: int) -> int:
        """Batches in an epoch; the last of each pass over the windows may be smaller."""
        return self._passes * self._steps_per_pass

    def batch(self, epoch: int, step: int) -> dict[str, Tensor | np.ndarray]:
        """Inputs by port, and ``truth`` [B, H], scaled, NaN where missing."""
        turn, place = epoch * self._passes + step // self._steps_per_pass, step % self._steps_per_pass
        if self._order[0] != turn:
            self._order = (turn, epoch_order(len(self._train), self._seed, turn, self._per_pass))
        chosen = self._train[self._order[1][place * self._batch_size : (place + 1) * self._batch_size]]
        batch = self._arrays(chosen)
        random = generator(self._seed, epoch, step)
        if self._series_code is not None:
            hidden = random.random(len(chosen)) < SERIES_DROPOUT
            batch[self._series_code] = np.where(hidden, 0, batch[self._series_code])
        hide(batch["past"], self._masks, random)
        return {**batch}

    def loss(self, batch: dict[str, Tensor], carry: Any) -> tuple[Tensor, Any]:
        """Mean loss over the known values of a batch."""
        truth = batch["truth"]
        outputs = self.model({k: v for k, v in batch.items() if k != "truth"})["forecast"][:, : self._horizon]
        known = ~torch.isnan(truth)
        # An error of 0 costs nothing; a cost multiplied by 0 would still be NaN where it overflows.
        error = torch.where(known[..., None], torch.where(known, truth, 0.0)[..., None] - outputs, 0.0)
        return self._cost(error).sum() / (known.sum() * outputs.shape[-1]).clamp(min=1), carry

    def validate(self) -> dict[str, float]:
        """The loss over the validation windows; nothing if there are none."""
        total = count = 0.0
        for start in range(0, len(self._validation), _VALIDATION_BATCH):
            arrays = self._arrays(self._validation[slice(start, start + _VALIDATION_BATCH)])
            device = next(self.model.parameters()).device
            batch = {name: torch.from_numpy(values).to(device) for name, values in arrays.items()}
            known = float((~torch.isnan(batch["truth"])).sum())
            total += float(self.loss(batch, None)[0]) * known
            count += known
        return {"validation_loss": total / count} if count else {}

    def _cost(self, error: Tensor) -> Tensor:
        if len(self._quantiles):
            quantiles = self._quantiles.to(error.device)
            return torch.maximum(quantiles * error, (quantiles - 1) * error)
        if self._loss == "mae":
            return error.abs()
        if self._loss == "mse":
            return error.square()
        return torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none")

    def _arrays(self, windows: Windows) -> dict[str, np.ndarray]:
        arrays = self._preprocessor.windows(self._features, windows.series, windows.origins, self._steps_out)
        return {**arrays, "truth": truth(self._features, windows, self._horizon)}


def truth(features: Features, windows: Windows, horizon: int) -> np.ndarray:
    """Scaled targets of windows, float32 [W, H], NaN where missing."""
    rows = windows.origins[:, None] + np.arange(horizon)
    return features.target[rows]


def calibrate_forecaster(
    live: LiveForecaster, panel: Panel, training: Windows, validation: Windows
) -> dict[str, np.ndarray]:
    """The interval tensors of a model file: error sizes from training windows, margins from validation windows.

    The margins hold their level only if what the errors are divided by owes nothing to them: with sizes taken from
    the validation windows too, nominal 80% intervals of 48 hours of validation covered 65% (simulated noise).
    """
    task, features = live.task, live.features(panel)

    def forecast(windows: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        outputs = live.outputs(features, windows.series, windows.origins).astype(np.float64)
        phases = season_phases(panel, windows.series, windows.origins, task.horizon, task.season)
        return outputs, truth(features, windows, task.horizon).astype(np.float64), phases

    outputs, known, phases = forecast(training)
    spread = phase_spread(known - point(outputs, task.quantiles), phases, task.season)
    outputs, known, phases = forecast(validation)
    size = spread[phases]
    own = mean_size((known - point(outputs, task.quantiles)) / size)
    typical = float(np.nanmean(own)) if np.nansum(own) > 0 else 1.0
    last = live.recent_error(panel, features, validation.series, validation.origins, spread, typical)
    size = size * last[:, None]
    margins = calibrate(outputs / size[..., None], known / size, task.quantiles)
    return {"task.conformal": margins, "task.spread": spread, "task.recent": np.array([typical])}


def series_code(tokens: Mapping[str, object] | tuple[str, ...], name: str) -> str | None:
    """The port that carries the code of the series, if there is one."""
    names = list(tokens)
    return f"static_code_{names.index(name)}" if name in names else None
