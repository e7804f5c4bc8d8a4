// What a search needs of a decoder beside its layers, split over threads. No Python and no instruction set in here.
#pragma once
#include "gru.h"

namespace grus {

// a: everything; lengths already checked to lie in 0..steps.
template <class T>
void attend(const Isa& isa, const AttendArgs<T>& a, idx rows);
template <class T>
void best(const Isa& isa, const BestArgs<T>& a, idx rows);
// Of a layer's outputs for rows x, which are not kept: some at a time, so that they never leave the cache. a: everything but
// size and values.
template <class T, class S>
void best_outputs(const DenseLayer<T, S>& layer, const T* x, idx rows, idx x_row, BestArgs<T> a);

}  // namespace grus
