"""Versioned bytes that notice when they were cut, changed, or meant for something else; no pickle.

8 bytes   what it is, such as ``b"GRUSTATE"``
4 bytes   version, little-endian like every number here
8 bytes   length of the header
header    JSON
body      numbers, as the header lists them
32 bytes  SHA-256 of everything before
"""

import hashlib
from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec

from grus.errors import ModelFolderError

_FIXED, _SUM = 20, 32


class _Owned(Protocol):
    @property
    def owner(self) -> str: ...


H = TypeVar("H", bound=_Owned)


def seal(kind: bytes, version: int, header: bytes, body: Iterable[bytes | memoryview]) -> bytes:
    """Put a header and a body into one blob."""
    assert len(kind) == 8
    out = b"".join((kind, version.to_bytes(4, "little"), len(header).to_bytes(8, "little"), header, *body))
    return out + hashlib.sha256(out).digest()


def unseal(kind: bytes, version: int, blob: bytes, what: str) -> tuple[bytes, memoryview]:
    """The header and the body of a blob that `seal` made.

    Args:
        kind, version: as given to `seal`; older versions than ``version`` there are none yet.
        blob: hostile input; nothing is allocated but what is already there.
        what: what to call it in messages.

    Raises:
        ModelFolderError: it is none of these, cut short, changed, or newer.
    """
    data = memoryview(blob)
    if len(data) >= len(kind) and data[:3] == kind[:3] and data[: len(kind)] != kind:
        raise ModelFolderError(f"{what}: holds another kind of state, or is damaged", "name another file")
    if data[: len(kind)] != kind:
        raise ModelFolderError(f"{what}: is not one that Grus wrote")
    if len(data) < _FIXED + _SUM:
        raise ModelFolderError(f"{what}: cut short: must be at least {_FIXED + _SUM} bytes, got {len(data)}")
    found = int.from_bytes(data[8:12], "little")
    if found > version:
        raise ModelFolderError(
            f"{what}: written by a newer Grus (version {found}; this one reads up to {version})",
            hint="pip install --upgrade grus",
        )
    if hashlib.sha256(data[:-_SUM]).digest() != data[-_SUM:]:
        raise ModelFolderError(f"{what}: damaged or cut short (its checksum does not fit)")
    length = int.from_bytes(data[12:20], "little")
    if found != version or length > len(data) - _FIXED - _SUM:
        raise ModelFolderError(f"{what}: damaged (version {found}, a header of {length} bytes)")
    return bytes(data[_FIXED : _FIXED + length]), data[_FIXED + length : -_SUM]


def unseal_state(
    kind: bytes, version: int, blob: bytes, what: str, header: type[H], digest: str, hint: str
) -> tuple[H, memoryview]:
    """The header, of type ``header``, and the body of a blob that holds the state of a model.

    Args:
        kind, version, blob, what: see `unseal`.
        digest: of the model that goes on from it; the header's ``owner`` must be the same.
        hint: what to do if it is not.

    Raises:
        ModelFolderError: as `unseal`, or the header is no such one, or of another model.
    """
    text, body = unseal(kind, version, blob, what)
    try:
        found = msgspec.json.decode(text, type=header)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise ModelFolderError(f"{what}: damaged (its header cannot be read)") from None
    if found.owner != digest:
        raise ModelFolderError(f"{what}: belongs to another model (their specs differ)", hint=hint)
    return found, body
