"""Examples from every source: the same data in any form gives the same examples, with a plan in words."""

import gzip
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from grus.data.examples import Own, is_table, read_examples, read_like
from grus.errors import DataError, UsageError
from grus.preprocess.build_examples import ExampleRoles

TEXTS = {
    "text": ["good film", 'bad , "bad" film', "so so\nfilm"],
    "label": ["pos", "neg", "pos"],
    "n": [1, 2, 3],
}


def write(path, table):
    frame, suffix = pd.DataFrame(table), path.name.split(".", 1)[1]
    if suffix.startswith("jsonl"):
        rows = [json.dumps(row) for row in frame.to_dict("records")]
        text = "\n".join(rows).encode()
    elif suffix.startswith("parquet"):
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
        return path
    else:
        text = frame.to_csv(index=False, sep="\t" if suffix.startswith("tsv") else ",").encode()
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    return path


@pytest.mark.parametrize(
    "name", ["x.csv", "x.csv.gz", "x.tsv", "x.tsv.gz", "x.jsonl", "x.jsonl.gz", "x.ndjson", "x.parquet"]
)
def test_texts_from_files(tmp_path, name):
    reading = read_examples(write(tmp_path / name.replace("ndjson", "jsonl"), TEXTS))
    assert reading.examples.texts == TEXTS["text"]
    assert reading.examples.labels == [("pos",), ("neg",), ("pos",)]
    assert reading.roles == ExampleRoles("text", ("text",), "label")
    assert reading.plan == [
        "text      3 from 'text', of 9 to 16 (median 10) characters",
        "label     'label', 2 classes: pos (2), neg (1)",
        "not used  n",
    ]


@pytest.mark.parametrize(
    "make",
    [pd.DataFrame, pl.DataFrame, lambda t: pl.DataFrame(t).lazy(), pa.table, dict, lambda t: pd.DataFrame(t).to_dict("records")],
    ids=["pandas", "polars", "lazy", "pyarrow", "dict", "records"],
)  # fmt: skip
@pytest.mark.parametrize("labels", [["a|b", "", "b"], [["b", "a"], [], ["b"]]], ids=["joined", "lists"])
def test_several_labels_from_frames(make, labels):
    data = make({"text": ["x", "y", "z"], "tags": labels})
    reading = read_examples(data, label="tags")
    assert reading.examples.labels == [("a", "b"), (), ("b",)]
    assert reading.roles.multi
    assert reading.plan[1] == "label     'tags', 2 classes, 1 a row: b (2), a (1)"
    again = read_like(data, reading.roles, labelled=True)
    assert again.labels == reading.examples.labels
    assert read_like(data, reading.roles).labels is None


def test_lists_in_json_lines(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "x", "labels": ["a", "b"]}\n{"text": "y", "labels": []}\n{"text": "z"}\n')
    assert read_examples(path).examples.labels == [("a", "b"), (), ()]


def test_a_column_that_was_left_out_is_spoken_of(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "x", "labels": {"a": 1}, "n": 1}\n{"text": "y", "labels": {"a": 2}, "n": 2}\n')
    said, hint = error(DataError, path, label="labels")
    assert said == "x.jsonl: no column 'labels'; the columns are 'text', 'n'"
    assert hint == "column 'labels': left out, as it holds nested values"


SERIES = {
    "id": ["b", "a", "b", "a"],
    "step": [1, 1, 0, 0],
    "x": [1.0, 2, 3, 4],
    "z": [1, 2, 3, 4],
    "label": list("uvuv"),
}


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl.gz", "x.parquet"])
def test_series_from_files(tmp_path, name):
    reading = read_examples(write(tmp_path / name, SERIES))
    assert reading.examples.series.tolist() == [[3, 3], [1, 1], [4, 4], [2, 2]]
    assert reading.plan == [
        "series    2 by 'id', of 2 steps of x, z",
        "time      'step'",
        "label     'label', 2 classes: u (1), v (1)",
    ]


