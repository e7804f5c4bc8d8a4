// A persistent team of threads: OpenMP's where the process has loaded it, else our own. No Python in here.
#pragma once

namespace grus {

// Threads that a call may use: GRUS_NUM_THREADS, else the processors this process may run on.
// Throws UsageError when GRUS_NUM_THREADS is not a number from 1 to 1024.
int num_threads();
void set_num_threads(int n);  // 1 to 1024, checked by the caller
// Calls of the calling thread use at most so many; 0: as many as others. For a thread that is itself one of several that
// share the processors.
void limit_threads(int n);

// Calls fn(context, part) for part 0 .. parts - 1, each once, on the calling thread and the team; returns when
// all are done. fn must not throw. If the team is busy with another thread's call, or cannot start threads, the
// caller does the parts itself: results may not depend on who does a part. Safe after fork (the child starts a
// team of its own) and at exit (idle workers hold nothing).
void run_parts(int parts, void (*fn)(void*, int), void* context);

// As run_parts, but the parts are sure to run at the same time, so that they may wait for each other; false, and
// nothing is called, where that cannot be had. `barrier` in fn's hands: meet_at(barrier) returns when all have come.
struct Barrier;
bool run_together(int parts, void (*fn)(void*, int, Barrier*), void* context);
void meet_at(void* barrier);

template <class F>
bool together(int parts, F&& f) {
  return run_together(
      parts, [](void* context, int part, Barrier* b) { (*static_cast<F*>(context))(part, b); }, &f);
}

template <class F>
void parallel(int parts, F&& f) {
  run_parts(parts, [](void* context, int part) { (*static_cast<F*>(context))(part); }, &f);
}

}  // namespace grus
