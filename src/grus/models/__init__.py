"""Specs as torch modules."""

from grus.models.graph_module import GraphModule

__all__ = ["GraphModule"]
