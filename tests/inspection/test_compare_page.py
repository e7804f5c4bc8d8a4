"""The page of a comparison, its pictures and its sentences."""

import json
import re

import numpy as np
import pytest
from html_page import Page

from comparing_cases import a_cell, a_point, an_outcome
from grus.decode.comparing.paired import Interval
from grus.errors import ModelFolderError
from grus.inspection.compare import plots
from grus.inspection.compare.table import people_header, people_rows, size_text, table_columns
from grus.inspection.compare.wording import noise_sentence, plus_minus, verdict_sentence
from grus.inspection.plots import figure_of
from grus.tasks.compare.comparison import Comparison


def grid():
    """Two lengths and two shares of two cells."""
    return an_outcome(
        *(
            a_point(
                *(a_cell(cell, mean / share**0.3, place=(share, length)) for cell, mean in (("gru", 1.0), ("rnn", 2.0))),
                share=share, length=length,
            )
            for length in (24, 48) for share in (0.1, 1.0)
        )
    )  # fmt: skip


def read(outcome, folder):
    comparison = Comparison(outcome)
    comparison.command = "grus compare forecast 'my data.csv' --horizon 24"
    text = comparison.save(folder).read_text(encoding="utf-8")
    page = Page(text)
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", text.split("</style>", 1)[1]), "a colour outside the palette"
    sections = {name: " ".join(words.split()) for name, words in page.sections.items()}
    assert not re.search(r"\b(nan|inf|None)\b", " ".join(sections.values()))
    return sections, json.loads((folder / "comparison.json").read_text()), text


def test_a_page_of_one_point(tmp_path):
    outcome = an_outcome(a_point(*(a_cell(cell, 1.0) for cell in ("gru", "lstm", "rnn", "mingru"))))
    sections, figures, text = read(outcome, tmp_path / "c")
    assert list(sections)[1:] == [
        "Errors and costs", "Learning", "How far back the gradient reaches", "Data", "Do it again",
    ]  # fmt: skip
    assert figures["verdict"] in " ".join(sections.values())
    assert "Comparison of cells at equal width" in sections["head"]
    assert "GRU 16" in sections["Errors and costs"]
    assert "1.00 MB" in sections["Errors and costs"]
    assert (
        "falls under a thousandth after 12 steps in the simple RNN"
        in sections["How far back the gradient reaches"]
    )
    assert "my data.csv" in sections["Do it again"]
    assert text.count("<svg") == 5


def test_a_page_of_several_points(tmp_path):
    outcome = grid()
    sections, figures, text = read(outcome, tmp_path / "c")
    more = sections["More data, longer sequences"]
    assert "10% of the training rows, 24 steps" in more
    assert "All training rows, 24 steps" in more
    assert len(figures["points"]) == 4
    assert figures["points"][0]["cells"][0]["runs"][0]["losses"]
    assert text.count("<svg") == 8, "two curves by share, one by length"
    assert outcome.main is outcome.points[3]


def test_a_page_of_cells_that_diverged(tmp_path):
    outcome = an_outcome(
        a_point(a_cell("gru", 0.3), a_cell("lstm", 1.0, state="diverged")), metric="error rate", seeds=1
    )
    sections, _, _ = read(outcome, tmp_path / "c")
    assert "LSTM 16diverged10,000-----" in sections["Errors and costs"]
    assert "the LSTM diverged at every learning rate" in sections["head"]


def test_nothing_is_overwritten_unasked(tmp_path):
    outcome = an_outcome(a_point(a_cell("gru", 1.0), a_cell("lstm", 1.0)))
    Comparison(outcome).save(tmp_path)
    with pytest.raises(
        ModelFolderError, match=r"index.html: already exists, and nothing is overwritten unasked$"
    ):
        Comparison(outcome).save(tmp_path)
    Comparison(outcome).save(tmp_path, force=True)


# -- sentences -------------------------------------------------------------------------------------------------------


def sentence(*cells, metric="MAE (y)", floors=None, **more):
    return verdict_sentence(an_outcome(a_point(*cells, floors=floors), metric=metric, **more))


def test_cells_that_are_alike():
    said = sentence(a_cell("gru", 1.0), a_cell("lstm", 1.0))
    assert re.fullmatch(
        r"GRU and LSTM do not differ by more than noise \(0\.\d+ ± 0\.\d+ MAE \(y\), over 3 seeds\); "
        r"take the GRU: 3/4 of the weights and 1.6 times as fast to train\.",
        said,
    ), said
    said = sentence(a_cell("gru", 1.0), a_cell("lstm", 1.0), a_cell("mingru", 1.0, seconds=1.3))
    assert re.fullmatch(
        r"GRU, LSTM and MinGRU do not differ by more than noise \([\d.]+ ± [\d.]+ MAE \(y\) to the LSTM, [\d.]+ ± [\d.]+ "
        r"MAE \(y\) to the MinGRU, over 3 seeds\); take the GRU: 3/4 of the LSTM's weights, 1.6 times as fast to train "
        r"as the LSTM and 1.3 times as fast to train as the MinGRU\.",
        said,
    ), said


