"""CSV files: plain, gzipped, in odd encodings, damaged; row numbers; larger than memory."""

import gzip

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grus.data import delimited
from grus.data.readers import read_columns
from grus.errors import DataError, GrusError
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles

PLAIN = "ds,y,name\n2024-01-01,1,a\n2024-01-02,,b\n2024-01-03,2.5,\n"
TINY = 0  # a memory limit that makes every file one that is read batch by batch


@pytest.fixture(params=[None, TINY], ids=["memory", "disk"])
def limit(request):
    return request.param


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few rows, so that a test file has many."""
    monkeypatch.setattr(delimited, "BLOCK", 64)


def cells(columns):
    """Values as plain Python, missing text as None, missing numbers as 'nan'."""
    return {
        name: [None if v in ("", None) else "nan" if v != v else v for v in values.tolist()]
        for name, values in columns.items()
    }


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


EXPECTED = {
    "ds": np.array(["2024-01-01", "2024-01-02", "2024-01-03"], "M8[ns]").tolist(),
    "y": [1.0, "nan", 2.5],
    "name": ["a", "b", None],
}


def test_plain(tmp_path, limit):
    columns, source = read_columns(write(tmp_path / "sales.csv", PLAIN), memory_limit=limit)
    assert cells(columns) == EXPECTED
    assert [v.dtype.kind for v in columns.values()] == ["M", "f", "O" if limit is None else "U"]
    assert all(isinstance(v, np.memmap) == (limit == TINY) for v in columns.values())
    assert source == "sales.csv"
    assert source.notes == ()
    assert source.row(0) == "row 2"


def test_path_as_text_and_named_columns(tmp_path, limit):
    path = str(write(tmp_path / "sales.csv", PLAIN))
    assert list(read_columns(path, ["y", "ds"], limit)[0]) == ["y", "ds"]
    with pytest.raises(DataError) as caught:
        read_columns(path, ["ds", "names"], limit)
    assert str(caught.value) == "sales.csv: no column 'names'; the columns are 'ds', 'y', 'name'"
    assert caught.value.hint == "did you mean 'name'?"


def test_gzip_whatever_the_name(tmp_path, limit):
    packed = gzip.compress(PLAIN.encode())
    for name in ("sales.csv.gz", "sales.csv"):
        (tmp_path / name).write_bytes(packed)
        columns, source = read_columns(tmp_path / name, memory_limit=limit)
        assert cells(columns) == EXPECTED
        assert source.row(2) == "row 4"


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8-sig", ()),
        ("utf-16", ("f.csv: read as a file with UTF-16",)),
        ("utf-16-le", ("f.csv: read as a file with UTF-16",)),
        ("utf-16-be", ("f.csv: read as a file with UTF-16",)),
        ("cp1252", ("f.csv: read as a file with Windows-1252",)),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_encodings(tmp_path, limit, encoding, note, packed):
    raw = "café,y\nnaïve,1\n\nGöteborg,x-2\n".encode(encoding)
    path = tmp_path / "f.csv"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    columns, source = read_columns(path, memory_limit=limit)
    assert cells(columns) == {"café": ["naïve", "Göteborg"], "y": ["1", "x-2"]}
    assert source.notes == note
    assert source.row(1) == "row 4"


def test_windows_1252_that_shows_late(tmp_path, limit):
    body = "".join(f"{i},plain\n" for i in range(30_000)) + "30000,café\n"
    columns, source = read_columns(write(tmp_path / "f.csv", "i,name\n" + body, "cp1252"), memory_limit=limit)
    assert columns["name"][-1] == "café"
    assert source.notes == ("f.csv: read as a file with Windows-1252",)


def test_bytes_of_no_encoding(tmp_path, limit):
    (tmp_path / "f.csv").write_bytes(b"a,b\n1,\x81\n")
    with pytest.raises(
        DataError, match=r"f.csv: expected text in UTF-8, UTF-16 or Windows-1252, got bytes of none$"
    ):
        read_columns(tmp_path / "f.csv", memory_limit=limit)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("ds;y;z\n2024-01-01;1,5;a,b\n2024-01-02;-2,25;c\n", "semicolons between cells, decimal commas"),
        ("ds;y;z\n2024-01-01;1.5;a,b\n2024-01-02;-2.25;c\n", "semicolons between cells"),
        ("ds|y|z\n2024-01-01|1.5|a,b\n2024-01-02|-2.25|c\n", "bars between cells"),
        ("ds\ty\tz\n2024-01-01\t1.5\ta,b\n2024-01-02\t-2.25\tc\n", ""),
        ('ds,y,z\n2024-01-01,1.5,"a,b"\n2024-01-02,-2.25,c\n', ""),
        ('ds , y,z\r\n2024-01-01,1.5,"a,b"\r\n2024-01-02, -2.25,c\r\n', ""),
    ],
)
def test_delimiters_and_decimals(tmp_path, limit, text, note):
    columns, source = read_columns(write(tmp_path / "f.csv", text), memory_limit=limit)
    assert columns["y"].tolist() == [1.5, -2.25]
    assert columns["z"].tolist() == ["a,b", "c"]
    assert columns["ds"][1] == np.datetime64("2024-01-02")
    assert source.notes == ((f"f.csv: read as a file with {note}",) if note else ())


def test_tsv_by_its_name_though_it_holds_more_commas(tmp_path, limit):
    columns, _ = read_columns(write(tmp_path / "f.tsv", "a,b,c\tx\n1,2,3\t5\n"), memory_limit=limit)
    assert list(columns) == ["a,b,c", "x"]
    (tmp_path / "f.tsv.gz").write_bytes(gzip.compress(b"a,b,c\tx\n1,2,3\t5\n"))
    assert list(read_columns(tmp_path / "f.tsv.gz", memory_limit=limit)[0]) == ["a,b,c", "x"]


def test_line_breaks_in_cells_and_blank_lines_count_as_a_spreadsheet_counts(tmp_path, limit):
    text = 'a,b\n"one\ntwo",1\n\n"three\r\nfour",2\n\n\nx,3\n'
    columns, source = read_columns(write(tmp_path / "f.csv", text), memory_limit=limit)
    assert columns["a"].tolist() == ["one\ntwo", "three\r\nfour", "x"]
    assert [source.row(i) for i in range(3)] == ["row 2", "row 4", "row 7"]


def test_every_spelling_of_missing(tmp_path, limit):
    words = ["NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "#N/A", '""', ""]
    text = "y,s\n" + "".join(f"{w},{w}\n" for w in words) + "1,x\n"
    columns, _ = read_columns(write(tmp_path / "f.csv", text), memory_limit=limit)
    assert cells(columns) == {"y": ["nan"] * len(words) + [1.0], "s": [None] * len(words) + ["x"]}


def test_one_column(tmp_path, limit):
    columns, _ = read_columns(write(tmp_path / "f.csv", "Heart rate\n84.5\n85\n"), memory_limit=limit)
    assert cells(columns) == {"Heart rate": [84.5, 85.0]}


def test_empty_rows_below_the_table_are_left_out(tmp_path, limit):
    columns, source = read_columns(write(tmp_path / "sales.csv", PLAIN + ",,\n,,\n"), memory_limit=limit)
    assert cells(columns) == EXPECTED
    assert source.notes == ("sales.csv: 2 empty rows at the end left out",)
    path = write(tmp_path / "sales.csv", PLAIN.replace("01,1,a", "01,1,a\n,,"))
    assert np.isnat(read_columns(path, memory_limit=limit)[0]["ds"]).tolist() == [False, True, False, False]
    refused(
        write(tmp_path / "f.csv", "a,b\n,\n,\n"),
        "f.csv: expected rows after the header, got only empty ones",
        limit,
    )


def test_a_column_without_a_name(tmp_path, limit):
    columns, _ = read_columns(write(tmp_path / "f.csv", ",y\n0,1.5\n1,2\n"), memory_limit=limit)
    assert cells(columns) == {"": [0, 1], "y": [1.5, 2.0]}


def test_zoned_stamps_become_utc_with_a_note(tmp_path, limit):
    text = "ds,y\n2024-10-27T02:30:00+02:00,1\n2024-10-27T02:30:00+01:00,2\n"
    columns, source = read_columns(write(tmp_path / "f.csv", text), memory_limit=limit)
    assert columns["ds"].tolist() == np.array(["2024-10-27T00:30", "2024-10-27T01:30"], "M8[ns]").tolist()
    assert source.notes == ("column 'ds': time stamps carry a time zone and were read as UTC",)


def test_text_in_a_number_column_stays_for_the_panel_to_name(tmp_path, limit):
    text = "qty\n" + "".join(f"{i}\n" for i in range(1810)) + "n/a-ish\n5\n"
    columns, source = read_columns(write(tmp_path / "sales.csv", text), memory_limit=limit)
    with pytest.raises(DataError) as caught:
        build_panel(columns, Roles("qty"), source=source)
    assert str(caught.value) == "sales.csv, row 1812, column 'qty': expected a number, got 'n/a-ish'"


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("early", "late", "kind"),
    [("1", "2.5", "f"), ("", "3", "f"), ("", "x", "T"), ("1", "x", "T"), ("2.5", "x", "T"), ("true", "maybe", "T"),
     ("2024-01-01", "soon", "T"), ("2024-01-01", "2024-01-01 00:00:00.5", "M"), ("2024-01-01", "2024-01-02T05:00", "M"),
     ("2024-01-01 00:00:00", "2024-01-01 00:00:00.5", "M"), ("2024-01-01 00:00:00.5", "soon", "T"),
     ("2024-01-01T00:00Z", "soon", "T"), ("1", "", "f"), ("true", "", "f")],
)  # fmt: skip
def test_types_that_show_late_are_widened(tmp_path, limit, early, late, kind):
    text = "i,v,w\n" + "".join(f"{i},{early},1\n" for i in range(40)) + f"40,{late},2\n"
    columns, _ = read_columns(write(tmp_path / "f.csv", text), memory_limit=limit)
    kinds = {"T": "OU"}.get(kind, kind)
    assert columns["v"].dtype.kind in kinds
    assert columns["i"].dtype == columns["w"].dtype == np.int64
    assert len(columns["v"]) == 41
    last = columns["v"][-1]
    if kind == "M":
        assert last == np.datetime64(late)
    else:
        assert str(last) == {"2.5": "2.5", "3": "3.0", "": "nan"}.get(late, late)


@pytest.mark.usefixtures("small_blocks")
def test_widening_names_the_right_column_of_a_selection(tmp_path):
    text = "a,b,c\n" + "x,1,1\n" * 40 + "x,1,2.5\n"
    columns, _ = read_columns(write(tmp_path / "f.csv", text), ["c", "b"], TINY)
    assert columns["c"][-1] == 2.5
    assert columns["b"].dtype == np.int64


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_ids_keep_the_zeros_they_are_written_with(tmp_path, limit, encoding):
    """Only ids: for a quantity or an hour, 07 is 7; and the zeros may show late, below blank lines."""
    text = " store,hour,y\n" + "100,07,1\n" * 20 + "\n007,08,2\n7,09,3\n,,\n"
    columns, source = read_columns(write(tmp_path / "f.csv", text, encoding), memory_limit=limit)
    assert columns["store"][-2:].tolist() == [7, 7]
    panel = build_panel(columns, Roles("y", id="store", past=("hour",)), source=source)
    assert panel.ids == ("100", "007", "7")
    assert panel.past["hour"].tolist()[-2:] == [8, 9]
    assert source.padded("y") is None
    assert read_columns(tmp_path / "f.csv", ["y", "store"], limit)[1].padded("store").tolist()[-3:-1] == [
        "007",
        "7",
    ]


def test_ids_without_such_zeros_stay_numbers(tmp_path, limit):
    columns, source = read_columns(write(tmp_path / "f.csv", "id,y\n0,1\n10,2\n"), memory_limit=limit)
    panel = build_panel(columns, Roles("y", id="id"), source=source)
    assert panel.id_values.tolist() == [0, 10]


def test_lines_above_the_header(tmp_path, limit):
    refused(
        write(tmp_path / "f.csv", "# made by hand\nds,y\n2024-01-01,1\n"),
        "f.csv, row 2: expected 1 cell as in the header, got 2 cells",
        limit,
        "the first row must name the columns: remove what stands above it",
    )


SCRAPS = [
    "ds", "y", ",", ";", "\t", "\n", '"', "1", "2.5", "2024-01-02", "NA", "é", "inf", "1,5", "3/4/2024", "\ufeff",
]  # fmt: skip


def outcome(path, limit):
    """What reading gives: plain cells, or the sentence of our own error; any other error passes."""
    try:
        columns, source = read_columns(path, memory_limit=limit)
    except GrusError as error:
        return str(error)
    return cells(columns), source.notes, [source.row(i) for i in range(len(next(iter(columns.values()))))]


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scraps=st.lists(st.sampled_from(SCRAPS), max_size=40),
    rows=st.integers(0, 12),
    encoding=st.sampled_from(["utf-8", "utf-16", "cp1252"]),
)
def test_any_file_gives_columns_or_a_sentence_the_same_on_disk(tmp_path, scraps, rows, encoding):
    text = "ds,y\n" + "2024-01-01,1\n" * rows + "".join(scraps)
    path = tmp_path / "f.csv"
    path.write_bytes(text.encode(encoding, errors="ignore"))
    assert outcome(path, None) == outcome(path, TINY)


def refused(path, sentence, limit=None, hint=None):
    with pytest.raises(DataError) as caught:
        read_columns(path, memory_limit=limit)
    assert str(caught.value) == sentence
    if hint is not None:
        assert caught.value.hint == hint


def test_missing_file(tmp_path):
    write(tmp_path / "sales.csv", PLAIN)
    refused(
        tmp_path / "sale.csv",
        f"no such file: {tmp_path / 'sale.csv'}",
        hint=f"did you mean {tmp_path / 'sales.csv'}?",
    )
    refused(tmp_path / "no" / "x.csv", f"no such file: {tmp_path / 'no' / 'x.csv'}", hint="")


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", "  \r\n"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_empty_file(tmp_path, limit, content, packed):
    raw = content.encode()
    (tmp_path / "f.csv").write_bytes(gzip.compress(raw) if packed else raw)
    refused(tmp_path / "f.csv", "f.csv: expected a header and rows, got an empty file", limit)


@pytest.mark.parametrize("text", ["ds,y\n", "ds,y", "ds,y\n\n\n"])
def test_header_only(tmp_path, limit, text):
    refused(write(tmp_path / "f.csv", text), "f.csv: expected rows after the header, got none", limit)


@pytest.mark.parametrize(
    ("row", "got"), [("3", "1 cell"), ("3,4,5", "3 cells"), ('"a\nb",4,5,6', "4 cells"), ("3;4", "1 cell")]
)
def test_ragged_row(tmp_path, limit, row, got):
    text = "a,b\n1,2\n\n" + row + "\n5,6\n"
    refused(
        write(tmp_path / "f.csv", text), f"f.csv, row 4: expected 2 cells as in the header, got {got}", limit
    )


def test_ragged_row_far_down(tmp_path, limit):
    text = "a,b\n" + "1,2\n" * 5000 + "1\n"
    refused(
        write(tmp_path / "f.csv", text),
        "f.csv, row 5002: expected 2 cells as in the header, got 1 cell",
        limit,
    )


def test_header_of_numbers(tmp_path, limit):
    refused(
        write(tmp_path / "f.csv", "0.78,1.61\n0.79,1.6\n"),
        "f.csv, row 1: expected the names of the columns, got '0.78,1.61'",
        limit,
        "add a header as first row",
    )


def test_names_that_repeat(tmp_path, limit):
    refused(
        write(tmp_path / "f.csv", "y, y\n1,2\n"),
        "f.csv, row 1: expected column names that differ, got 'y' twice",
        limit,
    )


@pytest.mark.parametrize("damage", ["cut", "flipped", "header"])
def test_damaged_gzip(tmp_path, limit, damage):
    body = PLAIN + "".join(f"2024-01-04,{i * 7919 % 1013},x{i}\n" for i in range(30_000))
    packed = bytearray(gzip.compress(body.encode()))
    if damage == "cut":
        packed = packed[: len(packed) // 2]
    elif damage == "flipped":
        packed[len(packed) // 2] ^= 0xFF
    else:
        packed[2] = 99
    (tmp_path / "f.csv.gz").write_bytes(packed)
    refused(
        tmp_path / "f.csv.gz",
        f"{tmp_path / 'f.csv.gz'}: expected a whole gzip file, got one that is damaged or cut short",
        limit,
    )


def test_unreadable_file(tmp_path, limit):
    (tmp_path / "f.csv").symlink_to(tmp_path / "f.csv")  # a link to itself: there, and not to be opened
    with pytest.raises(DataError, match=r"no such file"):
        read_columns(tmp_path / "f.csv", memory_limit=limit)


def test_other_kinds_of_file(tmp_path):
    refused(
        write(tmp_path / "f.xlsx", "x"),
        f"{tmp_path / 'f.xlsx'}: expected a file ending in .csv, .tsv, .txt, .jsonl, .ndjson, .json, .parquet, .pq (or .csv.gz), got 'f.xlsx'",
    )


def test_open_quote(tmp_path, limit):
    with pytest.raises(DataError, match=r"^f.csv, row 3: expected 2 cells as in the header, got 1 cell$"):
        read_columns(write(tmp_path / "f.csv", 'a,b\n1,2\n"3,4\n5,6\n'), memory_limit=limit)
