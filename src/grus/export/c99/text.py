"""Spelling C: numbers, arrays, names, comments and strings that nothing in a model can break out of."""

import json
import re
import textwrap
from collections.abc import Sequence

import numpy as np

from grus.errors import UsageError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


def check_name(name: str) -> str:
    """The prefix of everything that the header declares; raises UsageError unless C can take it."""
    if not _NAME.fullmatch(name) or name.startswith("grus"):
        raise UsageError(
            f"export: the name must be at most 40 letters, digits and _, a letter first and not grus, got {name!r}"
        )
    return name


def number(value: float) -> str:
    """A float constant that reads back as the same float32."""
    return f"{np.float32(value)!s}f"


def array(kind: str, name: str, values: np.ndarray) -> str:
    """``static const <kind> <name>[] = {...};`` in lines of readable length."""
    flat = np.asarray(values).ravel()
    if kind == "float":
        cells = [number(v) for v in flat.astype(np.float32).tolist()]
    else:
        cells = [repr(v) for v in flat.tolist()]
    lines = textwrap.wrap(", ".join(cells), 116, break_long_words=False, break_on_hyphens=False)
    body = "\n    ".join(lines)
    return f"static const {kind} {name}[{len(flat)}] = {{\n    {body}}};"


def plain(text: str) -> str:
    """A user's text as it may stand in a comment: ASCII, and nothing that ends or begins one, or is a trigraph."""
    return re.sub(r"[*?]", ".", json.dumps(text)[1:-1])


def string(text: str) -> str:
    """A C string of the text's UTF-8 bytes."""
    return '"' + "".join(_byte(b) for b in text.encode("utf-8", "replace")) + '"'


def _byte(byte: int) -> str:
    character = chr(byte)
    return (
        character
        if character.isascii() and (character.isalnum() or character in " _-.,:")
        else f"\\{byte:03o}"
    )


def comment(paragraphs: Sequence[str], indent: int = 0) -> str:
    """A block comment of wrapped paragraphs; a line break inside one is kept."""
    width = 112 - indent
    lines = [
        line
        for paragraph in paragraphs
        for part in paragraph.split("\n")
        for line in textwrap.wrap(part, width, subsequent_indent="  " if part.startswith(" ") else "") or [""]
    ]
    return " " * indent + "/* " + f"\n{' ' * indent}   ".join(lines) + " */"
