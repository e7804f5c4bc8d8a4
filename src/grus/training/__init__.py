"""One training loop for every task: a task hands it a `Job` and a `TrainingConfig`.

torch and Fabric are imported when `train` is first used, so that configurations, histories and
schedules are cheap to import from the command line.
"""

from typing import TYPE_CHECKING, Any

from grus.training.config import TrainingConfig
from grus.training.history import EpochRecord, History
from grus.training.progress import Progress, make_progress
from grus.training.schedule import learning_rate_at

if TYPE_CHECKING:
    from grus.training.job import Batch, Carry, Job
    from grus.training.loop import train

__all__ = [
    "Batch",
    "Carry",
    "EpochRecord",
    "History",
    "Job",
    "Progress",
    "TrainingConfig",
    "learning_rate_at",
    "make_progress",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "train":
        from grus.training.loop import train

        return train
    if name in {"Batch", "Carry", "Job"}:
        from grus.training import job

        return getattr(job, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
