"""Every parameter that cannot be used is one clear sentence, before anything is read or trained."""

import inspect

import numpy as np
import pytest
from forecast_tables import one_series, table, tiny

from grus import Forecaster
from grus.errors import DataError, UsageError
from grus.preprocess.calendar import HARMONICS
from grus.tasks.forecast_parameters import RULES
from grus.training.config import RULES as TRAINING_RULES

NAN = float("nan")
WHOLE = "a whole number of at least 1"
COLUMNS = "a list of column names"
QUANTILES = "a list of increasing numbers between 0 and 1"

#: name, values that are refused, and what each must be
BAD = [
    ("horizon", [0, -1, 2.5, "24", None, True, NAN, [24]], WHOLE),
    ("id", [3, "", ["a"]], "a column name, or None"),
    ("time", [3, ""], "a column name, or None"),
    ("target", [3, "", (), ("y", 3)], "a column name, a list of column names, or None"),
    ("past", ["load", None, 3, [3], [None], [""]], COLUMNS),
    ("future", ["price", {"price"}, [1.5]], COLUMNS),
    ("static", ["area", b"area"], COLUMNS),
    ("freq", [60, ""], "a frequency such as 'h' or '15min', or None"),
    ("lookback", [0, -24, 1.5, "48"], f"{WHOLE}, or None"),
    ("model", ["lstm", "", None, 3, ["segment"]], "'segment' or 'direct'"),
    ("cell", ["LSTM", "MinGRU", None, 3], "'gru', 'lstm', 'rnn' or 'mingru'"),
    ("hidden_size", [0, -1, 12.0, "128", None, True], WHOLE),
    ("layers", [0, -1, 1.0, 65, None], "a whole number from 1 to 64"),
    ("dropout", [-0.1, 1, 1.0, 1.5, NAN, "0.1", None], "a number of at least 0 and below 1"),
    ("encoder", ["conv", "lstm", None, 3, ["gru"]], "'gru', 'conv-gru' or 'gru-attention'"),
    ("kernel_size", [0, -1, 3.0, "3", None], WHOLE),
    ("irregular", ["grud", "", 3, True], "'mean', 'forward', 'indicators' or 'decay', or None"),
    ("segment", [0, -6, 2.0, "6"], f"{WHOLE}, or None"),
    ("anchor", [0, -1, "season"], f"{WHOLE}, or None"),
    ("calendar", ["weekend", ["weekday"], [3], [["weekend"]]], f"a list of {', '.join(HARMONICS)}, or None"),
    ("loss", ["rmse", "MAE", None, np.abs, 3], "'mae', 'mse' or 'huber'"),
    ("quantiles", [0.5, "0.5", [0], [1.0], [0.5, 0.1], [0.5, 0.5], ["0.5"], [NAN], None, {0.5}], QUANTILES),
    ("scaling", ["minmax", None, True], "'standard', 'robust' or 'none'"),
    ("val_size", [-1, 24.0, "24"], "a whole number of at least 0, or None"),
    ("test_size", [-1, 0.2, None, "24"], "a whole number of at least 0"),
    ("batch_size", [0, -1, 32.0, None], WHOLE),
    ("windows_per_epoch", [0, 1e5, None], WHOLE),
    ("alias", ["", 3], "a name, or None"),
]
#: those of the run, which the training's own settings check
BAD_RUN = [
    ("epochs", [0, -1, 2.5, "8", None]),
    ("learning_rate", [0, -1e-3, NAN, float("inf"), "0.1", None]),
    ("weight_decay", [-1e-4, NAN, None]),
    ("patience", [0, -1, 1.5]),
    ("ema", [0, 1, 1.5, -0.1]),
    ("seed", [-1, 0.5, None, 2**63]),
    ("device", ["gpu", "", None, "cuda:x"]),
    ("log", ["json", None]),
]
CASES = [(name, value, f"{name} must be {must}") for name, values, must in BAD for value in values]
CASES += [
    (name, value, f"TrainingConfig: {name} must be {TRAINING_RULES[name].text}")
    for name, values in BAD_RUN
    for value in values
]


@pytest.fixture
def no_training(monkeypatch):
    """Reading data or training is a failure of the test."""
    import grus.tasks.forecast as module

    def must_not_run(*arguments, **options):
        raise AssertionError("began to work before the parameters were checked")

    monkeypatch.setattr("grus.tasks.estimator.train", must_not_run)
    monkeypatch.setattr(module, "read_columns", must_not_run)


@pytest.mark.parametrize(("name", "value", "must"), CASES, ids=lambda v: repr(v)[:30])
def test_a_bad_parameter_is_one_sentence(no_training, name, value, must):
    with pytest.raises(UsageError) as error:
        Forecaster(**{"horizon": 24, name: value}).fit(one_series(), progress="quiet")
    assert str(error.value) == f"{must}, got {value!r}"


def test_every_parameter_is_in_one_of_the_tables():
    names = set(inspect.signature(Forecaster.__init__).parameters) - {"self"}
    assert names == RULES.keys() | {name for name, _ in BAD_RUN}
    assert {name for name, *_ in BAD} == RULES.keys()
    assert all(name in TRAINING_RULES for name, _ in BAD_RUN)


def test_every_default_is_allowed():
    params = Forecaster(24).get_params()
    for name, rule in RULES.items():
        assert rule.holds(params[name]), name


