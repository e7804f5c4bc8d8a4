"""Torch modules as networks, read by duck typing."""
