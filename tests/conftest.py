"""Settings for all tests: quiet threads, Ctrl-C, and a deterministic hypothesis profile."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in its background so, and the programs under test would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import settings

settings.register_profile("grus", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("grus")
