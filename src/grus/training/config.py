"""The settings of a training run: one frozen dataclass, checked when it is made."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from grus.errors import UsageError

Optimizer = Literal["adamw", "sgd"]
Decay = Literal["constant", "linear", "cosine", "exponential"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Log = Literal["none", "csv", "tensorboard"]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train: everything about a run that is neither the model nor the data.

    Args:
        epochs: The most passes over the data.
        learning_rate: The peak rate, reached after ``warmup_steps`` and then decayed; ``auto`` finds one by a
            range test (`grus.training.rate_test`) before the first step.
        optimizer: ``adamw`` or ``sgd`` (with momentum 0.9).
        weight_decay: Decoupled for AdamW; applied to matrices only, never to biases or scales.
        gradient_clip: The largest Euclidean norm of the whole gradient; None leaves it alone.
        warmup_steps: Optimiser steps over which the rate rises linearly from 0.
        decay: The shape of the way from ``learning_rate`` to ``decay_to * learning_rate`` over the run.
        decay_to: The fraction of ``learning_rate`` that is left at the end; above 0 for ``exponential``.
        patience: Epochs without a better validation score before training stops; None never stops early.
        seed: Everything random in a step is drawn from (seed, step).
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``32-true``, ``bf16-mixed``, or ``16-mixed`` (CUDA only).
        log: Where the figures of each epoch go: ``csv`` (metrics.csv), ``tensorboard``, ``none``.
        checkpoint_every_steps: Write a checkpoint after every so many optimiser steps; None does not.
        checkpoint_every_seconds: Write one when the last is this many seconds old; None does not.
        ema: Decay of an exponential moving average of the weights, in (0, 1), that is then used for
            validation and as the final model; None is off.
        max_seconds: Stop after this many seconds of training, those before a resume included; at least
            one step is made.  With it the result depends on the speed of the machine.

    Raises:
        UsageError: a value that cannot be used, in one sentence.
    """

    epochs: int = 20
    learning_rate: float | Literal["auto"] = 1e-3
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.0
    gradient_clip: float | None = 1.0
    warmup_steps: int = 0
    decay: Decay = "cosine"
    decay_to: float = 0.01
    patience: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: Precision = "32-true"
    log: Log = "csv"
    checkpoint_every_steps: int | None = None
    checkpoint_every_seconds: float | None = 60.0
    ema: float | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name, rule in RULES.items():
            value = getattr(self, name)
            if not rule.holds(value):
                raise UsageError(f"TrainingConfig: {name} must be {rule.text}, got {value!r}")
        if self.decay == "exponential" and self.decay_to == 0:
            raise UsageError("TrainingConfig: decay_to must be above 0 for decay='exponential', got 0")


@dataclass(frozen=True)
class Rule:
    """What a setting must be: a test, and the words that follow "must be" in the error."""

    holds: Callable[[Any], bool]
    text: str


def _whole(low: int, high: int = 2**63 - 1) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _number(holds: Callable[[float], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and math.isfinite(value) and holds(value)


def _optional(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or holds(value)


def _choice(literal: Any) -> Rule:
    values = get_args(literal)
    return Rule(lambda value: value in values, "one of " + ", ".join(map(repr, values)))


_POSITIVE = _number(lambda value: value > 0)
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")

RULES: dict[str, Rule] = {
    "epochs": Rule(_whole(1), "a whole number of at least 1"),
    "learning_rate": Rule(
        lambda value: value == "auto" or _POSITIVE(value), "a finite number above 0, or 'auto'"
    ),
    "optimizer": _choice(Optimizer),
    "weight_decay": Rule(_number(lambda value: value >= 0), "a finite number of at least 0"),
    "gradient_clip": Rule(_optional(_POSITIVE), "a finite number above 0, or None"),
    "warmup_steps": Rule(_whole(0), "a whole number of at least 0"),
    "decay": _choice(Decay),
    "decay_to": Rule(_number(lambda value: 0 <= value <= 1), "a number from 0 to 1"),
    "patience": Rule(_optional(_whole(1)), "a whole number of at least 1, or None"),
    "seed": Rule(_whole(0), "a whole number of at least 0"),
    "device": Rule(
        lambda value: isinstance(value, str) and _DEVICE.fullmatch(value) is not None,
        "'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'",
    ),
    "precision": _choice(Precision),
    "log": _choice(Log),
    "checkpoint_every_steps": Rule(_optional(_whole(1)), "a whole number of at least 1, or None"),
    "checkpoint_every_seconds": Rule(_optional(_POSITIVE), "a finite number above 0, or None"),
    "ema": Rule(_optional(_number(lambda value: 0 < value < 1)), "a number between 0 and 1, or None"),
    "max_seconds": Rule(_optional(_POSITIVE), "a finite number above 0, or None"),
}
