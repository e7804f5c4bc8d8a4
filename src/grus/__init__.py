"""Grus: gated recurrent units."""
