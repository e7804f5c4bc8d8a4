"""The folder of a comparison: every finished run and measurement in a file of its own, written whole or not at all.

run.json             what the comparison is made of: going on with other data or another network is refused
runs/NAME.json       a finished run (`grus.decode.comparing.records.Run`)
costs/NAME.json      what the cells cost at one point, measured in turns
running/             the checkpoint of the run in progress
"""

import shutil
from pathlib import Path
from typing import TypeVar

import msgspec

from grus.artifact import write_file
from grus.decode.comparing.records import Cost, Run
from grus.errors import ModelFolderError
from grus.tasks.compare.problem import Setting

_Read = TypeVar("_Read")
_RUNS, _COSTS, _RUNNING = "runs", "costs", "running"


class Store:
    """Runs and costs of one comparison on disk.

    Args:
        folder: of the comparison; made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in (_RUNS, _COSTS):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def run(self, setting: Setting) -> Run | None:
        """The finished run of a setting, if there is one; raises ModelFolderError for a damaged file."""
        return _read(self._folder / _RUNS / f"{name_of(setting)}.json", Run)

    def keep_run(self, setting: Setting, run: Run) -> None:
        """Save a finished run; its checkpoint has served its purpose."""
        _write(self._folder / _RUNS / f"{name_of(setting)}.json", run)
        shutil.rmtree(self.running(setting), ignore_errors=True)

    def running(self, setting: Setting) -> Path:
        """Where the training of a setting has its checkpoint; those of other settings are removed."""
        folder = self._folder / _RUNNING / name_of(setting)
        for other in (self._folder / _RUNNING).glob("*"):
            if other != folder:
                shutil.rmtree(other)
        return folder

    def costs(self, name: str) -> list[Cost] | None:
        """What the cells cost at a point, if it was measured."""
        return _read(self._folder / _COSTS / f"{name}.json", list[Cost])

    def keep_costs(self, name: str, costs: list[Cost]) -> None:
        """Save what was measured."""
        _write(self._folder / _COSTS / f"{name}.json", costs)


def clear(folder: Path) -> None:
    """Remove what an earlier comparison left to go on from."""
    for name in (_RUNS, _COSTS, _RUNNING):
        shutil.rmtree(folder / name, ignore_errors=True)


def is_begun(folder: Path) -> bool:
    """Whether a folder holds a comparison, finished or not."""
    return (folder / _RUNS).is_dir() and (folder / "run.json").is_file()


def name_of(setting: Setting) -> str:
    """A file name for a setting: ``gru-64-0.001-share1-seed0``."""
    length = "" if setting.length is None else f"-length{setting.length}"
    return (
        f"{setting.cell}-{setting.hidden}-{setting.learning_rate}-share{setting.share:g}{length}"
        f"-seed{setting.seed}"
    )


def _write(path: Path, value: object) -> None:
    write_file(path, msgspec.json.encode(value))


def _read(path: Path, kind: type[_Read]) -> _Read | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ModelFolderError(
            f"{path}: damaged ({error})", "remove the file, and its run is made again"
        ) from None