def test_events_from_a_frame():
    days = pd.to_datetime(["2024-01-01", "2024-01-08", "2024-01-08", "2024-01-01"])
    frame = pd.DataFrame(
        {"patient": ["p", "p", "p", "q"], "date": days, "code": list("ABAC"), "label": [1, 1, 1, 0]}
    )
    reading = read_examples(frame)
    assert reading.examples.visits.tolist() == [0, 1, 3, 4]
    assert reading.examples.gaps[1] == 7
    assert reading.plan == [
        "events    2 by 'patient', of 1 to 2 (median 1) visits with 3 different codes from 'code'",
        "time      'date'",
        "label     'label', 2 classes: 1 (1), 0 (1)",
    ]


def test_labels_beside_a_table():
    reading = read_examples({"text": ["x", "y"]}, [1, 0])
    assert (reading.examples.labels, reading.roles.label) == ([("1",), ("0",)], None)
    per_id = read_examples({k: v for k, v in SERIES.items() if k != "label"}, ["u", "v"])
    assert per_id.examples.labels == [("u",), ("v",)]
    with pytest.raises(UsageError) as caught:
        read_examples(TEXTS, [1, 0, 1], label="label")
    assert str(caught.value) == "label: expected labels either in a column or as y, got 'label' and y"


@pytest.mark.parametrize(
    ("data", "kind", "roles"),
    [
        (["x", "y"], None, ExampleRoles("text", ("text",))),
        (("x", None), None, ExampleRoles("text", ("text",))),
        (np.array(["x", "y"]), None, ExampleRoles("text", ("text",))),
        (pd.Series(["x", "y"]), None, ExampleRoles("text", ("text",))),
        (pl.Series(["x", "y"]), "text", ExampleRoles("text", ("text",))),
        ([np.zeros((3, 2)), np.zeros((1, 2))], None, ExampleRoles("series", ("x0", "x1"))),
        (np.zeros((2, 5, 1)), None, ExampleRoles("series", ("x0",))),
        (np.zeros((2, 5)), None, ExampleRoles("series", ("x0",))),
        (np.array([np.zeros(3), np.zeros(2)], object), None, ExampleRoles("series", ("x0",))),
        (np.zeros((2, 5, 1)), "images", ExampleRoles("images")),
        (np.zeros((2, 5, 4), np.uint8), None, ExampleRoles("images")),
        (np.zeros((2, 5, 4, 3)), None, ExampleRoles("images")),
    ],
)
def test_plain_data(data, kind, roles):
    assert not is_table(data)
    reading = read_examples(data, ["u", "v"], kind=kind)
    assert reading.roles == roles
    assert reading.plan[-1] == "label     2 classes: u (1), v (1)"
    again = read_like(data, reading.roles, ["u", "v"])
    assert (again.rows, again.columns, again.labels) == (2, roles.inputs, [("u",), ("v",)])
    assert read_like(data, reading.roles).labels is None


def test_torch_tensors():
    reading = read_examples([torch.zeros(3, 2), torch.ones(1, 2)], [0, 1])
    assert reading.examples.series.tolist() == [[0, 0], [0, 0], [0, 0], [1, 1]]
    assert read_examples(torch.zeros(2, 3, 1), [0, 1]).roles.kind == "series"


def test_a_folder_of_images(tmp_path):
    for name, value in [("cat/a.png", 1), ("dog/a.png", 2), ("dog/b.png", 3)]:
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 3), value).save(tmp_path / "pets" / name)
    (tmp_path / "pets/cat/x.txt").write_text("x")
    reading = read_examples(tmp_path / "pets")
    assert reading.plan == [
        "images    3 of 4 x 3 pixels, grey",
        "label     2 classes: dog (2), cat (1)",
        "pets: 1 file that is no image skipped (cat/x.txt)",
    ]
    shape = (6, 8, 3)
    again = read_like(str(tmp_path / "pets"), reading.roles, labelled=True, own=Own(shape))
    assert again.images.shape == (3, *shape)
    assert again.labels == [("cat",), ("dog",), ("dog",)]
    assert again.ids.tolist() == ["cat/a.png", "dog/a.png", "dog/b.png"]
    loose = read_like(tmp_path / "pets/dog", reading.roles)
    assert (loose.rows, loose.labels) == (2, None)
    files = read_like([tmp_path / "pets/dog/b.png", str(tmp_path / "pets/cat/a.png")], reading.roles)
    assert files.images[:, 0, 0, 0].tolist() == [3, 1]
    with pytest.raises(DataError) as caught:
        read_like(tmp_path / "pets/dog", reading.roles, labelled=True)
    assert str(caught.value) == "data: expected labels to compare with, got none"


