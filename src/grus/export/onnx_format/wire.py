"""How much an ONNX file would become in memory, counted in its bytes before anything is made of them.

Protobuf makes some hundred bytes of an empty message, which takes two bytes in the file: 5 MB of empty nodes took 2 GB
and 15 s to parse and look at (2026-11-21). Real files, also of large language models,
have some ten thousand nodes.
"""

from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from onnx import ModelProto

from grus.errors import DataError

#: Parts of a file: messages, names, and numbers that stand alone.
MAX_PARTS = 2_000_000
MAX_MESSAGES = 500_000
#: Bytes of lists of whole numbers, each of which may become eight.
MAX_INTS = 256 << 20
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_wire(data: bytes, name: str) -> None:
    """Walk over all fields of a serialized ModelProto without making anything of them.

    Args:
        data: the file.
        name: of the file, for the error.

    Raises:
        DataError: they are not well formed, or too many.
    """
    try:
        _walk(data, name)
    except _DamagedError as error:
        raise DataError(f"{name}: must be an ONNX file, got something else or a damaged one") from error


class _DamagedError(Exception):
    """The bytes are no protobuf."""


def _walk(data: bytes, name: str) -> None:
    parts = messages = ints = 0
    pending: list[tuple[int, int, Any]] = [(0, len(data), ModelProto.DESCRIPTOR)]
    while pending:
        place, end, message = pending.pop()
        inner, packed = _fields(message)
        while place < end:
            key, place = _varint(data, place, end)
            number, kind, length = key >> 3, key & 7, 0
            if kind == _VARINT:
                _, place = _varint(data, place, end)
            elif kind == _BYTES:
                length, place = _varint(data, place, end)
            elif kind in (_FIXED64, _FIXED32):
                length = 8 if kind == _FIXED64 else 4
            else:
                raise _DamagedError("a field of no known kind")
            if length > end - place:
                raise _DamagedError("a field that ends behind its message")
            if kind == _BYTES and number in inner:
                messages += 1
                pending.append((place, place + length, inner[number]))
            ints += length if number in packed else 0
            parts += 1
            place += length
            if parts > MAX_PARTS or messages > MAX_MESSAGES or ints > MAX_INTS:
                raise DataError(
                    f"{name}: an ONNX file must have at most {MAX_MESSAGES} nodes and attributes, {MAX_PARTS} parts "
                    f"in all and {MAX_INTS} bytes of whole numbers, got more"
                )


@cache
def _fields(message: Any) -> tuple[dict[int, Any], frozenset[int]]:
    """By number: the fields that are messages, and those that are packed whole numbers."""
    known = message.fields_by_number.items()
    whole = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
    inner = {number: field.message_type for number, field in known if field.message_type is not None}
    return inner, frozenset(number for number, field in known if field.cpp_type in whole)


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, and the place behind it."""
    value = shift = 0
    while place < end and shift < 64:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
    raise _DamagedError("a number that does not end")
