#include "mingru.h"

#include <algorithm>
#include <vector>

#include "share.h"
#include "team.h"

namespace grus {

namespace {

// What a gate takes beyond its products, in multiply-adds of one unit and step (half a sigmoid and half of the state).
constexpr idx kGateWork = 16;

// Parts own some rows and, where rows do not come out even, some of the hidden units: neither waits for the other. Rows
// are preferred, since parts that share rows all read x and each has a gradient of x to be added up.
struct Grid {
  int rows = 1, units = 1;
  Grid(idx batch, idx blocks, idx work) {
    const idx most = std::min<idx>(num_threads(), std::max<idx>(1, work / kPartWork));
    idx best = batch * blocks;
    for (idx units_at = 1; units_at <= std::min(most, blocks); ++units_at) {
      const idx rows_at = std::max<idx>(1, std::min(most / units_at, batch));
      const idx longest = (batch + rows_at - 1) / rows_at * ((blocks + units_at - 1) / units_at);
      if (longest >= best) continue;
      best = longest;
      rows = static_cast<int>(rows_at), units = static_cast<int>(units_at);
    }
  }
  int parts() const { return rows * units; }
  Together unit_part(int part) const { return {part % units, units, nullptr, nullptr}; }
};

// Calls f(part, rows, count, which units, scratch) for every part.
template <class F>
void each_part(const Grid& grid, idx batch, const int64_t* lengths, idx bytes, F f) {
  std::vector<idx> starts;
  const std::vector<idx> rows = deal(batch, lengths, grid.rows, starts);
  const idx step = (bytes + 63) / 64 * 64;
  const Aligned<char> room = allocate<char>(grid.parts() * step);
  parallel(grid.parts(), [&](int p) {
    const int group = p / grid.units;
    f(p, rows.data() + starts[group], starts[group + 1] - starts[group], grid.unit_part(p), room.get() + p * step);
  });
}

template <class T>
idx block_count(const Kernels<T>& k, idx hidden) {
  return (hidden + k.lanes - 1) / k.lanes;
}

}  // namespace

template <class T, class S>
MinGru<T, S>::MinGru(const Isa& isa, idx i, idx h, const T* w, const T* b)
    : kernels(&kernels_of<T>(isa)),
      stored(&stored_kernels_of<T, S>(isa)),
      input(i),
      hidden(h),
      wx(allocate<S>(stored->min_wx_size(i, h))),
      bias(allocate<T>(kernels->min_bias_size(h))) {
  stored->pack_min(i, h, w, b, wx.get(), bias.get());
}

template <class T, class S>
void MinGru<T, S>::run(SequenceArgs<T> a) const {
  a.input = input;
  a.hidden = hidden;
  a.bias = bias.get();
  if (a.batch == 0) return;
  const Grid grid(a.batch, block_count(*kernels, hidden), a.batch * a.time * 2 * hidden * (input + kGateWork));
  each_part(grid, a.batch, a.lengths, stored->min_scratch(input, hidden),
            [&](int, const idx* rows, idx count, const Together& units, char* room) {
              stored->min_sequence(a, wx.get(), rows, count, room, units);
            });
}

template <class T>
void min_backward(const Isa& isa, BackwardArgs<T> b, const T* w, const T* bias, const MinWeightGrads<T>& grads) {
  const Kernels<T>& k = kernels_of<T>(isa);
  const SequenceArgs<T>& f = b.f;
  const idx I = f.input, H = f.hidden, weights = 2 * H * I;
  const MinGru<T> layer(isa, I, H, w, bias);
  b.f.bias = layer.bias.get();
  const Grid grid(f.batch, block_count(k, H), f.batch * f.time * 2 * H * (3 * I + kGateWork));
  const Aligned<T> wxT = allocate<T>(k.min_wxT_size(I, H));
  for (int u = 0; u < grid.units; ++u) k.pack_min_backward(I, H, w, wxT.get(), grid.unit_part(u));
  b.wxT = wxT.get();
  // Parts with other rows have weight gradients of their own, and those with other units gradients of x.
  const idx own = weights + 2 * H, own_x = b.dx ? f.batch * f.time * I : 0;
  const Aligned<T> sums = allocate<T>(grid.rows * own), more_x = allocate<T>((grid.units - 1) * own_x);
  each_part(grid, f.batch, f.lengths, k.min_backward_scratch(I, H, f.batch),
            [&](int p, const idx* rows, idx count, const Together& units, char* room) {
              BackwardArgs<T> mine = b;
              if (units.part > 0 && b.dx) {
                mine.dx = more_x.get() + (units.part - 1) * own_x;
                mine.dx_row = f.time * I, mine.dx_time = I;
                mine.add_dx = false;
              }
              T* const at = sums.get() + p / grid.units * own;
              k.min_backward(mine, layer.wx.get(), rows, count, room, {at, at + weights}, units);
            });
  const int parts = parts_for(grid.parts(), own_x);
  parallel(parts, [&](int p) {
    for (idx i = f.batch * f.time * p / parts; grid.units > 1 && b.dx && i < f.batch * f.time * (p + 1) / parts; ++i) {
      T* const dx = b.dx + i / f.time * b.dx_row + i % f.time * b.dx_time;
      for (int u = 1; u < grid.units; ++u) {
        const T* const from = more_x.get() + (u - 1) * own_x + i * I;
        for (idx c = 0; c < I; ++c) dx[c] += from[c];
      }
    }
  });
  const auto add_up = [&](T* to, idx first, idx n) {
    for (idx j = 0; to && j < n; ++j) {
      T sum = sums.get()[first + j];
      for (int g = 1; g < grid.rows; ++g) sum += sums.get()[g * own + first + j];
      to[j] = sum;
    }
  };
  add_up(grads.w_ih, 0, weights);
  add_up(grads.b_ih, weights, 2 * H);
}

template void min_backward(const Isa&, BackwardArgs<float>, const float*, const float*, const MinWeightGrads<float>&);
template void min_backward(const Isa&, BackwardArgs<double>, const double*, const double*, const MinWeightGrads<double>&);
template struct MinGru<float>;
template struct MinGru<double>;
template struct MinGru<float, Bf16>;
template struct MinGru<float, Int8>;

}  // namespace grus
