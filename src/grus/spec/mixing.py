"""The ops in which a step sees other steps without a recurrence; part of `grus.spec.ops`."""

from grus.errors import SpecError
from grus.spec.op import Inputs, Op, Outputs, Time, Weights
from grus.spec.shapes import Shape, check_size, want


class Convolution(Op, frozen=True, tag="convolution"):
    """A causal convolution over time: y_t = b + sum_k W_k x_{t - (K - 1 - k) dilation}, zeros before the first step.

    W is [size, input size, K] as that of torch.nn.Conv1d, whose last entry meets the newest step. A stream remembers
    the last (K - 1) dilation inputs.
    """

    size: int
    kernel: int
    dilation: int = 1
    bias: bool = True

    @property
    def time(self) -> Time:
        return "causal"

    @property
    def reach(self) -> int:
        """How many steps back it looks."""
        return (self.kernel - 1) * self.dilation

    def infer(self, inputs: Inputs) -> Outputs:
        for what in ("size", "kernel", "dilation"):
            check_size(f"Convolution: {what}", getattr(self, what))
        x = want("Convolution", inputs[0], "seq")
        check_size("Convolution: kernel * input size", self.kernel * x.size)
        check_size("Convolution: (kernel - 1) * dilation * input size", self.reach * x.size, low=0)
        return {"": Shape("seq", self.size, x.clock)}

    def weights(self, inputs: Inputs) -> Weights:
        weight: Weights = {"weight": (self.size, inputs[0].size, self.kernel)}
        return weight | {"bias": (self.size,)} if self.bias else weight


class SelfAttention(Op, frozen=True, tag="self_attention"):
    """Scaled dot-product attention of every step to all valid steps, in several heads side by side.

        Q, K, V = x W_q^T + b_q, x W_k^T + b_k, x W_v^T + b_v      each cut into heads of d = size / heads features
        A = softmax(Q K^T / sqrt(d))                               over the valid steps; with ``causal`` up to its own
        y = [A V of every head] W_o^T + b_o

    Tensors are those of torch.nn.MultiheadAttention: in_proj_weight is W_q, W_k and W_v, one below the other. The
    output has the size of the input; a residual connection is an `Add` after it. With ``causal`` it could stream only
    with a state that grows with every step, so it runs on whole sequences too.

    Vaswani et al. 2017, Attention is all you need, section 3.2.
    """

    heads: int = 1
    causal: bool = False
    bias: bool = True

    @property
    def time(self) -> Time:
        return "whole"

    def infer(self, inputs: Inputs) -> Outputs:
        x = want("SelfAttention", inputs[0], "seq")
        check_size("SelfAttention: heads", self.heads)
        if x.size % self.heads:
            raise SpecError(
                f"SelfAttention: heads must divide the {x.size} features of its input, got {self.heads}"
            )
        check_size("SelfAttention: 3 * input size", 3 * x.size)
        return {"": x}

    def weights(self, inputs: Inputs) -> Weights:
        size = inputs[0].size
        weights: Weights = {"in_proj_weight": (3 * size, size), "out_proj_weight": (size, size)}
        return weights | {"in_proj_bias": (3 * size,), "out_proj_bias": (size,)} if self.bias else weights
