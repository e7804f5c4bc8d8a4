"""Every parameter of the classifier that cannot be used is one clear sentence, before anything is read or trained."""

import inspect

import numpy as np
import pytest

from grus import Classifier
from grus.errors import UsageError
from grus.tasks.classify_parameters import RULES
from grus.training.config import RULES as TRAINING_RULES

NAN = float("nan")
WHOLE = "a whole number of at least 1"
SHARE = "a number of at least 0 and below 1"
SIZE = "a share of the rows below 1, or a number of rows"
WEIGHTS = "None, 'balanced', or a dict of numbers of at least 0 by label"

#: name, values that are refused, and what each must be
BAD = [
    ("kind", ["image", "", 3], "'text', 'series', 'images', 'events' or 'audio', or None"),
    *(
        (name, [3, "", ["a"]], "a column name, or None")
        for name in ("text", "label", "id", "time", "code", "variable", "value")
    ),
    ("columns", ["x", None, [3], [""]], "a list of column names"),
    ("tokenizer", ["words", None, 3], "'word', 'char' or 'bpe'"),
    ("vocabulary_size", [0, 2.5, None], WHOLE),
    ("lower", [None, 0], "True or False"),
    ("bidirectional", [1, "yes"], "True or False, or None"),
    ("pool", ["sum", None], "'mean', 'max', 'attention' or 'last'"),
    ("cell", ["LSTM", "MinGRU", None, 3], "'gru', 'lstm', 'rnn' or 'mingru'"),
    ("hidden_size", [0, -1, 12.0, "128", None, True], WHOLE),
    ("layers", [0, 65, 1.0, None], "a whole number from 1 to 64"),
    ("dropout", [-0.1, 1, NAN, "0.1", None], SHARE),
    ("encoder", ["conv", "lstm", None, 3, ["gru"]], "'gru', 'conv-gru' or 'gru-attention'"),
    ("kernel_size", [0, -1, 3.0, "3", None], WHOLE),
    ("irregular", ["zero", "", 3, False], "'mean', 'forward', 'indicators' or 'decay', or None"),
    ("embedding_size", [0, None], WHOLE),
    ("token_dropout", [1, -0.1, None], SHARE),
    ("label_smoothing", [1.0, -0.1, None], SHARE),
    ("class_weight", ["even", 3, {}, {"a": -1}, {"a": "2"}, [1, 2]], WEIGHTS),
    ("multi", [1, "yes"], "True or False, or None"),
    ("rate", [99, 8000.0, "8000", True], "a whole number of Hz from 100 to 768,000, or None"),
    ("frame_ms", [0, -1, 10_000, "25", None, NAN], "milliseconds above 0 and below 10,000"),
    ("hop_ms", [0, None], "milliseconds above 0 and below 10,000"),
    ("bands", [0, 1025, 40.0, None], "a whole number from 1 to 1,024"),
    ("preemphasis", [1, -0.1, None], SHARE),
    ("resample", [1, None], "True or False"),
    ("skip_bad", ["yes", None], "True or False"),
    ("gain_db", [-1, 60, None, NAN], "decibels from 0 to below 60"),
    ("band_shift", [-1, 2.0, None], "a whole number of at least 0"),
    ("noise", [-0.1, 1.5, None], "a share from 0 to 1"),
    ("time_mask", [1, -0.1, None], SHARE),
    ("band_mask", [1.0, "0.1"], SHARE),
    ("max_length", [0, 2.5], f"{WHOLE}, or None"),
    ("val_size", [-0.1, 1.5, "0.1", None, NAN], SIZE),
    ("test_size", [-1, 2.5, None], SIZE),
    ("batch_size", [0, 32.0, None], WHOLE),
]
#: those of the run, which the training's own settings check
BAD_RUN = [
    ("epochs", [0, None]),
    ("learning_rate", [0, NAN]),
    ("weight_decay", [-1e-4]),
    ("patience", [0, 1.5]),
    ("ema", [0, 1]),
    ("seed", [-1, None]),
    ("device", ["gpu"]),
    ("log", ["json"]),
]
CASES = [(name, value, f"{name} must be {must}") for name, values, must in BAD for value in values]
CASES += [
    (name, value, f"TrainingConfig: {name} must be {TRAINING_RULES[name].text}")
    for name, values in BAD_RUN
    for value in values
]


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """Reading data is a failure of the test."""
    import grus.tasks.classify as module

    def must_not_run(*arguments, **options):
        raise AssertionError("began to work before the parameters were checked")

    monkeypatch.setattr(module, "read_examples", must_not_run)


def refused(sentence, **options):
    with pytest.raises(UsageError) as error:
        Classifier(**options).fit(["a", "b"], ["x", "y"], progress="quiet")
    assert str(error.value) == sentence


@pytest.mark.parametrize(("name", "value", "must"), CASES, ids=lambda v: repr(v)[:30])
def test_a_bad_parameter_is_one_sentence(name, value, must):
    refused(f"{must}, got {value!r}", **{name: value})


def test_every_parameter_is_in_one_of_the_tables():
    names = set(inspect.signature(Classifier.__init__).parameters) - {"self"}
    assert names == RULES.keys() | {name for name, _ in BAD_RUN}
    assert {name for name, *_ in BAD} == RULES.keys()


def test_every_default_is_allowed():
    params = Classifier().get_params()
    for name, rule in RULES.items():
        assert rule.holds(params[name]), name


@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden_size", np.int32(3)), ("columns", np.array(["a", "b"])), ("dropout", np.float64(0.5)), ("val_size", 0),
     ("val_size", 100), ("val_size", np.float32(0.2)), ("class_weight", {0: 1, 1: 2.5}), ("multi", np.bool_(True)),
     ("class_weight", "balanced"), ("bidirectional", False)],
)  # fmt: skip
def test_what_is_usable_is_not_refused(name, value):
    assert RULES[name].holds(value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"text": "a", "code": "b"}, "only one of text, columns and code may be named, got text and code"),
        ({"columns": ["a"], "kind": "text"}, "columns must not be named for kind='text', got ('a',)"),
        ({"text": "a", "kind": "images"}, "text must not be named for kind='images', got 'a'"),
        (
            {"variable": "a", "id": "b"},
            "variable and value must be named with id and time, as one row of a table in long form is one measurement, "
            "got no value and no time",
        ),
        (
            {"variable": "a", "value": "v", "id": "b", "time": "t", "code": "c"},
            "variable must not be named for kind='events', got 'a'",
        ),
        ({"code": "a", "irregular": "mean"}, "irregular must not be given for kind='events', got 'mean'"),
        (
            {"irregular": "decay", "cell": "lstm"},
            "cell must be 'gru' with irregular='decay', which is a GRU-D, got 'lstm'",
        ),
        (
            {"irregular": "decay", "layers": 2},
            "layers must be 1 with irregular='decay', which is a GRU-D, got 2",
        ),
        (
            {"irregular": "decay", "bidirectional": True},
            "bidirectional must be False with irregular='decay', which is a GRU-D, got True",
        ),
        (
            {"irregular": "decay", "encoder": "conv-gru"},
            "encoder must not be 'conv-gru' with irregular='decay', which reads values as they are",
        ),
    ],
)
def test_parameters_that_do_not_go_together(options, sentence):
    refused(sentence, **options)


def test_resume_needs_the_folder_of_a_run():
    with pytest.raises(UsageError) as error:
        Classifier().fit(["a"], ["x"], resume=True)
    assert str(error.value) == "fit: resume must have the folder of the run to go on with, got folder=None"
