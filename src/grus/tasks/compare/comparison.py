"""What `grus.compare` returns: figures, the sentence, and a folder with the report."""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from grus.decode.comparing.records import Outcome, Point
from grus.decode.comparing.verdict import judge
from grus.errors import ModelFolderError
from grus.inspection.compare.report import PAGE, write_compare_report
from grus.inspection.compare.table import table_columns
from grus.inspection.compare.wording import point_name, verdict_sentence
from grus.preprocess.columns import Columns


class Comparison:
    """Cells compared on one problem.

    Args:
        outcome: everything that was measured.

    Attributes:
        command: the command line that made it, for the report; empty by default.
        outcome: see `grus.decode.comparing.records.Outcome`.
        table: columns, a row for every cell and every answer that costs nothing at every point.
        verdict: one sentence: what to pick, and whether the difference is more than noise.
        pick: the cell to take at the main point, or None if none was trained to an end.
    """

    def __init__(self, outcome: Outcome) -> None:
        self.outcome, self.command = outcome, ""

    def __repr__(self) -> str:
        """The verdict."""
        return f"<Comparison: {self.verdict}>"

    @cached_property
    def table(self) -> Columns:
        """Every figure, by column."""
        return table_columns(self.outcome)

    @cached_property
    def verdict(self) -> str:
        """The sentence about the main point: the largest share of the rows at the longest length."""
        return verdict_sentence(self.outcome)

    @property
    def pick(self) -> str | None:
        """The cell to take."""
        found = judge(self.outcome.main, self.outcome.level)
        return None if found is None else found.pick.cell

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data for JSON, errors unit by unit included."""
        o = self.outcome
        return {
            "task": o.task,
            "title": o.title,
            "metric": o.metric,
            "plan": o.plan,
            "equal": o.equal,
            "seeds": o.seeds,
            "level": o.level,
            "machine": o.machine,
            "verdict": self.verdict,
            "pick": self.pick,
            "points": [self._point(point) for point in o.points],
        }

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write ``index.html`` and ``comparison.json`` into a folder, made if absent; return the page's path.

        Raises:
            ModelFolderError: the page exists (without ``force``).
        """
        folder = Path(folder)
        if (folder / PAGE).exists() and not force:
            raise ModelFolderError(
                f"{folder / PAGE}: already exists, and nothing is overwritten unasked",
                "name another folder, or say force to replace it",
            )
        folder.mkdir(parents=True, exist_ok=True)
        return write_compare_report(folder, self.outcome, self.to_dict(), self.command)

    def _point(self, point: Point) -> dict[str, Any]:
        found = judge(point, self.outcome.level)
        differences = {} if found is None else found.differences
        return {
            "share": point.share,
            "length": point.length,
            "name": point_name(self.outcome, point),
            "verdict": verdict_sentence(self.outcome, point),
            "pick": None if found is None else found.pick.cell,
            "differences_to_pick": {cell: interval._asdict() for cell, interval in differences.items()},
            "floors": point.floors,
            "cells": [
                {
                    "cell": result.cell,
                    "hidden": result.hidden,
                    "cost": asdict(result.cost) | {"bytes": result.cost.bytes},
                    "error": result.interval(self.outcome.level)._asdict() if result.runs else None,
                    "learning_rate": result.rate,
                    "diverged": result.diverged,
                    "tried": [
                        {"learning_rate": run.learning_rate, "state": run.state, "validation": run.score}
                        for run in result.tried
                    ],
                    "runs": [asdict(run) for run in result.runs],
                }
                for result in point.cells
            ],
        }
