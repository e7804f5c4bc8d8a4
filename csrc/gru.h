// Packed layers and how their work is split over threads. No Python and no instruction set in here.
#pragma once
#include <memory>

#include "dispatch.h"

namespace grus {

struct Freed {
  void operator()(void* p) const;
};
template <class T>
using Aligned = std::unique_ptr<T[], Freed>;
template <class T>
Aligned<T> allocate(idx n);  // aligned to 64 bytes; throws std::bad_alloc

// One layer, one direction; read-only after construction, so threads may share it.
template <class T>
struct Gru {
  const Kernels<T>* kernels;
  idx input, hidden;
  bool reset_after;
  Aligned<T> wx, wh, bias;

  // w_ih [3H, I], w_hh [3H, H], b_ih and b_hh [3H] or null; contiguous.
  Gru(const Isa& isa, idx input, idx hidden, bool reset_after, const T* w_ih, const T* w_hh, const T* b_ih,
      const T* b_hh);
  // a: everything but the layer's own fields; lengths already checked to lie in 0..time.
  void run(SequenceArgs<T> a) const;
};

template <class T>
struct DenseLayer {
  const Kernels<T>* kernels;
  idx input, output;
  Aligned<T> w, bias;

  DenseLayer(const Isa& isa, idx input, idx output, const T* w, const T* b);  // w [output, input]
  void run(const T* x, idx rows, idx x_row, T* y, idx y_row) const;
};

// Throws UsageError unless every lengths[i] is in 0..time.
void check_lengths(const int64_t* lengths, idx batch, idx time);

}  // namespace grus
