"""Parallel files, tables and lists as pairs, and what is wrong with them, in words."""

import gzip

import pandas as pd
import pytest

from grus.data.lines import read_lines
from grus.data.pairs import drop_empty, read_pairs
from grus.errors import DataError, UsageError


def files(tmp_path, source, target, names=("train.en", "train.de")):
    paths = []
    for name, text in zip(names, (source, target)):
        paths.append(tmp_path / name)
        data = text if isinstance(text, bytes) else text.encode()
        paths[-1].write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return paths


@pytest.mark.parametrize("names", [("train.en", "train.de"), ("train.en.gz", "train.de.gz")])
def test_parallel_files(tmp_path, names):
    pairs = read_pairs(*files(tmp_path, "\ufeffa dog\nb\u2028c\r\n\nlast", "ein Hund\nd\n\nzuletzt\n", names))
    assert pairs.source == ["a dog", "b\u2028c", "", "last"]
    assert pairs.target == ["ein Hund", "d", "", "zuletzt"]
    assert pairs.names == ("en", "de")
    full, said = drop_empty(pairs)
    assert full.target == ["ein Hund", "d", "zuletzt"]
    assert said == f"1 pair with an empty side is left out of {names[0]} and {names[1]} (number 3)"


def test_several_empty_sides():
    pairs = read_pairs(["a", "", "c", " ", "e", "f"], ["a", "b", "", "", "", "f"])
    full, said = drop_empty(pairs)
    assert full.source == ["a", "f"]
    assert said == "4 pairs with an empty side are left out of data (number 2, 3, 4, ...)"
    assert drop_empty(full)[1] == ""


def test_files_of_different_lengths(tmp_path):
    with pytest.raises(DataError) as caught:
        read_pairs(*files(tmp_path, "a\nb\nc\n", "a\n"))
    assert str(caught.value) == (
        "train.en and train.de: expected as many lines in each, got 3 and 1: line 2 of train.en is the first without a "
        "partner"
    )
    with pytest.raises(DataError, match=r"line 1 of train\.de is the first"):
        read_pairs(*files(tmp_path, "", "a\n"))
    with pytest.raises(DataError, match="expected sentences, got no lines"):
        read_pairs(*files(tmp_path, "", ""))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"ok\nna\xefve\n", "train.en, line 2: expected text in UTF-8, got the byte 0xef at offset 5"),
        (b"\xef\xbb\xbfa\xff\n", "train.en, line 1: expected text in UTF-8, got the byte 0xff at offset 4"),
        (b"ok\nbin\0ary\n", "train.en, line 2: expected text, got a zero byte at offset 6"),
    ],
)
def test_text_that_is_no_text(tmp_path, data, sentence):
    with pytest.raises(DataError) as caught:
        read_pairs(*files(tmp_path, data, "a\nb\n"))
    assert str(caught.value) == sentence


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"no such file: .*nothing\.en"):
        read_lines(tmp_path / "nothing.en")
    with pytest.raises(DataError, match="expected a file, got a folder"):
        read_lines(tmp_path)
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"text\n" * 1000)[:-20])
    with pytest.raises(DataError, match="expected a whole gzip file, got one that is damaged or cut short"):
        read_lines(cut)


def test_tables(tmp_path):
    frame = pd.DataFrame({"id": [1, 2], "english": ["a", "b"], "german": ["c", None]})
    pairs = read_pairs(frame)
    assert (pairs.source, pairs.target, pairs.names) == (["a", "b"], ["c", ""], ("english", "german"))
    assert read_pairs(frame, names=("german", None)).source == ["c", ""]
    for name, write in (("t.tsv", lambda p: frame.to_csv(p, sep="\t", index=False)),
                        ("t.jsonl", lambda p: frame.to_json(p, orient="records", lines=True))):  # fmt: skip
        write(tmp_path / name)
        assert read_pairs(tmp_path / name).target == ["c", ""]
    named = pd.DataFrame({"note": ["x"], "target": ["b"], "source": ["a"]})
    assert read_pairs(named).source == ["a"]


def test_tables_that_do_not_fit():
    frame = pd.DataFrame({"a": ["x"], "b": ["y"], "c": ["z"], "n": [1]})
    with pytest.raises(
        DataError, match="expected a column of source texts and one of target texts, got 'a', 'b', 'c', 'n'"
    ):
        read_pairs(frame)
    with pytest.raises(DataError, match="no column 'd'"):
        read_pairs(frame, names=("a", "d"))
    with pytest.raises(DataError, match="column 'n' must hold text, got numbers or dates"):
        read_pairs(frame, names=("a", "n"))
    with pytest.raises(UsageError, match="source and target must be two columns, got 'a' for both"):
        read_pairs(frame, names=("a", "a"))


def test_lists():
    with pytest.raises(DataError, match="expected as many texts in each, got 2 and 1"):
        read_pairs(["a", "b"], ["c"])
    with pytest.raises(DataError, match="target, text 1: expected text, got int"):
        read_pairs(["a", "b"], ["c", 3])
    with pytest.raises(UsageError, match="must both be paths or both be lists of texts"):
        read_pairs("a.en", ["a"])
