"""JSON lines as columns: types, gaps, block borders, damaged lines named by their number."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grus.data import json_lines
from grus.data.readers import read_columns
from grus.data.roles import infer_roles
from grus.errors import DataError
from grus.preprocess.panel import build_panel

FLAT = b'{"a":1,"b":"x"}\n\n{"a":2.5,"b":null,"c":["a","b"]}\n{"c":[]}\n{"c":null,"d":"2024-01-01"}\n{"d":"u","e":true}'


@pytest.fixture
def write(tmp_path):
    def write(text, name="x.jsonl"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return write


def error(path, names=None):
    with pytest.raises(DataError) as caught:
        read_columns(path, names)
    return str(caught.value).replace(str(path.parent) + "/", ""), caught.value.hint


def plain(columns):
    return {name: [None if v != v else v for v in values.tolist()] for name, values in columns.items()}


@pytest.mark.parametrize("block", [8, 40, 1 << 22])
@pytest.mark.parametrize("limit", [0, None])
def test_values_of_every_kind(write, monkeypatch, block, limit):
    monkeypatch.setattr(json_lines, "BLOCK", block)
    columns, source = read_columns(write(FLAT), memory_limit=limit)
    none = "" if limit == 0 else None
    assert plain(columns) == {
        "a": [1, 2.5, None, None, None],
        "b": ["x", none, none, none, none],
        "c": [none, '["a", "b"]', "[]", none, none],
        "d": [none, none, none, "2024-01-01", "u"],
        "e": [None, None, None, None, 1.0],
    }
    assert [source.row(i) for i in range(5)] == ["line 1", "line 3", "line 4", "line 5", "line 6"]
    assert source.notes == ()


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "x.json", "x.JSONL", "x.jsonl.gz", "x.json.gz"])
@pytest.mark.parametrize("packed", [False, True])
def test_names_and_gzip(write, name, packed):
    text = b'\xef\xbb\xbf{"y": 1, "t": "\xc3\xa9"}\r\n{"y": 2, "t": "\\u00e9"}\r\n'
    columns, source = read_columns(write(gzip.compress(text) if packed else text, name))
    assert plain(columns) == {"y": [1, 2], "t": ["é", "é"]}
    assert columns["y"].dtype == np.int64
    assert source == name


def test_text_that_stands_for_missing_elsewhere_is_text_here(write):
    columns, _ = read_columns(write('{"t": "NA"}\n{"t": null}\n{"t": ""}\n{"n": NaN}'))
    assert columns["t"].tolist() == ["NA", None, "", None]


def test_dates_stay_text_across_blocks(write, monkeypatch):
    monkeypatch.setattr(json_lines, "BLOCK", 16)
    columns, _ = read_columns(write('{"t": "2024-01-01"}\n{"t": "2024-01-02T10:00Z"}\n{"t": "soon"}\n'))
    assert columns["t"].tolist() == ["2024-01-01", "2024-01-02T10:00Z", "soon"]


def test_a_forecaster_reads_them_as_it_reads_csv(write):
    rows = [("2024-01-01 00:00", 1.5, "a"), ("2024-01-01 02:00", 3.0, "a"), ("2024-01-01 01:00", 2.0, "a")]
    lines = "\n".join(json.dumps(dict(zip(("ds", "y", "id"), row))) for row in rows)
    table = "ds,y,id\n" + "\n".join(",".join(map(str, row)) for row in rows)
    panels = [
        build_panel(columns, infer_roles(columns, source=source), source=source)
        for columns, source in (read_columns(write(lines)), read_columns(write(table, "x.csv")))
    ]
    assert panels[0].target.tolist() == panels[1].target.tolist() == [1.5, 2, 3]
    assert panels[0].roles == panels[1].roles
    assert panels[0].starts[0] == panels[1].starts[0]


def test_nested_values_are_left_out_unless_named(write):
    path = write('{"y": 1, "meta": null, "v": [1]}\n{"y": 2, "meta": {"k": 1}, "v": [2]}\n')
    columns, source = read_columns(path)
    assert list(columns) == ["y"]
    assert source.notes == (
        "column 'meta': left out, as it holds nested values",
        "column 'v': left out, as it holds nested values",
    )
    assert read_columns(path, ["y"])[1].notes == ()
    must = "expected text, a number, true, false or null, got"
    assert error(path, ["meta"])[0] == f"x.jsonl, line 2, column 'meta': {must} an object"
    assert error(path, ["y", "v"])[0] == f"x.jsonl, line 1, column 'v': {must} a list"


def test_a_column_that_is_not_there(write):
    said, hint = error(write('{"text": "a", "label": 1}'), ["lable"])
    assert said == "x.jsonl: no column 'lable'; the columns are 'text', 'label'"
    assert hint == "did you mean 'label'?"


OBJECT, LINES = "expected a JSON object, got", json_lines._LINES_HINT


@pytest.mark.parametrize("block", [6, 1 << 22])
@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ('{"a":1}\n\n{"a":2', f", line 3: {OBJECT} '{{\"a\":2' (Expecting ',' delimiter, character 7)", ""),
        ('{"a":1}\n17\n', f", line 2: {OBJECT} a number", ""),
        ('{"a":1}\nnull\n', f", line 2: {OBJECT} null", ""),
        ('[{"a":1},{"a":2}]', f", line 1: {OBJECT} a list", LINES),
        ('[{"a":1},\n{"a":2}]', f", line 1: {OBJECT} '[{{\"a\":1}},' (Expecting value, character 10)", LINES),
        (
            '{\n"a":1}\n',
            f", line 1: {OBJECT} '{{' (Expecting property name enclosed in double quotes, character 2)",
            LINES,
        ),
        ('{"a":1}{"a":2}', f', line 1: {OBJECT} \'{{"a":1}}{{"a":2}}\' (Extra data, character 8)', ""),
        (
            '{"a":1} null {"a":2}',
            f', line 1: {OBJECT} \'{{"a":1}} null {{"a":2}}\' (Extra data, character 9)',
            "",
        ),
        (
            '{"a":1}\n{"a":9223372036854775808}',
            ", line 2, column 'a': expected a number of at most 64 bits, got 9223372036854775808",
            "",
        ),
        (
            '{"a":"\\ud800"}',
            ", line 1, column 'a': expected text in Unicode, got half of a surrogate pair",
            "",
        ),
        (
            '{"a":1}\n{"a":"n/a"}',
            ", line 2, column 'a': expected a number as on the lines before, got text (\"n/a\")",
            "",
        ),
        (
            '{"a":true}\n{"a":1}',
            ", line 2, column 'a': expected true or false as on the lines before, got a number (1)",
            "",
        ),
        (
            '{"a":["x"]}\n{"a":"x"}',
            ", line 2, column 'a': expected a list of text as on the lines before, got text (\"x\")",
            "",
        ),
        (
            '{"a":"' + "x" * 90,
            f', line 1: {OBJECT} \'{{"a":"{"x" * 54}...\' (Unterminated string starting at, character 6)',
            "",
        ),
        (b'{"a":"ok"}\n{"a":"\xff"}', ", line 2: expected text in UTF-8, got the byte 0xff", ""),
        ("", ": expected a JSON object with names and values on every line, got none", ""),
        ("\n \n", ": expected a JSON object with names and values on every line, got none", ""),
        ("{}\n{}", ": expected a JSON object with names and values on every line, got none", ""),
        (
            '{"a":' + "[" * 100_000,
            ", line 1: expected a JSON object of flat values, got one that is nested too deeply",
            "",
        ),
    ],
)
def test_damaged_lines_are_named(write, monkeypatch, block, text, said, hint):
    monkeypatch.setattr(json_lines, "BLOCK", block if len(text) < 1000 else 1 << 22)
    assert error(write(text)) == (f"x.jsonl{said}", hint)


KINDS = {
    "a number": "1.5", "text": '"x"', "true or false": "true", "a list of text": '["x"]', "an object": '{"k": 1}',
    "a list": "[1]",
}  # fmt: skip


@pytest.mark.parametrize("block", [12, 1 << 22])
@pytest.mark.parametrize("gap", ["", '{"a": null}\n'])
@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_a_column_is_of_one_type(write, monkeypatch, block, gap, first, second):
    monkeypatch.setattr(json_lines, "BLOCK", block)
    path = write(f'{{"a": {KINDS[first]}}}\n{gap}{{"a": {KINDS[second]}}}\n')
    if first == second:
        columns, source = read_columns(path)
        assert len(columns) + len(source.notes) == 1
        return
    line = 3 if gap else 2
    shown = f"{second} ({KINDS[second]})" if second in list(KINDS)[:3] else second
    assert (
        error(path)[0]
        == f"x.jsonl, line {line}, column 'a': expected {first} as on the lines before, got {shown}"
    )


def test_brackets_inside_text_are_not_nesting(write):
    text = "[{" * 200 + '"' + "[" * 200
    columns, _ = read_columns(write(json.dumps({"t": text}) + "\n"))
    assert columns["t"].tolist() == [text]


def test_a_file_cut_short_or_missing(write, tmp_path):
    path = write(gzip.compress(b'{"a": 1}\n' * 50)[:-9], "x.jsonl.gz")
    assert error(path)[0] == "x.jsonl.gz: expected a whole gzip file, got one that is damaged or cut short"
    assert error(tmp_path / "x.jsonl") == ("no such file: x.jsonl", f"did you mean {path}?")


def test_a_file_larger_than_memory_is_the_same_on_disk(write, monkeypatch):
    monkeypatch.setattr(json_lines, "BLOCK", 1 << 12)
    rng = np.random.default_rng(0)
    rows = [
        {"id": f"s{i // 100}", "n": i} | ({"y": float(v)} if v > 0 else {})
        for i, v in enumerate(rng.normal(size=2000))
    ]
    path = write("\n".join(map(json.dumps, rows)))
    near, far = read_columns(path)[0], read_columns(path, memory_limit=1000)[0]
    assert isinstance(far["n"], np.memmap)
    for name in near:
        np.testing.assert_array_equal(near[name], far[name])


CELLS = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5))


@given(
    st.lists(st.fixed_dictionaries({"t": CELLS}, optional={"n": st.integers(-9, 9)}), min_size=1),
    st.integers(1, 40),
)
def test_what_python_writes_is_read_back(tmp_path_factory, rows, block):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=block % 2 == 0) + "\n" for row in rows), encoding="utf-8"
    )
    kept, json_lines.BLOCK = json_lines.BLOCK, block
    try:
        columns, _ = read_columns(path)
    finally:
        json_lines.BLOCK = kept
    missing = all(row["t"] is None for row in rows)
    assert missing or columns["t"].tolist() == [row["t"] for row in rows]
    if any("n" in row for row in rows):
        np.testing.assert_array_equal(columns["n"], [row.get("n", np.nan) for row in rows])
