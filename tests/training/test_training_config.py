"""Settings, schedules and histories: plain data, no torch."""

import dataclasses
import math
import subprocess
import sys

import pytest

from grus.errors import ModelFolderError, UsageError
from grus.training import EpochRecord, History, TrainingConfig, learning_rate_at
from grus.training.config import RULES

NAN, INFINITY = math.nan, math.inf
BAD = {
    "epochs": [0, -1, 2.0, "3", True, None],
    "learning_rate": [0, -0.1, NAN, INFINITY, "0.1", None, True],
    "optimizer": ["adam", "", None, 3, ["adamw"]],
    "weight_decay": [-1e-9, NAN, INFINITY, None],
    "gradient_clip": [0, -1.0, NAN, INFINITY, "1"],
    "warmup_steps": [-1, 0.5, None],
    "decay": ["step", None],
    "decay_to": [-0.1, 1.1, NAN, None],
    "patience": [0, -1, 1.5],
    "seed": [-1, 2**63, 1.0, None],
    "device": ["gpu", "cuda:", "cuda:x", "cuda:-1", "auto ", None, 0],
    "precision": ["32", "fp16", None],
    "log": ["wandb", None],
    "checkpoint_every_steps": [0, 1.5, "10"],
    "checkpoint_every_seconds": [0, -1, NAN, INFINITY],
    "ema": [0, 1, 1.5, NAN],
    "max_seconds": [0, -5, NAN, INFINITY],
}


def test_every_setting_has_a_rule_and_bad_values():
    names = [field.name for field in dataclasses.fields(TrainingConfig)]
    assert names == list(RULES) == list(BAD)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_bad_settings_give_one_sentence(name, value):
    with pytest.raises(UsageError) as caught:
        TrainingConfig(**{name: value})
    assert str(caught.value) == f"TrainingConfig: {name} must be {RULES[name].text}, got {value!r}"


def test_exponential_decay_to_zero_is_refused():
    with pytest.raises(UsageError, match="decay_to must be above 0 for decay='exponential', got 0"):
        TrainingConfig(decay="exponential", decay_to=0)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:11", "mps"])
def test_devices_that_can_be_named(device):
    assert TrainingConfig(device=device).device == device


def rates(decay, total, warmup=0, **settings):
    config = TrainingConfig(learning_rate=2.0, decay=decay, warmup_steps=warmup, **settings)
    return [learning_rate_at(config, step, total) for step in range(total)]


def test_warm_up_is_linear_and_reaches_the_peak():
    assert rates("constant", 7, warmup=4) == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("constant", [2.0, 2.0, 2.0, 2.0, 2.0]),
        ("linear", [2.0, 1.625, 1.25, 0.875, 0.5]),
        ("cosine", [2.0, 1.25 + 0.75 / math.sqrt(2), 1.25, 1.25 - 0.75 / math.sqrt(2), 0.5]),
        ("exponential", [2.0, math.sqrt(2), 1.0, math.sqrt(0.5), 0.5]),
    ],
)
def test_decay_values(decay, expected):
    assert rates(decay, 5, decay_to=0.25) == pytest.approx(expected, rel=1e-15)
    # the same curve after a warm-up of two steps
    assert rates(decay, 7, warmup=2, decay_to=0.25)[2:] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("decay", ["constant", "linear", "cosine", "exponential"])
@pytest.mark.parametrize(("total", "warmup"), [(1, 0), (1, 1), (2, 1), (3, 3), (3, 50), (100, 10)])
def test_rates_stay_between_zero_and_the_peak(decay, total, warmup):
    values = rates(decay, total, warmup)
    assert all(0 < value <= 2.0 for value in values)
    after = values[warmup:]
    assert after == sorted(after, reverse=True)


def test_steps_past_the_end_keep_the_last_rate():
    config = TrainingConfig(learning_rate=1.0, decay="linear", decay_to=0.1)
    assert learning_rate_at(config, 500, 10) == pytest.approx(0.1)


def test_history_goes_to_json_and_back():
    record = EpochRecord(1, 10, 0.1 + 0.2, {"mae": 1 / 3, "mse": 1e-300}, 1e-3, 0.25, 1234.5)
    history = History([record], "patience", "mae", 1, 1 / 3, 9.5)
    assert History.from_json(history.to_json()) == history


@pytest.mark.parametrize("text", ["", "[]", "{", '{"epochs": 3}', '{"stopped": "never"}', '{"epochs": [{}]}'])
def test_foreign_history_is_refused(text):
    with pytest.raises(ModelFolderError, match="training history: expected"):
        History.from_json(text)


def test_settings_import_without_torch():
    code = (
        "import sys, grus.training as t; t.TrainingConfig(); print([m for m in sys.modules if m == 'torch'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
