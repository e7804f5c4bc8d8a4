"""Lets torch.compile look into ``grus.nn.GRU``.

Dynamo breaks the graph at every torch.nn.RNN, LSTM and GRU, subclasses included.  Its switch for that
(``torch._dynamo.config.allow_rnn``) holds for all modules, and with it on, compiling the training of a
torch.nn.LSTM fails (torch 2.13: "expected Tensor() for op: mkldnn_rnn_layer").  So it is on only while Dynamo
looks at one of our own modules, whose forward traces.
"""

from typing import Any

import torch


def let_dynamo_trace(ours: type[torch.nn.Module]) -> None:
    """Let Dynamo trace modules of a type; where its internals are not those known here, it breaks the graph."""
    try:
        from torch._dynamo import config
        from torch._dynamo.variables.builder import VariableBuilder

        original = VariableBuilder.wrap_module
        config.allow_rnn  # noqa: B018  (that it exists)
    except (ImportError, AttributeError):
        return

    def wrap_module(self: Any, value: torch.nn.Module) -> Any:
        before = config.allow_rnn
        if before or not isinstance(value, ours):
            return original(self, value)
        config.allow_rnn = True
        try:
            return original(self, value)
        finally:
            config.allow_rnn = before

    VariableBuilder.wrap_module = wrap_module
