#include "search.h"

#include <algorithm>

#include "share.h"
#include "team.h"

namespace grus {

namespace {

// Bytes of outputs that are made before they are looked through: half of a second cache.
constexpr idx kOutputBytes = idx{1} << 19;

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
void best_outputs(const Isa& isa, const DenseLayer<T, S>& layer, const T* x, idx rows, idx x_row, BestArgs<T> a) {
  const Kernels<T>& k = kernels_of<T>(isa);
  a.size = layer.output;
  const idx some = std::max<idx>(8, std::min<idx>(64, kOutputBytes / (a.size * static_cast<idx>(sizeof(T))) / 8 * 8));
  const int parts = parts_for(rows, layer.input * layer.output + layer.output * kExpWork);
  const idx room = layer.stored->linear_room(layer.input), values = some * a.size;
  const Aligned<char> rooms = room ? allocate<char>(parts * room) : nullptr;
  const Aligned<T> outputs = allocate<T>(parts * values);
  parallel(parts, [&](int p) {
    T* const made = outputs.get() + p * values;
    const idx end = rows * (p + 1) / parts;
    for (idx row = rows * p / parts; row < end; row += some) {
      const idx count = std::min(some, end - row);
      layer.stored->linear({count, layer.input, layer.output, layer.w.get(), layer.bias.get(), x + row * x_row, x_row, made,
                            a.size}, 0, count, rooms.get() + p * room);
      BestArgs<T> b = a;
      b.values = made, b.values_row = a.size;
      b.codes += row * a.count, b.best += row * a.count, b.of_picked += row, b.total += row;
      k.best(b, 0, count);
    }
  });
}

template void attend(const Isa&, const AttendArgs<float>&, idx);
template void attend(const Isa&, const AttendArgs<double>&, idx);
template void best(const Isa&, const BestArgs<float>&, idx);
template void best(const Isa&, const BestArgs<double>&, idx);
#define GRUS_BEST_OUTPUTS(T, S) \
  template void best_outputs(const Isa&, const DenseLayer<T, S>&, const T*, idx, idx, BestArgs<T>)
GRUS_BEST_OUTPUTS(float, float);
GRUS_BEST_OUTPUTS(double, double);
GRUS_BEST_OUTPUTS(float, Bf16);
GRUS_BEST_OUTPUTS(float, Int8);
#undef GRUS_BEST_OUTPUTS

}  // namespace grus