def test_a_folder_of_parquet_files_is_a_table(tmp_path):
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts" / "x.parquet", TEXTS)
    assert read_examples(tmp_path / "parts").examples.texts == TEXTS["text"]
    assert is_table(tmp_path)
    assert is_table([{"a": 1}])
    assert is_table(pa.table({"a": [1]}))


def error(expected, *arguments, **options):
    with pytest.raises(expected) as caught:
        read_examples(*arguments, **options)
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    ("data", "y", "options", "said", "hint"),
    [
        ([], None, {}, "data: expected examples, got an empty list", ""),
        (["x", "y"], None, {}, "data: expected labels to learn from, got none", "give them as y"),
        (["x", "y"], [1, 1], {}, "labels: expected at least two different labels, got only '1'", ""),
        (["x", "y"], [[], []], {}, "labels: expected at least two different labels, got none", ""),
        (["x", "y"], [1, 0], {"kind": "series"}, "data: expected series of numbers, got texts", ""),
        (np.zeros(3), [1, 0, 1], {}, "data: expected an array [rows, steps, channels], got shape (3,)", ""),
        (["x", 3], [1, 0], {}, "examples, row 1 (counting from 0): expected text, got 3", ""),
        ("no.jsonl", None, {}, "no such file: no.jsonl", ""),
        ({"text": list(map(str, range(1001))), "n": list(range(1001))}, None, {},
         "column 'n': expected at most 1,000 different labels, got 1,001", "name the column of labels, or group the rare ones"),
        ({"text": ["x"], "label": ["x"]}, None, {}, "column 'label': expected at least two different labels, got only 'x'", ""),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used(data, y, options, said, hint):
    assert error(DataError, data, y, **options) == (said, hint)


def test_options_that_cannot_be_used():
    said = "text: expected a table to find 'x' in, got texts"
    assert error(UsageError, ["x", "y"], [1, 0], text="x")[0] == said
    assert error(UsageError, 3)[0].startswith("data: expected a path, a pandas, polars or pyarrow table")
    said = "data: expected a folder of images or an array, got a table"
    assert error(UsageError, TEXTS, kind="images")[0] == said


def test_data_for_a_trained_model_must_be_of_its_kind():
    roles = ExampleRoles("series", ("x", "z"), "label", "id", "step")
    for data, said in (
        (["a text"], "data: expected series of numbers, got texts"),
        ([np.zeros((3, 1))], "data, row 0 (counting from 0): expected 2 channels as the model reads, got 1"),
        ({"id": ["a"], "x": [1]}, "data: no column 'step'; the columns are 'id', 'x'"),
    ):
        with pytest.raises(DataError) as caught:
            read_like(data, roles)
        assert str(caught.value) == said
    assert read_like({k: v for k, v in SERIES.items() if k != "label"}, roles).rows == 2
    with pytest.raises(DataError, match="no column 'label'"):
        read_like({k: v for k, v in SERIES.items() if k != "label"}, roles, labelled=True)


def test_an_id_of_texts_is_not_needed_to_predict():
    roles = ExampleRoles("text", ("text",), "label", "id")
    assert read_like({"text": ["x"]}, roles).ids is None
    assert read_like({"text": ["x"], "id": [7]}, roles).ids.tolist() == [7]


def test_reading_changes_nothing():
    frame = pd.DataFrame({"text": ["x", "y"], "label": [["a"], ["b"]]})
    before = frame.copy(deep=True)
    read_examples(frame)
    pd.testing.assert_frame_equal(frame, before)
