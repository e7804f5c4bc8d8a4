"""A run folder belongs to one set of data and parameters: resuming with others is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

from grus.artifact import write_file
from grus.errors import ModelFolderError, UsageError
from grus.preprocess.panel import Panel

_FILE = "run.json"


def claim_run(run: Path, parameters: dict[str, Any], panel: Panel, resume: bool) -> None:
    """Write what a run is made of into its folder; with ``resume``, compare it with what is there first.

    Raises:
        UsageError: resume with other parameters or other data than the run was started with.
        ModelFolderError: the folder's record cannot be read.
    """
    mine = {"parameters": json.loads(json.dumps(parameters, default=list)), "data": _digest(panel)}
    file = run / _FILE
    if resume and file.is_file():
        try:
            theirs = json.loads(file.read_text(encoding="utf-8"))
            changed = [k for k, v in mine["parameters"].items() if theirs["parameters"].get(k) != v]
            same_data = theirs["data"] == mine["data"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ModelFolderError(f"{file}: damaged", hint="start again without resume") from None
        if changed or not same_data:
            what = f"parameter {changed[0]!r}" if changed else "the data"
            raise UsageError(
                f"{run}: cannot resume, because {what} is not what the run was started with",
                hint="give the same data and options, or start again without resume",
            )
    run.mkdir(parents=True, exist_ok=True)
    write_file(file, json.dumps(mine, indent=1).encode())


def _digest(panel: Panel) -> str:
    digest = hashlib.sha256(repr((panel.ids, str(panel.frequency), panel.starts.tolist())).encode())
    digest.update(panel.offsets.tobytes())
    for values in (panel.target, *panel.past.values(), *panel.future.values(), *panel.static.values()):
        digest.update(repr(values.tolist()).encode() if values.dtype == object else values.tobytes())
    return digest.hexdigest()
