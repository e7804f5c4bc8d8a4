#include "search.h"

#include <algorithm>

#include "share.h"
#include "team.h"

namespace grus {

namespace {

// Multiply-adds that take as long, about.
constexpr idx kTanhWork = 12, kExpWork = 10;

}  // namespace

template <class T>
void attend(const Isa& isa, const AttendArgs<T>& a, idx rows) {
  const Kernels<T>& k = kernels_of<T>(isa);
  const int parts = parts_for(rows, a.steps * (a.key * (a.vector ? kTanhWork : 1) + a.size));
  parallel(parts, [&](int p) { k.attend(a, rows * p / parts, rows * (p + 1) / parts); });
}

template <class T>
void best(const Isa& isa, const BestArgs<T>& a, idx rows) {
  const Kernels<T>& k = kernels_of<T>(isa);
  const int parts = parts_for(rows, a.size * kExpWork);
  parallel(parts, [&](int p) { k.best(a, rows * p / parts, rows * (p + 1) / parts); });
}

template <class T, class S>
void best_outputs(const DenseLayer<T, S>& layer, const T* x, idx rows, idx x_row, BestArgs<T> a) {
  a.size = layer.output;
  const int parts = parts_for(rows, layer.input * layer.output + layer.output * kExpWork);
  const idx room = layer.stored->best_room(layer.input);
  const Aligned<char> rooms = allocate<char>(parts * room);
  const LinearArgs<T, S> of{rows, layer.input, layer.output, layer.w.get(), layer.bias.get(), x, x_row, nullptr, 0};
  parallel(parts, [&](int p) {
    layer.stored->best_outputs(of, a, rows * p / parts, rows * (p + 1) / parts, rooms.get() + p * room);
  });
}

template void attend(const Isa&, const AttendArgs<float>&, idx);
template void attend(const Isa&, const AttendArgs<double>&, idx);
template void best(const Isa&, const BestArgs<float>&, idx);
template void best(const Isa&, const BestArgs<double>&, idx);
#define GRUS_BEST_OUTPUTS(T, S) \
  template void best_outputs(const DenseLayer<T, S>&, const T*, idx, idx, BestArgs<T>)
GRUS_BEST_OUTPUTS(float, float);
GRUS_BEST_OUTPUTS(double, double);
GRUS_BEST_OUTPUTS(float, Bf16);
GRUS_BEST_OUTPUTS(float, Int8);
#undef GRUS_BEST_OUTPUTS

}  // namespace grus
