"""The gradient's norm, and scaling it down to a largest norm."""

import math
from typing import Any

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


class Clipper:
    """Scales the whole gradient by min(1, c / |g|), and always tells |g|.

    Fabric's own clipping is used only where it must first undo loss scaling: on the CPU the norm is read
    anyway to find NaN, so that a gradient that is short enough need not be multiplied by one.

    Args:
        fabric: The run's Fabric.
        module: The module that ``fabric.setup`` returned.
        optimizer: The optimiser that ``fabric.setup`` returned.
        largest: c, the largest Euclidean norm; None leaves gradients as they are.
        scaled: True with float16 loss scaling.
    """

    def __init__(self, fabric: Any, module: Any, optimizer: Any, largest: float | None, scaled: bool) -> None:
        self._fabric, self._module, self._optimizer = fabric, module, optimizer
        self._largest = math.inf if largest is None else largest
        self._scaled = scaled
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        self._on_cpu = fabric.device.type == "cpu"

    def __call__(self) -> torch.Tensor:
        """Clip in place; the norm before clipping, a scalar, NaN or infinite when a gradient is."""
        if self._scaled:
            return self._fabric.clip_gradients(
                self._module, self._optimizer, max_norm=self._largest, error_if_nonfinite=False
            )
        norm = get_total_norm([p.grad for p in self._parameters if p.grad is not None])
        if not self._on_cpu or norm.item() > self._largest:
            clip_grads_with_norm_(self._parameters, self._largest, norm)
        return norm

    def clear(self) -> None:
        """Drop the gradients (``Optimizer.zero_grad`` does the same in ten times the time)."""
        for parameter in self._parameters:
            parameter.grad = None
