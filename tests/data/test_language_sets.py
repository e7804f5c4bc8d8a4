"""The token counts of the public language sets are those of their protocols; see their README files."""

from pathlib import Path

import pytest

from grus.data.text_files import read_source, read_tokens
from grus.preprocess.language import TextCodec, fit_text_step

DATA = Path(__file__).parents[3] / "shared" / "data"


def folder(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"the data set {name} is not beside the repository")
    return DATA / name


def test_the_penn_treebank_by_words():
    files = folder("ptb")
    train, valid, test = (read_source(files / f"ptb.{part}.txt.gz") for part in ("train", "valid", "test"))
    codec = TextCodec(fit_text_step(train.pieces(), "space", size=20_000))
    assert codec.size - 1 == 10_000
    assert len(read_tokens(train, codec)) == 929_589
    for source, count in ((valid, 73_760), (test, 82_430)):
        tokens = read_tokens(source, codec)
        assert (len(tokens), tokens.unknown) == (count, 0)
    text = codec.decode(read_tokens(valid, codec).codes)
    assert text.split() == "".join(valid.pieces()).split()


def test_tiny_shakespeare_by_characters():
    source = read_source(folder("tinyshakespeare") / "input.txt")
    codec = TextCodec(fit_text_step(source.pieces(), "char", size=20_000))
    tokens = read_tokens(source, codec)
    assert (codec.size - 1, len(tokens), tokens.characters, tokens.unknown) == (65, 1_115_394, 1_115_394, 0)
    assert codec.decode(tokens.codes) == "".join(source.pieces())
