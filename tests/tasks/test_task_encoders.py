"""``encoder``: models with a convolution before the cell or self-attention after it learn, are saved, run and are exported."""

import numpy as np
import pytest
from classify_tables import fit as fit_classifier
from classify_tables import series, texts
from forecast_tables import fit as fit_forecaster
from forecast_tables import table

import grus
from grus import Forecaster
from grus.artifact import load_model
from grus.errors import UnsupportedError
from grus.export import onnx
from grus.export.c99 import export_c
from grus.inspection import record
from grus.inspection.classes.page import describe_classifier
from grus.inspection.forecast_page import describe_model
from grus.spec import ops
from grus.tasks.encoders import ENCODERS, attended, encoder_of
from torch_free import as_bytes, class_predictions, predictions

HYBRIDS = [encoder for encoder in ENCODERS if encoder != "gru"]


def ops_of(model):
    return [node.op.name for node in model.model_.parts["main"].nodes]


@pytest.mark.parametrize(
    "options", [{}, {"pool": "last", "layers": 2}, {"pool": "attention", "cell": "lstm"}], ids=str
)
@pytest.mark.parametrize("encoder", HYBRIDS)
def test_series_are_learnt_and_told_apart_without_torch(encoder, options, tmp_path):
    data, labels = series(30, seed=1)
    model = fit_classifier(*series(), encoder=encoder, epochs=4, val_size=0, **options)
    assert ("Convolution" in ops_of(model), "SelfAttention" in ops_of(model)) == (
        encoder == "conv-gru", encoder == "gru-attention",
    )  # fmt: skip
    assert (model.predict(data) == np.array(labels)).mean() > 0.95
    model.save(tmp_path / "m", report=False)
    found = class_predictions(tmp_path / "m", data, tmp_path)
    expected = grus.load(tmp_path / "m").predict(data, proba=True)
    assert found["labels"] == list(expected["label"]) == list(model.predict(data))
    assert found["numbers"] == as_bytes(expected)


def test_texts_are_learnt(tmp_path):
    for encoder in HYBRIDS:
        model = fit_classifier(*texts(120), encoder=encoder, epochs=6, val_size=0)
        said, moods = texts(40, seed=2)
        assert (model.predict(said) == np.array(moods)).mean() > 0.8, encoder


@pytest.fixture(scope="module")
def causal():
    """A classifier of series with a convolution of four steps before its GRU."""
    return fit_classifier(
        *series(), encoder="conv-gru", kernel_size=4, bidirectional=False, epochs=2, val_size=12
    )


def test_a_convolution_streams_to_the_same_bits(causal, tmp_path):
    """Step by step, in chunks, and many streams at once: `predict` of the steps so far, to the bit."""
    causal.save(tmp_path / "m", report=False)
    live, (rows, _) = grus.load(tmp_path / "m"), series(8, seed=3)
    whole = live.predict_proba(rows)
    for row, expected in zip(rows, whole):
        state = live.init_state(1)
        for t in range(len(row)):
            answer, state = live.step(row[t : t + 1], state, proba=True)
            assert answer["probability"] == live.predict_proba([row[: t + 1]]).max(axis=1)
        np.testing.assert_array_equal([answer[f"p_{name}"][0] for name in live.task.labels], expected)
        first, state = live.run(row[None, :3], None)
        second, _ = live.run(row[None, 3:], type(state).from_bytes(state.to_bytes(), live))
        assert second["probability"] == expected.max()
        assert first["probability"] == live.predict_proba([row[:3]]).max(axis=1)


def test_a_convolution_is_exported_live(causal, tmp_path):
    causal.save(tmp_path / "m", report=False)
    made = onnx(tmp_path / "m", tmp_path / "m.onnx")
    assert made.largest < 1e-5
    assert "convolution.inputs" in made.states
    for precision in ("float32", "int8"):
        assert export_c(*load_model(tmp_path / "m"), tmp_path / precision, precision=precision).proved


