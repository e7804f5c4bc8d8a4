"""What each parameter of `grus.Transcriber` must be."""

from collections.abc import Mapping
from typing import Any

from grus.tasks import rules as r
from grus.tasks.cells import CELLS
from grus.tasks.transcribe_networks import ENCODERS
from grus.training.config import Rule

UNITS = ("char", "word")

_SIZE = Rule(
    lambda v: r.SHARE.holds(v) or (r.number(1)(v) and float(v).is_integer()),
    "a share of the recordings below 1, or a number of recordings",
)

RULES: dict[str, Rule] = {
    "transcript": r.COLUMN,
    "units": r.choice(UNITS),
    "lower": r.FLAG,
    "rate": r.or_none(r.RATE),
    "frame_ms": r.MILLISECONDS,
    "hop_ms": r.MILLISECONDS,
    "bands": r.BANDS,
    "preemphasis": r.SHARE,
    "stack": Rule(r.whole(1, 64), "a whole number from 1 to 64"),
    "resample": r.FLAG,
    "skip_bad": r.FLAG,
    "gain_db": r.DECIBELS,
    "band_shift": r.COUNT,
    "noise": r.PART,
    "time_mask": r.SHARE,
    "band_mask": r.SHARE,
    "bidirectional": r.FLAG,
    "cell": r.choice(CELLS),
    "hidden_size": r.POSITIVE,
    "layers": r.LAYERS,
    "dropout": r.SHARE,
    "encoder": r.choice(ENCODERS),
    "kernel_size": r.POSITIVE,
    "val_size": _SIZE,
    "test_size": _SIZE,
    "batch_size": r.POSITIVE,
}


def check_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in plain Python types; raises UsageError for one that cannot be used."""
    return r.check(parameters, RULES)
