"""How far back a trained cell sends its gradient: of the loss, and of its last state."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from grus.inspection.inside.attribution import gradient_by_lag, last_state_gradients
from grus.spec import ops
from grus.training.job import batch_size, to_tensors

#: Rows that are looked at, and steps back that are kept.
ROWS, LAGS = 16, 2000


class Reach(NamedTuple):
    """Norms by steps before the end of the first recurrent layer's input, newest first; empty without such a layer.

    Args:
        loss: of the gradient of the loss.
        last_state: of that of the layer's last state, along one direction: what the cell itself still hands on, also
            where the loss looks at every step.
    """

    loss: list[float]
    last_state: list[float]


NOWHERE = Reach([], [])


def gradient_reach(job: Any) -> Reach:
    """The gradients of a trained job's model, in evaluation mode, on the first rows of its first batch."""
    model = job.model
    name = next((node.name for node in model.graph.nodes if isinstance(node.op, ops.Recurrent)), None)
    if name is None:
        return NOWHERE
    was = model.training
    model.eval()
    batch = to_tensors(job.batch(0, 0), next(model.parameters()).device)
    rows = batch_size(batch)
    batch = {k: v[:ROWS] if v.ndim and len(v) == rows else v for k, v in batch.items()}
    layer = model.nodes[name]
    # cuDNN goes back through a recurrent layer in training mode only.
    with torch.backends.cudnn.flags(enabled=False):
        x, rest, lengths = _given(job, layer, batch)
        counts = None if lengths is None else lengths.cpu().numpy()

        def loss_of(leaf: Tensor) -> Tensor:
            handle = layer.register_forward_pre_hook(lambda _, args: ((leaf, *args[0][1:]), *args[1:]))
            try:
                # The gradient of a mean over rows is each row's own over their number.
                return job.loss(batch, None)[0] * len(leaf)
            finally:
                handle.remove()

        loss = gradient_by_lag(loss_of, x, counts)
        runs = {"": lambda leaf: layer((leaf, *rest), lengths)[""]}
        state = last_state_gradients(runs, x, counts)[""]
    model.train(was)
    return Reach(loss[:LAGS].tolist(), state[:LAGS].tolist())


def _given(
    job: Any, layer: torch.nn.Module, batch: dict[str, Tensor]
) -> tuple[Tensor, tuple[Tensor, ...], Tensor | None]:
    """What the layer is given when the loss of a batch is taken: its sequence, its other inputs, the lengths."""
    found: list[Any] = []
    handle = layer.register_forward_pre_hook(lambda _, args: found.append(args))
    try:
        with torch.no_grad():
            job.loss(batch, None)
    finally:
        handle.remove()
    (x, *rest), lengths = found[0]
    return x.detach(), tuple(value.detach() for value in rest), lengths
