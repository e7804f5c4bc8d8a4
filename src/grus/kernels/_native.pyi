"""Native kernels of Grus; use grus.kernels.native."""

from collections.abc import Sequence

import numpy

class PackedGRU:
    def __init__(
        self,
        weight_ih: numpy.ndarray,
        weight_hh: numpy.ndarray,
        bias_ih: numpy.ndarray | None,
        bias_hh: numpy.ndarray | None,
        *,
        reset_after: bool = True,
        gain_ih: numpy.ndarray | None = None,
        gain_hh: numpy.ndarray | None = None,
        zoneout: float = 0.0,
        weights: str = "",
        isa: str = "",
    ) -> None: ...
    def run(
        self,
        x: numpy.ndarray,
        h0: numpy.ndarray | None = None,
        *,
        lengths: numpy.ndarray | None = None,
        resets: numpy.ndarray | None = None,
        decay: numpy.ndarray | None = None,
        reverse: bool = False,
        out: numpy.ndarray | None = None,
    ) -> tuple[numpy.ndarray, numpy.ndarray]: ...
    def forward(self, problem: object, h_n: object) -> None: ...
    def step(self, x: numpy.ndarray, h: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray:
        """
        One step: x [B, I], h [B, H] -> h_next [B, H]. With out given nothing is allocated; out may be h.
        """

    @property
    def input_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def reset_after(self) -> bool: ...
    @property
    def dtype(self) -> str: ...
    @property
    def isa(self) -> str: ...

class Stack:
    def __init__(self, layers: Sequence[PackedGRU], directions: int = 1) -> None: ...
    def step(
        self, x: numpy.ndarray, state: numpy.ndarray, out: numpy.ndarray | None = None
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """
        One step of every stream: ``(y, state)`` after it.

        Without ``out`` both are new arrays and the given state stays as it is. With ``out`` nothing is allocated: y is
        written to it and the state is updated in place; the two arrays that were given are returned. The bits are those
        of ``run``.

        Args:
            x: ``[B, I]``, one row a stream, dtype of the weights.
            state: ``[B, layers, H]``, contiguous along its last axis if it is updated.
            out: ``[B, H]`` to fill with the last layer's new state; may share no memory with x or state.

        Raises:
            UsageError: a wrong shape, or arrays that share memory.
            UnsupportedError: bidirectional layers.
            TypeError: a wrong dtype, or not an array.
        """

    @property
    def input_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def directions(self) -> int: ...

class PackedMinGRU:
    def __init__(
        self, weight_ih: numpy.ndarray, bias_ih: numpy.ndarray | None, *, weights: str = "", isa: str = ""
    ) -> None: ...
    def run(
        self,
        x: numpy.ndarray,
        h0: numpy.ndarray | None = None,
        *,
        lengths: numpy.ndarray | None = None,
        resets: numpy.ndarray | None = None,
        reverse: bool = False,
        out: numpy.ndarray | None = None,
    ) -> tuple[numpy.ndarray, numpy.ndarray]: ...
    def forward(self, problem: object, h_n: object) -> None: ...
    @property
    def input_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def isa(self) -> str: ...

def min_forward_train(problem: object, h_n: object, isa: str = "") -> None: ...
def min_backward(
    problem: object,
    d_output: object | None,
    d_h_n: object | None,
    d_x: object | None,
    d_h_0: object | None,
    grads: object,
    add_d_x: bool,
    isa: str = "",
) -> None: ...

class PackedLinear:
    def __init__(
        self, weight: numpy.ndarray, bias: numpy.ndarray | None, *, weights: str = "", isa: str = ""
    ) -> None: ...
    def run(self, x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray:
        """x [rows, K] -> [rows, N], written to out if given."""

    def best(
        self, x: numpy.ndarray, count: int, banned: numpy.ndarray, picked: int
    ) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
    @property
    def in_features(self) -> int: ...
    @property
    def out_features(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def isa(self) -> str: ...

def saved_size(hidden: int, reset_after: bool, norm: bool, isa: str = "") -> int: ...
def forward_train(problem: object, h_n: object, isa: str = "") -> None: ...
def backward(
    problem: object,
    d_output: object | None,
    d_h_n: object | None,
    d_x: object | None,
    d_h_0: object | None,
    grads: object,
    add_d_x: bool,
    d_decay: object | None = None,
    d_x_size: int = 0,
    isa: str = "",
) -> None: ...
def look_back(given: object, isa: str = "") -> None: ...
def look_back_gradient(
    given: object,
    d_inputs: object,
    d_elapsed: object | None,
    d_last_n: object | None,
    d_since_n: object | None,
    d_decay: object,
    d_x: object | None,
    d_gap: object | None,
    d_last: object | None,
    d_since: object | None,
    isa: str = "",
) -> None: ...
def attend(
    query: numpy.ndarray,
    vector: numpy.ndarray | None,
    keys: numpy.ndarray,
    memory: numpy.ndarray,
    lengths: numpy.ndarray,
    isa: str = "",
) -> tuple[numpy.ndarray, numpy.ndarray]: ...
def best(
    values: numpy.ndarray, count: int, banned: numpy.ndarray, picked: int, isa: str = ""
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]: ...
def activation(name: str, x: numpy.ndarray, isa: str = "") -> numpy.ndarray: ...
def same_memory(a: tuple[int, ...], b: tuple[int, ...], sizes: tuple[int, ...]) -> bool: ...
def isa() -> str: ...
def available_isas() -> tuple[str, ...]: ...
def num_threads() -> int: ...
def limit_threads(n: int) -> None: ...
def set_num_threads(n: int) -> None: ...
