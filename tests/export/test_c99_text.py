"""Spelling C, and the memory plan of a generated function."""

import re

import numpy as np
import pytest

from grus.errors import UsageError
from grus.export.c99.builder import Body, Unit, quantise
from grus.export.c99.text import array, check_name, comment, number, plain, string


def test_a_float_reads_back_as_itself():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 5000, dtype=np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    values = [*values[np.isfinite(values)], 0.0, -0.0, 1.0, 1e38, 1e-45, 16777216.0]
    for value in values:
        text = number(float(value))
        assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", text)
        assert "." in text or "e" in text, text
        back = np.float32(text.removesuffix("f"))
        assert back.tobytes() == np.float32(value).tobytes(), text


def test_arrays_are_wrapped():
    text = array("float", "k", np.arange(100, dtype=np.float32))
    assert text.startswith("static const float k[100] = {\n    0.0f, 1.0f,")
    assert text.endswith("99.0f};")
    assert max(map(len, text.splitlines())) <= 120
    assert array("int8_t", "q", np.array([[1, -2]], np.int8)) == "static const int8_t q[2] = {\n    1, -2};"


@pytest.mark.parametrize("text", ["a*/ b", "/* c", "what??/", "naïve\n日本", 'quote"', "back\\", "\x00"])
def test_a_users_text_cannot_leave_its_comment(text):
    spelled = plain(text)
    assert spelled.isascii()
    assert not set(spelled) & set("*?\n\x00")
    assert comment([spelled]).count("*/") == 1


def test_a_string_is_the_bytes_of_the_text():
    text = 'é"\\n??/%s\n 9'
    spelled = string(text)
    assert re.fullmatch(r'"([A-Za-z0-9 _.,:-]|\\\d{3})*"', spelled)
    back = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), spelled[1:-1])
    assert back.encode("latin-1").decode("utf-8") == text


@pytest.mark.parametrize("name", ["", "9a", "a-b", "a b", "ä", "grus", "grus_x", "a" * 41, "../a"])
def test_names_that_c_cannot_take(name):
    with pytest.raises(UsageError, match=r"^export: the name must be at most 40 letters, digits and _, "):
        check_name(name)


def test_eight_bits_err_by_half_a_unit_at_most():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((20, 30)).astype(np.float32) * 10.0 ** rng.integers(-30, 30, (20, 1))
    weight[3] = 0
    narrow, scale = quantise(weight.astype(np.float32))
    assert narrow.dtype == np.int8
    assert scale.dtype == np.float32
    assert scale[3] == 0
    assert (np.abs(narrow).max(axis=1)[np.arange(20) != 3] == 127).all()
    assert (np.abs(narrow * scale[:, None].astype(np.float64) - weight) <= 0.5001 * scale[:, None]).all()


@pytest.mark.parametrize("seed", range(20))
def test_buffers_that_live_at_once_do_not_overlap(seed):
    rng = np.random.default_rng(seed)
    unit = Unit()
    body = Body(unit, carried=False)
    sizes = rng.integers(1, 50, 30)
    marks = [body.scratch(int(size)) for size in sizes]
    spans = np.sort(rng.integers(0, 60, (30, 2)), axis=1)
    for line in range(60):
        named = [f"{marks[i]}:{i}" for i in range(30) if line in spans[i]]
        body.line(f"f({', '.join(named)});")
    offsets = {int(i): int(offset) for offset, i in re.findall(r"s->work \+ (\d+):(\d+)", body.text())}
    assert len(offsets) == 30
    for i in range(30):
        for j in range(i):
            together = spans[i, 0] <= spans[j, 1] and spans[j, 0] <= spans[i, 1]
            apart = offsets[i] + sizes[i] <= offsets[j] or offsets[j] + sizes[j] <= offsets[i]
            assert apart or not together
    assert unit.sizes["work"] == max(offsets[i] + sizes[i] for i in range(30)) < sizes.sum()
