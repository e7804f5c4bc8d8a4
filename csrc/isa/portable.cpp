// Any machine: four lanes in the compiler's own vector type, activations and blend from core/cell.h.
#include <stdint.h>
#include <string.h>

#include "core/cell.h"
#include "core/kernels.h"

#define GRUS_ISA portable
#define GRUS_TILE_ROWS 4

namespace grus {
namespace portable {

template <class Number, int Lanes>
struct Lane {
  using T = Number;
  static constexpr int W = Lanes;
  typedef T V __attribute__((vector_size(sizeof(T) * Lanes)));
  using M = int;  // number of live lanes
  static inline M mask(int lanes) { return lanes; }
  static inline V load(const T* p) {
    V v;
    memcpy(&v, p, sizeof v);
    return v;
  }
  static inline void store(T* p, V v) { memcpy(p, &v, sizeof v); }
  static inline V load(M m, const T* p) {
    V v = set(0);
    for (int i = 0; i < m; ++i) v[i] = p[i];
    return v;
  }
  static inline void store(M m, T* p, V v) {
    for (int i = 0; i < m; ++i) p[i] = v[i];
  }
  static inline V set(T a) { return V{} + a; }
  static inline V fma(V a, V b, V c) { return a * b + c; }  // two roundings: no hardware to fuse them
  static inline V add(V a, V b) { return a + b; }
  static inline V sub(V a, V b) { return a - b; }
  static inline V mul(V a, V b) { return a * b; }
  static inline V div(V a, V b) { return a / b; }
  static inline T sum(V a) {
    T total = 0;
    for (int i = 0; i < W; ++i) total += a[i];
    return total;
  }
  static inline V max(V a, V b) {  // of a NaN and another number either
    for (int i = 0; i < W; ++i) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
  }
  static inline bool any_above(V a, V b) {
    bool any = false;
    for (int i = 0; i < W; ++i) any |= a[i] > b[i];
    return any;
  }
  static inline V if_negative(V x, V yes, V no) {
    for (int i = 0; i < W; ++i) no[i] = x[i] < 0 ? yes[i] : no[i];
    return no;
  }
  static inline V flags(const uint8_t* p) {  // 1 where the byte is not 0
    V v = set(0);
    for (int i = 0; i < W; ++i) v[i] = p[i] != 0;
    return v;
  }
  static inline void interleave(V a, V b, V& lo, V& hi) {  // lo, hi <- a0 b0 a1 b1 ...
    for (int i = 0; i < W; ++i) {
      lo[i] = i % 2 ? b[i / 2] : a[i / 2];
      hi[i] = i % 2 ? b[(W + i) / 2] : a[(W + i) / 2];
    }
  }
  template <class F>
  static inline V each(V a, F f) {
    for (int i = 0; i < W; ++i) a[i] = f(a[i]);
    return a;
  }
};

struct F32 : Lane<float, 4> {
  using Lane::load;
  static inline V load(const Bf16* p) {
    typedef uint16_t Half __attribute__((vector_size(2 * W)));
    typedef uint32_t Whole __attribute__((vector_size(4 * W)));
    Half half;
    memcpy(&half, p, sizeof half);
    const Whole whole = __builtin_convertvector(half, Whole) << 16;
    V v;
    memcpy(&v, &whole, sizeof v);
    return v;
  }
  typedef int16_t Pairs __attribute__((vector_size(4 * W)));
  typedef int32_t Sums __attribute__((vector_size(4 * W)));
  static inline Sums no_sums() { return Sums{}; }
  static inline Pairs pairs(const Int8* p) {
    typedef int8_t Bytes __attribute__((vector_size(2 * W)));
    Bytes bytes;
    memcpy(&bytes, p, sizeof bytes);
    return __builtin_convertvector(bytes, Pairs);
  }
  static inline Pairs pair(const int16_t* p) {
    Pairs v;
    for (int i = 0; i < 2 * W; ++i) v[i] = p[i % 2];
    return v;
  }
  static inline Sums dot(Pairs w, Pairs a, Sums sum) {
    for (int i = 0; i < W; ++i)
      sum[i] += (int32_t)w[2 * i] * a[2 * i] + (int32_t)w[2 * i + 1] * a[2 * i + 1];
    return sum;
  }
  static inline V number(Sums a) { return __builtin_convertvector(a, V); }
  static inline V sigmoid(V a) { return each(a, grus_sigmoid_f32); }
  static inline V tanh(V a) { return each(a, grus_tanh_f32); }
  static inline V decay(V a) { return each(a, grus_decay_f32); }
  static inline V fade(V a) { return decay(a); }
  static inline T root(T a) { return sqrtf(a); }
};
struct F64 : Lane<double, 2> {
  static inline V sigmoid(V a) { return each(a, grus_sigmoid_f64); }
  static inline V tanh(V a) { return each(a, grus_tanh_f64); }
  static inline V decay(V a) { return each(a, grus_decay_f64); }
  static inline V fade(V a) { return decay(a); }
  static inline T root(T a) { return sqrt(a); }
};

}  // namespace portable
}  // namespace grus

#include "core/body.h"
