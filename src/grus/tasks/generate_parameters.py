"""What each parameter of `grus.LanguageModel` must be, and what fits each way to cut a text where nothing is said."""

from collections.abc import Mapping
from typing import Any

from grus.errors import UsageError
from grus.tasks import rules as r
from grus.tasks.cells import CELLS
from grus.training.config import Rule

KINDS = ("text",)
TOKENIZERS = ("char", "word", "space", "bpe")
SOFTMAXES = ("full", "adaptive")
#: Units of a token's vector where nothing is said; tied ones have the size of the layers.
EMBEDDING_SIZE = 64

_SIZE = Rule(
    lambda v: r.SHARE.holds(v) or (r.number(1)(v) and float(v).is_integer()),
    "a share of the text below 1, or a number of characters",
)

RULES: dict[str, Rule] = {
    "kind": Rule(lambda v: isinstance(v, str) and v in KINDS, " or ".join(map(repr, KINDS))),
    "tokenizer": r.choice(TOKENIZERS),
    "vocabulary_size": r.POSITIVE,
    "min_count": r.or_none(r.POSITIVE),
    "lower": r.FLAG,
    "cell": r.choice(CELLS),
    "hidden_size": r.POSITIVE,
    "layers": r.LAYERS,
    "embedding_size": r.or_none(r.POSITIVE),
    "tied": r.or_none(r.FLAG),
    "softmax": r.choice(SOFTMAXES),
    "dropout": r.SHARE,
    "input_dropout": r.or_none(r.SHARE),
    "variational": r.FLAG,
    "val_size": _SIZE,
    "test_size": _SIZE,
    "batch_size": r.POSITIVE,
    "chunk": r.POSITIVE,
}


def check_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in plain Python types, with what depends on others filled in.

    Raises:
        UsageError: one cannot be used.
    """
    found = r.check(parameters, RULES)
    if found["softmax"] == "adaptive":
        _check_adaptive(found)
    if found["tied"] is None:
        found["tied"] = found["tokenizer"] != "char" and found["softmax"] == "full"
    if found["embedding_size"] is None:
        found["embedding_size"] = found["hidden_size"] if found["tied"] else EMBEDDING_SIZE
    if found["input_dropout"] is None:
        found["input_dropout"] = 0.0 if found["tokenizer"] == "char" else found["dropout"]
    return found


def _check_adaptive(found: Mapping[str, Any]) -> None:
    """Raise UsageError where an adaptive softmax does not fit."""
    if found["tied"]:
        raise UsageError(
            "tied must be False with softmax='adaptive', whose parts have other sizes than the embedding's table, "
            "got True",
            hint="leave --tied out (tied=None), or use --softmax full",
        )
    if found["tokenizer"] == "bpe":
        raise UsageError(
            "softmax must be 'full' with tokenizer='bpe', whose codes are not in the order of how common they are, "
            "got 'adaptive'",
            hint="use --tokenizer word or space, or --softmax full",
        )
