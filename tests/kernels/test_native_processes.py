"""The native kernels where threads and processes come and go: at exit, across forks, with changing thread counts."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from grus.kernels import native
from grus.kernels.native import PackedGRU
from numerics import assert_bitwise_equal

# Work enough for two parts and for giving up the GIL.
SETUP = """
import os, sys, threading
if sys.argv[1:]:
    import torch  # whose OpenMP threads the kernels then borrow
import numpy as np
from grus.kernels import native
native.set_num_threads(2)
rng = np.random.default_rng(0)
gru = native.PackedGRU(*(rng.normal(size=s).astype("f") * 0.1 for s in [(384, 64), (384, 128)]))
x = rng.normal(size=(32, 50, 64)).astype("f")
expected, _ = gru.run(x)
computing = threading.Semaphore(0)
def forever():
    while True:
        gru.run(x)
        computing.release()
for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
for _ in range(3):
    computing.acquire()
"""
FORK = """
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        for _ in range(3):
            if not np.array_equal(gru.run(x)[0], expected):
                os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
print("done")
"""


def python(code: str, *args: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a program in a process of its own."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def test_the_interpreter_exits_quietly_while_daemon_threads_compute() -> None:
    for _ in range(6):
        assert python(SETUP + "print('done')") == (0, "done\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("torch", [False, True])
def test_a_child_forked_while_other_threads_compute_has_a_team_of_its_own(torch: bool) -> None:
    """The parent then exits while they compute, also with the threads that torch brought."""
    assert python(SETUP + FORK, *(["torch"] if torch else [])) == (0, "done\n", "")


def test_threads_may_change_the_number_of_threads_while_others_compute() -> None:
    rng = np.random.default_rng(0)
    gru = PackedGRU(*(rng.normal(size=s).astype(np.float32) * 0.1 for s in [(192, 32), (192, 64)]))
    x = rng.normal(size=(24, 30, 32)).astype(np.float32)
    expected = gru.run(x)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    before = native.num_threads()

    def compute() -> None:
        for i in range(20):
            native.set_num_threads(1 + i % 4)
            found.append(gru.run(x))

    threads = [threading.Thread(target=compute) for _ in range(6)]
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        native.set_num_threads(before)
    assert len(found) == 120
    for y, h_n in found:
        assert_bitwise_equal(y, expected[0])
        assert_bitwise_equal(h_n, expected[1])
