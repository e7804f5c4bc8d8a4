"""A run folder belongs to one set of data and parameters: resuming with others is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from grus.artifact import write_file
from grus.errors import ModelFolderError, UsageError

_FILE = "run.json"


def claim_run(run: Path, parameters: dict[str, Any], data: str, resume: bool) -> None:
    """Write what a run is made of into its folder; with ``resume``, compare it with what is there first.

    Args:
        run: the folder; made if absent.
        parameters: of the estimator, as JSON knows them.
        data: the `digest` of the data.
        resume: whether the folder must hold the same already.

    Raises:
        UsageError: resume with other parameters or other data than the run was started with.
        ModelFolderError: the folder's record cannot be read.
    """
    mine = {"parameters": json.loads(json.dumps(parameters, default=list)), "data": data}
    file = run / _FILE
    if resume and file.is_file():
        try:
            theirs = json.loads(file.read_text(encoding="utf-8"))
            one, other = mine["parameters"], theirs["parameters"]
            # A search has one parameter more than a single run.
            changed = [name for name in {**one, **other} if one.get(name) != other.get(name)]
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


def digest(*parts: Any) -> str:
    """A hash of arrays (text as objects too) and of anything else whose ``repr`` says all of it."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != object:
            # As the bytes lie there: ``tobytes`` would copy what may be larger than memory.
            found.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        else:
            found.update(repr(part.tolist() if isinstance(part, np.ndarray) else part).encode())
    return found.hexdigest()
