"""What happened during training, epoch by epoch, as plain data that goes to JSON and back."""

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from grus.errors import ModelFolderError

Stopped = Literal["epochs", "patience", "max_seconds", "pruned"]


@dataclass(frozen=True)
class EpochRecord:
    """The figures of one epoch.

    Args:
        epoch: Counted from 1.
        steps: Optimiser steps made since the start of the run, this epoch included.
        train_loss: Mean loss over the epoch, each step weighted by its number of samples.
        validation: Scores after the epoch; the first is the monitored one, smaller is better.
        learning_rate: The rate of the epoch's last step.
        seconds: Wall time of the epoch's steps, validation left out.
        samples_per_second: Training samples over ``seconds``.
    """

    epoch: int
    steps: int
    train_loss: float
    validation: dict[str, float]
    learning_rate: float
    seconds: float
    samples_per_second: float


@dataclass(frozen=True)
class RateTest:
    """What a learning-rate range test saw; see `grus.training.rate_test`.

    Args:
        rates: The rate of every step that was made.
        losses: The loss of the probe before that step.
        rate: The rate that was chosen.
        seconds: Wall time of the test.
    """

    rates: list[float]
    losses: list[float]
    rate: float
    seconds: float


@dataclass(frozen=True)
class History:
    """All epochs of a run, which of them was best, and why training ended.

    Args:
        epochs: One record an epoch, in order.
        stopped: ``epochs`` (all were made), ``patience`` (early stopping), ``max_seconds``, or ``pruned`` (given up
            in favour of other trials of a search).
        monitored: Name of the score that chose the best epoch; None without validation.
        best_epoch: The epoch, counted from 1, whose weights the model holds at the end.
        best_score: Its score; None without validation.
        seconds: Wall time of the whole run, resumed parts included.
        rate_test: How the learning rate was found, where that was left to a range test.
    """

    epochs: list[EpochRecord] = field(default_factory=list)
    stopped: Stopped = "epochs"
    monitored: str | None = None
    best_epoch: int = 0
    best_score: float | None = None
    seconds: float = 0.0
    rate_test: RateTest | None = None

    def to_json(self) -> str:
        """The history as a JSON object."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def from_json(text: str) -> "History":
        """Read what `to_json` wrote; raises ModelFolderError for anything else."""
        try:
            return msgspec.json.decode(text, type=History)
        except msgspec.DecodeError as error:
            raise ModelFolderError(
                f"training history: expected what History.to_json wrote, got {error}"
            ) from None


def record_from_dict(values: dict[str, Any]) -> EpochRecord:
    """Rebuild a record; raises msgspec.ValidationError when the fields or types are wrong."""
    return msgspec.convert(values, EpochRecord)


def rate_test_from_dict(values: dict[str, Any]) -> RateTest:
    """Rebuild a range test; raises msgspec.ValidationError when the fields or types are wrong."""
    return msgspec.convert(values, RateTest)
