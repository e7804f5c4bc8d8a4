// Giving up the GIL around computation.
#pragma once
#include <Python.h>
#include <unistd.h>

namespace grus {

// The GIL is free while this lives. nanobind's own guard ends the process with std::terminate when a daemon thread wants
// the GIL back from an interpreter that is exiting: up to Python 3.13 such a thread is ended by pthread_exit, which
// unwinds its stack, and the stack holds noexcept functions. A thread that may not come back waits here for the end of
// the process instead, as Python 3.14 has it wait. It holds no lock, and what it has borrowed stays alive.
class GilReleased {
 public:
  GilReleased() : state_(PyEval_SaveThread()) {}
  GilReleased(const GilReleased&) = delete;
  ~GilReleased() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // the unwinding of pthread_exit: nothing else comes out of a function of Python
      for (;;) pause();
    }
  }

 private:
  PyThreadState* state_;
};

}  // namespace grus
