"""Specs as torch modules."""

from grus.models.encoder_decoder import EncoderDecoder
from grus.models.graph_module import GraphModule

__all__ = ["EncoderDecoder", "GraphModule"]
