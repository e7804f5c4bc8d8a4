"""GRU layers for PyTorch: drop-ins for torch.nn.GRU and torch.nn.GRUCell, their functional form, MinGRU and GRU-D."""

from grus.nn import functional
from grus.nn._accelerate import accelerate, decelerate
from grus.nn._cell import GRUCell
from grus.nn._gru import GRU
from grus.nn._grud import GRUD, GRUDStates
from grus.nn._mingru import MinGRU
from grus.nn._tracing import let_dynamo_trace
from grus.nn._types import Gates

__all__ = [
    "GRU",
    "GRUD",
    "GRUCell",
    "GRUDStates",
    "Gates",
    "MinGRU",
    "accelerate",
    "decelerate",
    "functional",
]

let_dynamo_trace(GRU)
