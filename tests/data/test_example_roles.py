"""Which columns of a table are what: the obvious is found, the doubtful is asked for."""

import numpy as np
import pytest

from grus.data.example_roles import infer_example_roles
from grus.errors import DataError, UsageError
from grus.preprocess.build_examples import ExampleRoles
from grus.preprocess.columns import as_column

WORDS, NUMBERS, FEW, DATES = (
    ["p q", "r", "s"],
    [0.5, 1.5, 2.5],
    [1, 1, 2],
    np.array(["2024-01-01"] * 3, "M8[D]"),
)


def infer(*, given=None, **columns):
    return infer_example_roles(
        {name: as_column(values, name) for name, values in columns.items()}, **(given or {})
    )


@pytest.mark.parametrize(
    ("columns", "given", "roles"),
    [
        ({"text": WORDS, "label": FEW}, {}, ExampleRoles("text", ("text",), "label")),
        ({"Sentence": WORDS, "Class": FEW, "x": NUMBERS}, {}, ExampleRoles("text", ("Sentence",), "Class")),
        ({"a": WORDS, "b": FEW}, {}, ExampleRoles("text", ("a",), "b")),
        ({"id": [1, 2, 3], "text": WORDS, "b": FEW}, {}, ExampleRoles("text", ("text",), "b", "id")),
        ({"user_id": FEW, "text": WORDS, "label": FEW}, {}, ExampleRoles("text", ("text",), "label")),
        ({"a": WORDS, "b": WORDS, "c": FEW}, {"text": "b", "labelled": False}, ExampleRoles("text", ("b",))),
        ({"id": FEW, "x": NUMBERS, "y": NUMBERS, "label": FEW}, {}, ExampleRoles("series", ("x", "y"), "label", "id")),
        ({"id": FEW, "step": FEW, "x": NUMBERS, "who": WORDS}, {}, ExampleRoles("series", ("x",), "who", "id", "step")),
        ({"case": FEW, "when": DATES, "x": NUMBERS, "label": FEW}, {}, ExampleRoles("series", ("x",), "label", "case", "when")),
        ({"patient": FEW, "date": DATES, "code": WORDS, "label": FEW}, {}, ExampleRoles("events", ("code",), "label", "patient", "date")),
        ({"id": FEW, "what": WORDS, "label": FEW}, {}, ExampleRoles("events", ("what",), "label", "id")),
        ({"id": FEW, "code": FEW, "label": FEW}, {}, ExampleRoles("events", ("code",), "label", "id")),
        ({"id": FEW, "x": FEW, "label": FEW}, {"kind": "events", "inputs": ["x"]}, ExampleRoles("events", ("x",), "label", "id")),
        ({"k": FEW, "x": NUMBERS, "z": NUMBERS, "c": FEW}, {"id": "k", "label": "c", "inputs": ["z"]}, ExampleRoles("series", ("z",), "c", "k")),
        ({"id": FEW, "day": DATES, "hour": [1, 2, 3], "x": NUMBERS, "label": FEW}, {"time": "day+hour"},
         ExampleRoles("series", ("x",), "label", "id", "day+hour")),
        ({"text": WORDS, "label": ["a|b", "a", "b"]}, {}, ExampleRoles("text", ("text",), "label", multi=True)),
        ({"text": WORDS, "label": ["a|b", "a", "b"]}, {"multi": False}, ExampleRoles("text", ("text",), "label")),
        ({"text": WORDS, "x": FEW}, {"labelled": False}, ExampleRoles("text", ("text",))),
    ],
)  # fmt: skip
def test_what_is_obvious(columns, given, roles):
    assert infer(given=given, **columns) == roles


@pytest.mark.parametrize(
    ("columns", "given", "said", "hint"),
    [
        ({"a": WORDS, "b": WORDS, "label": FEW}, {},
         "data: expected a column named 'text', or a single one of text, to read the texts from, got 'a', 'b'", "name it with text"),
        ({"x": NUMBERS, "label": FEW}, {},
         "data: expected a column named 'text', or a single one of text, to read the texts from, got 'x'", "name it with text"),
        ({"text": WORDS, "a": FEW, "b": FEW}, {},
         "data: expected a column named 'label', 'class' or 'target', or a single one left, as the label, got 'a', 'b'",
         "name it with label"),
        ({"text": WORDS}, {},
         "data: expected a column named 'label', 'class' or 'target', or a single one left, as the label, got no other column",
         "name it with label"),
        ({"x": NUMBERS, "label": FEW}, {"kind": "series"},
         "data: expected an id column that says which rows belong together, got 'x', 'label'", "name it with id"),
        ({"id": FEW, "a": WORDS, "b": WORDS, "label": FEW}, {},
         "data: expected a column named 'code', or a single one of text, to read the codes from, got 'a', 'b'",
         "name it with columns"),
        ({"id": FEW, "a": WORDS, "label": FEW}, {"kind": "series"},
         "data: expected columns of numbers as the channels of the series, got 'a'", "name them with columns"),
        ({"text": WORDS, "label": FEW}, {"label": "lable"},
         "data: no column 'lable'; the columns are 'text', 'label'", "did you mean 'label'?"),
    ],
)  # fmt: skip
def test_what_is_not_obvious(columns, given, said, hint):
    with pytest.raises(DataError) as caught:
        infer(given=given, **columns)
    assert (str(caught.value), caught.value.hint) == (said, hint)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"text": "a", "label": "a"}, "column 'a': expected one role, got 2"),
        (
            {"text": "a", "kind": "series"},
            "text: expected no other kind and no other columns, got kind 'series'",
        ),
        (
            {"text": "a", "inputs": ["b"]},
            "text: expected no other kind and no other columns, got columns 'b'",
        ),
    ],
)
def test_roles_that_cannot_be(given, said):
    with pytest.raises(UsageError) as caught:
        infer(given=given, a=WORDS, b=FEW)
    assert str(caught.value) == said
