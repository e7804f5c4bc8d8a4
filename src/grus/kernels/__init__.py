"""Kernels: the equations and their back ends, without torch.

``layout`` holds the weights of one direction and the conversions between layouts; ``reference`` and
``reference_backward`` are the NumPy oracle that every other implementation is held to.
"""