@pytest.mark.parametrize(
    ("name", "value"),
    [("horizon", np.int32(3)), ("quantiles", np.array([0.1, 0.9])), ("quantiles", [np.float32(0.5)]), ("past", ["a"]),
     ("past", np.array(["a", "b"])), ("dropout", 0), ("dropout", np.float64(0.5)), ("calendar", []),
     ("calendar", ["weekend", "hour_of_day"]), ("layers", 64), ("val_size", 0), ("freq", "W-MON"), ("alias", "a b")],
)  # fmt: skip
def test_what_is_usable_is_not_refused(name, value):
    assert RULES[name].holds(value)


def refused(error, sentence, options, data=None, **fit_options):
    with pytest.raises(error) as caught:
        tiny(**options).fit(one_series() if data is None else data, progress="quiet", **fit_options)
    assert str(caught.value) == sentence


@pytest.fixture
def read_only(monkeypatch):
    """Training is a failure of the test; reading is not."""

    def must_not_run(*arguments, **options):
        raise AssertionError("began to train before the parameters were checked")

    monkeypatch.setattr("grus.tasks.estimator.train", must_not_run)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lookback": 13}, "lookback must be a multiple of the segment of 6, got 13"),
        ({"lookback": 5}, "lookback must be a multiple of the segment of 6, got 5"),
        ({"model": "direct", "segment": 6}, "segment must be None for model='direct', got 6"),
        ({"alias": "y"}, "alias must not be one of 'ds', 'y', 'cutoff', got 'y'"),
        ({"alias": "ds"}, "alias must not be one of 'ds', 'y', 'cutoff', got 'ds'"),
        ({"alias": "cutoff"}, "alias must not be one of 'ds', 'y', 'cutoff', got 'cutoff'"),
        ({"val_size": 5}, "val_size: expected 0 or at least the horizon of 6, got 5"),
        ({"test_size": 3}, "test_size: expected 0 or at least the horizon of 6, got 3"),
        ({"past": ("y",), "target": "y"}, "column 'y': expected one role, got 2"),
    ],
)
def test_parameters_that_do_not_go_together(read_only, options, sentence):
    refused(UsageError, sentence, options)


def test_a_calendar_needs_dates(read_only):
    data = {"y": np.arange(100.0)}
    sentence = "calendar must be None or empty where time is whole numbers, got ('weekend',)"
    refused(UsageError, sentence, {"calendar": ["weekend"]}, data)


def test_unknown_frequencies_name_the_known_ones(read_only):
    with pytest.raises(UsageError, match=r"frequency: expected one of .*, got 'fortnight'"):
        tiny(freq="fortnight").fit(one_series(), progress="quiet")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"past": ("lod",)}, "data: no column 'lod'; the columns are 'unique_id', 'ds', 'y', 'load'"),
        ({"id": "series"}, "data: no column 'series'; the columns are 'unique_id', 'ds', 'y', 'load'"),
        ({"static": ("load",)}, None),
    ],
)
def test_columns_that_do_not_fit(read_only, options, sentence):
    with pytest.raises(DataError) as error:
        tiny(**options).fit(table("load"), progress="quiet")
    if sentence is not None:
        assert str(error.value) == sentence
    else:
        assert "expected one value for the whole of series 'a'" in str(error.value)


def test_series_too_short_name_what_is_needed(read_only):
    sentence = "series 'series': 20 rows, but lookback 12 + horizon 6 + validation 6 need at least 24"
    refused(DataError, sentence, {}, one_series(20))


@pytest.mark.parametrize("what", [7, None, object()])
def test_data_of_no_known_kind(what):
    with pytest.raises(UsageError, match="data: expected a path, a pandas, polars or pyarrow table"):
        tiny().fit(what, progress="quiet")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_windows": 0}, "n_windows must be a whole number of at least 1, got 0"),
        ({"n_windows": 1.5}, "n_windows must be a whole number of at least 1, got 1.5"),
        ({"n_windows": "3"}, "n_windows must be a whole number of at least 1, got '3'"),
        ({"step_size": 0}, "step_size must be a whole number of at least 1, or None, got 0"),
        ({"step_size": -2}, "step_size must be a whole number of at least 1, or None, got -2"),
        ({"level": [0]}, "level must be from 1 to 99 percent, got 0"),
        ({"level": [100]}, "level must be from 1 to 99 percent, got 100"),
        ({"level": 80}, "level must be a list of percentages such as [80, 95], got 80"),
    ],
)
def test_cross_validation_refuses_before_it_trains(no_training, options, sentence):
    model = tiny()
    with pytest.raises(UsageError) as error:
        model.cross_validation(one_series(), progress="quiet", **options)
    assert str(error.value) == sentence
    assert model.test_size == 0


def test_cross_validation_with_intervals_needs_validation_rows(no_training):
    with pytest.raises(UsageError, match=r"level must be empty without validation rows .*\(val_size=0\)"):
        tiny(val_size=0).cross_validation(one_series(), level=[80], progress="quiet")
    with pytest.raises(UsageError, match="horizon must be a whole number"):
        tiny(0).cross_validation(one_series(), progress="quiet")


def test_levels_of_predict_and_evaluate():
    model = tiny().fit(one_series(), progress="quiet")
    for level, sentence in (
        ([0], "level must be from 1 to 99 percent, got 0"),
        ([100], "level must be from 1 to 99 percent, got 100"),
        (80, "level must be a list of percentages such as [80, 95], got 80"),
        ("80", "level must be a list of percentages such as [80, 95], got '80'"),
    ):
        for method in (model.predict, model.evaluate):
            with pytest.raises(UsageError) as error:
                method(level=level)
            assert str(error.value) == sentence
    with pytest.raises(UsageError, match="evaluate: step must be a whole number of at least 1, got 0"):
        model.evaluate(step=0)
