"""A live classifier: every kind of data in, the same answer alone or in any batch, from memory or from its folder."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

import grus
import torch_free
from example_classifiers import KINDS, classifier, events, examples_for, images, series, texts
from grus.artifact import load_model, save_model
from grus.decode import LiveClassifier, LiveForecaster
from grus.decode import classifier as module
from grus.decode.class_scores import class_probabilities
from grus.errors import DataError, ModelFolderError, UsageError
from grus.models import GraphModule
from grus.spec import ops
from numerics import assert_bitwise_equal

POOLS = {
    "mean": ops.Pool("mean"),
    "max": ops.Pool("max"),
    "attention": ops.AttentionPool(4),
    "last": ops.Last(),
}


def live(kind, **options):
    return LiveClassifier(*classifier(kind, **options))


def table_of(examples):
    """Examples as the table they would be read from."""
    if examples.kind == "text":
        return {
            "review": np.array(examples.texts, object),
            "kind": np.array([row[0] for row in examples.labels], object),
        }
    lengths = np.diff(examples.offsets)
    row = np.repeat(np.arange(len(examples)), lengths)
    if examples.kind == "events":
        row = np.repeat(row, np.diff(examples.visits))
        columns = {"code": np.array(examples.words, object)[examples.codes]}
    else:
        columns = {name: examples.series[:, i] for i, name in enumerate(examples.columns)}
    labels = np.array([given[0] for given in examples.labels], object)
    return {"id": examples.ids[row], **columns, "kind": labels[row]}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", ["word", "series", "events", "images"])
def test_a_row_has_the_same_bits_alone_and_in_any_batch(kind, pool, monkeypatch):
    model, examples = live(kind, pool=POOLS[pool]), examples_for(kind, 40)
    together = model.predict_proba(examples)
    for row in (0, 13, 39):
        assert_bitwise_equal(model.predict_proba(examples.take([row])), together[row : row + 1])
    order = np.random.default_rng(0).permutation(40)
    assert_bitwise_equal(model.predict_proba(examples.take(order)), together[order])
    for most, values in ((7, 1 << 22), (512, 100), (1, 1)):
        monkeypatch.setattr(module, "_BATCH", most)
        monkeypatch.setattr(module, "_VALUES", values)
        assert_bitwise_equal(model.predict_proba(examples), together)


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_the_network_in_training_says(kind):
    spec, tensors = classifier(kind)
    model, examples = LiveClassifier(spec, tensors), examples_for(kind)
    trained = GraphModule(spec.parts["main"]).eval()
    trained.load_tensors({k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")})
    arrays, lengths = model.sequences(examples).batch(np.arange(len(examples)))
    with torch.no_grad():
        logits = trained(
            {name: torch.from_numpy(values) for name, values in arrays.items()},
            {"src": torch.from_numpy(lengths)},
        )["logits"].numpy()
    np.testing.assert_allclose(model.logits(model.sequences(examples)), logits, rtol=2e-5, atol=2e-6)
    expected = class_probabilities(logits, 1.5, False)
    np.testing.assert_allclose(model.predict_proba(examples), expected, rtol=1e-4)


def test_batches_hold_every_row_once_and_are_no_larger_than_they_may_be(monkeypatch):
    model = live("series")
    assert len(model._batches(np.zeros(2000, int))) == 4
    monkeypatch.setattr(module, "_VALUES", 600)
    lengths = np.array([5, 0, 100, 7, 3, 3, 50, 1, 1000])
    batches = model._batches(lengths)
    assert sorted(np.concatenate(batches).tolist()) == list(range(9))
    widest = 12  # both directions of the GRU
    for rows in batches:
        assert len(rows) == 1 or len(rows) * lengths[rows].max() * widest <= 600
    assert model._batches(np.zeros(0, int)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_has_the_names_of_training(kind):
    model, examples = live(kind), examples_for(kind)
    found = model.predict(examples, proba=True)
    names = ["kind", "probability", "p_no", "p_perhaps", "p_yes"]
    assert list(found) == ([] if examples.ids is None else ["id"]) + names
    proba = model.predict_proba(examples)
    np.testing.assert_array_equal(np.stack([found[f"p_{name}"] for name in model.task.labels], 1), proba)
    np.testing.assert_array_equal(found["probability"], proba.max(1))
    assert found["kind"].tolist() == [model.task.labels[i] for i in proba.argmax(1)]
    if examples.ids is not None:
        np.testing.assert_array_equal(found["id"], examples.ids)
    assert list(model.predict(examples)) == list(found)[:-3]


def test_several_labels_a_row():
    model, examples = live("word", multi=True), texts()
    proba = model.predict_proba(examples)
    assert not np.allclose(proba.sum(1), 1)
    found = model.predict(examples, proba=True)
    assert list(found) == ["kind", "p_no", "p_perhaps", "p_yes"]
    for row, named in enumerate(found["kind"]):
        assert named == "|".join(np.array(model.task.labels)[proba[row] >= 0.5])
    evaluation = model.evaluate(examples.texts, [["yes", "no"]] * 15 + [[]] * 15)
    assert evaluation.confusion.shape == (3, 2, 2)
    assert evaluation.support.tolist() == [15, 0, 15]


@pytest.mark.parametrize("kind", ["word", "series", "events"])
def test_tables_and_frames_are_read_as_in_training(kind):
    model, examples = live(kind), examples_for(kind)
    keep = np.flatnonzero(
        model.sequences(examples).lengths
    )  # a table has no row for an example without steps
    if kind == "events":
        keep = np.array(
            [row for row in keep if np.diff(examples.visits)[slice(*examples.offsets[row : row + 2])].any()]
        )
        table = table_of(examples.take(keep))
        alone = live(kind).predict(table)  # without times each row is a visit of its own, and has no gap
        assert alone["id"].tolist() == examples.ids[keep].tolist()
        assert model.evaluate(table).n == len(keep)
        return
    some = examples.take(keep)
    table, expected = table_of(some), model.predict(some, proba=True)
    records = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    for data in (table, pd.DataFrame(table), records):
        found = model.predict(data, proba=True)
        assert found.keys() == expected.keys()
        for name, values in found.items():
            np.testing.assert_array_equal(values, expected[name])
        assert model.evaluate(data).accuracy == model.evaluate(some).accuracy
    unlabelled = {name: values for name, values in table.items() if name != "kind"}
    np.testing.assert_array_equal(model.predict(unlabelled)["kind"], expected["kind"])


def test_plain_python_data_is_read():
    model, examples = live("word"), texts()
    expected = model.predict_proba(examples)
    cells = examples.texts
    for data in (cells, tuple(cells), np.array(cells), pd.Series(cells)):
        assert_bitwise_equal(model.predict_proba(data), expected)
    model, examples = live("series"), series()
    rows = [examples.series[slice(*examples.offsets[i : i + 2])] for i in range(30)]
    assert_bitwise_equal(model.predict_proba(rows), model.predict_proba(examples))
    long = np.stack([row[:4] for row in rows if len(row) >= 4])
    assert_bitwise_equal(model.predict_proba(long), model.predict_proba(list(long)))
    model, examples = live("images"), images()
    assert_bitwise_equal(model.predict_proba(examples.images), model.predict_proba(examples))


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_give_no_answers(kind):
    model, none = live(kind), examples_for(kind).take([])
    assert model.predict_proba(none).shape == (0, 3)
    assert all(len(values) == 0 for values in model.predict(none, proba=True).values())
    with pytest.raises(DataError, match="expected labelled rows to score, got none"):
        model.evaluate(none)


@pytest.mark.parametrize(
    ("kind", "data", "error", "sentence"),
    [
        ("word", "one text", UsageError, "data: must be several examples or a table, got one str"),
        ("word", ["a", 3], DataError, r"examples, row 1 \(counting from 0\): expected text, got 3"),
        ("word", {"text": ["a"]}, DataError, "data: no column 'review'; the columns are 'text'"),
        ("series", [np.zeros((3, 2))], DataError, r"expected 3 channels as the model reads, got 2"),
        ("series", 7, UsageError, "data: must be columns, records or a data frame, got int"),
        ("images", np.zeros((2, 5, 6, 2), np.uint8), DataError, r"images: must be 6 x 5 x 2"),
        ("images", np.full((2, 6, 5, 2), 0.5), DataError, "expected pixels that are whole numbers"),
        (
            "events",
            [["I10"]],
            UsageError,
            "data: must be columns, records or a data frame, got list in a list",
        ),
    ],
)
def test_data_that_does_not_fit(kind, data, error, sentence):
    with pytest.raises(error, match=sentence):
        live(kind).predict(data)


def test_an_evaluation_needs_labels_and_shows_the_baselines():
    model, examples = live("word"), texts()
    bare = dataclasses.replace(examples, labels=None)
    with pytest.raises(DataError, match=r"^data: expected labels to compare with, got none$") as caught:
        model.evaluate(bare)
    assert caught.value.hint == "give them as y"
    y = [row[0] for row in examples.labels]
    found, same = model.evaluate(examples), model.evaluate(bare, y)
    assert found.accuracy == same.accuracy
    assert list(found.baselines) == ["majority"]
    assert found.baselines["majority"].accuracy == pytest.approx(y.count("yes") / 30)  # the prior says yes
    with pytest.raises(DataError, match="y: expected 30 labels"):
        model.evaluate(bare, y[1:])


def test_a_temperature_changes_how_sure_but_not_what():
    spec, tensors = classifier("series")
    cold, warm = (
        LiveClassifier(spec, tensors | {"task.temperature": np.array([t])}).predict(series())
        for t in (0.1, 5.0)
    )
    np.testing.assert_array_equal(cold["kind"], warm["kind"])
    assert (cold["probability"] > warm["probability"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_gives_the_same_answers_with_torch_blocked(kind, tmp_path):
    spec, tensors = classifier(kind)
    save_model(tmp_path / "model", spec, tensors)
    again, numbers = load_model(tmp_path / "model")
    assert again == spec
    for name, values in tensors.items():
        assert_bitwise_equal(numbers[name], values)
    rows = [row for row in np.split(series().series, series().offsets[1:-1]) if len(row)]
    data = {
        "series": rows,
        "irregular": rows,
        "images": images().images,
        "events": table_of(events()),
    }.get(kind, texts().texts)
    loaded = grus.load(tmp_path / "model")
    assert isinstance(loaded, LiveClassifier)
    expected = loaded.predict(data, proba=True)
    found = torch_free.class_predictions(tmp_path / "model", data, tmp_path)
    assert found == {"labels": expected["kind"].tolist(), "numbers": torch_free.as_bytes(
        {name: values for name, values in expected.items() if name != "id"})}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("task.temperature", 0.0), ("task.temperature", -1.0), ("preprocess.covariate_scale.scale", 0.0)],
)
def test_a_folder_whose_numbers_cannot_be_is_refused(name, value, tmp_path):
    spec, tensors = classifier("series")
    save_model(tmp_path / "model", spec, tensors | {name: np.full_like(tensors[name], value)})
    with pytest.raises(ModelFolderError, match=f"model: {name} must be above zero"):
        grus.load(tmp_path / "model")


def test_a_model_of_another_task_is_refused():
    spec, tensors = classifier("series")
    with pytest.raises(UsageError, match=r"^model: its task must be forecast, got one for classify$"):
        LiveForecaster(spec, tensors)
