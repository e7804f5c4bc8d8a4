// Packed MinGRU layers and how their work is split over threads. No Python and no instruction set in here.
#pragma once
#include "gru.h"

namespace grus {

// One layer, one direction; read-only after construction, so threads may share it. S: what the weights are stored as.
template <class T, class S = T>
struct MinGru {
  using Number = T;
  const Kernels<T>* kernels;
  const StoredKernels<T, S>* stored;
  idx input, hidden;
  Aligned<S> wx;
  Aligned<T> bias;

  // w [2H, I] in the order z, n, b [2H] or null; contiguous.
  MinGru(const Isa& isa, idx input, idx hidden, const T* w, const T* b);
  // a: batch to lengths, reverse and resets; lengths already checked to lie in 0..time.
  void run(SequenceArgs<T> a) const;
};

// Back through MinGru<T>(isa, w, b).run(b.f), whose y is filled; weights are packed once a call. grads: where to write (null
// where not wanted); overwritten. Same bits for the same number of threads.
template <class T>
void min_backward(const Isa& isa, BackwardArgs<T> b, const T* w, const T* bias, const MinWeightGrads<T>& grads);

}  // namespace grus