def test_cells_that_differ():
    said = sentence(a_cell("gru", 1.0), a_cell("lstm", 1.5), a_cell("rnn", 2.0))
    assert re.fullmatch(
        r"Take the GRU: the LSTM is worse by 0\.\d+ ± 0\.\d+ MAE \(y\) and the simple RNN by [\d.]+ ± 0\.\d+ MAE \(y\)\.",
        said,
    ), said
    said = sentence(a_cell("gru", 1.3, spread=0.5), a_cell("lstm", 1.0, spread=0.5))
    assert said.startswith("Take the LSTM: the GRU is worse by ")
    assert said.endswith(", which may still be noise (more seeds or more test rows would tell).")


def test_a_baseline_is_said_to_be_better():
    cells = a_cell("gru", 1.0), a_cell("lstm", 1.5)
    said = sentence(*cells, floors={"repeat last": 0.5})
    assert said.startswith("No cell beats the baseline repeat last (0.5000 against 0.99")
    assert "; take the GRU: the LSTM is worse by " in said
    assert sentence(a_cell("gru", 1.0, state="diverged")) == "No cell came to the end of its training."


def test_error_rates_are_told_in_percent():
    said = sentence(a_cell("gru", 0.2), a_cell("lstm", 0.6), metric="error rate")
    assert re.search(r"the LSTM is worse by [34]\d(\.\d)? ± \d+(\.\d)? percentage points\.$", said), said
    outcome = an_outcome(a_point(a_cell("gru", 0.2), a_cell("lstm", 0.6)), metric="error rate")
    assert people_header(outcome)[1] == "error (%)"
    assert re.fullmatch(r"\d\d(\.\d+)? ± \d+(\.\d+)?", people_rows(outcome, outcome.main)[0][1])


def test_both_sides_of_a_plus_minus_have_the_decimals_of_the_width():
    def text(value, half):
        return plus_minus(Interval(value, half, 0.0, 1.0), "MSE")

    assert text(0.31415, 0.0821) == "0.314 ± 0.082"
    assert text(1234.5, 56.7) == "1,234 ± 57"
    assert text(-0.5, 1.234) == "-0.5 ± 1.2"
    assert text(2.0, 0.0) == "2.0 ± 0.0"
    assert text(2.0, float("nan")) == "2.000"
    assert "e" in text(3e-6, 2.4e-7)
    assert size_text(999) == "999 B"
    assert size_text(1.5e6) == "1.50 MB"


def test_what_the_intervals_are_over():
    cells = a_cell("gru", 1.0), a_cell("lstm", 1.0)
    assert "over test units and 3 training runs" in noise_sentence(an_outcome(a_point(*cells)))
    assert "test units only" in noise_sentence(an_outcome(a_point(*cells), seeds=1))


# -- the table and the pictures --------------------------------------------------------------------------------------


def test_the_table_has_a_row_for_every_cell_and_floor_at_every_point():
    columns = table_columns(grid())
    assert len(columns["cell"]) == 4 * 3
    assert columns["cell"].tolist()[:3] == ["gru", "rnn", "repeat last"]
    assert columns["parameters"].tolist()[:2] == [7500, 2500]
    assert columns["bytes"].tolist()[:2] == [30000, 10000]
    assert np.isnan(columns["learning_rate"][2])
    assert columns["error"][2] == 9.0
    assert (columns["error_low"][:2] < columns["error"][:2]).all()
    assert columns["RMSE"][0] == pytest.approx(1.3 / 0.1**0.3)
    assert columns["seconds_to_best"][0] == pytest.approx(3.0)


def test_cells_are_told_apart_by_dash_and_mark_alone():
    dashes = [str(dash) for _, dash, _ in plots.STYLES]
    marks = [mark for *_, mark in plots.STYLES]
    colours = [colour for colour, *_ in plots.STYLES]
    for what in (dashes, marks, colours):
        assert len(set(what)) == len(plots.STYLES)


def test_pictures_draw_what_they_are_given():
    ax = plots.plot_reach({"a": np.array([2.0, 1.0, 0.0])}, unit="share", axis="steps")
    y = ax.lines[0].get_ydata()
    assert y[:2].tolist() == [1.0, 0.5]
    assert np.isnan(y[2]), "nothing is left: off a logarithmic scale"
    ax = plots.plot_rates({"a": (np.array([0.1, 0.3]), np.array([1.0, np.inf]))}, unit="score")
    assert np.isnan(ax.lines[0].get_ydata()[1])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.1", "0.3"]
    far = plots.plot_errors({"a": (1.0, 0.1, [1.0, 1.1])}, unit="MAE", floor=("naive", 50.0))
    near = plots.plot_errors({"a": (1.0, 0.1, [1.0, 1.1])}, unit="MAE", floor=("naive", 1.2))
    assert [text.get_text() for text in far.texts] == []
    assert [text.get_text() for text in near.texts] == ["naive"]
    estimates = plots.Estimates(np.array([1.0, np.nan]), np.array([0.1, np.nan]))
    ax = plots.plot_curve(
        np.array([0.1, 1.0]), {"a": estimates}, unit="MAE", axis="share", names=["10%", "100%"],
        floors={"floor": np.array([1.05, 0.95])},
    )  # fmt: skip
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "best baseline"]
    assert figure_of(ax).axes == [ax]
