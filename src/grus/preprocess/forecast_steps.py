"""Fitting what a forecaster makes of a panel, and where each feature then stands in the network's inputs."""

from dataclasses import dataclass

import numpy as np

from grus.preprocess.calendar import default_calendar, feature_names
from grus.preprocess.categories import fit_categories
from grus.preprocess.columns import is_text
from grus.preprocess.irregular import fit_scaled
from grus.preprocess.panel import Panel
from grus.preprocess.scaling import Method, apply, fit_scaler, fit_series_scaler
from grus.preprocess.storage import chunks
from grus.spec import (
    AnyStep,
    Calendar,
    Categories,
    CovariateScale,
    Forecast,
    Irregular,
    IrregularForm,
    Model,
    Port,
    SeriesScale,
)

#: Cycles of a year are kept only where training saw at least this many of them: with fewer, the position in the year
#: names single days, and the network learns those by heart (bike sharing, under two years: MAE 52 with, 44 without).
YEARS_FOR_YEARLY = 2.0
#: Bounds and the unit of time of irregular series are those of so many rows, the newest ones. With four times
#: as many fitting took 0.3 GB more (3 columns), beside a table that may be larger than memory.
MOST_FITTED = 1 << 20
_YEARLY = {"day_of_year", "week_of_year"}
_YEAR = np.timedelta64(365 * 24, "h")


@dataclass(frozen=True)
class Layout:
    """Which feature stands where in the network's inputs, by name, in order.

    ``past`` is the target with its gaps filled, whether it was observed, the covariates known up to now, the calendar.
    With ``irregular`` it is the target filled, whether there is a row, what the step makes of the target and these
    covariates, the calendar.
    """

    past: tuple[str, ...]
    future: tuple[str, ...]
    static: tuple[str, ...]
    past_tokens: tuple[str, ...]
    future_tokens: tuple[str, ...]
    static_tokens: tuple[str, ...]
    calendar: int
    counts: dict[str, int]
    irregular: Irregular | None = None

    def ports(self) -> tuple[Port, ...]:
        """The graph's inputs, as `windows` names them."""
        ports = [Port("past", "seq", len(self.past), "src"), Port("future", "seq", len(self.future), "tgt")]
        if self.static:
            ports.append(Port("static", "vec", len(self.static)))
        for group, clock in (("past", "src"), ("future", "tgt"), ("static", "")):
            for number, column in enumerate(getattr(self, f"{group}_tokens")):
                ports.append(Port(f"{group}_code_{number}", "tokens", self.counts[column], clock))
        return tuple(ports)


SERIES = "<series>"
"""Name of the code that tells the series apart; code 0 is a series that training never saw."""


def fit_steps(
    panel: Panel,
    *,
    scaling: Method = "standard",
    calendar: tuple[str, ...] | None = None,
    irregular: IrregularForm | None = None,
) -> tuple[tuple[AnyStep, ...], dict[str, np.ndarray]]:
    """Fit every preprocessing step on a panel of training rows.

    Args:
        panel: the rows.
        scaling: of the target.
        calendar: features by name; by the stamps if None.
        irregular: what is made of missing values and uneven times; None: the last value known, with masks.

    Returns:
        The steps, and their float64 arrays by the names of the model file.
    """
    features = _calendar_of(panel) if calendar is None else calendar
    columns = {**panel.past, **panel.future, **panel.static}
    text = {name: fit_categories(values, name) for name, values in columns.items() if is_text(values)}
    numeric = tuple(name for name in columns if name not in text)
    own = panel.static if irregular is None else {*panel.static, *panel.past}
    masked = tuple(name for name in numeric if name not in own and _has_gaps(columns[name]))
    center, scale = np.zeros(len(numeric)), np.ones(len(numeric))
    for number, name in enumerate(numeric):
        fitted = fit_scaler(columns[name][:, None], "standard", (name,))
        center[number], scale[number] = fitted[0][0], fitted[1][0]
    series_center, series_scale = fit_series_scaler(panel.target, panel.offsets, scaling, panel.ids)
    steps: tuple[AnyStep, ...] = (
        Calendar(features),
        Categories(text),
        CovariateScale(numeric, masked),
        SeriesScale(scaling, panel.ids),
    )
    arrays = {
        "preprocess.covariate_scale.center": center,
        "preprocess.covariate_scale.scale": scale,
        "preprocess.series_scale.center": series_center,
        "preprocess.series_scale.scale": series_scale,
    }
    if irregular is None:
        return steps, arrays
    step, more = _fit_irregular(panel, irregular, numeric, (series_center, series_scale), (center, scale))
    return (*steps, step), arrays | {f"preprocess.{step.key}.{name}": values for name, values in more.items()}


