"""``grus inspect``: the page, the numbers, and what it refuses in which words."""

import json

import pytest
from cli_runs import run, write

from grus.artifact import save_model
from grus.spec import Graph, Model, Node, ops


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Reviews and a model of them."""
    folder = tmp_path_factory.mktemp("texts")
    lines = [{"text": t, "stars": s} for t, s in [("a good film", "5"), ("a bad film", "1")] * 20]
    data = write(folder / "reviews.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    from grus.cli import main

    small = ["--hidden-size", "8", "--epochs", "1", "--device", "cpu", "-q"]
    assert (
        main(
            [
                "fit",
                "classify",
                str(data),
                "--text",
                "text",
                "--label",
                "stars",
                "-o",
                str(folder / "m"),
                *small,
            ]
        )
        == 0
    )
    return folder / "m", data


def test_a_page_is_written_and_never_replaced_unasked(capsys, texts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, data = texts
    done = run(capsys, "inspect", model, data, "--row", 2)
    assert (done.code, done.out) == (0, "")
    assert "wrote inspect.html" in done.err
    assert "The model says '" in done.err
    page = (tmp_path / "inspect.html").read_text()
    assert "Row 2 of 40" in page
    assert ">bad</span>" in page
    again = run(capsys, "inspect", model, data)
    assert again.code == 2
    assert "inspect.html: already exists, and nothing is overwritten unasked" in again.err
    assert (tmp_path / "inspect.html").read_text() == page
    assert run(capsys, "inspect", model, data, "--force", "-q").code == 0
    assert "Row 1 of 40" in (tmp_path / "inspect.html").read_text()


def test_json_prints_the_numbers_and_writes_no_page(capsys, model, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(capsys, "inspect", model, table, "--json", "-q", "--row", 300)
    assert (done.code, done.err) == (0, "")
    assert not list(tmp_path.iterdir())
    found = json.loads(done.out)
    assert found["row"] == "row 300 of 480"
    assert len(found["cells"][0]["units"]) == 8
    assert len(found["steps"]["time"]) == len(found["steps"]["attribution"])
    both = run(capsys, "inspect", model, table, "--json", "-q", "-o", tmp_path / "p.html")
    assert json.loads(both.out)["cells"]
    assert (tmp_path / "p.html").is_file()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--row", "999"], "row must be from 1 to 40 (the rows of the data), got 999"),
        (["--row", "0"], "row must be from 1 to 40 (the rows of the data), got 0"),
        (["--row", "x"], "grus inspect: --row must be a whole number, got 'x'"),
        (["-o", "page.pdf"], "page.pdf: expected a name ending in .html, got '.pdf'"),
        (["-o", "no/where.html"], "no/where.html: no such folder: no"),
    ],
)
def test_what_cannot_be_used_says_so(capsys, texts, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    done = run(capsys, "inspect", *texts, *options)
    assert done.code == 2
    assert done.err.splitlines()[0] == f"error: {sentence}"
    assert not list(tmp_path.iterdir())


def test_only_a_classifier_has_labels(capsys, model, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(capsys, "inspect", model, table, "--label", "yes")
    assert (done.code, done.err.splitlines()[0]) == (
        2,
        "error: --label: only a classifier has labels, got 'yes'",
    )
    assert not list(tmp_path.iterdir())


def test_the_label_of_a_text_may_be_chosen(capsys, texts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answers = {label: run(capsys, "inspect", *texts, "--label", label, "--json", "-q").out for label in "15"}
    one, five = (json.loads(answers[label]) for label in "15")
    parts = [found["base"] + sum(found["steps"]["attribution"]) - found["gap"] for found in (one, five)]
    assert parts[0] == pytest.approx(
        -parts[1], abs=1e-4
    )  # of two labels the log-odds are each other's negative


def test_data_without_the_models_columns(capsys, texts, model, tmp_path):
    other = write(tmp_path / "other.csv", "when,what\n1,2\n2,3\n")
    for folder in (texts[0], model):
        done = run(capsys, "inspect", folder, other, "-o", tmp_path / "p.html")
        assert done.code == 2
        assert "other.csv" in done.err
        assert "column" in done.err
    assert not (tmp_path / "p.html").exists()


def test_a_model_without_a_recurrent_layer(capsys, tmp_path, texts):
    from grus.artifact import load_model

    model, tensors = load_model(texts[0])
    graph = model.parts["main"]
    embedding = graph.nodes[0]
    nodes = (
        embedding,
        Node("bag", ops.Pool("mean"), ("embedding",)),
        Node("logits", ops.Linear(2), ("bag",)),
    )
    plain = Model(1, model.task, model.preprocess, {"main": Graph(graph.inputs, nodes, {"logits": "logits"})})
    import numpy as np

    kept = {k: v for k, v in tensors.items() if not k.startswith("main.")}
    weights = {
        name: np.zeros(shape, dtype) for name, (dtype, shape) in plain.tensors().items() if name not in kept
    }
    save_model(tmp_path / "bag", plain, kept | weights)
    done = run(capsys, "inspect", tmp_path / "bag", texts[1])
    assert done.code != 0
    assert done.err.startswith(
        "error: the model must have a recurrent layer with a GRU's gates, got only Embedding, Pool, Linear"
    )
