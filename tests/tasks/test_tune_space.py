"""What is searched: the task's own space, names, or what the user says; and lookbacks that the data allows."""

import forecast_tables
import pytest

from grus import Classifier
from grus.errors import UsageError
from grus.tasks.classify_parameters import RULES
from grus.tasks.tune_space import CLASSIFY, check_trials, choose_space
from grus.training.search import Choice, Range


def chosen(given=None, **options):
    return choose_space(Classifier(**options), given, CLASSIFY, RULES)


def test_all_of_the_tasks_own_space():
    assert chosen(learning_rate=0.003, hidden_size=64) == dict(CLASSIFY)


def test_the_settings_as_given_are_in_it():
    space = chosen(learning_rate=0.05, hidden_size=100, layers=3, dropout=0.9, batch_size=4)
    assert space["learning_rate"] == Range(1e-4, 0.05, log=True)
    assert space["hidden_size"] == Choice((32, 64, 100, 128, 256))
    assert space["layers"] == Choice((1, 2, 3))
    assert space["dropout"] == Range(0.0, 0.9)
    assert space["batch_size"] == Choice((4, 8, 16, 32, 64, 128))


def test_names():
    assert chosen(["layers", "dropout"]) == {"layers": CLASSIFY["layers"], "dropout": CLASSIFY["dropout"]}
    assert list(chosen(("dropout", "learning_rate"))) == ["learning_rate", "dropout"], "in one order always"


def test_a_rate_of_auto_stays_that():
    assert list(chosen(learning_rate="auto")) == [name for name in CLASSIFY if name != "learning_rate"]
    assert chosen(["learning_rate"], learning_rate="auto")["learning_rate"] == Range(1e-4, 1e-2, log=True)


def test_values():
    given = {"layers": [2, 1, 2], "learning_rate": (1e-5, 1), "pool": ["mean"], "dropout": [0, 0.5]}
    assert chosen(given) == {
        "learning_rate": Range(1e-5, 1.0, log=True),
        "layers": Choice((1, 2)),
        "dropout": Range(0.0, 0.5),
        "pool": Choice(("mean",)),
    }


RATE = "space: learning_rate must be (low, high), each a finite number above 0, got "
NAMES = "learning_rate, batch_size, hidden_size, layers, dropout, pool"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("layers", "space must be None, a list of names or a dict, got 'layers'"),
        (3, "space must be None, a list of names or a dict, got 3"),
        ([], "space must name at least one parameter, got []"),
        ({}, "space must name at least one parameter, got {}"),
        (["depth"], f"space: no parameter 'depth' to search; there are {NAMES}"),
        ({"seed": [1, 2]}, f"space: no parameter 'seed' to search; there are {NAMES}"),
        ({"learning_rate": 1e-3}, RATE + "0.001"),
        ({"learning_rate": (1e-3, 1e-4)}, RATE + "(0.001, 0.0001)"),
        ({"learning_rate": (1e-3, 1e-3)}, RATE + "(0.001, 0.001)"),
        ({"learning_rate": (0, 1)}, RATE + "(0, 1)"),
        ({"learning_rate": (1e-3, float("inf"))}, RATE + "(0.001, inf)"),
        ({"learning_rate": (1e-3, float("nan"))}, RATE + "(0.001, nan)"),
        ({"learning_rate": (1e-3, "auto")}, RATE + "(0.001, 'auto')"),
        ({"learning_rate": (1e-3, 2e-3, 3e-3)}, RATE + "(0.001, 0.002, 0.003)"),
        ({"dropout": (0, 1.5)}, f"space: dropout must be (low, high), each {RULES['dropout'].text}, got (0, 1.5)"),
        ({"layers": 2}, f"space: layers must be a list of values, each {RULES['layers'].text}, got 2"),
        ({"layers": []}, f"space: layers must be a list of values, each {RULES['layers'].text}, got []"),
        ({"layers": [1, 1.5]}, f"space: layers must be a list of values, each {RULES['layers'].text}, got [1, 1.5]"),
        ({"layers": [True]}, f"space: layers must be a list of values, each {RULES['layers'].text}, got [True]"),
        ({"pool": ["sum"]}, f"space: pool must be a list of values, each {RULES['pool'].text}, got ['sum']"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_searched(given, sentence):
    with pytest.raises(UsageError) as caught:
        chosen(given)
    assert str(caught.value) == sentence


def test_trials():
    assert check_trials(3) == 3
    with pytest.raises(UsageError, match="trials must be a whole number of at least 1, got 0"):
        check_trials(0)


# -- lookbacks -----------------------------------------------------------------------------------------


def searched(length=120, space=None, **options):
    """The lookbacks that a search over one series tries, in words."""
    model = forecast_tables.tiny(**options)
    model.tune(forecast_tables.one_series(length), trials=1, space=space, progress="quiet")
    return model.tuning_.space["lookback"]


def test_half_and_double_the_lookback_in_whole_segments():
    assert searched(space=["lookback"]) == "6, 12, 24"
    assert searched(space=["lookback"], lookback=18) == "6, 18, 36"
    assert searched(space=["lookback"], lookback=13, segment=None, model="direct") == "6, 13, 26"


def test_no_longer_than_leaves_rows_to_learn_from():
    assert searched(length=50, space=["lookback"]) == "6, 12"


@pytest.mark.parametrize(
    ("options", "values", "sentence"),
    [
        ({}, [12, 15], "multiples of the segment of 6 steps up to 102, for which every series has the rows, got 15"),
        ({}, [12, 108], "multiples of the segment of 6 steps up to 102, for which every series has the rows, got 108"),
        ({"model": "direct"}, [12, 103], "whole numbers up to 102, for which every series has the rows, got 103"),
    ],
)  # fmt: skip
def test_lookbacks_that_cannot_be_used(options, values, sentence):
    with pytest.raises(UsageError) as caught:
        searched(space={"lookback": values}, val_size=12, **options)
    assert str(caught.value) == f"space: lookback must be a list of {sentence}"


def test_every_lookback_is_scored_on_the_same_rows():
    """Left open, the number of validation rows would depend on the lookback, and the losses on the rows."""
    data, space = forecast_tables.one_series(150), {"lookback": [6, 12, 48]}
    model = forecast_tables.tiny().tune(data, trials=5, space=space, progress="quiet")
    rows = int((model.split_.val_end - model.split_.train_end)[0])
    assert len({trial.parameters["lookback"] for trial in model.tuning_.trials}) > 1
    for trial in model.tuning_.trials:
        one = forecast_tables.tiny(**trial.parameters, val_size=rows).fit(data, progress="quiet")
        assert one.history_.best_score == trial.score
