"""What each parameter of `grus.Translator` must be."""

from collections.abc import Mapping
from typing import Any

from grus.errors import UsageError
from grus.tasks import rules as r
from grus.tasks.translate_networks import CELLS, SCORES
from grus.training.config import Rule

TOKENIZERS = ("bpe", "word", "char")

_SIZE = Rule(
    lambda v: r.SHARE.holds(v) or (r.number(1)(v) and float(v).is_integer()),
    "a share of the pairs below 1, or a number of pairs",
)

RULES: dict[str, Rule] = {
    "source": r.COLUMN,
    "target": r.COLUMN,
    "tokenizer": r.choice(TOKENIZERS),
    "vocabulary_size": r.POSITIVE,
    "joint": r.FLAG,
    "lower": r.FLAG,
    "hidden_size": r.POSITIVE,
    "layers": r.LAYERS,
    "embedding_size": r.POSITIVE,
    "attention": r.choice(SCORES),
    "decoder": r.choice(CELLS),
    "tied": r.FLAG,
    "dropout": r.SHARE,
    "state_dropout": r.SHARE,
    "output_dropout": r.SHARE,
    "bpe_dropout": r.SHARE,
    "label_smoothing": r.SHARE,
    "max_length": r.or_none(r.POSITIVE),
    "length_penalty": Rule(lambda v: r.number(0)(v) and v <= 10, "a number from 0 to 10"),
    "monitor": r.choice(("bleu", "loss")),
    "val_size": _SIZE,
    "test_size": _SIZE,
    "batch_size": r.POSITIVE,
}


def check_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in plain Python types; raises UsageError for one that cannot be used."""
    checked = r.check(parameters, RULES)
    if checked["bpe_dropout"] and checked["tokenizer"] != "bpe":
        raise UsageError(
            f"bpe_dropout: must be 0 with words or characters, got {checked['bpe_dropout']:g}",
            hint="use tokenizer='bpe' (--tokenizer bpe)",
        )
    return checked