def test_self_attention_reads_whole_examples_only(tmp_path):
    model = fit_classifier(*series(), encoder="gru-attention", bidirectional=False, epochs=1, val_size=0)
    model.save(tmp_path / "m", report=False)
    live, sentence = grus.load(tmp_path / "m"), "node 'attention': SelfAttention needs the whole sequence"
    with pytest.raises(UnsupportedError, match=f"^{sentence}, so it cannot run in chunks$"):
        live.init_state(1)
    with pytest.raises(UnsupportedError, match=sentence):
        export_c(*load_model(tmp_path / "m"), tmp_path / "c")
    assert onnx(tmp_path / "m", tmp_path / "m.onnx").largest < 1e-5
    found = record(live, series(5)[0])
    assert found.z.shape[:3] == (1, 1, 5)


@pytest.mark.parametrize("network", ["segment", "direct"])
@pytest.mark.parametrize("encoder", HYBRIDS)
def test_a_forecaster_says_the_same_again_and_without_torch(encoder, network, tmp_path):
    data = table()
    for layers, cell in ((1, "gru"), (2, "lstm")):
        model = fit_forecaster(
            data, model=network, cell=cell, encoder=encoder, kernel_size=2, layers=layers, val_size=12
        )
        expected = model.predict(data)[cell.upper()]
        folder = model.save(tmp_path / f"m{layers}", report=layers == 1)
        again = Forecaster.load(folder)
        assert (again.encoder, again.kernel_size) == (encoder, 2 if encoder == "conv-gru" else 3)
        np.testing.assert_array_equal(again.predict(data)[cell.upper()], expected)
        found = predictions([folder], data, None, tmp_path)[str(folder)]
        assert found == as_bytes(grus.load(folder).predict(data, level=[50, 95]))
        assert onnx(folder, tmp_path / f"m{layers}.onnx").largest < 1e-5
    if network == "segment":
        for precision in ("float32", "int8"):
            made = export_c(*load_model(tmp_path / "m1"), tmp_path / precision, precision=precision)
            assert made.proved, "attention too: the window's length is known"


def test_a_forecaster_with_self_attention_streams_through_its_rows():
    data = table(lengths=(60,))
    model = fit_forecaster(data, encoder="gru-attention", val_size=6)
    live, state = model.live_, None
    for t in range(0, 60, 7):
        chunk = {name: values[t : t + 7] for name, values in data.items()}
        answer, state = live.run(chunk, state)
    np.testing.assert_array_equal(answer["GRU"], live.predict(data)["GRU"])


def test_update_keeps_the_encoder():
    model = fit_forecaster(table(), encoder="conv-gru", val_size=12)
    assert model.update(table()).encoder == "conv-gru"
    assert encoder_of(model.model_.parts["main"]) == {"encoder": "conv-gru", "kernel_size": 3}


@pytest.mark.parametrize(("size", "heads"), [(16, 4), (6, 3), (10, 2), (7, 1)])
def test_heads_divide_the_states(size, heads):
    made = []
    attended(lambda name, op, *inputs: made.append(op) or name, "h", size)
    assert made == [ops.SelfAttention(heads), ops.Add()]


def test_reports_say_what_stands_around_the_cell():
    found = {
        encoder: describe_classifier(fit_classifier(*series(), encoder=encoder, epochs=1).model_)
        for encoder in ENCODERS
    }
    assert found["gru"].startswith("A bidirectional gated recurrent unit (8 units, ")
    assert found["conv-gru"].startswith(
        "A convolution of 3 steps and a bidirectional gated recurrent unit (8 "
    )
    assert found["gru-attention"].startswith(
        "A bidirectional gated recurrent unit with self-attention in 4 heads (8 units, "
    )
    forecaster = fit_forecaster(table(), encoder="gru-attention")
    assert describe_model(forecaster.model_, forecaster.panel_).startswith(
        "A gated recurrent unit over segments of 6 hours with self-attention in 4 heads (8 units; "
    )
