"""What each parameter of `grus.Classifier` must be, and what fits each kind of data where nothing is said."""

from collections.abc import Mapping
from typing import Any

from grus.errors import UsageError
from grus.tasks import rules as r
from grus.tasks.cells import CELLS
from grus.tasks.classify_networks import POOLS
from grus.tasks.encoders import ENCODERS
from grus.training.config import Rule

KINDS = ("text", "series", "images", "events", "audio")
TOKENIZERS = ("word", "char", "bpe")

_SIZE = Rule(
    lambda v: r.SHARE.holds(v) or (r.number(1)(v) and float(v).is_integer()),
    "a share of the rows below 1, or a number of rows",
)
_WEIGHTS = Rule(
    lambda v: v is None or v == "balanced"
    or (isinstance(v, Mapping) and bool(v) and all(r.number(0)(w) for w in v.values())),
    "None, 'balanced', or a dict of numbers of at least 0 by label",
)  # fmt: skip

RULES: dict[str, Rule] = {
    "kind": r.or_none(r.choice(KINDS)),
    "text": r.COLUMN,
    "label": r.COLUMN,
    "id": r.COLUMN,
    "time": r.COLUMN,
    "columns": r.COLUMNS,
    "code": r.COLUMN,
    "variable": r.COLUMN,
    "value": r.COLUMN,
    "tokenizer": r.choice(TOKENIZERS),
    "vocabulary_size": r.POSITIVE,
    "lower": r.FLAG,
    "bidirectional": r.or_none(r.FLAG),
    "pool": r.choice(POOLS),
    "cell": r.choice(CELLS),
    "hidden_size": r.POSITIVE,
    "layers": r.LAYERS,
    "dropout": r.SHARE,
    "encoder": r.choice(ENCODERS),
    "kernel_size": r.POSITIVE,
    "irregular": r.IRREGULAR,
    "embedding_size": r.POSITIVE,
    "token_dropout": r.SHARE,
    "label_smoothing": r.SHARE,
    "class_weight": _WEIGHTS,
    "multi": r.or_none(r.FLAG),
    "rate": r.or_none(r.RATE),
    "frame_ms": r.MILLISECONDS,
    "hop_ms": r.MILLISECONDS,
    "bands": r.BANDS,
    "preemphasis": r.SHARE,
    "resample": r.FLAG,
    "skip_bad": r.FLAG,
    "gain_db": r.DECIBELS,
    "band_shift": r.COUNT,
    "noise": r.PART,
    "time_mask": r.SHARE,
    "band_mask": r.SHARE,
    "max_length": r.or_none(r.POSITIVE),
    "val_size": _SIZE,
    "test_size": _SIZE,
    "batch_size": r.POSITIVE,
}
#: Which kind of data the columns that are named make it.
_NAMED = {"text": "text", "columns": "series", "code": "events"}


def check_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in plain Python types, with the kind that the named columns say.

    Raises:
        UsageError: one cannot be used, or does not go with another.
    """
    found = r.check(parameters, RULES)
    named = [name for name in _NAMED if found[name]]
    if len(named) > 1:
        raise UsageError(f"only one of text, columns and code may be named, got {' and '.join(named)}")
    kind = found["kind"]
    for name in named:
        if kind not in (None, _NAMED[name]):
            raise UsageError(f"{name} must not be named for kind={kind!r}, got {found[name]!r}")
        found["kind"] = _NAMED[name]
    if found["variable"] is not None or found["value"] is not None:
        _check_long(found)
    r.check_decay(found)
    if found["irregular"] is not None and found["kind"] not in (None, "series"):
        raise UsageError(
            f"irregular must not be given for kind={found['kind']!r}, got {found['irregular']!r}"
        )
    return found


def _check_long(given: dict[str, Any]) -> None:
    """Say that it is series; raises UsageError where one of the columns that long form needs is not named."""
    lacking = [name for name in ("variable", "value", "id", "time") if given[name] is None]
    if lacking:
        must = "variable and value must be named with id and time, as one row of a table in long form is"
        raise UsageError(f"{must} one measurement, got no {' and no '.join(lacking)}")
    if given["kind"] not in (None, "series"):
        raise UsageError(f"variable must not be named for kind={given['kind']!r}, got {given['variable']!r}")
    given["kind"] = "series"
