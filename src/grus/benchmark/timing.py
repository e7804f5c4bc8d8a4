"""How one call is timed.

Competitors take turns (A B C A B C), so that whatever else the machine does falls on all of them. A sample of one
competitor is the mean of as many back-to-back calls as take `SAMPLE_SECONDS`, at least one, after one untimed call:
a single cold call right behind a 1024^3 product measures how much of the caches the neighbour left, not the kernel.
Before each sample the process rests, because a neighbour's worker threads go on spinning after its call: in the
50 ms after one, torch and its sgemm burnt 4 to 10 ms of CPU time, ONNX Runtime 10 to 24 ms (two threads, loaded
machine, 2026-11-20), which on two cores is taken from whoever comes next. The garbage collector is off meanwhile.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

Job = Callable[[], object]

SAMPLE_SECONDS, REST_SECONDS = 0.003, 0.025


def interleaved(jobs: Mapping[str, Job], rounds: int) -> dict[str, np.ndarray]:
    """Milliseconds of one call of every job in every round."""
    with _no_collection():
        calls = {name: _calls(job) for name, job in jobs.items()}
        times = {name: np.empty(rounds) for name in jobs}
        for i in range(rounds):
            for name, job in jobs.items():
                times[name][i] = 1e3 * _sample(job, calls[name])
    return times


def _calls(job: Job) -> int:
    """How many calls take `SAMPLE_SECONDS`."""
    job()
    done, begin = 0, time.perf_counter()
    while (passed := time.perf_counter() - begin) < SAMPLE_SECONDS:
        job()
        done += 1
    return max(1, math.ceil(SAMPLE_SECONDS * done / passed))


def _sample(job: Job, calls: int) -> float:
    """Seconds of one call."""
    time.sleep(REST_SECONDS)
    job()
    begin = time.perf_counter()
    for _ in range(calls):
        job()
    return (time.perf_counter() - begin) / calls


@contextmanager
def _no_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
