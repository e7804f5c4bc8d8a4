"""The page of a classifier: complete, self-contained, escaped, consistent with metrics.json, for every kind."""

import base64
import io
import json
import re

import msgspec
import numpy as np
import pytest
from class_report_cases import a_class_case, a_class_model
from html_page import Page
from PIL import Image

from grus.decode.class_scores import evaluate_classes
from grus.inspection.classes.page import data_uri, describe_classifier, headline, label_table
from grus.inspection.classes.report import write_classify_report
from grus.inspection.wording import percent
from grus.spec import Model, ops

SECTIONS = ["Scores", "Label by label", "Confusion", "Calibration", "Most confident mistakes", "Data", "Training", "Use it"]  # fmt: skip


def write(folder, case, **more):
    options = {
        "title": "Classes of <text> & co", "plan": ["text      160 from 'text'", "2 rows were <short>"],
        "parts": case.parts, "history": case.history, "evaluations": case.evaluations, "model": case.model,
    } | more  # fmt: skip
    path = write_classify_report(folder / "report", **options)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert not re.findall(r"url\((?!#)|@import", text)
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", text.split("</style>", 1)[1]), "a colour outside the palette"
    words = " ".join(" ".join(page.sections.values()).split())
    assert " nan" not in words.lower()
    return words, page, json.loads((folder / "report" / "metrics.json").read_text()), text


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of a classifier of texts: (words, page, metrics, text)."""
    return write(tmp_path_factory.mktemp("whole"), a_class_case(), name="reviews")


def test_a_whole_page(whole):
    words, page, metrics, text = whole
    case = a_class_case()
    e = case.evaluations["test"]
    assert [s for s in page.sections if s != "head"] == SECTIONS
    assert "Classes of <text> & co" in words
    assert (
        "A bidirectional gated recurrent unit (3 units, 199 weights in all) reads up to 50 words of text (3 known), "
        "takes the maximum over all steps, and names one of 3 labels."
    ) in words
    rival = percent(e.baselines["bag of words"].accuracy)
    assert (
        f"{percent(e.accuracy)} of the rows are labelled right; by the best baseline, bag of words, {rival}"
        in words
    )
    assert "Test: 60 rows. Neither training nor the choice of the best epoch has seen these rows." in words
    for label, score in zip(e.task.labels, e.f1):
        assert label in page.sections["Label by label"]
        assert f"{score:.3f}"[:5] in page.sections["Label by label"]
    wrong = round((1 - e.accuracy) * e.n)
    assert f"{wrong} rows are labelled wrong; here all of them." in words
    assert "<b>film</b>" in page.sections["Most confident mistakes"], "a text is not markup"
    assert "2 rows were <short>" in page.sections["Data"]
    assert "rows a second" in page.sections["Training"]
    assert "grus predict reviews DATA.jsonl --proba > labels.csv" in page.sections["Use it"]
    assert text.count("<svg") == text.count('role="img"') == 4
    assert metrics["evaluations"]["test"]["accuracy"] == e.accuracy
    assert (
        metrics["evaluations"]["validation"]["confusion"] == case.evaluations["validation"].confusion.tolist()
    )
    assert metrics["task"]["labels"] == list(e.task.labels)
    assert len(metrics["history"]["epochs"]) == 4


def test_it_is_the_same_page_again(tmp_path, whole):
    assert write(tmp_path, a_class_case(), name="reviews")[3] == whole[3]


def test_light_dark_and_print(whole):
    style = whole[3].split("</style>")[0]
    assert "@media (prefers-color-scheme: dark) { :root { --paper: #14171a;" in style
    assert "@media print { :root { color-scheme: light; --paper: #fffffe;" in style


def test_series_are_pictures(tmp_path):
    words, page, _, text = write(tmp_path, a_class_case("series"))
    assert "reads up to 50 steps of 2 channels" in words
    assert "A line is a channel, over its own spread." in words
    assert len(re.findall(r'aria-label="\d+ steps"', text)) == text.count("<article>") > 0
    assert re.search(r"row <\d+>", page.sections["Most confident mistakes"])
    assert "DATA.csv" in page.sections["Use it"]


def test_images_are_inside_the_page(tmp_path):
    case = a_class_case("images", test=300, strength=0.5)
    words, page, _, text = write(tmp_path, case)
    assert "reads images of 5 x 6 pixels row by row" in words
    assert text.count('<img src="data:image/png;base64,') == 18
    assert "the 18 that the model was surest of" in words
    assert "grus evaluate MODEL FOLDER" in page.sections["Use it"]


def test_an_image_keeps_its_pixels():
    for channels in (1, 3):
        pixels = np.random.default_rng(0).integers(0, 255, (4, 5, channels), np.uint8)
        data = base64.b64decode(data_uri(pixels).split(",")[1])
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))).reshape(pixels.shape), pixels)


def test_events_are_lines(tmp_path):
    words, page, *_ = write(tmp_path, a_class_case("events"))
    assert "reads up to 50 visits with 4 known codes" in words
    assert "A line is a visit, after the time since the one before (in days, where times are dates)." in words
    assert re.search(r"after \d+: ", page.sections["Most confident mistakes"])


def test_several_labels_a_row(tmp_path):
    case = a_class_case(multi=True)
    words, page, metrics, _ = write(tmp_path, case)
    e = case.evaluations["test"]
    assert "Confusion" not in page.sections
    assert "names any number of its 3 labels" in words
    assert f"{e.macro_f1:.3f} macro-F1; that of the best baseline, bag of words, is" in words
    assert "all labels right" in page.sections["Scores"]
    assert "no label" in page.sections["Most confident mistakes"]
    assert metrics["evaluations"]["test"]["micro_f1"] == e.micro_f1


def test_many_labels_are_cut(tmp_path):
    labels = tuple(f"label {i}" for i in range(50))
    words, page, *_ = write(tmp_path, a_class_case(labels=labels, test=400))
    assert "The 40 of 50 labels with the lowest F1." in words
    assert "The 30 of 50 labels that are mixed up most." in words
    assert page.sections["Label by label"].count("label ") == 40


def test_without_a_mistake(tmp_path):
    words, *_ = write(tmp_path, a_class_case(strength=float("inf")))
    assert "None of the 60 rows is labelled wrong." in words
    assert "100.0% of the rows are labelled right" in words


def test_validation_only_says_so(tmp_path):
    words, _, metrics, _ = write(tmp_path, a_class_case(test=0))
    assert list(metrics["evaluations"]) == ["validation"]
    assert "These rows also chose the best epoch and calibrated the probabilities" in words
    assert "These are the rows that the probabilities were calibrated on." in words


def test_nothing_held_back(tmp_path):
    words, page, metrics, _ = write(tmp_path, a_class_case(validation=0, test=0))
    assert metrics["evaluations"] == {}
    assert "Nothing is known of its errors" in words
    assert [s for s in page.sections if s != "head"] == ["Label by label", "Data", "Training", "Use it"]


def test_a_baseline_that_is_better_is_said_to_be():
    case = a_class_case(strength=-2.0)
    assert headline("test", case.evaluations["test"])["where"].endswith(
        "As it is, the baseline is the better classifier."
    )


def test_labels_that_training_did_not_know(tmp_path):
    case = a_class_case()
    model = a_class_model("text", ("<a> & co", "b"), False, ops.Pool("mean"))
    p = case.evaluations["test"].probabilities[:, :2]
    e = evaluate_classes(model.task, p / p.sum(1, keepdims=True), case.parts["test"].labels, {"majority": p})
    words, *_ = write(tmp_path, case, evaluations={"test": e}, model=model)
    rows = case.evaluations["test"].support[2]
    assert f"{rows} rows of labels that training did not know count as wrong: 'c$x$' ({rows})." in words
    assert "is c$x$" in words


def test_rows_without_a_label_in_the_test_have_no_recall():
    case = a_class_case(labels=("a", "b", "never"))
    parts = {name: examples.take([0]) for name, examples in case.parts.items()}
    e = evaluate_classes(case.model.task, np.array([[0.2, 0.5, 0.3]]), [("a",)], {"majority": np.eye(3)[:1]})
    rows, _ = label_table(e, parts, case.model.task)
    assert [row["recall"] for row in rows] == ["0.0%", "-", "-"]
    assert [row["rows"] for row in rows] == ["1", "0", "0"]


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        (ops.Pool("mean"), "takes the mean over all steps"),
        (ops.AttentionPool(4), "lets attention weigh the steps"),
        (ops.Last(), "keeps its last state"),
    ],
)
def test_how_steps_become_an_answer(pool, says):
    assert says in describe_classifier(a_class_model("series", ("a", "b"), False, pool))


def test_other_readings_of_text():
    model = a_class_model("text", ("a", "b"), False, ops.Pool("max"))
    step = msgspec.structs.replace(model.preprocess[0], kind="char", tokens=("a", "b", "c"))
    chars = Model(1, model.task, (step,), model.parts)
    assert "reads up to 50 characters of text (3 known)" in describe_classifier(chars)
