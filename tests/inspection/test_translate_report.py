"""The page of a translator and the picture of its attention: complete, self-contained, escaped, consistent."""

import json
import re

import numpy as np
import pytest
from html_page import Page
from report_cases import a_history

from example_translators import SOURCE, TARGET, a_translator
from grus.data.pairs import Pairs
from grus.decode import LiveTranslator
from grus.errors import UsageError
from grus.inspection.plots import figure_of
from grus.inspection.translations.inside import look, look_dict, write_look
from grus.inspection.translations.page import describe_translator, readable
from grus.inspection.translations.plots import MOST, plot_attention
from grus.inspection.translations.report import write_translate_report
from grus.inspection.wording import figure

SECTIONS = ["Scores", "Translations", "Attention", "Data", "Training", "Use it"]
LONG = [
    "eins zwei drei vier fünf sechs",
    "acht neun eins zwei drei",
    "<b>",
    "vier fünf sechs sieben acht neun eins",
]


@pytest.fixture(scope="module")
def live():
    return LiveTranslator(*a_translator(scale=3.0))


def page_of(path):
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", text.split("</style>", 1)[1]), "a colour outside the palette"
    return page, " ".join(" ".join(page.sections.values()).split()), text


def write(folder, live, **more):
    e = live.evaluate(LONG, ["one <i>", "two", "<b>", "three"], beam=1)
    pairs = Pairs(SOURCE, TARGET, ("de", "en"))
    options = {
        "title": "Numbers & <words>", "plan": ["source    de", "2 pairs were <lost>"], "parts": {"train": pairs, "test": pairs},
        "history": a_history(), "evaluations": {"test": e}, "live": live, "name": "numbers",
    } | more  # fmt: skip
    return write_translate_report(folder / "report", **options), e


def test_a_whole_page(tmp_path, live):
    path, e = write(tmp_path, live)
    page, words, text = page_of(path)
    assert [s for s in page.sections if s != "head"] == SECTIONS
    assert "Numbers & <words>" in words
    assert (
        "A bidirectional gated recurrent unit (12 units) reads up to 50 words of de, and a GRU of 12 units writes en while "
        "it looks at what was read (conditional decoder, additive attention;"
    ) in words
    assert (
        f"{figure(e.bleu, 3)} BLEU by greedy search; copying the source gives {figure(e.copied, 3)}" in words
    )
    assert (
        "Test: 4 sentences. Neither training nor the choice of the best epoch has seen these pairs." in words
    )
    assert "<b>" in page.sections["Translations"], "a text is not markup"
    for translation in e.translations:
        assert translation in page.sections["Translations"]
    assert e.signatures[0] in page.sections["Scores"]
    assert text.count("<svg") == text.count('role="img"')
    assert "2 pairs were <lost>" in page.sections["Data"]
    assert "grus translate numbers < IN > OUT" in page.sections["Use it"]
    metrics = json.loads(path.with_name("metrics.json").read_text())
    assert metrics["evaluations"]["test"]["bleu"] == e.bleu
    assert metrics["task"] == {
        "task": "translate", "source": "de", "target": "en", "max_source": 50, "max_target": 40, "length_penalty": 1.0,
    }  # fmt: skip


def test_a_page_without_scores(tmp_path, live):
    path, _ = write(tmp_path, live, evaluations={})
    page, words, _ = page_of(path)
    assert "Nothing is known of its errors" in words
    assert not {"Scores", "Translations", "Attention"} & page.sections.keys()


def test_only_sentences_that_can_be_read_are_drawn(live):
    assert readable(live, LONG) == [LONG[0], LONG[1], LONG[3]]
    assert readable(live, ["eins"] * 9) == []
    assert len(readable(live, [LONG[0]] * 50)) == 3


def test_two_layers_and_other_attention_are_said():
    model, _ = a_translator("bpe", joint=True, layers=2, decoder="plain", attention="multiplicative")
    said = describe_translator(model)
    assert "(12 units, 2 layers) reads up to 50 pieces of words of de" in said
    assert "(plain decoder, multiplicative attention;" in said


def test_the_picture_shows_every_share():
    attention = np.array([[0.9, 0.1, 0.0], [0.02, 0.18, 0.8]])
    ax = plot_attention(attention, ["a", "$b$", ""], ["x", "y"])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", r"\$b\$", "␣"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["x", "y"]
    assert sorted(t.get_text() for t in ax.texts) == ["10", "18", "80", "90"]
    shades = {(round(p.get_x() + 0.5), round(p.get_y() + 0.5)): p.get_alpha() for p in ax.patches}
    assert shades.keys() == {(0, 0), (1, 0), (0, 1), (1, 1), (2, 1)}, "nothing is drawn where nothing is"
    assert shades[0, 0] > shades[2, 1] > shades[1, 1] > shades[1, 0] > shades[0, 1]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first token is on top"


def test_a_large_picture_stays_a_picture():
    attention = np.full((200, 90), 1 / 90)
    ax = plot_attention(attention, [f"s{n}" for n in range(90)], [f"t{n}" for n in range(200)])
    assert len(ax.get_xticklabels()) == len(ax.get_yticklabels()) == MOST
    assert not ax.texts
    assert max(figure_of(ax).get_size_inches()) < 20


def test_inspection_of_one_sentence(tmp_path, live):
    found = look(live, ["", *LONG], None)
    assert (found.row, found.source) == (2, LONG[0])
    np.testing.assert_allclose(found.log_probabilities.sum(), found.best.log_probability, rtol=1e-6)
    write_look(tmp_path / "page.html", found, live, title="a <model>", command="grus inspect m d --row 2")
    page, words, text = page_of(tmp_path / "page.html")
    assert "a <model>" in words
    assert {"What it looked at", "Words", "Token by token", "What else it considered"} <= page.sections.keys()
    assert text.count("<svg") == 1
    for other in found.translations:
        assert other.text in page.sections["What else it considered"]
    plain = look_dict(found, live)
    assert len(plain["attention"]) == len(plain["tokens"]) + 1 == len(plain["log_probabilities"])
    assert json.dumps(plain)


def test_rows_that_are_not_there(live):
    with pytest.raises(UsageError, match="--row must be from 1 to 2, got 3"):
        look(live, ["a", "b"], 3)
    with pytest.raises(UsageError, match="row 2: expected a sentence to translate, got an empty line"):
        look(live, ["a", " "], 2)
    with pytest.raises(UsageError, match="row 1: expected a sentence to translate, got an empty line"):
        look(live, ["", " "], None)
