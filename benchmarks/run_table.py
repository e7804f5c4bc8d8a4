"""Results of runs in a file, a JSON line each, so that what was stopped goes on where it was."""

import json
from pathlib import Path
from typing import Any


def read_runs(file: Path | None) -> list[dict[str, Any]]:
    """The results so far; none without a file."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file and file.is_file() else []


def append_run(file: Path | None, result: dict[str, Any]) -> None:
    """Put one result behind the others, as soon as there is one; nowhere without a file."""
    if file:
        with file.open("a") as out:
            out.write(json.dumps(result) + "\n")
