// Packed layers and how their work is split over threads. No Python and no instruction set in here.
#pragma once
#include <memory>

#include "dispatch.h"

namespace grus {

struct Pace;  // whether a single step is worth sharing between threads; see gru.cpp
struct Freed {
  void operator()(void* p) const;
  void operator()(Pace* p) const;
};
template <class T>
using Aligned = std::unique_ptr<T[], Freed>;
template <class T>
Aligned<T> allocate(idx n);  // aligned to 64 bytes; throws std::bad_alloc

// A layer's weights as the caller holds them: w_ih [3H, I], w_hh [3H, H], the others [3H] or null; contiguous.
template <class T>
struct RawWeights {
  const T *w_ih, *w_hh, *b_ih, *b_hh, *gain_ih, *gain_hh;
};

// One layer, one direction; read-only after construction, so threads may share it. S: what the weights are stored as.
template <class T, class S = T>
struct Gru {
  using Number = T;
  const Kernels<T>* kernels;
  const StoredKernels<T, S>* stored;
  idx input, hidden;
  bool reset_after;
  Aligned<S> wx, wh;
  Aligned<T> bias, gain_x, gain_h;
  std::unique_ptr<Pace, Freed> pace;

  Gru(const Isa& isa, idx input, idx hidden, bool reset_after, const RawWeights<T>& weights);
  // a: everything but the layer's own fields; lengths already checked to lie in 0..time; with S other than T, not saved.
  void run(SequenceArgs<T> a) const;
  // One step of each row: x [batch, input] and h [batch, hidden] into h, and into y [batch, hidden] if it is not null.
  // `turn` should alternate between steps: one then begins with the weights that the one before read last. keep: zoneout.
  void step(const T* x, idx x_row, T* h, idx h_row, T* y, idx y_row, idx batch, T keep, bool turn) const;
};

// Training: weights are packed once a call. a and b.f: everything but bias and packed gains; lengths checked.
template <class T>
void train_forward(const Isa& isa, SequenceArgs<T> a, const RawWeights<T>& weights);
// grads: where to write (null where not wanted); overwritten. Same bits for the same number of threads.
template <class T>
void train_backward(const Isa& isa, BackwardArgs<T> b, const RawWeights<T>& weights, const WeightGrads<T>& grads);
template <class T>
idx saved_size(const Isa& isa, idx hidden, bool reset_after, bool norm);

template <class T, class S = T>
struct DenseLayer {
  const StoredKernels<T, S>* stored;
  idx input, output;
  Aligned<S> w;
  Aligned<T> bias;

  DenseLayer(const Isa& isa, idx input, idx output, const T* w, const T* b);  // w [output, input]
  void run(const T* x, idx rows, idx x_row, T* y, idx y_row) const;
};

// Throws UsageError unless every lengths[i] is in 0..time.
void check_lengths(const int64_t* lengths, idx batch, idx time);

}  // namespace grus
