"""Read a step past the end of an array through the extension module: AddressSanitizer must stop this program."""

import numpy as np

from grus.kernels.native import Problem, gru_forward_train

STEPS = 4
x, output, h_n, weights = (np.zeros(n, np.float32) for n in (STEPS, STEPS + 1, 1, 6))
gates = (weights.ctypes.data, weights.ctypes.data + 12, 0, 0, 0, 0)
at_x, at_output, at_h_n = ((a.ctypes.data, 1, 1) for a in (x, output, h_n))
sizes = (1, STEPS + 1, 1, 1)
gru_forward_train(Problem(4, sizes, True, False, gates, at_x, None, at_output, None), at_h_n)
print("overrun: nothing noticed the fault")
