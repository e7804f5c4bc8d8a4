"""What each parameter of `grus.MusicModel` must be."""

from collections.abc import Mapping
from typing import Any

from grus.spec.steps import MAX_STEPS_PER_BEAT
from grus.tasks import rules as r
from grus.tasks.cells import CELLS
from grus.training.config import Rule

LAYOUTS = ("auto", "voices", "polyphony")

_SIZE = Rule(
    lambda v: r.SHARE.holds(v) or (r.number(1)(v) and float(v).is_integer()),
    "a share of the pieces below 1, or a number of pieces",
)

RULES: dict[str, Rule] = {
    "layout": r.choice(LAYOUTS),
    "steps_per_beat": Rule(r.whole(1, MAX_STEPS_PER_BEAT), f"a whole number from 1 to {MAX_STEPS_PER_BEAT}"),
    "transpose": r.FLAG,
    "cell": r.choice(CELLS),
    "hidden_size": r.POSITIVE,
    "layers": r.LAYERS,
    "embedding_size": r.POSITIVE,
    "dropout": r.SHARE,
    "val_size": _SIZE,
    "test_size": _SIZE,
    "batch_size": r.POSITIVE,
    "chunk": r.POSITIVE,
}


def check_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in plain Python types; raises UsageError where one cannot be used."""
    return r.check(parameters, RULES)
