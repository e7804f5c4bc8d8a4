"""The figures of each epoch, on disk: a CSV file or TensorBoard events."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from grus.errors import MissingExtraError
from grus.training.config import Log
from grus.training.history import EpochRecord

CSV_NAME = "metrics.csv"
TENSORBOARD_NAME = "tensorboard"
_BEFORE = ("epoch", "steps", "train_loss")
_AFTER = ("learning_rate", "seconds", "samples_per_second")


class MetricLog(Protocol):
    """Where the loop writes the figures of each epoch."""

    def write(self, record: EpochRecord) -> None:
        """Add one epoch."""
        ...

    def close(self) -> None:
        """Finish; nothing is written afterwards."""
        ...


def open_log(kind: Log, folder: Path | None, records: Sequence[EpochRecord]) -> MetricLog | None:
    """Open the log of a run in ``folder``; ``records`` are the epochs made before a resume.

    Epochs that were logged after the checkpoint one resumes from are dropped, so that none is there twice.

    Raises:
        MissingExtraError: ``tensorboard`` is asked for and not installed.
    """
    if kind == "none" or folder is None:
        return None
    if kind == "csv":
        return CsvLog(folder / CSV_NAME, records)
    return TensorBoardLog(folder / TENSORBOARD_NAME, first_epoch=len(records) + 1)


class CsvLog:
    """One line an epoch, validation scores between the loss and the rate; complete after every line."""

    def __init__(self, path: Path, records: Sequence[EpochRecord]) -> None:
        self._path = path
        self._header_written = False
        path.unlink(missing_ok=True)
        for record in records:
            self.write(record)

    def write(self, record: EpochRecord) -> None:
        """Append the epoch's line, after the header if it is the first."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if not self._header_written:
                writer.writerow([*_BEFORE, *record.validation, *_AFTER])
                self._header_written = True
            before = [getattr(record, name) for name in _BEFORE]
            after = [getattr(record, name) for name in _AFTER]
            writer.writerow([*before, *record.validation.values(), *after])

    def close(self) -> None:
        """Nothing is held open between epochs."""


class TensorBoardLog:
    """Scalars ``train/loss``, ``train/learning_rate``, ``train/samples_per_second``, ``validation/NAME``."""

    def __init__(self, folder: Path, first_epoch: int) -> None:
        self._writer = _summary_writer(folder, first_epoch)

    def write(self, record: EpochRecord) -> None:
        """Add the epoch's scalars; the horizontal axis is the epoch."""
        scalars = {
            "train/loss": record.train_loss,
            "train/learning_rate": record.learning_rate,
            "train/samples_per_second": record.samples_per_second,
            **{f"validation/{name}": value for name, value in record.validation.items()},
        }
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, record.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


def _summary_writer(folder: Path, first_epoch: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError(
            "log='tensorboard': needs the package tensorboard, which is not installed",
            "pip install tensorboard, or log='csv'",
        ) from None
    return SummaryWriter(str(folder), purge_step=first_epoch)
