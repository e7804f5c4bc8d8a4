"""Where a run stands: everything, beside weights and optimiser, that a resumed run must find again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch

from grus.errors import ModelFolderError, UsageError
from grus.training.config import TrainingConfig
from grus.training.history import EpochRecord, RateTest, rate_test_from_dict, record_from_dict
from grus.training.job import Carry, map_carry

# Settings that may differ in a resumed run: they change where it runs, how often it saves and when it
# stops, but not what a step computes.
_FREE = {
    "device", "log", "checkpoint_every_steps", "checkpoint_every_seconds", "max_seconds", "patience",
}  # fmt: skip


@dataclass
class RunState:
    """Position, running sums, early stopping and averages; plain values and tensors only.

    Args:
        epoch: The epoch being made, from 0; ``step`` of its steps are done, ``global_step`` in all.
        carry: Recurrent state for the next step of this epoch.
        loss_sum: Sum over the epoch's steps of loss times samples.
        samples: Training samples of the epoch so far.
        epoch_seconds: Wall time of the epoch's steps so far.
        elapsed: Wall time of the run up to the last save.
        best_score: The monitored score of ``best_epoch`` (from 1), whose weights are ``best_weights``.
        bad_epochs: Epochs since the best one.
        ema: The averaged parameters by name; None when off.
        records: The finished epochs.
        rate_test: What found the learning rate; None where it was given.
    """

    epoch: int = 0
    step: int = 0
    global_step: int = 0
    carry: Carry = None
    loss_sum: float = 0.0
    samples: int = 0
    epoch_seconds: float = 0.0
    elapsed: float = 0.0
    best_score: float | None = None
    best_epoch: int = 0
    best_weights: dict[str, torch.Tensor] | None = None
    bad_epochs: int = 0
    ema: dict[str, torch.Tensor] | None = None
    records: list[EpochRecord] = field(default_factory=list)
    rate_test: RateTest | None = None

    def begin_next_epoch(self) -> None:
        """Move to the first step of the next epoch."""
        self.epoch += 1
        self.step = self.samples = 0
        self.loss_sum = self.epoch_seconds = 0.0
        self.carry = None

    def to_dict(self) -> dict[str, Any]:
        """The state as plain values; tensors are shared, not copied, except the carry.

        A carry may be a view, such as the last step of an output, and torch saves all that a view looks at.
        """
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        records = [asdict(record) for record in self.records]
        found = None if self.rate_test is None else asdict(self.rate_test)
        carry = map_carry(torch.Tensor.clone, self.carry)
        return values | {"records": records, "carry": carry, "rate_test": found}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "RunState":
        """Rebuild the state; raises KeyError, TypeError or ValueError for what does not fit."""
        records = [record_from_dict(record) for record in values["records"]]
        found = None if values["rate_test"] is None else rate_test_from_dict(values["rate_test"])
        return RunState(**{**values, "records": records, "rate_test": found})


def fixed_settings(config: TrainingConfig) -> dict[str, Any]:
    """The settings that a resumed run must share with the run it goes on from."""
    return {name: value for name, value in asdict(config).items() if name not in _FREE}


def check_settings(saved: Mapping[str, Any], config: TrainingConfig) -> None:
    """Raise UsageError naming the first setting in which a resumed run differs from the saved one."""
    for name, value in fixed_settings(config).items():
        if saved.get(name) != value:
            raise UsageError(
                f"resume: {name} must be {saved.get(name)!r} as in the checkpoint, got {value!r}",
                "resume with the settings of the interrupted run, or start again without resume",
            )


def check_weights(saved: Mapping[str, Any], model: torch.nn.Module, where: str) -> None:
    """Raise ModelFolderError naming the first tensor in which the saved model and this one differ."""
    here = model.state_dict()
    for name in [*saved, *here]:
        shapes = [
            tuple(side[name].shape) if isinstance(side.get(name), torch.Tensor) else None
            for side in (saved, here)
        ]
        if shapes[0] != shapes[1]:
            raise ModelFolderError(
                f"{where}: {name} must have the model's shape {shapes[1]}, got {shapes[0]}",
                "the checkpoint belongs to another model; start again without resume",
            )
