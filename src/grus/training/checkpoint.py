"""Checkpoints: one file, replaced atomically, read as hostile input.

The file is what ``torch.save`` writes from plain dicts, lists, numbers and tensors, and is read back with
``weights_only=True``; the CRC-32 of every record is checked first, because ``torch.load`` does not.
"""

import zipfile
from pathlib import Path
from pickle import UnpicklingError  # what torch.load raises when weights_only refuses an object
from typing import Any

import torch

from grus.artifact import new_file
from grus.errors import ModelFolderError

CHECKPOINT_NAME = "checkpoint.pt"
_FORMAT = "grus-training-checkpoint"
_VERSION = 1
_START_OVER = "start the training again without resume"


def checkpoint_path(folder: Path) -> Path:
    """Where a run in ``folder`` keeps its checkpoint."""
    return folder / CHECKPOINT_NAME


def save_checkpoint(folder: Path, state: dict[str, Any]) -> Path:
    """Replace the checkpoint of ``folder`` so that a crash at any moment leaves the old or the new one.

    Args:
        folder: The run's folder, which exists.
        state: Plain dicts, lists, tuples, numbers, strings, None and tensors.
    """
    path = checkpoint_path(folder)
    with new_file(path) as file:
        torch.save({"format": _FORMAT, "version": _VERSION, **state}, file)
    return path


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """Read the checkpoint of ``folder`` onto the CPU.

    Raises:
        ModelFolderError: there is none, it is damaged, or something else wrote it.
    """
    path = checkpoint_path(folder)
    if not path.is_file():
        raise ModelFolderError(f"{path}: no checkpoint to resume from", _START_OVER)
    _check_records(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError):
        raise ModelFolderError(f"{path}: not a training checkpoint of Grus", _START_OVER) from None
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise ModelFolderError(f"{path}: not a training checkpoint of Grus", _START_OVER)
    if state.get("version") != _VERSION:
        raise ModelFolderError(
            f"{path}: checkpoint version must be {_VERSION}, got {state.get('version')!r}",
            "resume with the version of Grus that wrote it",
        )
    return state


def _check_records(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        raise ModelFolderError(f"{path}: the checkpoint is damaged or foreign", _START_OVER) from None
    if broken is not None:
        raise ModelFolderError(f"{path}: the checkpoint is damaged at record {broken!r}", _START_OVER)
