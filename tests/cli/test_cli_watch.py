"""How far it is, for people: only when it takes long, never on stdout, and never changing the answer."""

import io
import sys

from cli_runs import run

from grus.artifact import load_model
from grus.cli import watch
from grus.data.readers import read_columns
from grus.decode import load


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_quick_work_says_nothing(capsys, table, model):
    columns, _ = read_columns(table)
    watched = watch.WatchedForecaster(*load_model(model))
    assert watched.evaluate(columns, step=1).model.mae == load(model).evaluate(columns, step=1).model.mae
    assert capsys.readouterr() == ("", "")


def test_long_work_says_how_far_it_is(capsys, monkeypatch, table, model):
    monkeypatch.setattr(watch, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(watch, "LINE_SECONDS", 0.0)
    monkeypatch.setattr("grus.decode.forecaster._BATCH", 100)
    loud = run(capsys, "evaluate", model, table, "--step", 1, "--last", 231)
    lines = [line for line in loud.err.splitlines() if " windows, " in line]
    assert [line.partition(" windows")[0] for line in lines] == [
        "100 of 220", "200 of 220",
        "100 of 289", "200 of 289",  # the forecasts before, whose errors say how wide the intervals are
    ]  # fmt: skip
    assert all(line.endswith(" left") for line in lines)
    quiet = run(capsys, "evaluate", model, table, "--step", 1, "--last", 231, "-q")
    assert (quiet.err, quiet.out) == ("", loud.out)


def test_a_bar_on_a_terminal_goes_away(monkeypatch, table, model):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(watch, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr("grus.decode.forecaster._BATCH", 100)
    watch.WatchedForecaster(*load_model(model)).evaluate(read_columns(table)[0], step=1)
    text = screen.getvalue()
    assert "100/" in text
    assert " left" in text
