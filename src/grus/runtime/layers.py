"""GRU layers on their own: for those who have a trained torch.nn.GRU and no model folder."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from grus.errors import UsageError
from grus.kernels._native import Stack
from grus.kernels.native import PackedGRU, PackedMinGRU

Tensors = Mapping[str, np.ndarray]


class Recurrent(Stack):
    """GRU layers without torch: weights packed once, read-only and shared between threads; the state is a value.

    With the equations of ``grus.kernels.reference``, as in evaluation mode. Within one instruction set and version a
    row has the same bits alone or in any batch, in ``run`` over any chunks and in ``step``, at any number of threads.

    The state is an array ``[B, L * D, H]`` of L layers in D directions, in torch's order: ``state[i]`` is stream i's,
    may be set to 0, sliced and joined with others. It is ``h_0.swapaxes(0, 1)`` of torch.

    Args:
        tensors: arrays named as in torch.nn.GRU: ``weight_ih_l0`` [3H, I], ``weight_hh_l0`` [3H, H], the same for every
            further layer and ``_reverse``; ``bias_ih_l0``, ``bias_hh_l0`` [3H] or none; ``gain_ih_l0``, ``gain_hh_l0``
            [3H] if the layers are normalised as those of grus.nn.GRU. float32 or float64.
        reset_after: where the reset gate acts; False is the form of Cho et al. 2014.
        zoneout: share of the old state that every step keeps, 0 to 1.
        weights: ``"bf16"`` or ``"int8"`` stores the matrices in 16 or 8 bits, see ``grus.kernels.native.PackedGRU``;
            None as they are.

    Raises:
        UsageError: a tensor is missing or has another shape.
        TypeError: a wrong dtype.

    Example:
        >>> import numpy as np
        >>> from grus.runtime import Recurrent
        >>> shapes = {"weight_ih_l0": (24, 3), "weight_hh_l0": (24, 8)}
        >>> gru = Recurrent({name: np.full(shape, 0.1, np.float32) for name, shape in shapes.items()})
        >>> x = np.ones((2, 5, 3), np.float32)
        >>> whole, _ = gru.run(x)
        >>> state, y = gru.init_state(2), np.empty((2, 8), np.float32)
        >>> for t in range(5):
        ...     _ = gru.step(x[:, t], state, out=y)
        >>> bool((y == whole[:, -1]).all())
        True
    """

    def __init__(
        self, tensors: Tensors, *, reset_after: bool = True, zoneout: float = 0.0, weights: str | None = None
    ) -> None:
        directions = 2 if "weight_ih_l0_reverse" in tensors else 1
        layers = sum(name.startswith("weight_ih_l") for name in tensors) // directions
        suffixes = [f"l{k}{way}" for k in range(layers or 1) for way in ("", "_reverse")[:directions]]
        for name in (f"{kind}_{suffix}" for suffix in suffixes for kind in ("weight_ih", "weight_hh")):
            if name not in tensors:
                raise UsageError(f"Recurrent: tensors must have {name!r}, got {sorted(tensors)}")
        self.stack = tuple(pack(tensors, suffix, reset_after, zoneout, weights) for suffix in suffixes)
        super().__init__(self.stack, directions)
        self.dtype = np.dtype(self.stack[0].dtype)

    @classmethod
    def from_torch(cls, module: Any, *, weights: str | None = None) -> Self:
        """Take the weights of a torch.nn.GRU or grus.nn.GRU as they are now, without importing torch.

        Parameters of less than 32 bits become float32. Dropout and ``batch_first`` do not matter here.

        Raises:
            UsageError: another module.
        """
        if getattr(module, "mode", None) != "GRU" or not hasattr(module, "all_weights"):
            raise UsageError(
                f"Recurrent.from_torch: module must be a torch.nn.GRU or grus.nn.GRU, got {type(module).__name__}"
            )
        ways = ("", "_reverse") if module.bidirectional else ("",)
        names = [
            f"{kind}_l{layer}{way}"
            for layer in range(module.num_layers)
            for way in ways
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")
        ]
        return cls(
            {name: _array(getattr(module, name)) for name in names if hasattr(module, name)},
            reset_after=getattr(module, "reset_after", True),
            zoneout=getattr(module, "zoneout", 0.0),
            weights=weights,
        )

    def init_state(self, n: int) -> np.ndarray:
        """Return the state of ``n`` streams before their first step: zeros ``[n, L * D, H]``."""
        return np.zeros((n, self.layers * self.directions, self.hidden_size), self.dtype)

    def run(
        self, x: np.ndarray, state: np.ndarray | None = None, lengths: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run whole sequences, or the next chunk of them; ``state`` stays as it is.

        Args:
            x: ``[B, T, I]``.
            state: ``[B, L * D, H]`` before the first step, or None for zeros.
            lengths: int64 ``[B]``, valid steps of each row, 0 to T; padding is never read and its outputs are zero.

        Returns:
            y ``[B, T, D * H]`` of the last layer, and the state after each row's last valid step.

        Raises:
            UsageError: a wrong shape, a length outside 0 to T.
            TypeError: a wrong dtype, or not an array.
        """
        if state is not None and np.shape(state)[1:] != (len(self.stack), self.hidden_size):
            wanted = f"(B, {len(self.stack)}, {self.hidden_size})"
            raise UsageError(f"Recurrent.run: state must have shape {wanted}, got {np.shape(state)}")
        if self._is_step(x, state) and lengths is None and state is not None:
            y, state = self.step(x[:, 0], state)
            return y[:, None], state
        return run_stack(self.stack, self.directions, x, state, lengths)

    def _is_step(self, x: np.ndarray, state: np.ndarray | None) -> bool:
        return (
            self.directions == 1
            and np.shape(x)[1:] == (1, self.input_size)
            and isinstance(state, np.ndarray)
            and x.dtype == state.dtype == self.dtype
            and len(state) == len(x)
        )


def run_stack(
    stack: Sequence[PackedGRU | PackedMinGRU],
    directions: int,
    x: np.ndarray,
    state: np.ndarray | None,
    lengths: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Run layers on top of each other, as `Recurrent.run` does; directions of a layer stand next to each other."""
    final: list[np.ndarray] = []
    for begin in range(0, len(stack), directions):
        outputs: list[np.ndarray] = []
        for way in range(directions):
            h_0 = None if state is None else state[:, begin + way]
            y, h = stack[begin + way].run(x, h_0, lengths=lengths, reverse=way == 1)
            outputs.append(y)
            final.append(h)
        x = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)
    return x, np.stack(final, axis=1)


def _array(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return (tensor.double() if tensor.element_size() == 8 else tensor.float()).numpy()


def pack(
    tensors: Tensors, suffix: str, reset_after: bool, zoneout: float = 0.0, weights: str | None = None
) -> PackedGRU:
    """Pack one direction of one layer from tensors named as in torch.nn.GRU, with gains if it is normalised."""
    gains = (
        (tensors[f"gain_ih_{suffix}"], tensors[f"gain_hh_{suffix}"])
        if f"gain_ih_{suffix}" in tensors
        else None
    )
    return PackedGRU(
        tensors[f"weight_ih_{suffix}"],
        tensors[f"weight_hh_{suffix}"],
        tensors.get(f"bias_ih_{suffix}"),
        tensors.get(f"bias_hh_{suffix}"),
        reset_after=reset_after,
        norm=gains,
        zoneout=zoneout,
        weights=weights,
    )
