"""Settings for all tests: quiet threads, and a deterministic hypothesis profile."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import settings

settings.register_profile("grus", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("grus")
