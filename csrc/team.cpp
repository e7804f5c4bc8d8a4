#include "team.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>

#include "errors.h"

namespace grus {

struct Barrier {
  explicit Barrier(int n) : parts(n) {}
  const int parts;
  alignas(64) std::atomic<int> arrived{0};
  alignas(64) std::atomic<unsigned> phase{0};
  std::atomic<unsigned> late{0};  // waits so long that the processor was given away
};

namespace {

// How long an idle worker (and a caller waiting for workers) looks before it sleeps (yields). A training step
// calls again within tens of microseconds; waking a sleeper took 5 to 50 us (2 Zen 4 cores, virtual machine).
constexpr auto kSpin = std::chrono::microseconds(60);

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Looks at `done` for up to kSpin; the clock is read once in 32 looks.
template <class F>
bool spin_until(F done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

// The OpenMP runtime of this process, if it has one: PyTorch brings libgomp (or a compatible one) and makes its names
// global. Its idle threads keep looking for work for milliseconds, so a second team beside it has no processor to run
// on: after a product of torch, two threads of our own were no faster than one (B=32 T=100 H=64: 1.68 ms, one thread
// 1.65). So we borrow its threads; without it, and in a forked child, where it would hang, we use our own.
struct OpenMp {
  void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;
  int (*threads)() = nullptr;
  OpenMp() {
    parallel = reinterpret_cast<decltype(parallel)>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    threads = reinterpret_cast<decltype(threads)>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
    if (!threads) parallel = nullptr;
  }
};

class Team {
 public:
  explicit Team(bool forked) : may_borrow_(!forked) {}

  void run(int parts, void (*fn)(void*, int), void* context) {
    std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
    if (parts <= 1 || !lock.owns_lock()) {
      for (int i = 0; i < parts; ++i) fn(context, i);
      return;
    }
    if (!borrows()) hire(parts - 1);
    share(parts, 1, fn, context);
  }
  // With a worker for every part: one that waits inside its part cannot take a second, so all are taken.
  bool run_together(int parts, void (*fn)(void*, int), void* context) {
    std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    if (rest_ > 0) {
      --rest_;
      return false;
    }
    if (borrows()) return share(parts, parts, fn, context);
    hire(parts - 1);
    return workers_ >= parts - 1 && share(parts, 1, fn, context);
  }
  // On a busy machine a partner that is not running costs a time slice a meeting (7 ms became 32 at 50 steps of
  // H=256, load 6 on 2 cores): after a call with many late meetings the next calls are done by one thread.
  void judge(unsigned late, unsigned meetings) {
    std::lock_guard<std::mutex> lock(busy_);
    patience_ = 8 * late > meetings ? std::min(2 * patience_, 1024) : 8;
    if (patience_ > 8) rest_ = patience_;
  }

 private:
  // False, and nothing was called, if fewer than `needed` threads could be borrowed.
  bool share(int parts, int needed, void (*fn)(void*, int), void* context) {
    fn_ = fn;
    context_ = context;
    needed_ = needed;
    left_.store(parts, std::memory_order_relaxed);
    // One word says which job, how many parts and which part is next, so that a late worker cannot take a part
    // of a job that it has not seen. The caller always does part 0, so that of two threads each finds what its part
    // read the last time in its own cache (single steps of H=256: 7.6 us instead of 7.9).
    ++job_;
    caller_ = pthread_self();
    tickets_.store(word(job_, parts, 1), std::memory_order_seq_cst);
    if (borrows()) {
      openmp_.parallel([](void* team) { static_cast<Team*>(team)->work_borrowed(); }, this, static_cast<unsigned>(parts),
                       0);
      if (left_.load(std::memory_order_acquire) == 0) return true;
      tickets_.store(word(job_, 0, 0), std::memory_order_seq_cst);
      return false;
    }
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      std::lock_guard<std::mutex> guard(sleep_);
      wake_.notify_all();
    }
    work_first();
    const auto finished = [this] { return left_.load(std::memory_order_acquire) == 0; };
    while (!spin_until(finished)) std::this_thread::yield();
    return true;
  }
  void work_borrowed() {
    if (openmp_.threads() < needed_) return;
    if (pthread_equal(pthread_self(), caller_))
      work_first();
    else
      work();
  }
  bool borrows() {
    // Torch may have come since; not asked every time, since asking takes 1 us of a step's 5.
    if (may_borrow_ && !openmp_.parallel && asked_++ % 16 == 0) openmp_ = OpenMp();
    return may_borrow_ && openmp_.parallel;
  }

  static std::uint64_t word(std::uint32_t job, int parts, int next) {
    return (std::uint64_t{job} << 32) | (std::uint64_t(parts) << 16) | std::uint64_t(next);
  }
  static bool has_part(std::uint64_t w) { return (w & 0xffff) < ((w >> 16) & 0xffff); }

  void work_first() {
    fn_(context_, 0);
    left_.fetch_sub(1, std::memory_order_acq_rel);
    work();
  }
  // Takes parts of the current job until none is left.
  void work() {
    std::uint64_t w = tickets_.load(std::memory_order_acquire);
    while (has_part(w)) {
      if (!tickets_.compare_exchange_weak(w, w + 1, std::memory_order_acq_rel)) continue;
      fn_(context_, static_cast<int>(w & 0xffff));
      left_.fetch_sub(1, std::memory_order_acq_rel);
      w = tickets_.load(std::memory_order_acquire);
    }
  }

  void live() {
    const auto ready = [this] { return has_part(tickets_.load(std::memory_order_seq_cst)); };
    for (;;) {
      if (!spin_until(ready)) {
        std::unique_lock<std::mutex> lock(sleep_);
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        // Whoever is woken looks again, though the job that woke it may be gone: the next one follows soon. (A single step
        // of 9 us is over before a sleeper comes, and with none but sleepers it would never be shared.)
        if (!ready()) wake_.wait(lock);
        sleepers_.fetch_sub(1, std::memory_order_seq_cst);
      }
      work();
    }
  }

  void hire(int wanted) {
    for (; workers_ < wanted; ++workers_) try {
        std::thread([this] { live(); }).detach();
      } catch (const std::system_error&) {
        return;  // fewer hands: the parts that nobody takes are done by the caller
      }
  }

  const bool may_borrow_;
  OpenMp openmp_;
  unsigned asked_ = 0;
  int needed_ = 1;
  pthread_t caller_{};
  int rest_ = 0, patience_ = 8;  // calls yet to be done without meetings; how many next time
  std::mutex busy_;  // held by the caller whose job runs
  int workers_ = 0;
  std::uint32_t job_ = 0;
  void (*fn_)(void*, int) = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<std::uint64_t> tickets_{0};
  alignas(64) std::atomic<int> left_{0};
  std::mutex sleep_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};
};

// Never destroyed: workers may be looking at it while the process exits. A forked child has no workers and may
// have inherited a held lock, so it takes a new one.
std::atomic<Team*> current{nullptr};
std::atomic<int> chosen{0};
thread_local int limit = 0;

void after_fork_in_child() {
  if (current.load()) current.store(new Team(true));
}

Team& team() {
  static const bool registered = [] {
    current.store(new Team(false));
    pthread_atfork(nullptr, nullptr, after_fork_in_child);
    return true;
  }();
  (void)registered;
  return *current.load(std::memory_order_acquire);
}

int available() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n ? static_cast<int>(n) : 1;
}

