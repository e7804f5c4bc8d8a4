"""A user's table as a forecasting problem for any cell: the same rows, windows and budget for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from grus.data.roles import plan_lines
from grus.data.splits import Split, split_panel
from grus.decode import Forecasts, LiveForecaster
from grus.decode.baselines import repeat_last
from grus.decode.scores import evaluate, windows_of
from grus.errors import DataError, UsageError
from grus.models import GraphModule
from grus.preprocess.forecast_steps import Layout, layout
from grus.preprocess.panel import Panel
from grus.spec import Forecast, Graph
from grus.tasks.compare.problem import Losses, Setting
from grus.tasks.forecast import Forecaster
from grus.tasks.forecast_fit import Ready, make_ready, network_of, panel_digest, read_panel, with_weights
from grus.tasks.forecast_networks import build_network
from grus.tasks.forecast_parameters import check_parameters
from grus.training import Job, TrainingConfig


class ForecastProblem:
    """See `grus.tasks.compare.Problem`.

    Test units are windows that do not overlap, one every horizon. Windows of one hour share what happened then, and
    those of one series what is peculiar to it, so all windows of a place in time are one unit, or all those of a
    series where there are more series than places.

    A share of the training rows is the newest part of each series; older rows are not seen at all, not even as
    history. The length is the lookback. The rows that are tested and validated on are those of the longest lookback.

    Args:
        data: as for `grus.Forecaster.fit`.
        forecaster: its parameters; cell, width, rate, seed and lookback are those of each setting.
        test_size: None: a tenth of the rows, at least one horizon.
        lengths: the lookbacks that will be asked for.

    Raises:
        DataError, UsageError: as `grus.Forecaster.fit`; nothing is left for validation or test.
    """

    name = "forecast"

    def __init__(
        self, data: Any, forecaster: Forecaster, test_size: int | None, lengths: Sequence[int] = ()
    ) -> None:
        given = check_parameters(forecaster.get_params() | {"test_size": test_size or 0})
        if given["irregular"] is not None:
            raise UsageError(f"compare: irregular must be None, got {given['irregular']!r}")
        me = Forecaster(**given)
        panel, self._names = read_panel(me, data)
        longest = max(lengths, default=None)
        # Where the split is left open it depends on the lookback, so the longest one settles it for all.
        network = network_of(_changed(me, lookback=longest or me.lookback), panel)
        rows: dict[str, int | None] = {"val_size": me.val_size, "test_size": test_size and me.test_size}
        panel, split, notes = split_panel(panel, network.lookback, me.horizon, **rows)
        sizes = (int((split.val_end - split.train_end)[0]), int((split.test_end - split.val_end)[0]))
        for name, size in zip(rows, sizes, strict=True):
            if not size:
                raise UsageError(f"compare: {name} must leave rows to compare on, got 0")
        #: As given, but for the rows that are set aside; those settle what is trained.
        settled = _changed(me, val_size=sizes[0], test_size=sizes[1])
        self.parameters = settled.get_params()
        self._parameters = _changed(settled, lookback=me.lookback or network.lookback)
        self._panel, self._train_end = panel, split.train_end
        self.digest = panel_digest(panel)
        self.title = (
            f"Forecast of {', '.join(me.target) if isinstance(me.target, tuple) else panel.roles.target}"
        )
        self.title += f", {panel.frequency.count(me.horizon)} ahead"
        self.metric = f"MAE ({panel.roles.target})"
        self.plan = self._plan(split, notes)
        self._made: tuple[Setting, Ready] | None = None
        #: The network's inputs by lookback: a search for a width asks for many networks.
        self._layouts: dict[int, Layout] = {}

    def graph(self, cell: str, hidden: int, length: int | None = None) -> Graph:
        """The network of a cell with that many units and that lookback, as all training rows make it."""
        parameters = self._with(Setting(cell, hidden, 1e-3, length=length))
        network = network_of(parameters, self._panel)
        if network.lookback not in self._layouts:
            model = self._ready(Setting(cell, hidden, 1e-3, length=length)).model
            self._layouts[network.lookback] = layout((model.task_as(Forecast), model.preprocess))
        return build_network(network, self._layouts[network.lookback])

    def job(self, setting: Setting) -> Job:
        """What is trained."""
        # Weights are drawn anew each time: a job that was trained is none to begin with.
        self._made = None
        return self._ready(setting).job

    def config(self, setting: Setting) -> TrainingConfig:
        """The forecaster's own, at the rate and with the seed of the setting."""
        return self._with(setting)._training_config()

    def losses(self, model: GraphModule, setting: Setting) -> Losses:
        """Mean absolute error of every unit, in the unit of the target, on the test rows."""
        ready = self._ready(setting)
        live = LiveForecaster(ready.model, with_weights(ready.arrays, model))
        windows = self._windows
        history = self._panel.lengths.copy()
        np.minimum.at(history, windows.series, windows.origins - self._panel.offsets[windows.series])
        made = live.forecast(self._panel, windows.series, windows.origins, history=history)
        error = np.abs(made.point - windows.truth)
        known = np.isfinite(error)
        weights = np.bincount(windows.unit, known.sum(axis=1), windows.units)
        total = np.bincount(windows.unit, np.where(known, error, 0.0).sum(axis=1), windows.units)
        some = weights > 0
        rmse = float(np.sqrt(np.mean(error[known] ** 2)))
        return Losses(total[some] / weights[some], weights[some], {f"RMSE ({self._target})": rmse})

    def floors(self, length: int | None = None) -> Mapping[str, float]:
        """MAE of repeating the last value and the last season, on the same windows."""
        windows, panel = self._windows, self._panel
        last = repeat_last(panel, windows.origins, self._parameters.horizon)
        made = Forecasts(windows.series, windows.origins, last, {}, {})
        seasons = panel.frequency.seasons
        return {s.name: s.mae for s in evaluate(panel, made, "", seasons, panel.frequency.season).scores[1:]}

    @property
    def _target(self) -> str:
        return self._panel.roles.target

    def _with(self, setting: Setting) -> Forecaster:
        """The forecaster of a setting."""
        return _changed(
            self._parameters, cell=setting.cell, hidden_size=setting.hidden, learning_rate=setting.learning_rate,
            seed=setting.seed, lookback=setting.length or self._parameters.lookback,
        )  # fmt: skip

    def _ready(self, setting: Setting) -> Ready:
        """Data and network of a setting; the last one is kept."""
        if self._made is None or self._made[0] != setting:
            parameters, panel = self._with(setting), self._panel
            if setting.share < 1:
                panel = self._newest(setting.share, network_of(parameters, panel).lookback)
            # The graph's name of the forecast is the cell's, which says nothing about its weights.
            self._made = setting, make_ready(parameters, panel, self._names)
        return self._made[1]

    def _newest(self, share: float, lookback: int) -> Panel:
        """The panel without the older training rows."""
        left = np.maximum(np.round(share * self._train_end), 1).astype(np.int64)
        needed = lookback + self._parameters.horizon
        if left.max() < needed:
            raise DataError(
                f"sizes: a share of {share:g} leaves {int(left.max()):,} training rows, but a lookback of "
                f"{lookback:,} and a horizon of {self._parameters.horizon:,} need at least {needed:,}",
                "take larger shares, or a shorter lookback",
            )
        return self._panel.cut(self._train_end - left, self._panel.lengths)

    @cached_property
    def _windows(self) -> "_TestWindows":
        panel, horizon, size = self._panel, self._parameters.horizon, self._parameters.test_size
        first = panel.offsets[1:] - size
        count = size // horizon
        series = np.repeat(np.arange(panel.n_series), count)
        origins = (first[:, None] + horizon * np.arange(count)).ravel()
        nothing = np.zeros((len(origins), horizon))
        truth = windows_of(panel, Forecasts(series, origins, nothing, {}, {}))
        # What has no value before it has no naive forecast to stand beside.
        truth = np.where(np.isfinite(repeat_last(panel, origins, horizon)), truth, np.nan)
        if not np.isfinite(truth).any():
            raise DataError(
                f"column {self._target!r}: expected values in the test rows, got only missing ones"
            )
        by_series = panel.n_series >= count
        unit = series if by_series else np.tile(np.arange(count), panel.n_series)
        return _TestWindows(series, origins, truth, unit, panel.n_series if by_series else count, by_series)

    def _plan(self, split: Split, notes: tuple[str, ...]) -> list[str]:
        lines = [*plan_lines(self._panel, split, self._names), *self._panel.notes, *notes]
        windows = self._windows
        what = (
            "a series"
            if windows.by_series
            else "a window"
            if self._panel.n_series == 1
            else "a place in time"
        )
        size = f"{self._parameters.horizon:,} step{'' if self._parameters.horizon == 1 else 's'}"
        return [*lines, f"units     {windows.units:,} of the test, each {what}; windows of {size}"]


def _changed(forecaster: Forecaster, **changes: Any) -> Forecaster:
    """The same with other parameters."""
    return Forecaster(**(forecaster.get_params() | changes))


@dataclass(frozen=True)
class _TestWindows:
    """What is forecast: series and origin of each window [W], its truth [W, H], and the unit it belongs to [W]."""

    series: np.ndarray
    origins: np.ndarray
    truth: np.ndarray
    unit: np.ndarray
    units: int
    by_series: bool
