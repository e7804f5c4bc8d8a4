"""Translations of tables and their scores for the command line; needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.cli.answers import Prediction, Scores
from grus.cli.tables import table_file
from grus.cli.watch import WatchedTranslator
from grus.data.pairs import drop_empty, read_pairs
from grus.data.readers import read_columns
from grus.errors import DataError
from grus.inspection.translations.wording import (
    probability_sentence,
    translation_evaluation_dict,
    translation_verdict,
)
from grus.inspection.wording import count, figure
from grus.preprocess.columns import is_text, missing_column

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.decode.translation_scores import TranslationEvaluation
    from grus.spec import Model


#: Hypotheses of the search, where nothing is said.
BEAM = 5
#: What is answered for stands in a table.
data_file = table_file


def predict(model: "Model", tensors: Any, path: Path, options: dict[str, Any], quiet: bool) -> Prediction:
    """The translation of every row's source, with its score."""
    live = WatchedTranslator(model, tensors, quiet)
    name = live.task.source
    columns, origin = read_columns(path)
    if name not in columns:
        raise missing_column(name, columns, origin)
    if not is_text(columns[name]):
        raise DataError(f"{origin}: column {name!r} must hold text, got numbers or dates")
    texts = ["" if text is None else str(text) for text in columns[name].tolist()]
    found = [best[0] for best in live.translate(texts, n_best=1, beam=options["beam"] or BEAM)]
    answers = {
        live.task.target: np.array([one.text for one in found], object),
        "score": np.array([one.score for one in found]),
    }
    return Prediction(answers, f"{count(len(found), 'row')} translated")


def evaluate(
    model: "Model", tensors: Any, path: Path, options: dict[str, Any], people: "People", name: str
) -> Scores:
    """BLEU, chrF and the perplexity of the references, beside copying the source."""
    live = WatchedTranslator(model, tensors, people.quiet)
    names = (live.task.source, live.task.target)
    pairs = read_pairs(path, options["references"], names if options["references"] is None else (None, None))
    full, lost = drop_empty(pairs)
    if lost:
        people.say(lost)
    if not len(full):
        raise DataError(f"{pairs.origin}: expected pairs of sentences, got none with two full sides")
    beam = options["beam"] or BEAM
    evaluation = live.evaluate(full.source, full.target, beam=beam)
    tell(people, f"{name} on {full.origin}, beam {beam}", evaluation)
    plain = translation_evaluation_dict(evaluation)
    columns = {
        "score": np.array(["BLEU", "chrF", "perplexity"], object),
        "model": np.array([evaluation.bleu, evaluation.chrf, evaluation.perplexity]),
        "signature": np.array([*evaluation.signatures, ""], object),
    }
    return Scores(columns, plain)


def tell(people: "People", name: str, evaluation: "TranslationEvaluation") -> None:
    """Print the scores and how they were computed."""
    e = evaluation
    people.say(f"\n{name}: {count(e.n, 'sentence')}")
    people.table(
        ["", "BLEU", "chrF", "perplexity"],
        [
            ["translations", figure(e.bleu, 3), figure(e.chrf, 3), figure(e.perplexity, 3)],
            ["copied sources", figure(e.copied, 3), "", ""],
        ],
    )
    people.say([translation_verdict(e), probability_sentence(e), *e.signatures])
