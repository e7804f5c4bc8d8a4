"""The report of ``grus inspect``: one self-contained HTML page."""

from pathlib import Path

from grus.artifact import write_file
from grus.inspection.inside.findings import Findings
from grus.inspection.inside.page import inspect_page
from grus.inspection.render import render
from grus.spec import Model


def write_inspect_report(path: Path, found: Findings, model: Model, *, title: str, command: str) -> None:
    """Write the page.

    Args:
        path: of the file, which is replaced.
        found: what there is to say.
        model: the spec.
        title: the page's headline; command: the command line that made it.
    """
    page = inspect_page(found, model)
    text = render("inspect.html.j2", title=title, row=found.case.title, command=command, page=page)
    write_file(path, text.encode())
