"""A look into a language model: what it read, what surprised it, what it expects next."""

import json

import numpy as np
import pytest
from html_page import Page

from example_language_models import TEXT, UNICODE, language_model
from grus.decode import LiveGenerator
from grus.errors import DataError, UnsupportedError, UsageError
from grus.inspection.inside.findings import findings_dict
from grus.inspection.inside.passage import TOKENS, inspect_passage
from grus.inspection.inside.report import write_inspect_report
from grus.inspection.wording import to_json

LINES = TEXT.split("\n")
CALM = {"scale": 0.3}
MODELS = [
    ("char", {}),
    ("char", {"tied": True, "embedding_size": 5}),
    ("word", {"tied": True}),
    ("bpe", {"variational": True, "dropout": 0.1}),
]


def look(tokenizer="char", lines=LINES, row=None, **network):
    model, tensors = language_model(tokenizer, "\n".join(lines), **CALM, **network)
    live = LiveGenerator(model, tensors)
    return inspect_passage(live, tensors, lines, row), live, model


@pytest.mark.parametrize(("tokenizer", "network"), MODELS)
def test_the_passage_is_read_as_a_text_of_its_own(tokenizer, network):
    found, live, _ = look(tokenizer, row=5, **network)
    case = found.case
    text = "\n".join(LINES[:5]) + "\n"
    codes = live.codec.encode(text).codes
    while len(codes) > TOKENS:
        text = text.partition("\n")[2]
        codes = live.codec.encode(text).codes
    assert case.steps == len(codes) + 1 == len(case.names) == len(found.attribution)
    assert case.title.startswith(f"line 5 of {len(LINES)}, with the {len(codes)} ")
    np.testing.assert_allclose(case.surprise[1:], -live.score([text])[0].log_probabilities, rtol=1e-5)
    assert len({len(row) for row in case.inputs["tokens"]}) == 1


@pytest.mark.parametrize(("tokenizer", "network"), MODELS)
def test_the_parts_add_up_to_the_log_odds_of_what_is_expected(tokenizer, network):
    found, live, _ = look(tokenizer, row=3, **network)
    logits, _ = live.network.logits(found.case.inputs["tokens"][:1], live.network.network(live.init_state()))
    p = np.exp(logits[0, -1].astype(np.float64))
    p /= p.sum()
    best = int(p[1:].argmax()) + 1
    name = live.codec.spell(best).replace("\n", "↵").replace(" ", "␣")
    assert f"expects “{name}” with {100 * p[best]:.1f}%" in found.case.answer
    odds = found.base + found.attribution.sum() - found.gap
    assert odds == pytest.approx(np.log(p[best] / (1 - p[best])), abs=1e-3)
    assert abs(found.gap) < 0.02 * abs(found.attribution.sum()) + 1e-3


def test_an_adaptive_softmax_has_log_odds_too():
    words = [" ".join(f"w{(7 * n + i) % 1200}" for i in range(6)) for n in range(400)]
    model, tensors = language_model("word", "\n".join(words), size=1300, softmax="adaptive", **CALM)
    live = LiveGenerator(model, tensors)
    found = inspect_passage(live, tensors, words, 90)
    p = np.exp(-found.case.surprise[1:])
    assert ((p > 0) & (p < 1)).all()
    assert abs(found.gap) < 0.02 * abs(found.attribution.sum()) + 1e-3


def test_the_page_is_whole_and_says_what_surprised(tmp_path):
    found, _, model = look(row=4)
    write_inspect_report(tmp_path / "p.html", found, model, title="<a> & b", command="c")
    page = Page((tmp_path / "p.html").read_text())
    assert page.requests == []
    said = page.sections["What it did with the row"]
    assert "Surprising" in said
    assert "Least expected, in nats: “" in said
    assert "with no characters (embeddings of zero)" in said
    assert ">␣</span><wbr>" in (tmp_path / "p.html").read_text()
    assert ">↵</span><br>" in (tmp_path / "p.html").read_text()
    plain = json.loads(to_json(findings_dict(found)))
    assert plain["steps"]["surprise"][0] == 0
    assert len(plain["steps"]["surprise"]) == len(plain["steps"]["name"])


def test_other_models_have_nothing_about_surprise(tmp_path):
    from example_classifiers import classifier, examples_for
    from grus.decode import LiveClassifier
    from grus.inspection.inside.case import classify_case
    from grus.inspection.inside.findings import inspect_case

    model, tensors = classifier("word")
    live = LiveClassifier(model, tensors)
    found = inspect_case(live, tensors, classify_case(live, examples_for("word"), 2))
    write_inspect_report(tmp_path / "p.html", found, model, title="t", command="c")
    assert "Surprising" not in (tmp_path / "p.html").read_text()
    assert "surprise" not in findings_dict(found)["steps"]


def test_the_last_line_that_says_something_is_the_default():
    found, *_ = look(lines=["ab", "ba", "", "  "])
    assert found.case.title == "line 2 of 4, with the 6 characters up to its end"
    assert found.case.names == ("▸", "a", "b", "↵", "b", "a", "↵")


def test_a_line_longer_than_a_passage_is_cut_and_unknown_characters_are_marked():
    model, tensors = language_model("char", UNICODE, **CALM)
    found = inspect_passage(LiveGenerator(model, tensors), tensors, ["東京" * 300 + "q"])
    assert found.case.steps == TOKENS + 1
    assert found.case.unknown[-2]
    assert sum(found.case.unknown) == 1


def test_what_cannot_be_looked_at():
    with pytest.raises(UsageError, match=r"^row must be from 1 to 17 \(the lines of the text\), got 18$"):
        look(row=18)
    model, tensors = language_model()
    live = LiveGenerator(model, tensors)
    with pytest.raises(DataError, match=r"^data: expected the lines of the text, got none$"):
        inspect_passage(live, tensors, [])
    with pytest.raises(UnsupportedError, match=r"must have a recurrent layer with a GRU's gates, got only"):
        look(cell="lstm")