int from_environment() {
  const char* text = getenv("GRUS_NUM_THREADS");
  if (!text || !*text) return available();
  char* end = nullptr;
  const long n = strtol(text, &end, 10);
  if (*end || n < 1 || n > 1024)
    throw UsageError("GRUS_NUM_THREADS: must be a whole number from 1 to 1024, got '" + std::string(text) + "'");
  return static_cast<int>(n);
}

}  // namespace

int num_threads() {
  int n = chosen.load(std::memory_order_relaxed);
  if (n == 0) chosen.store(n = from_environment(), std::memory_order_relaxed);
  return limit > 0 ? std::min(n, limit) : n;
}

void set_num_threads(int n) { chosen.store(n, std::memory_order_relaxed); }

void limit_threads(int n) { limit = n; }

void meet_at(void* barrier) {
  Barrier& b = *static_cast<Barrier*>(barrier);
  const unsigned phase = b.phase.load(std::memory_order_relaxed);
  if (b.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == b.parts) {
    b.arrived.store(0, std::memory_order_relaxed);
    b.phase.store(phase + 1, std::memory_order_release);
    return;
  }
  const auto moved = [&] { return b.phase.load(std::memory_order_acquire) != phase; };
  for (int i = 0; i < 4000; ++i) {
    if (moved()) return;
    relax();
  }
  b.late.fetch_add(1, std::memory_order_relaxed);
  while (!moved()) std::this_thread::yield();
}

bool run_together(int parts, void (*fn)(void*, int, Barrier*), void* context) {
  struct Job {
    void (*fn)(void*, int, Barrier*);
    void* context;
    Barrier barrier;
  } job{fn, context, Barrier(parts)};
  Team& crew = team();
  const bool done = crew.run_together(
      parts,
      [](void* p, int part) {
        Job& j = *static_cast<Job*>(p);
        j.fn(j.context, part, &j.barrier);
      },
      &job);
  if (done) crew.judge(job.barrier.late.load(), job.barrier.phase.load());
  return done;
}

void run_parts(int parts, void (*fn)(void*, int), void* context) { team().run(parts, fn, context); }

}  // namespace grus
