"""The report of ``grus compare``: one self-contained HTML page, with the figures beside it."""

from pathlib import Path
from typing import Any

from grus.artifact import write_file
from grus.decode.comparing.records import Outcome
from grus.inspection.compare.page import compare_page
from grus.inspection.render import render
from grus.inspection.report import plan_columns
from grus.inspection.wording import to_json

PAGE, FIGURES = "index.html", "comparison.json"


def write_compare_report(folder: Path, outcome: Outcome, figures: dict[str, Any], command: str) -> Path:
    """Write the page and its figures; return the page's path.

    Args:
        folder: where, which exists.
        outcome: what was measured.
        figures: the same as plain data.
        command: the command line that made it, or nothing.
    """
    page = compare_page(outcome)
    text = render(
        "compare.html.j2", title=outcome.title, plan=plan_columns(outcome.plan), command=command, page=page
    )
    write_file(folder / FIGURES, to_json(figures).encode())
    write_file(folder / PAGE, text.encode())
    return folder / PAGE
