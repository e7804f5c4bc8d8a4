// AVX2 with FMA: 8 float or 4 double lanes, 16 registers.
#if !defined(__AVX2__) || !defined(__FMA__)
#error "isa/avx2.cpp needs -mavx2 -mfma"
#endif
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "core/kernels.h"

#define GRUS_ISA avx2
#define GRUS_TILE_ROWS 4

namespace grus {
namespace avx2 {

struct Lanes32 {
  using T = float;
  using V = __m256;
  using M = __m256i;
  static constexpr int W = 8;
  static inline M mask(int lanes) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static inline V load(const T* p) { return _mm256_loadu_ps(p); }
  static inline V load(const Bf16* p) {
    const __m256i b = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(b, 16));
  }
  using Pairs = __m256i;  // of 16 bits
  using Sums = __m256i;   // of 32 bits
  static inline Sums no_sums() { return _mm256_setzero_si256(); }
  static inline Pairs pairs(const Int8* p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)p)); }
  static inline Pairs pair(const int16_t* p) {
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm256_set1_epi32(both);
  }
  static inline Sums dot(Pairs w, Pairs a, Sums sum) { return _mm256_add_epi32(sum, _mm256_madd_epi16(w, a)); }
  static inline V number(Sums a) { return _mm256_cvtepi32_ps(a); }
  static inline void store(T* p, V v) { _mm256_storeu_ps(p, v); }
  static inline V load(M m, const T* p) { return _mm256_maskload_ps(p, m); }
  static inline void store(M m, T* p, V v) { _mm256_maskstore_ps(p, m, v); }
  static inline V set(T a) { return _mm256_set1_ps(a); }
  static inline V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
  static inline V add(V a, V b) { return _mm256_add_ps(a, b); }
  static inline V sub(V a, V b) { return _mm256_sub_ps(a, b); }
  static inline V mul(V a, V b) { return _mm256_mul_ps(a, b); }
  static inline V div(V a, V b) { return _mm256_div_ps(a, b); }
  static inline V max(V a, V b) { return _mm256_max_ps(a, b); }  // of a NaN and another number either
  static inline bool any_above(V a, V b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0; }
  static inline T sum(V a) {
    __m128 t = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    t = _mm_add_ps(t, _mm_movehl_ps(t, t));
    return _mm_cvtss_f32(_mm_add_ss(t, _mm_shuffle_ps(t, t, 1)));
  }
  static inline V flags(const uint8_t* p) {  // 1 where the byte is not 0
    const __m256i b = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
    return _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(b, _mm256_setzero_si256())), set(1));
  }
  static inline void interleave(V a, V b, V& lo, V& hi) {  // lo, hi <- a0 b0 a1 b1 ...
    const V even = _mm256_unpacklo_ps(a, b), odd = _mm256_unpackhi_ps(a, b);
    lo = _mm256_permute2f128_ps(even, odd, 0x20);
    hi = _mm256_permute2f128_ps(even, odd, 0x31);
  }
  static inline T root(T a) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a))); }
  static inline V abs(V a) { return _mm256_andnot_ps(set(-0.0f), a); }
  static inline V cap(V a, V hi) { return _mm256_min_ps(hi, a); }  // NaN in a stays
  static inline V with_sign(V a, V s) { return _mm256_or_ps(a, _mm256_and_ps(s, set(-0.0f))); }
  static inline V if_negative(V x, V yes, V no) { return _mm256_blendv_ps(no, yes, x); }
  static inline V exponent(V k) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(k), 23));
  }
};

struct Lanes64 {
  using T = double;
  using V = __m256d;
  using M = __m256i;
  static constexpr int W = 4;
  static inline M mask(int lanes) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(lanes), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  static inline V load(const T* p) { return _mm256_loadu_pd(p); }
  static inline void store(T* p, V v) { _mm256_storeu_pd(p, v); }
  static inline V load(M m, const T* p) { return _mm256_maskload_pd(p, m); }
  static inline void store(M m, T* p, V v) { _mm256_maskstore_pd(p, m, v); }
  static inline V set(T a) { return _mm256_set1_pd(a); }
  static inline V fma(V a, V b, V c) { return _mm256_fmadd_pd(a, b, c); }
  static inline V add(V a, V b) { return _mm256_add_pd(a, b); }
  static inline V sub(V a, V b) { return _mm256_sub_pd(a, b); }
  static inline V mul(V a, V b) { return _mm256_mul_pd(a, b); }
  static inline V div(V a, V b) { return _mm256_div_pd(a, b); }
  static inline V max(V a, V b) { return _mm256_max_pd(a, b); }
  static inline bool any_above(V a, V b) { return _mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_GT_OQ)) != 0; }
  static inline T sum(V a) {
    const __m128d t = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(t, _mm_unpackhi_pd(t, t)));
  }
  static inline V flags(const uint8_t* p) {
    int bytes;
    memcpy(&bytes, p, sizeof bytes);
    const __m256i b = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(bytes));
    return _mm256_and_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(b, _mm256_setzero_si256())), set(1));
  }
  static inline void interleave(V a, V b, V& lo, V& hi) {
    const V even = _mm256_unpacklo_pd(a, b), odd = _mm256_unpackhi_pd(a, b);
    lo = _mm256_permute2f128_pd(even, odd, 0x20);
    hi = _mm256_permute2f128_pd(even, odd, 0x31);
  }
  static inline T root(T a) { return _mm_cvtsd_f64(_mm_sqrt_sd(_mm_setzero_pd(), _mm_set_sd(a))); }
  static inline V abs(V a) { return _mm256_andnot_pd(set(-0.0), a); }
  static inline V cap(V a, V hi) { return _mm256_min_pd(hi, a); }
  static inline V with_sign(V a, V s) { return _mm256_or_pd(a, _mm256_and_pd(s, set(-0.0))); }
  static inline V if_negative(V x, V yes, V no) { return _mm256_blendv_pd(no, yes, x); }
  static inline V exponent(V k) {
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(k), 52));
  }
};

#include "core/activations.h"
using F32 = WithMath<Lanes32>;
using F64 = WithMath<Lanes64>;

}  // namespace avx2
}  // namespace grus

#include "core/body.h"
