"""The adaptive softmax as a torch module, and its loss, which computes only the clusters that the truth falls in."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from grus.spec import Shape, ops

Outputs = dict[str, Tensor]
Inputs = tuple[Tensor, ...]


class AdaptiveSoftmax(nn.Module):
    """`grus.spec.ops.AdaptiveSoftmax`; see `grus.models.ops` for what a module is."""

    def __init__(self, op: ops.AdaptiveSoftmax, inputs: tuple[Shape, ...]) -> None:
        super().__init__()
        self.op = op
        for name, shape in op.weights(inputs).items():
            # As torch.nn.Linear begins: weights and bias uniform in +-1 / sqrt(inputs of the product).
            bias_of = name.replace("bias", "weight") if name.startswith("bias") else name
            bound = op.weights(inputs)[bias_of][1] ** -0.5
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))

    def forward(self, inputs: Inputs, lengths: Tensor | None) -> Outputs:
        """Log-probabilities of all outputs."""
        x, first = inputs[0], self.op.cutoffs[0]
        head = functional.log_softmax(self._head(x), dim=-1)
        parts = [head[..., :first]]
        for k in range(len(self.op.cutoffs)):
            rest = functional.log_softmax(self._cluster(x, k), dim=-1)
            parts.append(rest + head[..., first + k : first + k + 1])
        return {"": torch.cat(parts, dim=-1)}

    def loss(self, x: Tensor, truth: Tensor) -> Tensor:
        """The sum over rows of -log p(truth), as `forward` has it, from the clusters that the truths fall in.

        Args:
            x: [R, F].
            truth: int64 [R], below the op's size.

        Returns:
            A scalar.
        """
        first, goal, total = self.op.cutoffs[0], truth, x.new_zeros(())
        for k, (begin, end) in enumerate(self.op.clusters):
            inside = (truth >= begin) & (truth < end)
            goal = torch.where(inside, first + k, goal)
            rows = inside.nonzero()[:, 0]
            # Of no rows the sum is 0 and so are its gradients, so every parameter always has one.
            rest = self._cluster(x.index_select(0, rows), k)
            total = total + functional.cross_entropy(rest, truth[rows] - begin, reduction="sum")
        return total + functional.cross_entropy(self._head(x), goal, reduction="sum")

    def _head(self, x: Tensor) -> Tensor:
        return functional.linear(x, self._own("weight"), self._own("bias"))

    def _cluster(self, x: Tensor, k: int) -> Tensor:
        narrow = functional.linear(x, self._own(f"projection_{k}"))
        return functional.linear(narrow, self._own(f"weight_{k}"), self._own(f"bias_{k}"))

    def _own(self, name: str) -> Tensor:
        return getattr(self, name, None)  # pyright: ignore[reportReturnType]
