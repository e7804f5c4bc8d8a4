"""``cell``: classifiers and forecasters of LSTM, simple RNN, MinGRU learn, are saved, run without torch and are exported."""

import numpy as np
import pytest
from classify_tables import fit as fit_classifier
from classify_tables import series, texts
from forecast_tables import fit as fit_forecaster
from forecast_tables import one_series, table

import grus
from grus import Forecaster
from grus.artifact import load_model
from grus.errors import UnsupportedError, UsageError
from grus.export import onnx
from grus.export.c99 import export_c
from grus.inspection import record
from grus.inspection.classes.page import describe_classifier
from grus.inspection.forecast_page import describe_model
from grus.inspection.page import count_weights
from grus.tasks.cells import CELLS, cell_of, layers_of, name_of, step_of
from torch_free import as_bytes, class_predictions, predictions

OTHERS = [cell for cell in CELLS if cell != "gru"]


@pytest.mark.parametrize("cell", CELLS)
def test_a_word_is_a_cell_and_back(cell):
    layers = layers_of(cell, 4, 2, True, 0.5)
    assert (cell_of(layers), layers.name) == (cell, name_of(cell))
    assert (layers.hidden, layers.layers, layers.bidirectional, layers.dropout) == (4, 2, True, 0.5)
    assert layers_of(cell, 4, dropout=0.5).dropout == 0, "there is nothing between the layers of one"
    assert type(step_of(cell, 4).layer) is type(layers)


@pytest.mark.parametrize("cell", OTHERS)
@pytest.mark.parametrize(
    "options", [{"pool": "last", "layers": 2}, {"pool": "max", "bidirectional": False}], ids=str
)
def test_series_are_learnt_and_told_apart_without_torch(cell, options, tmp_path):
    data, labels = series(30, seed=1)
    model = fit_classifier(*series(), cell=cell, epochs=4, val_size=0, **options)
    assert (model.predict(data) == np.array(labels)).mean() > 0.95
    model.save(tmp_path / "m", report=False)
    found = class_predictions(tmp_path / "m", data, tmp_path)
    expected = grus.load(tmp_path / "m").predict(data, proba=True)
    assert found["labels"] == list(expected["label"]) == list(model.predict(data))
    assert found["numbers"] == as_bytes(expected)


@pytest.mark.parametrize("cell", OTHERS)
def test_a_classifier_runs_live_and_is_exported(cell, tmp_path):
    model = fit_classifier(*series(), cell=cell, bidirectional=False, epochs=1, val_size=0)
    model.save(tmp_path / "m", report=False)
    live, row = grus.load(tmp_path / "m"), series(1)[0][0]
    state = live.init_state(1)
    for step in row:
        answer, state = live.step(step[None], state)
    assert answer["probability"] == live.predict_proba([row]).max(axis=1)
    made = onnx(tmp_path / "m", tmp_path / "m.onnx")
    assert made.largest < 1e-5
    assert set(made.states) > {"encoder.h", "encoder.c"} if cell == "lstm" else "encoder.c" not in made.states
    assert export_c(*load_model(tmp_path / "m"), tmp_path / "c").proved


@pytest.mark.parametrize("network", ["segment", "direct"])
@pytest.mark.parametrize("cell", OTHERS)
def test_a_forecaster_says_the_same_again_and_without_torch(cell, network, tmp_path):
    data = table()
    for layers in (1, 2):
        model = fit_forecaster(data, model=network, cell=cell, layers=layers, val_size=12)
        expected = model.predict(data)
        assert name_of(cell) in expected, "the column is named after the cell"
        folder = model.save(tmp_path / f"m{layers}", report=layers == 1)
        again = Forecaster.load(folder)
        assert (again.cell, again.layers, again.hidden_size, again.alias) == (cell, layers, 8, name_of(cell))
        np.testing.assert_array_equal(again.predict(data)[name_of(cell)], expected[name_of(cell)])
        found = predictions([folder], data, None, tmp_path)[str(folder)]
        assert found == as_bytes(grus.load(folder).predict(data, level=[50, 95]))
    assert onnx(folder, tmp_path / "m.onnx").largest < 1e-5
    assert export_c(*load_model(tmp_path / "m1"), tmp_path / "c").proved


def test_a_noisy_sine_is_learnt_by_an_lstm():
    data = one_series(1100)
    rng = np.random.default_rng(0)
    data["y"] = np.sin(np.arange(1100) * np.pi / 12) + rng.normal(0, 0.5, 1100)
    model = fit_forecaster(
        data, 12, cell="lstm", hidden_size=16, epochs=4, lookback=48, segment=12, learning_rate=1e-2, ema=None,
        test_size=240,
    )  # fmt: skip
    assert model.test_.gain > 0.12  # as a GRU's in test_forecaster


def test_update_goes_on_with_the_cell():
    data = table()
    model = fit_forecaster(data, cell="lstm", val_size=12)
    assert model.update(data).cell == "lstm"
    assert [node.op.name for node in model.model_.parts["main"].nodes if "LSTM" in node.op.name] == [
        "LSTM", "LSTMStep",
    ]  # fmt: skip


def test_reports_say_which_cell_and_how_many_weights(tmp_path):
    fitted = {cell: fit_classifier(*texts(), cell=cell, epochs=1, val_size=12) for cell in CELLS}
    page = (fitted["lstm"].save(tmp_path / "m") / "report" / "index.html").read_text()
    assert "LSTM" in page
    assert "GRU" not in page
    found = {cell: model.model_ for cell, model in fitted.items()}
    weights = {cell: count_weights(model) for cell, model in found.items()}
    # Two directions of 8 units on 8 inputs, two biases each: 2 * (8 * 8 + 8 * 8 + 2 * 8) a gate.
    assert weights["lstm"] - weights["gru"] == 288
    assert weights["gru"] - weights["rnn"] == 2 * 288
    assert weights["gru"] - weights["mingru"] == 288 + 2 * 2 * (8 * 8 + 8)  # one gate less, no recurrent part
    assert "A bidirectional long short-term memory (8 units, " in describe_classifier(found["lstm"])
    assert "A bidirectional simple recurrent network (8 units, " in describe_classifier(found["rnn"])
    forecaster = fit_forecaster(table(), cell="rnn")
    assert describe_model(forecaster.model_, forecaster.panel_).startswith(
        "A simple recurrent network over segments"
    )


def test_what_shows_gates_says_that_there_are_none_of_a_gru(tmp_path):
    model = fit_classifier(*texts(), cell="lstm", epochs=1)
    model.save(tmp_path / "m", report=False)
    with pytest.raises(UnsupportedError, match=r"must have a recurrent layer .*GRU.*, got only .*LSTM"):
        record(grus.load(tmp_path / "m"), texts()[0])
    with pytest.raises(UsageError, match=r"has no GRU layer to explain, only .*LSTM"):
        grus.explain(tmp_path / "m")
