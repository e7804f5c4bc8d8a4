"""A forecaster with random weights, scored: what a report is made from, in milliseconds."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from example_series import ROLES, random_forecaster
from grus.data.splits import Split
from grus.decode import Evaluation
from grus.decode.intervals import LEVELS
from grus.preprocess.panel import Panel, build_panel
from grus.preprocess.roles import Roles
from grus.spec import Model
from grus.training import EpochRecord, History


@dataclass(frozen=True)
class Case:
    panel: Panel
    split: Split
    history: History
    evaluations: dict[str, Evaluation]
    model: Model


def series_panel(lengths: tuple[int, ...], *, integer: bool = False, seed: int = 0) -> Panel:
    """Series ``a``, ``b``, ... with a daily cycle, by the hour or on whole-number time."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("2024-01-01T00", "ns")
    hour = np.timedelta64(3600 * 10**9, "ns")
    ids, times, values = [], [], []
    for i, length in enumerate(lengths):
        steps = np.arange(length)
        ids.append(np.full(length, f"<{'abcdefgh'[i]}> & co", object))
        times.append(steps if integer else start + steps * hour)
        values.append(10.0 * (i + 1) + 3 * np.sin(steps * np.pi / 12) + rng.normal(0, 0.5, length))
    columns = {"unique_id": np.concatenate(ids), "ds": np.concatenate(times), "y": np.concatenate(values)}
    if len(lengths) > 1:
        return build_panel(columns, ROLES)
    return build_panel(columns, Roles("y", None, "ds"))


def a_case(
    lengths: tuple[int, ...] = (240, 220),
    *,
    val: int = 24,
    test: int = 36,
    intervals: bool = True,
    integer: bool = False,
    **options: Any,
) -> Case:
    """A scored forecaster whose weights are random; ``options`` are those of `random_forecaster`."""
    panel = series_panel(lengths, integer=integer)
    margins = np.linspace(0.05, 3.0, len(LEVELS))[:, None] * np.ones(options.get("horizon", 6))
    live = random_forecaster(panel, margins=margins if intervals else None, **options)
    end = panel.lengths
    split = Split(end - val - test, end - test, end)
    evaluations = {}
    if test:
        evaluations["test"] = live.evaluate(panel, last=test)
    if val:
        evaluations["validation"] = live.evaluate(panel.cut(0, split.val_end), last=val)
    return Case(panel, split, a_history(), evaluations, live.model)


def a_history(epochs: int = 4, **scores: float) -> History:
    """Loss falls, the third epoch is best."""
    records = [
        EpochRecord(
            epoch=e,
            steps=10 * e,
            train_loss=1.0 / e,
            validation={"loss": 0.5 + 0.1 * abs(e - 3), **scores},
            learning_rate=1e-3,
            seconds=1.5,
            samples_per_second=1000.0,
        )
        for e in range(1, epochs + 1)
    ]
    return History(records, "epochs", "loss", min(3, epochs), 0.5, 6.25)
