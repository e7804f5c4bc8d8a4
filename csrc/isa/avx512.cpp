// AVX-512 (F, DQ, BW, VL): 16 float or 8 double lanes, 32 registers.
#if !defined(__AVX512F__) || !defined(__AVX512DQ__) || !defined(__AVX512BW__) || !defined(__AVX512VL__)
#error "isa/avx512.cpp needs -mavx512f -mavx512dq -mavx512bw -mavx512vl"
#endif
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "core/kernels.h"

#if !defined(GRUS_ISA)
#define GRUS_ISA avx512
#endif
#define GRUS_TILE_ROWS 8

namespace grus {
namespace GRUS_ISA {

struct Lanes32 {
  using T = float;
  using V = __m512;
  using M = __mmask16;
  static constexpr int W = 16;
  static inline M mask(int lanes) { return (M)((1u << lanes) - 1u); }
  static inline V load(const T* p) { return _mm512_loadu_ps(p); }
  static inline V load(const Bf16* p) {
    const __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(b, 16));
  }
  using Pairs = __m512i;  // of 16 bits
  using Sums = __m512i;   // of 32 bits
  static inline Sums no_sums() { return _mm512_setzero_si512(); }
  static inline Pairs pairs(const Int8* p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)p)); }
  static inline Pairs pair(const int16_t* p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32(both);
  }
  static inline Sums dot(Pairs w, Pairs a, Sums sum) {
#if defined(__AVX512VNNI__)
    return _mm512_dpwssd_epi32(sum, w, a);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(w, a));
#endif
  }
  static inline V number(Sums a) { return _mm512_cvtepi32_ps(a); }
  static inline void store(T* p, V v) { _mm512_storeu_ps(p, v); }
  static inline V load(M m, const T* p) { return _mm512_maskz_loadu_ps(m, p); }
  static inline void store(M m, T* p, V v) { _mm512_mask_storeu_ps(p, m, v); }
  static inline V set(T a) { return _mm512_set1_ps(a); }
  static inline V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
  static inline V add(V a, V b) { return _mm512_add_ps(a, b); }
  static inline V sub(V a, V b) { return _mm512_sub_ps(a, b); }
  static inline V mul(V a, V b) { return _mm512_mul_ps(a, b); }
  static inline V div(V a, V b) { return _mm512_div_ps(a, b); }
  static inline T sum(V a) { return _mm512_reduce_add_ps(a); }
  static inline V max(V a, V b) { return _mm512_max_ps(a, b); }  // of a NaN and another number either
  static inline bool any_above(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }
  static inline V flags(const uint8_t* p) {  // 1 where the byte is not 0
    const __m128i b = _mm_loadu_si128((const __m128i*)p);
    return _mm512_maskz_mov_ps(_mm_test_epi8_mask(b, b), set(1));
  }
  static inline void interleave(V a, V b, V& lo, V& hi) {  // lo, hi <- a0 b0 a1 b1 ...
    lo = _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
    hi = _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
  }
  static inline T root(T a) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a))); }
  static inline V abs(V a) { return _mm512_abs_ps(a); }
  static inline V cap(V a, V hi) { return _mm512_min_ps(hi, a); }  // NaN in a stays
  static inline V with_sign(V a, V s) { return _mm512_or_ps(a, _mm512_and_ps(s, set(-0.0f))); }
  static inline V if_negative(V x, V yes, V no) {
    return _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), no, yes);
  }
  static inline V exponent(V k) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(k), 23));
  }
};

struct Lanes64 {
  using T = double;
  using V = __m512d;
  using M = __mmask8;
  static constexpr int W = 8;
  static inline M mask(int lanes) { return (M)((1u << lanes) - 1u); }
  static inline V load(const T* p) { return _mm512_loadu_pd(p); }
  static inline void store(T* p, V v) { _mm512_storeu_pd(p, v); }
  static inline V load(M m, const T* p) { return _mm512_maskz_loadu_pd(m, p); }
  static inline void store(M m, T* p, V v) { _mm512_mask_storeu_pd(p, m, v); }
  static inline V set(T a) { return _mm512_set1_pd(a); }
  static inline V fma(V a, V b, V c) { return _mm512_fmadd_pd(a, b, c); }
  static inline V add(V a, V b) { return _mm512_add_pd(a, b); }
  static inline V sub(V a, V b) { return _mm512_sub_pd(a, b); }
  static inline V mul(V a, V b) { return _mm512_mul_pd(a, b); }
  static inline V div(V a, V b) { return _mm512_div_pd(a, b); }
  static inline T sum(V a) { return _mm512_reduce_add_pd(a); }
  static inline V max(V a, V b) { return _mm512_max_pd(a, b); }
  static inline bool any_above(V a, V b) { return _mm512_cmp_pd_mask(a, b, _CMP_GT_OQ) != 0; }
  static inline V flags(const uint8_t* p) {
    const __m128i b = _mm_loadl_epi64((const __m128i*)p);
    return _mm512_maskz_mov_pd((__mmask8)_mm_test_epi8_mask(b, b), set(1));
  }
  static inline void interleave(V a, V b, V& lo, V& hi) {
    lo = _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
    hi = _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
  }
  static inline T root(T a) { return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_setzero_pd(), _mm_set_sd(a))); }
  static inline V abs(V a) { return _mm512_abs_pd(a); }
  static inline V cap(V a, V hi) { return _mm512_min_pd(hi, a); }
  static inline V with_sign(V a, V s) { return _mm512_or_pd(a, _mm512_and_pd(s, set(-0.0))); }
  static inline V if_negative(V x, V yes, V no) {
    return _mm512_mask_blend_pd(_mm512_movepi64_mask(_mm512_castpd_si512(x)), no, yes);
  }
  static inline V exponent(V k) {
    return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(k), 52));
  }
};

#include "core/activations.h"
using F32 = WithMath<Lanes32>;
using F64 = WithMath<Lanes64>;

}  // namespace GRUS_ISA
}  // namespace grus

#include "core/body.h"
