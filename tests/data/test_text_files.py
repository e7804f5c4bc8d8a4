"""Plain text from files, folders and memory: read in pieces, joined at line ends, refused with the offset named."""

import gzip

import numpy as np
import pytest

from grus.data import text_files
from grus.data.text_files import read_source, read_tokens
from grus.errors import DataError, UsageError
from grus.preprocess.language import TextCodec, fit_text_step


def text_of(source):
    pieces = list(source.pieces())
    assert all(pieces)
    return "".join(pieces)


@pytest.fixture(params=[1, 5, 1 << 20])
def block(request, monkeypatch):
    monkeypatch.setattr(text_files, "_BLOCK", request.param)


@pytest.mark.usefixtures("block")
def test_files_folders_and_texts_are_one_text(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfz\xc3\xbcrich")  # a byte order mark, and no line end
    (tmp_path / "b" / "c.txt.gz").write_bytes(gzip.compress("東京\r\n".encode()))
    (tmp_path / "b" / "d").write_text("x\ufeffy\n")
    (tmp_path / ".hidden").write_bytes(b"\0")
    wanted = "zürich\n東京\r\nx\ufeffy\n"
    assert text_of(read_source(tmp_path)) == wanted
    files = [tmp_path / "a.txt", tmp_path / "b" / "c.txt.gz", tmp_path / "b" / "d"]
    assert text_of(read_source(files)) == wanted
    assert text_of(read_source([tmp_path / "a.txt", tmp_path / "b"])) == wanted
    assert text_of(read_source(["zürich", "", "東京\r\nx\ufeffy\n"])) == wanted
    assert read_source(files).characters() == len(wanted)


@pytest.mark.usefixtures("block")
def test_parts_by_position(tmp_path):
    text = "one\ntwo\n\nthree"
    (tmp_path / "a").write_text(text)
    source = read_source(tmp_path / "a")
    for start in range(len(text)):
        for stop in (start, start + 1, len(text), None):
            assert text_of(source.part(start, stop)) == text[start:stop]


@pytest.mark.usefixtures("block")
def test_where_a_part_may_begin():
    source = read_source(["one two\nthree\n\nfour five"])
    assert [source.cut_after(place, 99) for place in (1, 7, 8, 9, 14, 15)] == [8, 8, 8, 14, 14, 15]
    assert source.cut_after(16, 99) == 20, "no line any more, but a word"
    assert source.cut_after(2, 3) == 4, "the line is too far"
    assert source.cut_after(21, 99) == 21


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "expected text, got an empty file"),
        (b"\xef\xbb\xbf", "expected text, got an empty file"),
        (b"abc\xff\xfe", "expected text in UTF-8, got another byte (0xff)"),
        ("é".encode() + b"ab\xe9 c", "expected text in UTF-8, got another byte (0xe9)"),
        ("ab東".encode()[:-1], "expected text in UTF-8, got a file cut short (0xe6)"),
        (b"PK\x03\x04 a\0b", "expected text, got a NUL byte, as binary files have"),
    ],
)
def test_what_is_no_text_is_refused_where_it_is_not(tmp_path, data, sentence):
    offset = {0xFF: 3, 0xE9: 4, 0xE6: 2, 0: 6}
    place = next((f", byte {at}" for byte, at in offset.items() if f"({byte:#04x})" in sentence), "")
    place = ", byte 6" if "NUL" in sentence else place
    for name, written in (("a.txt", data), ("b.gz", gzip.compress(data))):
        path = tmp_path / name
        path.write_bytes(written)
        with pytest.raises(DataError) as caught:
            read_source(path).characters()
        assert str(caught.value) == f"{path}{place}: {sentence}"


def test_damaged_and_missing_files(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"some text that is long enough\n" * 99)[:-9])
    with pytest.raises(DataError, match=r"a\.gz: expected a whole gzip file, got one that is damaged \("):
        read_source(path).characters()
    path.write_bytes(b"plain text")
    with pytest.raises(DataError, match=r"a\.gz: expected a whole gzip file, got one that is damaged \("):
        read_source(path).characters()
    with pytest.raises(DataError, match=f"^no such file: {tmp_path / 'b'}$"):
        read_source(tmp_path / "b")
    (tmp_path / "c").mkdir()
    with pytest.raises(DataError, match=r"c: expected files of text, got a folder without any$"):
        read_source(tmp_path / "c")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "text: must be a path, a list of files or a list of texts, got an empty list"),
        (7, "text: must be a path, a list of files or a list of texts, got int"),
        (["a", 3], "text 2: must be text, got int"),
    ],
)
def test_other_things_are_refused(data, sentence):
    with pytest.raises(UsageError) as caught:
        read_source(data)
    assert str(caught.value) == sentence


def test_empty_texts_are_no_text():
    with pytest.raises(DataError, match=r"^texts: expected at least one that is not empty, got none$"):
        read_source(["", ""])


@pytest.mark.usefixtures("block")
def test_tokens_on_disk(tmp_path):
    (tmp_path / "a").write_text("abba\n東" * 3)
    source = read_source(tmp_path / "a")
    codec = TextCodec(fit_text_step(source.pieces(), "char", size=3))
    tokens = read_tokens(source, codec)
    np.testing.assert_array_equal(tokens.codes, codec.encode("abba\n東" * 3).codes)
    assert (tokens.characters, tokens.unknown) == (18, 3)
