"""The state of a running graph or live model as a plain value: what it must remember between chunks."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np

from grus.errors import ModelFolderError, UsageError
from grus.runtime.sealed import seal, unseal_state

NodeState = tuple[np.ndarray, ...]
Rows = int | slice | Sequence[int] | np.ndarray

_KIND, _VERSION = b"GRUSTATE", 1
#: The types that a state is made of, as they stand in bytes.
_DTYPES = {"f4": np.dtype("<f4"), "f8": np.dtype("<f8"), "i8": np.dtype("<i8"), "b1": np.dtype("?")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
#: Numbers in one array of a state at most.
_MOST = 1 << 40


class Stateful(Protocol):
    """What a state belongs to: a `Program` or a live model."""

    @property
    def digest(self) -> str:
        """Tells its spec from every other, as hexadecimal text."""
        ...

    def check_state(self, state: "State") -> None:
        """Raise UsageError unless ``state`` is one that could be its own."""
        ...


@dataclass(frozen=True)
class State:
    """One entry per node that remembers; every array has the batch as its first axis. Never hidden on a model.

    It is a value: nothing here changes a state, and what gives another one copies. ``state[i]`` is the state of some
    of the rows (an index, slice or array of indices), `State.join` puts states of several rows together again,
    `assign` puts rows in the place of others, and `to_bytes` and `from_bytes` carry it to another process.

    Attributes:
        nodes: arrays by node.
        owner: the digest of the spec that it belongs to; "" if it was made by hand.
    """

    nodes: Mapping[str, NodeState]
    owner: str = ""

    def __getitem__(self, rows: Rows) -> "State":
        index = np.array([rows]) if isinstance(rows, int | np.integer) else rows
        return State(
            {name: tuple(a[index].copy() for a in arrays) for name, arrays in self.nodes.items()}, self.owner
        )

    @property
    def batch(self) -> int:
        """Number of rows; 0 for a graph that remembers nothing."""
        for arrays in self.nodes.values():
            for array in arrays:
                return len(array)
        return 0

    @staticmethod
    def join(states: "Sequence[State]") -> "State":
        """Put the rows of several states of one graph together, in order."""
        if not states or any(not _alike(state, states[0]) for state in states):
            raise UsageError("State.join: states must be of one graph, and at least one")
        return State(
            {
                name: tuple(
                    np.concatenate(parts)
                    for parts in zip(*(state.nodes[name] for state in states), strict=True)
                )
                for name in states[0].nodes
            },
            states[0].owner,
        )

    def assign(self, rows: Rows, other: "State") -> "State":
        """This state with ``rows`` replaced by those of ``other``, which has as many (or one for all of them).

        Raises:
            UsageError: ``other`` is of another graph, or has another number of rows.
        """
        if not _alike(self, other):
            raise UsageError("State.assign: states must be of one graph")
        wanted = len(np.atleast_1d(np.arange(self.batch)[rows]))
        if self.nodes and other.batch not in (1, wanted):
            raise UsageError(
                f"State.assign: must give {wanted} rows, or one for all of them, got {other.batch}"
            )
        nodes = {name: tuple(a.copy() for a in arrays) for name, arrays in self.nodes.items()}
        for name, arrays in nodes.items():
            for array, new in zip(arrays, other.nodes[name], strict=True):
                array[rows] = new if other.batch != 1 else new[0]
        return State(nodes, self.owner)

    def to_bytes(self) -> bytes:
        """The state as versioned bytes, for `from_bytes` of the same spec on any machine."""
        arrays = {
            name: [(_NAMES[a.dtype.newbyteorder("<")], a.shape) for a in node]
            for name, node in self.nodes.items()
        }
        body = [
            np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes()
            for node in self.nodes.values()
            for a in node
        ]
        return seal(_KIND, _VERSION, msgspec.json.encode({"owner": self.owner, "nodes": arrays}), body)

    @staticmethod
    def from_bytes(blob: bytes, for_: Stateful) -> "State":
        """Read what `to_bytes` wrote.

        Args:
            blob: hostile input; no more is allocated than it is long.
            for_: the program or live model that goes on from it. Its spec must be that of the writer; its weights
                may be newer.

        Raises:
            ModelFolderError: the blob is none, cut short, changed, newer than this Grus, or of another spec.
        """
        found, body = unseal_state(
            _KIND, _VERSION, blob, "state", _Header, for_.digest, "begin with init_state"
        )
        state = State(_read(found.nodes, body), found.owner)
        try:
            for_.check_state(state)
        except UsageError as error:
            raise ModelFolderError(f"state: damaged: {error}") from None
        return state


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    owner: str
    nodes: dict[str, tuple[tuple[str, tuple[int, ...]], ...]]


def _read(
    nodes: dict[str, tuple[tuple[str, tuple[int, ...]], ...]], body: memoryview
) -> dict[str, NodeState]:
    place, read = 0, {}
    for name, entries in nodes.items():
        arrays = []
        for kind, shape in entries:
            dtype = _DTYPES.get(kind)
            # In Python's own integers, which do not overflow; dimensions beside a zero are bounded too.
            if dtype is None or min(shape, default=0) < 0 or math.prod(max(n, 1) for n in shape) > _MOST:
                raise ModelFolderError("state: damaged (its header lists what no state has)")
            end = place + math.prod(shape) * dtype.itemsize
            if end > len(body):
                raise ModelFolderError("state: damaged (its header lists more than there is)")
            flat = np.frombuffer(body[place:end], np.uint8 if kind == "b1" else dtype)
            if kind == "b1" and flat.max(initial=0) > 1:
                raise ModelFolderError("state: damaged (a yes or no is neither)")
            arrays.append(flat.astype(dtype.newbyteorder("=")).reshape(shape))
            place = end
        read[name] = tuple(arrays)
    if place != len(body):
        raise ModelFolderError("state: damaged (its header lists less than there is)")
    return read


def check_like(state: State, wanted: State, what: str) -> None:
    """Raise UsageError unless a state has the nodes, types and sizes of another, in any number of rows.

    Where ``wanted`` has an axis of size 0 after the first, any size will do (what has gathered so far).
    """
    rows = state.batch
    for name in (*wanted.nodes, *state.nodes):
        arrays, like = state.nodes.get(name, ()), wanted.nodes.get(name, ())
        fits = len(arrays) == len(like) and all(
            a.dtype == b.dtype
            and a.ndim == b.ndim
            and len(a) == rows
            and all(n == m or m == 0 for n, m in zip(a.shape[1:], b.shape[1:], strict=True))
            for a, b in zip(arrays, like, strict=True)
        )
        if not fits:
            raise UsageError(f"{what}: state must be of this graph, whose {sorted(wanted.nodes)} remember")


def check_counts(arrays: NodeState, what: str) -> None:
    """Raise UsageError unless the whole numbers among some arrays are counts: not negative, and far from overflow."""
    if any(a.dtype.kind == "i" and ((a < 0) | (a >= 1 << 62)).any() for a in arrays):
        raise UsageError(f"{what} must count from zero")


def digest_of(spec: Any) -> str:
    """What tells a spec from every other: the SHA-256 of its JSON."""
    return hashlib.sha256(msgspec.json.encode(spec)).hexdigest()


def _alike(a: State, b: State) -> bool:
    return (
        a.owner == b.owner
        and a.nodes.keys() == b.nodes.keys()
        and all(
            [x.shape[1:] for x in arrays] == [x.shape[1:] for x in b.nodes[name]]
            for name, arrays in a.nodes.items()
        )
    )
