"""Going on with a trained forecaster: what stays as it is, and whether the new weights are better than the old."""

from typing import TYPE_CHECKING, Literal

import torch

from grus.inspection.wording import figure
from grus.preprocess.panel import Panel
from grus.spec import Categories, Model, SeriesScale
from grus.tasks.forecast_job import ForecastJob

if TYPE_CHECKING:
    from grus.tasks.forecast import Forecaster

#: Of the constructor's learning rate, what an update takes: enough for a new regime, too little to forget the old one.
RATE = 0.1


def update_rate(forecaster: "Forecaster") -> float | Literal["auto"]:
    """The peak of an update: a tenth of what ``fit`` used; where ``auto`` is all that is known, its own range test."""
    rate: float | Literal["auto"] = forecaster.learning_rate
    found = forecaster.history_.rate_test if rate == "auto" and hasattr(forecaster, "history_") else None
    if found is not None:
        rate = found.rate
    return rate if rate == "auto" else rate * RATE


def kept_line(model: Model, panel: Panel) -> str:
    """A line of the plan: what an update leaves alone, and what it does with series it does not know."""
    known = set(model.step(SeriesScale).ids)
    new = sum(name not in known for name in panel.ids)
    kept = [
        "the network",
        f"the {'scale' if panel.n_series - new == 1 else 'scales'} of {panel.n_series - new} series",
    ]
    if model.step(Categories).columns:
        kept.append("the categories")
    text = f"kept      {', '.join(kept[:-1])} and {kept[-1]}"
    return text + (f"; {new:,} new series scaled by the rows given" if new else "")


def validation_loss(job: ForecastJob) -> float | None:
    """The loss over the validation windows with the weights as they are; None without such windows."""
    job.model.eval()
    with torch.no_grad():
        return job.validate().get("validation_loss")


def outcome(before: float | None, after: float | None) -> tuple[bool, str]:
    """Whether the new weights are to be kept, and a line of the plan that says so."""
    if before is None or after is None:
        return True, "updated   without validation rows, so nothing says whether the new weights are better"
    change = f"validation loss {figure(before, 3)} before, {figure(after, 3)} after"
    if after < before:
        return True, f"updated   {change}"
    return False, f"updated   {change}: no better, so the weights are left as they were"
