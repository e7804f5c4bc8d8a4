// The register tile that every product is made of; included inside an instruction set's namespace.
//
// Each output is one chain  acc = fma(a[k], w[k], acc)  in ascending k, whatever the tile's shape. So a row gives
// the same bits alone, in any batch, in any chunks and on any thread.

// How many GRUS_TILE_ROWS x 3 accumulators fit: 8 x 3 + 3 weights + 1 broadcast of 32 registers (AVX-512, NEON),
// 4 x 3 + 3 + 1 of 16 (AVX2, SSE).
static constexpr int kTileRows = GRUS_TILE_ROWS;

#if defined(__clang__)
#define GRUS_UNROLL _Pragma("unroll")
#else
#define GRUS_UNROLL _Pragma("GCC unroll 16")
#endif
#define GRUS_INLINE inline __attribute__((always_inline))

static GRUS_INLINE idx round_up(idx n, idx step) { return (n + step - 1) / step * step; }
static GRUS_INLINE idx blocks(idx n, idx width) { return (n + width - 1) / width; }
static GRUS_INLINE idx least(idx a, idx b) { return a < b ? a : b; }

// Products with Int8 weights are exact sums of whole numbers, so their order does not matter and every instruction set has
// the same bits. What comes in is one scale a row times numbers of 16 bits: a row's largest is 32767, so the error is at
// most 1/65534 of it. A row below 1e-30 counts as zero; one that is not finite gives NaN. Two numbers lie side by side, an
// odd one with a zero, and so do the weights of an output:
//   [depth / 2][NV][W][2] numbers, then their scales [NV][W]
// A sum of 512 products is below 2^31; what comes from each run of so many is scaled and added to acc, in order.
struct Whole {
  int16_t* values;
  float scale;
};
static constexpr idx kWholePairs = 256;

// Makes whole numbers of a row and returns their scale.
static GRUS_INLINE float whole_of(const float* a, idx n, int16_t* out) {
  uint32_t top = 0;
  for (idx i = 0; i < n; ++i) {
    uint32_t bits;
    memcpy(&bits, a + i, sizeof bits);
    bits &= 0x7fffffffu;
    top = bits > top ? bits : top;  // as whole numbers, a NaN is above infinity and that above the rest
  }
  float most;
  memcpy(&most, &top, sizeof most);
  const bool finite = top < 0x7f800000u, counts = finite && most >= 1e-30f;
  const float inverse = counts ? 32767.0f / most : 0.0f;
  for (idx i = 0; i < n && counts; ++i) {
    const float shifted = a[i] * inverse + 12582912.0f;  // 1.5 * 2^23: the low bits are the nearest whole number
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    out[i] = (int16_t)(uint16_t)bits;
  }
  for (idx i = counts ? n : 0; i < round_up(n, 2); ++i) out[i] = 0;
  if (!finite) return __builtin_nanf("");
  return counts ? most / 32767.0f : 0.0f;
}

// How the tiles take a row, and elements of one packed vector of outputs whose weights are stored as S.
template <class T, class S>
struct Stored {
  using Row = const T*;
  static constexpr bool kWhole = false;
  static GRUS_INLINE idx column(idx depth, idx width) { return depth * width; }
};
template <class T>
struct Stored<T, Int8> {
  using Row = Whole;
  static constexpr bool kWhole = true;
  static GRUS_INLINE idx column(idx depth, idx width) { return (round_up(depth, 2) + (idx)sizeof(T)) * width; }
};

// acc[b][r][v] += a[r][k] * w[b][k][v] for k in 0..depth; w has blocks of [depth][NV] vectors, w_block apart, of T or
// of what L::load widens to T in the register.
template <class L, int NB, int MR, int NV, class S>
static GRUS_INLINE void accumulate(typename L::V (&acc)[NB][MR][NV], const typename L::T* const (&a)[MR],
                                   const S* w, idx w_block, idx depth) {
  using V = typename L::V;
  for (idx k = 0; k < depth; ++k) {
    const S* wk = w + k * (NV * L::W);
    V in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR && MR < 4; ++r) in[r] = L::set(a[r][k]);
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b) {
      V wv[NV];
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) wv[v] = L::load(wk + b * w_block + v * L::W);
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        const V ar = MR < 4 ? in[r] : L::set(a[r][k]);
        GRUS_UNROLL
        for (int v = 0; v < NV; ++v) acc[b][r][v] = L::fma(ar, wv[v], acc[b][r][v]);
      }
    }
  }
}


