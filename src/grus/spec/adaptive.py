"""The softmax over many outputs of which few are common; part of `grus.spec.ops`."""

from itertools import pairwise

from grus.errors import SpecError
from grus.spec.op import Inputs, Op, Outputs, Weights
from grus.spec.shapes import Shape, check_size, want

#: A spec is hostile input: a cut more is two products and three tensors more.
MAX_CUTOFFS = 16


class AdaptiveSoftmax(Op, frozen=True, tag="adaptive_softmax"):
    """Log-probabilities of ``size`` outputs in the order of how common they are: a head, and clusters of rare ones.

        a = W x + b                                          one for every output below c_0, one for every cluster
        log p(w) = log softmax(a)_w                          w < c_0
        log p(w) = log softmax(a)_{c_0 + k} + log softmax(W_k P_k x + b_k)_{w - c_k}          c_k <= w < c_{k+1}

    c are the ``cutoffs`` and, after them, ``size``. W is [c_0 + K, input size]; P_k ``projection_k`` is [width_k, input
    size] with width_k = input size // factor^(k+1), at least 1; W_k ``weight_k`` is [c_{k+1} - c_k, width_k]. Where
    only some outputs are wanted, as in training, the clusters of the others need not be computed.

    Grave et al. 2017, Efficient softmax approximation for GPUs, section 4.
    """

    size: int
    cutoffs: tuple[int, ...]
    factor: int = 4
    bias: bool = True

    @property
    def clusters(self) -> tuple[tuple[int, int], ...]:
        """The first output of each cluster, and the one after its last."""
        return tuple(zip(self.cutoffs, (*self.cutoffs[1:], self.size), strict=True))

    @property
    def head(self) -> int:
        """Outputs of the head: the common ones, and one a cluster."""
        return self.cutoffs[0] + len(self.cutoffs)

    def width(self, cluster: int, size: int) -> int:
        """Units that a cluster projects an input of ``size`` to."""
        return max(size // self.factor ** (cluster + 1), 1)

    def infer(self, inputs: Inputs) -> Outputs:
        check_size("AdaptiveSoftmax: size", self.size, low=2)
        check_size("AdaptiveSoftmax: factor", self.factor)
        if not 1 <= len(self.cutoffs) <= MAX_CUTOFFS:
            raise SpecError(
                f"AdaptiveSoftmax: cutoffs must be 1 to {MAX_CUTOFFS} numbers, got {len(self.cutoffs)}"
            )
        whole = all(isinstance(c, int) and not isinstance(c, bool) for c in self.cutoffs)
        bounds = (0, *self.cutoffs, self.size)
        if not whole or any(low >= high for low, high in pairwise(bounds)):
            raise SpecError(
                f"AdaptiveSoftmax: cutoffs must be whole numbers that rise from 1 to below {self.size}, "
                f"got {', '.join(map(repr, self.cutoffs))}"
            )
        x = want("AdaptiveSoftmax", inputs[0], "seq", "vec")
        return {"": Shape(x.kind, self.size, x.clock)}

    def weights(self, inputs: Inputs) -> Weights:
        size = inputs[0].size
        weights: Weights = {"weight": (self.head, size)} | ({"bias": (self.head,)} if self.bias else {})
        for k, (begin, end) in enumerate(self.clusters):
            width = self.width(k, size)
            weights |= {f"projection_{k}": (width, size), f"weight_{k}": (end - begin, width)}
            weights |= {f"bias_{k}": (end - begin,)} if self.bias else {}
        return weights
