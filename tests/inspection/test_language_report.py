"""The page of a language model: complete, self-contained, escaped, consistent with metrics.json."""

import json
import re

import pytest
from html_page import Page

from example_language_models import TEXT, language_model
from grus.decode import LiveGenerator
from grus.inspection.language.page import describe_model
from grus.inspection.language.report import write_language_report
from grus.inspection.language.wording import counted, language_verdict
from grus.inspection.wording import figure
from grus.training.history import EpochRecord, History

SECTIONS = ["Scores", "What it writes", "Data", "Training", "Use it"]


def history():
    epochs = [
        EpochRecord(
            n,
            10 * n,
            3.0 - n / 5,
            {"validation_loss": 3.1 - n / 5, "perplexity": 20.0 - n},
            0.001,
            2.0,
            900.0,
        )
        for n in (1, 2)
    ]
    return History(epochs, "epochs", "validation_loss", 2, 2.7, 4.0)


def write(folder, tokenizer="char", evaluations=None, text=TEXT):
    live = LiveGenerator(*language_model(tokenizer, text=text))
    found = {"test": live.evaluate([TEXT[:400] + "~"])} if evaluations is None else evaluations
    path = write_language_report(
        folder / "report", title="Words of <text> & co", plan=["text      a <file>", "2 lines were <short>"],
        history=history(), evaluations=found, live=live, name="book", seed=3,
    )  # fmt: skip
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", html.split("</style>", 1)[1]), "a colour outside the palette"
    words = " ".join(" ".join(page.sections.values()).split())
    return words, page, json.loads((folder / "report" / "metrics.json").read_text()), live, found


@pytest.mark.parametrize("tokenizer", ["char", "word", "bpe"])
def test_a_whole_page(tmp_path, tokenizer):
    words, page, metrics, live, found = write(tmp_path, tokenizer, text=TEXT + "<b>&\n")
    e, unit = found["test"], live.codec.unit
    assert [s for s in page.sections if s != "head"] == SECTIONS
    assert "Words of <text> & co" in words
    big = e.bits_per_character if unit == "character" else e.perplexity
    assert f"{figure(big)} {'bits a character' if unit == 'character' else 'perplexity a ' + unit}" in words
    assert counted(e, unit) in words
    for row in e.rows():
        assert figure(float(row["perplexity"])) in page.sections["Scores"]
    for temperature, sample in zip(("0.5", "0.8", "1"), metrics["samples"]):
        assert sample["how"] == f"--temperature {temperature} --seed 3"
        assert sample["text"] in page.sections["What it writes"], "a text is not markup"
        again = live.generate(max_new_tokens={"character": 600, "piece": 200, "word": 120}[unit],
                              temperature=float(temperature), seed=3)  # fmt: skip
        assert sample["text"] == re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "\ufffd", again.text)
    assert "2 lines were <short>" in page.sections["Data"]
    assert f"900 {unit}s a second; the weights of epoch 2 were kept" in page.sections["Training"]
    assert 'grus generate book --prompt "..."' in page.sections["Use it"]
    assert metrics["evaluations"]["test"]["perplexity"] == pytest.approx(e.perplexity)
    assert metrics["evaluations"]["test"]["scores"][1]["model"] in ("bigram", "unigram")


def test_without_text_to_score(tmp_path):
    words, page, metrics, _, _ = write(tmp_path, evaluations={})
    assert [s for s in page.sections if s != "head"] == SECTIONS[1:]
    assert "Nothing is known of how well it does" in words
    assert metrics["evaluations"] == {}


def test_sentences():
    live = LiveGenerator(*language_model(hidden_size=12, dropout=0.2, variational=True))
    assert describe_model(live).startswith("A gated recurrent unit (12 units, 2 layers, ")
    assert describe_model(live).endswith(
        "reads a text character by character and says how probable each of the 23 characters it knows is next."
    )
    e = live.evaluate(["To be~"])
    assert counted(e, "character") == (
        "every one of 6 characters counts, read in order with the state carried; 1 of them (16.67%) are unknown to the "
        "model, and scored as one token"
    )
    assert language_verdict(e, "character").startswith(f"perplexity {figure(e.perplexity)} a character (")
    assert "; bigram " in language_verdict(e, "character") or "; unigram " in language_verdict(e, "character")