template <class L, int NB, int MR, int NV>
static GRUS_INLINE void accumulate(typename L::V (&acc)[NB][MR][NV], const Whole (&a)[MR], const Int8* w, idx w_block,
                                   idx depth) {
  using V = typename L::V;
  const idx pairs = blocks(depth, 2);
  for (idx from = 0; from < pairs; from += kWholePairs) {
    const idx to = least(from + kWholePairs, pairs);
    typename L::Sums sum[NB][MR][NV];
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r)
        GRUS_UNROLL
        for (int v = 0; v < NV; ++v) sum[b][r][v] = L::no_sums();
    for (idx p = from; p < to; ++p) {
      const Int8* wp = w + p * (NV * L::W * 2);
      GRUS_UNROLL
      for (int b = 0; b < NB; ++b) {
        typename L::Pairs wv[NV];
        GRUS_UNROLL
        for (int v = 0; v < NV; ++v) wv[v] = L::pairs(wp + b * w_block + v * L::W * 2);
        GRUS_UNROLL
        for (int r = 0; r < MR; ++r) {
          const typename L::Pairs ar = L::pair(a[r].values + 2 * p);
          GRUS_UNROLL
          for (int v = 0; v < NV; ++v) sum[b][r][v] = L::dot(wv[v], ar, sum[b][r][v]);
        }
      }
    }
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b) {
      const float* const scales = reinterpret_cast<const float*>(w + b * w_block + pairs * (NV * L::W * 2));
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) {
        const V scale = L::load(scales + v * L::W);
        GRUS_UNROLL
        for (int r = 0; r < MR; ++r)
          acc[b][r][v] = L::add(acc[b][r][v], L::mul(L::mul(L::number(sum[b][r][v]), scale), L::set(a[r].scale)));
      }
    }
  }
}

// A row length in elements that is an odd number of cache lines, so that rows do not share a set.
template <class T>
static GRUS_INLINE idx spread_row(idx n) {
  return (((n * (idx)sizeof(T) + 63) / 64) | 1) * 64 / (idx)sizeof(T);
}

// Rows cut into tiles of nearly equal height: 10 rows are 5 + 5 rather than 8 + 2.
struct Tiles {
  idx count, height, taller;  // the first `taller` tiles have one row more than `height`
  explicit Tiles(idx rows)
      : count(blocks(rows, kTileRows)), height(count ? rows / count : 0), taller(count ? rows % count : 0) {}
  int rows(idx i) const { return (int)(height + (i < taller)); }
};

// A run of blocks or rows.
struct Span {
  idx first, last;
};
// One part's share of n things, in whole groups (except at the end).
static GRUS_INLINE Span share(idx n, idx group, const Together& g) {
  const idx groups = blocks(n, group);
  return {least(groups * g.part / g.parts * group, n), least(groups * (g.part + 1) / g.parts * group, n)};
}
static GRUS_INLINE void meet(const Together& g) {
  if (g.parts > 1) g.wait(g.barrier);
}

// Memory handed out in 64-byte steps from one block.
struct Arena {
  char* next;
  template <class U>
  U* take(idx n) {
    U* p = reinterpret_cast<U*>(next);
    next += round_up(n * (idx)sizeof(U), 64);
    return p;
  }
};
template <class U>
static GRUS_INLINE idx room(idx n) {
  return round_up(n * (idx)sizeof(U), 64);
}

// acc[r][v] += a[k * a_step + r] * b[k][v]: a is read down its columns, b is one packed panel [depth][NV].
template <class L, int MR, int NV>
static GRUS_INLINE void accumulate_columns(typename L::V (&acc)[MR][NV], const typename L::T* a, idx a_step,
                                           const typename L::T* b, idx depth) {
  using V = typename L::V;
  for (idx k = 0; k < depth; ++k, a += a_step, b += NV * L::W) {
    V bv[NV];
    GRUS_UNROLL
    for (int v = 0; v < NV; ++v) bv[v] = L::load(b + v * L::W);
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) {
      const V ar = L::set(a[r]);
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) acc[r][v] = L::fma(ar, bv[v], acc[r][v]);
    }
  }
}

// One vector of a row of `size` numbers, from number `at` on; lanes beyond the end are zero or left alone.
template <class L>
static GRUS_INLINE typename L::V get(const typename L::T* row, idx at, idx size) {
  return at + L::W <= size ? L::load(row + at) : L::load(L::mask((int)(size - at)), row + at);
}
template <class L>
static GRUS_INLINE void put(typename L::T* row, idx at, idx size, typename L::V v) {
  if (at + L::W <= size)
    L::store(row + at, v);
  else
    L::store(L::mask((int)(size - at)), row + at, v);
}

// Bytes as numbers 0 or 1.
template <class L>
static GRUS_INLINE typename L::V get_flags(const uint8_t* row, idx at, idx size) {
  if (at + L::W <= size) return L::flags(row + at);
  uint8_t tail[L::W] = {};
  for (idx i = at; i < size; ++i) tail[i - at] = row[i];
  return L::flags(tail);
}
