"""Executes a spec without torch: NumPy and the native kernels."""

from grus.runtime.layers import Recurrent
from grus.runtime.program import Program
from grus.runtime.state import State

__all__ = ["Program", "Recurrent", "State"]