def _fit_irregular(
    panel: Panel,
    form: IrregularForm,
    numeric: tuple[str, ...],
    series: tuple[np.ndarray, np.ndarray],
    covariates: tuple[np.ndarray, np.ndarray],
) -> tuple[Irregular, dict[str, np.ndarray]]:
    """Fit what is made of the target, which may drift, and the ``numeric`` past covariates, all scaled as given."""
    if panel.n_rows > MOST_FITTED:
        panel = panel.last(max(MOST_FITTED // panel.n_series, 1))
    names = tuple(name for name in panel.past if name in numeric)
    owner = np.repeat(np.arange(panel.n_series), panel.lengths)
    channels = [apply(panel.target, series[0][owner], series[1][owner])]
    for name in names:
        place = numeric.index(name)
        channels.append(apply(panel.past[name], covariates[0][place], covariates[1][place]))
    target = panel.roles.target
    return fit_scaled(
        (target, *names), np.stack(channels, 1), panel.offsets, panel.stamps, form, free=(target,)
    )


def _has_gaps(values: np.ndarray) -> bool:
    return any(bool(np.isnan(values[piece]).any()) for piece in chunks(len(values)))


def _calendar_of(panel: Panel) -> tuple[str, ...]:
    names = default_calendar(panel.frequency)
    if not names or not panel.n_rows:
        return names
    ends = panel.frequency.at(panel.starts, panel.lengths - 1)
    years = float((ends - panel.starts).max() / _YEAR)
    return names if years >= YEARS_FOR_YEARLY else tuple(name for name in names if name not in _YEARLY)


def layout(model: Model | tuple[Forecast, tuple[AnyStep, ...]]) -> Layout:
    """Derive the order of features from the task and its fitted steps alone."""
    task, steps = (model.task_as(Forecast), model.preprocess) if isinstance(model, Model) else model
    found = {type(step): step for step in steps}
    calendar: Calendar = found[Calendar]  # type: ignore[assignment]
    text: Categories = found[Categories]  # type: ignore[assignment]
    scale: CovariateScale = found[CovariateScale]  # type: ignore[assignment]
    series: SeriesScale = found[SeriesScale]  # type: ignore[assignment]

    def numeric(names: tuple[str, ...]) -> tuple[str, ...]:
        kept = [name for name in names if name not in text.columns]
        return tuple(
            part for name in kept for part in ((name, f"{name}?") if name in scale.masked else (name,))
        )

    def coded(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if name in text.columns)

    clock = feature_names(calendar.features)
    counts = {name: len(values) + 1 for name, values in text.columns.items()}
    several = len(series.ids) > 1
    irregular: Irregular | None = found.get(Irregular)  # type: ignore[assignment]
    history = (task.target, "observed", *numeric(task.past))
    if irregular is not None:
        history = (f"{task.target} filled", "row", *irregular.features())
    return Layout(
        past=(*history, *clock),
        future=("lead", *clock, *numeric(task.future)),
        static=numeric(task.static),
        past_tokens=coded(task.past),
        future_tokens=coded(task.future),
        static_tokens=coded(task.static) + ((SERIES,) if several else ()),
        calendar=len(clock),
        counts={**counts, SERIES: len(series.ids) + 1},
        irregular=irregular,
    )
