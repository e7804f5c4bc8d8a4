"""Read a step past the end of an array through the extension module: AddressSanitizer must stop this program."""

import numpy as np

from grus.kernels.native import Problem, gru_forward_train

STEPS = 4
x, output, h_n, weights = (np.zeros(n, np.float32) for n in (STEPS, STEPS + 1, 1, 6))
arrays = (weights.ctypes.data, weights.ctypes.data + 12, 0, 0, 0, 0)
views = [(a.ctypes.data, 1, 1) for a in (x, output, h_n)]
gru_forward_train(Problem(4, (1, STEPS + 1, 1, 1), True, False, arrays, views[0], None, views[1], None), views[2])
print("overrun: nothing noticed the fault")
