// NEON on 64-bit ARM: 4 float or 2 double lanes, 32 registers.
#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "isa/neon.cpp needs a 64-bit ARM compiler with NEON"
#endif
#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "core/kernels.h"

#define GRUS_ISA neon
#define GRUS_TILE_ROWS 8

namespace grus {
namespace neon {

struct Lanes32 {
  using T = float;
  using V = float32x4_t;
  using M = int;  // number of live lanes
  static constexpr int W = 4;
  static inline M mask(int lanes) { return lanes; }
  static inline V load(const T* p) { return vld1q_f32(p); }
  static inline V load(const Bf16* p) {
    return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(&p->bits)), 16));
  }
  using Pairs = int16x8_t;
  using Sums = int32x4_t;
  static inline Sums no_sums() { return vdupq_n_s32(0); }
  static inline Pairs pairs(const Int8* p) { return vmovl_s8(vld1_s8(&p->value)); }
  static inline Pairs pair(const int16_t* p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return vreinterpretq_s16_s32(vdupq_n_s32(both));
  }
  static inline Sums dot(Pairs w, Pairs a, Sums sum) {
    const int32x4_t low = vmull_s16(vget_low_s16(w), vget_low_s16(a)), high = vmull_high_s16(w, a);
    return vaddq_s32(sum, vpaddq_s32(low, high));
  }
  static inline V number(Sums a) { return vcvtq_f32_s32(a); }
  static inline void store(T* p, V v) { vst1q_f32(p, v); }
  static inline V load(M m, const T* p) {
    T t[W] = {0, 0, 0, 0};
    for (int i = 0; i < m; ++i) t[i] = p[i];
    return vld1q_f32(t);
  }
  static inline void store(M m, T* p, V v) {
    T t[W];
    vst1q_f32(t, v);
    for (int i = 0; i < m; ++i) p[i] = t[i];
  }
  static inline V set(T a) { return vdupq_n_f32(a); }
  static inline V fma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
  static inline V add(V a, V b) { return vaddq_f32(a, b); }
  static inline V sub(V a, V b) { return vsubq_f32(a, b); }
  static inline V mul(V a, V b) { return vmulq_f32(a, b); }
  static inline V div(V a, V b) { return vdivq_f32(a, b); }
  static inline T sum(V a) { return vaddvq_f32(a); }
  static inline V max(V a, V b) { return vmaxq_f32(a, b); }  // of a NaN and another number either
  static inline bool any_above(V a, V b) { return vmaxvq_u32(vcgtq_f32(a, b)) != 0; }
  static inline V flags(const uint8_t* p) {  // 1 where the byte is not 0
    const T t[W] = {T(p[0] != 0), T(p[1] != 0), T(p[2] != 0), T(p[3] != 0)};
    return vld1q_f32(t);
  }
  static inline void interleave(V a, V b, V& lo, V& hi) {  // lo, hi <- a0 b0 a1 b1 ...
    lo = vzip1q_f32(a, b);
    hi = vzip2q_f32(a, b);
  }
  static inline T root(T a) { return vgetq_lane_f32(vsqrtq_f32(vdupq_n_f32(a)), 0); }
  static inline V abs(V a) { return vabsq_f32(a); }
  static inline V cap(V a, V hi) { return vminq_f32(a, hi); }  // NaN in a stays
  static inline V with_sign(V a, V s) { return vbslq_f32(vdupq_n_u32(0x80000000u), s, a); }
  static inline V if_negative(V x, V yes, V no) {
    return vbslq_f32(vcltzq_s32(vreinterpretq_s32_f32(x)), yes, no);
  }
  static inline V exponent(V k) { return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(k), 23)); }
};

struct Lanes64 {
  using T = double;
  using V = float64x2_t;
  using M = int;
  static constexpr int W = 2;
  static inline M mask(int lanes) { return lanes; }
  static inline V load(const T* p) { return vld1q_f64(p); }
  static inline void store(T* p, V v) { vst1q_f64(p, v); }
  static inline V load(M m, const T* p) {
    T t[W] = {0, 0};
    for (int i = 0; i < m; ++i) t[i] = p[i];
    return vld1q_f64(t);
  }
  static inline void store(M m, T* p, V v) {
    T t[W];
    vst1q_f64(t, v);
    for (int i = 0; i < m; ++i) p[i] = t[i];
  }
  static inline V set(T a) { return vdupq_n_f64(a); }
  static inline V fma(V a, V b, V c) { return vfmaq_f64(c, a, b); }
  static inline V add(V a, V b) { return vaddq_f64(a, b); }
  static inline V sub(V a, V b) { return vsubq_f64(a, b); }
  static inline V mul(V a, V b) { return vmulq_f64(a, b); }
  static inline V div(V a, V b) { return vdivq_f64(a, b); }
  static inline T sum(V a) { return vaddvq_f64(a); }
  static inline V max(V a, V b) { return vmaxq_f64(a, b); }
  static inline bool any_above(V a, V b) { return vmaxvq_u32(vreinterpretq_u32_u64(vcgtq_f64(a, b))) != 0; }
  static inline V flags(const uint8_t* p) {
    const T t[W] = {T(p[0] != 0), T(p[1] != 0)};
    return vld1q_f64(t);
  }
  static inline void interleave(V a, V b, V& lo, V& hi) {
    lo = vzip1q_f64(a, b);
    hi = vzip2q_f64(a, b);
  }
  static inline T root(T a) { return vgetq_lane_f64(vsqrtq_f64(vdupq_n_f64(a)), 0); }
  static inline V abs(V a) { return vabsq_f64(a); }
  static inline V cap(V a, V hi) { return vminq_f64(a, hi); }
  static inline V with_sign(V a, V s) { return vbslq_f64(vdupq_n_u64(0x8000000000000000u), s, a); }
  static inline V if_negative(V x, V yes, V no) {
    return vbslq_f64(vcltzq_s64(vreinterpretq_s64_f64(x)), yes, no);
  }
  static inline V exponent(V k) { return vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(k), 52)); }
};

#include "core/activations.h"
using F32 = WithMath<Lanes32>;
using F64 = WithMath<Lanes64>;

}  // namespace neon
}  // namespace grus

#include "core/body.h"
