// Arrays with forbidden pages around them, each ending where its memory ends: a read or write beyond it stops the
// program at once. AddressSanitizer does not look at the masked loads and stores of vectors, and cannot be used under
// emulation; this sees both. In a sanitizer's own build it would hide the arrays from the sanitizer: plain memory there.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <new>
#include <vector>

#ifdef GRUS_SANITIZED
template <class T>
using Array = std::vector<T>;
#else
template <class T>
struct Fenced {
  using value_type = T;
  Fenced() = default;
  template <class U>
  Fenced(const Fenced<U>&) {}

  static size_t page() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }
  static size_t room(size_t n) { return (n * sizeof(T) + page() - 1) / page() * page(); }

  T* allocate(size_t n) {
    void* const all = mmap(nullptr, room(n) + 2 * page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw std::bad_alloc();
    char* const first = static_cast<char*>(all) + page();
    if (mprotect(first, room(n), PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    return reinterpret_cast<T*>(first + room(n) - n * sizeof(T));
  }
  void deallocate(T* p, size_t n) {
    char* const first = reinterpret_cast<char*>(p) + n * sizeof(T) - room(n);
    munmap(first - page(), room(n) + 2 * page());
  }
  friend bool operator==(const Fenced&, const Fenced&) { return true; }
  friend bool operator!=(const Fenced&, const Fenced&) { return false; }
};

template <class T>
using Array = std::vector<T, Fenced<T>>;
#endif
