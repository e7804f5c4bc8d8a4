// The forward time loop, for inference and training; included inside an instruction set's namespace.
//
// Rows are independent, so one call owns its rows for all steps: no barrier inside. (Where there are fewer rows than
// threads can use, several calls share the rows and each owns some hidden units: one meeting a step.) Within a step the loop over
// blocks of W hidden units is outermost, so that a block's weights stay in L1 while all rows pass by. The state
// lives in two small buffers used in turn; y is only written.
//
// Saved for backward, per row and step, each [hidden]:
//   reset_after   r, z, n, W_hn h + b_hn
//   reset before  r, z, n
//   layer norm    r, z, n, the normalised x products (r, z, n), the normalised h products (r, z, n), and four
//                 numbers: 1/deviation of x's r and z, of x's n, of h's r and z, of h's n

// S: what the weights are stored as. Only those of T are trained: with others nothing is saved.
template <class L, class S = typename L::T>
struct Sequence {
  using T = typename L::T;
  using V = typename L::V;
  using Args = SequenceArgs<T>;
  static constexpr idx W = L::W;
  using Row = typename Stored<T, S>::Row;
  static constexpr bool kSaves = sizeof(S) == sizeof(T), kWhole = Stored<T, S>::kWhole;
  // With fewer rows than this the x product is done ahead for many steps: a tile of many steps of one row uses
  // the registers better than a tile of one row.
  static constexpr idx kAheadRows = 4;
  static constexpr idx kAheadPairs = 64;

  struct Step {
    const Args* a;
    const S *wx, *wh;
    const T** x;     // per row: its input of this step
    T** y;           // per row: its output of this step, or null
    const T* ahead;  // x products [row][block][3][W], ahead_row apart; or null
    idx ahead_row;
    // [row][state_row]: the state, as the recurrent weights see it (h unless there is a mask), and both of the
    // next step; z, n, rh only for reset before.
    T *h, *seen, *next, *next_seen, *z, *n, *rh;
    idx state_row;
    // With whole-number weights: what a product of this step takes, per row: x, and the state (or r * h) at hand.
    Whole *x_whole, *h_whole;
    Span own;                 // blocks that this call computes
    bool backwards;           // from the last of them to the first
    const Together* together;
    T* products;              // layer norm: h products [row][block][3][W]
    T** saved;                // per row, or null
    const T** mask;           // per row, or null
    const uint8_t** keep;     // per row, or null
  };

  static GRUS_INLINE bool saves(const Step& s) { return kSaves && s.saved; }

  // Elements of one packed vector of outputs.
  static GRUS_INLINE idx column(idx depth) { return Stored<T, S>::column(depth, W); }
  static GRUS_INLINE Row x_row(const Step& s, idx row) {
    if constexpr (kWhole)
      return s.x_whole[row];
    else
      return s.x[row];
  }
  static GRUS_INLINE Row h_row(const Step& s, const T* h, idx row) {
    if constexpr (kWhole)
      return s.h_whole[row];
    else
      return h + row * s.state_row;
  }
  // What comes into a product as whole numbers: of `rows` rows, of states or of any rows.
  static GRUS_INLINE void take_states(const Step& s, const T* h, idx rows) {
    for (idx i = 0; kWhole && i < rows; ++i) take(s.h_whole[i], h + i * s.state_row, s.a->hidden);
  }
  static GRUS_INLINE void take_inputs(const Step& s, idx rows) {
    for (idx i = 0; kWhole && i < rows; ++i) take(s.x_whole[i], s.x[i], s.a->input);
  }
  static GRUS_INLINE void take(Whole& to, const T* row, idx n) {
    if constexpr (kWhole) to.scale = whole_of(row, n, to.values);
  }
  static idx whole_room(idx rows, idx n) { return kWhole ? room<Whole>(rows) + rows * room<int16_t>(round_up(n, 2)) : 0; }
  static Whole* make_whole(Arena& arena, idx rows, idx n) {
    if (!kWhole) return nullptr;
    Whole* const all = arena.take<Whole>(rows);
    for (idx i = 0; i < rows; ++i) all[i].values = arena.take<int16_t>(round_up(n, 2));
    return all;
  }

  static GRUS_INLINE V blend(V z, V n, V h) { return L::fma(z, h, L::mul(L::sub(L::set(1), z), n)); }

  // Everything that follows the gates of one row's block: new state, zoneout, output, what is kept for backward.
  static GRUS_INLINE void finish_block(const Step& s, idx row, idx j, V z, V n) {
    const Args& a = *s.a;
    const idx at = row * s.state_row + j * W;
    const V h = L::load(s.h + at);
    V next = blend(z, n, h);
    if (s.keep)
      next = blend(get_flags<L>(s.keep[row], j * W, a.hidden), next, h);
    else if (a.keep != 0)
      next = blend(L::set(a.keep), next, h);
    L::store(s.next + at, next);
    if (s.mask) L::store(s.next_seen + at, L::mul(next, get<L>(s.mask[row], j * W, a.hidden)));
    if (s.y) put<L>(s.y[row], j * W, a.hidden, next);
  }
  static GRUS_INLINE void save(const Step& s, idx row, idx j, int part, V v) {
    put<L>(s.saved[row] + part * s.a->hidden, j * W, s.a->hidden, v);
  }

  // acc <- bias + W_i x for NB blocks from block j.
  template <int MR, int NB>
  static GRUS_INLINE void from_input(const Step& s, idx row, idx j, V (&acc)[NB][MR][3]) {
    const Args& a = *s.a;
    if (s.ahead) {
      GRUS_UNROLL
      for (int b = 0; b < NB; ++b)
        GRUS_UNROLL
        for (int r = 0; r < MR; ++r)
          GRUS_UNROLL
          for (int v = 0; v < 3; ++v)
            acc[b][r][v] = L::load(s.ahead + (row + r) * s.ahead_row + ((j + b) * 3 + v) * W);
      return;
    }
    Row in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) in[r] = x_row(s, row + r);
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int v = 0; v < 3; ++v) {
        // Layer norm wants the bare product; the bias follows the gain.
        const V bias = a.gain_x ? L::set(0) : L::load(a.bias + ((j + b) * 4 + v) * W);
        GRUS_UNROLL
        for (int r = 0; r < MR; ++r) acc[b][r][v] = bias;
      }
    accumulate<L, NB, MR, 3>(acc, in, s.wx + j * 3 * column(a.input), 3 * column(a.input), a.input);
  }

  template <int MR, int NB>
  static void reset_after(const Step& s, idx row, idx j) {
    const Args& a = *s.a;
    V acc[NB][MR][3];
    from_input<MR, NB>(s, row, j, acc);
    alignas(64) T nx[NB][MR][W];
    Row in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) in[r] = h_row(s, s.seen, row + r);
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b) {
      const V bias = L::load(a.bias + ((j + b) * 4 + 3) * W);
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        L::store(nx[b][r], acc[b][r][2]);
        acc[b][r][2] = bias;
      }
    }
    accumulate<L, NB, MR, 3>(acc, in, s.wh + j * 3 * column(a.hidden), 3 * column(a.hidden), a.hidden);
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        const V rg = L::sigmoid(acc[b][r][0]);
        const V zg = L::sigmoid(acc[b][r][1]);
        const V ng = L::tanh(L::fma(rg, acc[b][r][2], L::load(nx[b][r])));
        finish_block(s, row + r, j + b, zg, ng);
        if (saves(s)) {
          save(s, row + r, j + b, 0, rg);
          save(s, row + r, j + b, 1, zg);
          save(s, row + r, j + b, 2, ng);
          save(s, row + r, j + b, 3, acc[b][r][2]);
        }
      }
  }

  // Reset before, first half: r and z of NB blocks; keeps z, the x part of n, and r * h.
  template <int MR, int NB>
  static void reset_before_gates(const Step& s, idx row, idx j) {
    const Args& a = *s.a;
    V acc[NB][MR][3], rz[NB][MR][2];
    from_input<MR, NB>(s, row, j, acc);
    Row in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) in[r] = h_row(s, s.seen, row + r);
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        L::store(s.n + (row + r) * s.state_row + (j + b) * W, acc[b][r][2]);
        rz[b][r][0] = acc[b][r][0];
        rz[b][r][1] = acc[b][r][1];
      }
    accumulate<L, NB, MR, 2>(rz, in, s.wh + j * 2 * column(a.hidden), 2 * column(a.hidden), a.hidden);
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        const idx at = (row + r) * s.state_row + (j + b) * W;
        const V rg = L::sigmoid(rz[b][r][0]);
        L::store(s.rh + at, L::mul(rg, L::load(s.seen + at)));
        L::store(s.z + at, L::sigmoid(rz[b][r][1]));
        if (saves(s)) save(s, row + r, j + b, 0, rg);
      }
  }

  // Reset before, second half: n from r * h, then the new state, for NV blocks of one panel.
  template <int MR, int NV>
  static void reset_before_state(const Step& s, idx row, idx j) {
    const Args& a = *s.a;
    V acc[1][MR][NV];
    Row in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) {
      in[r] = h_row(s, s.rh, row + r);
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) acc[0][r][v] = L::load(s.n + (row + r) * s.state_row + (j + v) * W);
    }
    const S* w = s.wh + (blocks(a.hidden, W) * 2 + j) * column(a.hidden);
    accumulate<L, 1, MR, NV>(acc, in, w, 0, a.hidden);
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r)
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) {
        const idx at = (row + r) * s.state_row + (j + v) * W;
        const V zg = L::load(s.z + at), ng = L::tanh(acc[0][r][v]);
        finish_block(s, row + r, j + v, zg, ng);
        if (saves(s)) {
          save(s, row + r, j + v, 1, zg);
          save(s, row + r, j + v, 2, ng);
        }
      }
  }

  // The x product of one tile of (row, step) pairs, stored in gate order for `ahead`.
  template <int MR, int NB>
  static void input_only(const Step& s, idx row, idx j) {
    V acc[NB][MR][3];
    from_input<MR, NB>(s, row, j, acc);
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r)
        GRUS_UNROLL
        for (int v = 0; v < 3; ++v)
          L::store(s.next + (row + r) * s.state_row + ((j + b) * 3 + v) * W, acc[b][r][v]);
  }

  // Layer norm: the bare products of h with all three gates (reset before: NV = 2, r and z), for `products`.
  template <int MR, int NV>
  static void recurrent_only(const Step& s, idx row, idx j) {
    const idx hidden = s.a->hidden;
    V acc[1][MR][NV];
    Row in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) {
      in[r] = h_row(s, s.seen, row + r);
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) acc[0][r][v] = L::set(0);
    }
    accumulate<L, 1, MR, NV>(acc, in, s.wh + j * NV * column(hidden), 0, hidden);
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r)
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) L::store(product(s, row + r, j, v), acc[0][r][v]);
  }
  // Layer norm, reset before: the bare product of r * h with the candidate's weights.
  template <int MR, int NV>
  static void candidate_only(const Step& s, idx row, idx j) {
    const Args& a = *s.a;
    V acc[1][MR][NV];
    Row in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) {
      in[r] = h_row(s, s.rh, row + r);
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) acc[0][r][v] = L::set(0);
    }
    accumulate<L, 1, MR, NV>(acc, in, s.wh + (blocks(a.hidden, W) * 2 + j) * column(a.hidden), 0, a.hidden);
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r)
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) L::store(product(s, row + r, j + v, 2), acc[0][r][v]);
  }
  static GRUS_INLINE T* product(const Step& s, idx row, idx j, int v) {
    return s.products + row * ahead_row(*s.a) + (j * 3 + v) * W;
  }

  // Mean and 1/deviation of gates First .. Last of one row of products [block][3][W]. Two passes: the variance is
  // taken about the mean.
  struct Norm {
    V mean, inverse;
    T scale;  // inverse as a number
    GRUS_INLINE V of(const T* p, idx j, int v) const {
      return L::mul(L::sub(L::load(p + (j * 3 + v) * W), mean), inverse);
    }
  };
  template <int First, int Last>
  static GRUS_INLINE Norm measure(const T* p, idx hidden) {
    const idx whole = hidden / W;
    constexpr int gates = Last - First + 1;
    V sum = L::set(0);  // lanes beyond the last unit hold 0
    for (idx j = 0; j < blocks(hidden, W); ++j)
      GRUS_UNROLL
      for (int v = First; v <= Last; ++v) sum = L::add(sum, L::load(p + (j * 3 + v) * W));
    const T count = (T)(hidden * gates);
    const V mean = L::set(L::sum(sum) / count);
    V square = L::set(0);
    for (idx j = 0; j < whole; ++j)
      GRUS_UNROLL
      for (int v = First; v <= Last; ++v) {
        const V c = L::sub(L::load(p + (j * 3 + v) * W), mean);
        square = L::fma(c, c, square);
      }
    if (whole * W < hidden)
      for (int v = First; v <= Last; ++v) {
        alignas(64) T tail[W];
        L::store(tail, L::sub(L::load(p + (whole * 3 + v) * W), mean));
        for (idx i = hidden - whole * W; i < W; ++i) tail[i] = 0;
        const V c = L::load(tail);
        square = L::fma(c, c, square);
      }
    const T scale = 1 / L::root(L::sum(square) / count + (T)1e-5);
    return {mean, L::set(scale), scale};
  }
  // Gain of one block's gate times its normalised product, plus the bias.
  static GRUS_INLINE V scaled(const T* gain, V normal, idx j, int v, V bias) {
    return L::fma(L::load(gain + (j * 3 + v) * W), normal, bias);
  }
  static GRUS_INLINE void save_scale(const Step& s, idx row, int which, T inverse) {
    if (saves(s)) s.saved[row][9 * s.a->hidden + which] = inverse;
  }

  // One row after its x and h products: everything (reset_after), or r, z and r * h (reset before).
  static void norm_gates(const Step& s, idx row) {
    const Args& a = *s.a;
    T* const p = s.products + row * ahead_row(a);
    const T* const x = s.ahead + row * s.ahead_row;
    const Norm rz = measure<0, 1>(p, a.hidden), n = a.reset_after ? measure<2, 2>(p, a.hidden) : rz;
    save_scale(s, row, 2, rz.scale);
    if (a.reset_after) save_scale(s, row, 3, n.scale);
    for (idx j = 0; j < blocks(a.hidden, W); ++j) {
      const V r_normal = rz.of(p, j, 0), z_normal = rz.of(p, j, 1);
      const V rg = L::sigmoid(scaled(a.gain_h, r_normal, j, 0, L::load(x + (j * 3 + 0) * W)));
      const V zg = L::sigmoid(scaled(a.gain_h, z_normal, j, 1, L::load(x + (j * 3 + 1) * W)));
      if (saves(s)) {
        save(s, row, j, 0, rg);
        save(s, row, j, 1, zg);
        save(s, row, j, 6, r_normal);
        save(s, row, j, 7, z_normal);
      }
      if (!a.reset_after) {
        const idx at = row * s.state_row + j * W;
        L::store(s.rh + at, L::mul(rg, L::load(s.seen + at)));
        L::store(s.z + at, zg);
        continue;
      }
      const V n_normal = n.of(p, j, 2);
      const V nh = scaled(a.gain_h, n_normal, j, 2, L::load(a.bias + (j * 4 + 3) * W));
      const V ng = L::tanh(L::fma(rg, nh, L::load(x + (j * 3 + 2) * W)));
      finish_block(s, row, j, zg, ng);
      if (saves(s)) {
        save(s, row, j, 2, ng);
        save(s, row, j, 8, n_normal);
      }
    }
  }
  // Layer norm, reset before: one row after the product of r * h.
  static void norm_state(const Step& s, idx row) {
    const Args& a = *s.a;
    T* const p = s.products + row * ahead_row(a);
    const T* const x = s.ahead + row * s.ahead_row;
    const Norm n = measure<2, 2>(p, a.hidden);
    save_scale(s, row, 3, n.scale);
    for (idx j = 0; j < blocks(a.hidden, W); ++j) {
      const V n_normal = n.of(p, j, 2);
      const V ng = L::tanh(scaled(a.gain_h, n_normal, j, 2, L::load(x + (j * 3 + 2) * W)));
      finish_block(s, row, j, L::load(s.z + row * s.state_row + j * W), ng);
      if (saves(s)) {
        save(s, row, j, 2, ng);
        save(s, row, j, 8, n_normal);
      }
    }
  }
  // Layer norm of one row's x products, ahead of time; saved (or null) is that row and step's.
  static void norm_input(const Args& a, T* p, T* saved) {
    const Norm rz = measure<0, 1>(p, a.hidden), n = measure<2, 2>(p, a.hidden);
    for (idx j = 0; j < blocks(a.hidden, W); ++j)
      GRUS_UNROLL
      for (int v = 0; v < 3; ++v) {
        const V normal = (v < 2 ? rz : n).of(p, j, v);
        if (saved) put<L>(saved + (3 + v) * a.hidden, j * W, a.hidden, normal);
        L::store(p + (j * 3 + v) * W, scaled(a.gain_x, normal, j, v, L::load(a.bias + (j * 4 + v) * W)));
      }
    if (saved) saved[9 * a.hidden] = rz.scale, saved[9 * a.hidden + 1] = n.scale;
  }

  using Tile = void (*)(const Step&, idx, idx);
  // With one to three rows a tile takes several blocks, so that enough chains run to hide the latency of fma.
  static constexpr int wide(int mr) { return mr <= 3 ? 2 : 1; }

#if GRUS_TILE_ROWS == 8
#define GRUS_BY_ROWS(NAME, SECOND)                                                                        \
  {NAME<1, SECOND(1)>, NAME<2, SECOND(2)>, NAME<3, SECOND(3)>, NAME<4, SECOND(4)>,                        \
   NAME<5, SECOND(5)>, NAME<6, SECOND(6)>, NAME<7, SECOND(7)>, NAME<8, SECOND(8)>}
#else
#define GRUS_BY_ROWS(NAME, SECOND) {NAME<1, SECOND(1)>, NAME<2, SECOND(2)>, NAME<3, SECOND(3)>, NAME<4, SECOND(4)>}
#endif
#define GRUS_ONE(MR) 1
#define GRUS_TWO(MR) 2
#define GRUS_THREE(MR) 3
  static constexpr Tile kAfter[] = GRUS_BY_ROWS(reset_after, GRUS_ONE);
  static constexpr Tile kAfterWide[] = {reset_after<1, wide(1)>, reset_after<2, wide(2)>, reset_after<3, wide(3)>};
  static constexpr Tile kGates[] = GRUS_BY_ROWS(reset_before_gates, GRUS_ONE);
  static constexpr Tile kGatesWide[] = {reset_before_gates<1, wide(1)>, reset_before_gates<2, wide(2)>,
                                        reset_before_gates<3, wide(3)>};
  static constexpr Tile kInput[] = GRUS_BY_ROWS(input_only, GRUS_ONE);
  static constexpr Tile kRecurrent3[] = GRUS_BY_ROWS(recurrent_only, GRUS_THREE);
  static constexpr Tile kRecurrent2[] = GRUS_BY_ROWS(recurrent_only, GRUS_TWO);
  static constexpr Tile kCandidate[3][kTileRows] = {GRUS_BY_ROWS(candidate_only, GRUS_ONE),
                                                    GRUS_BY_ROWS(candidate_only, GRUS_TWO),
                                                    GRUS_BY_ROWS(candidate_only, GRUS_THREE)};
  static constexpr Tile kState[3][kTileRows] = {GRUS_BY_ROWS(reset_before_state, GRUS_ONE),
                                                GRUS_BY_ROWS(reset_before_state, GRUS_TWO),
                                                GRUS_BY_ROWS(reset_before_state, GRUS_THREE)};

  // One gate function over all rows and blocks; `several` (or null) takes wide(rows) blocks at a time. Every other
  // step goes through the blocks from the last to the first, so that it begins with weights that are still in cache
  // (B=1, H=64: 48 KB of weights, 32 KB of L1).
  static void sweep(const Step& s, idx rows, const Tile* one, const Tile* several) {
    const idx first = s.own.first, n = s.own.last;
    idx wide_until = first;
    const idx width = several && rows <= 3 ? wide((int)rows) : 1;
    if (width > 1) wide_until = first + (n - first) / width * width;
    if (!s.backwards)
      for (idx j = first; j < wide_until; j += width) several[rows - 1](s, 0, j);
    const Tiles tiles(rows);
    for (idx i = wide_until; i < n; ++i) {
      const idx j = s.backwards ? n - 1 - (i - wide_until) : i;
      idx row = 0;
      for (idx k = 0; k < tiles.count; row += tiles.rows(k), ++k) one[tiles.rows(k) - 1](s, row, j);
    }
    if (s.backwards)
      for (idx j = wide_until - width; j >= first; j -= width) several[rows - 1](s, 0, j);
  }
  // The same over panels of up to three blocks.
  static void sweep_panels(const Step& s, idx rows, const Tile (*tiles_of)[kTileRows]) {
    const idx first = s.own.first, n = s.own.last, panels = blocks(n - first, 3);
    const Tiles tiles(rows);
    for (idx i = 0; i < panels; ++i) {
      const idx j = first + (s.backwards ? panels - 1 - i : i) * 3;
      idx row = 0;
      for (idx k = 0; k < tiles.count; row += tiles.rows(k), ++k)
        tiles_of[least(3, n - j) - 1][tiles.rows(k) - 1](s, row, j);
    }
  }
  static void step(const Step& s, idx rows) {
    const Args& a = *s.a;
    take_states(s, s.seen, rows);
    if (a.gain_x) {
      sweep(s, rows, a.reset_after ? kRecurrent3 : kRecurrent2, nullptr);
      for (idx i = 0; i < rows; ++i) norm_gates(s, i);
      if (a.reset_after) return;
      take_states(s, s.rh, rows);
      sweep_panels(s, rows, kCandidate);
      for (idx i = 0; i < rows; ++i) norm_state(s, i);
    } else if (a.reset_after) {
      sweep(s, rows, kAfter, kAfterWide);
    } else {
      sweep(s, rows, kGates, kGatesWide);
      meet(*s.together);
      take_states(s, s.rh, rows);
      sweep_panels(s, rows, kState);
    }
  }

  static bool uses_ahead(const Args& a, idx count) { return a.gain_x || (count < kAheadRows && a.time > 1); }
  static idx ahead_steps(const Args& a, idx count) { return least(blocks(kAheadPairs, count), a.time); }
  static idx ahead_row(const Args& a) { return blocks(a.hidden, W) * 3 * W; }
  static idx state_row(const Args& a) { return step_row(a.hidden); }
  static idx saved_size(idx hidden, bool reset_after, bool norm) {
    return norm ? 9 * hidden + 4 : (reset_after ? 4 : 3) * hidden;
  }

  // Memory that all who work together share, and what each has for itself.
  static idx shared_bytes(const Args& a, idx count) {
    const idx states = (a.reset_after ? 2 : 5) + (a.mask ? 2 : 0);
    idx bytes = room<T>(count * state_row(a)) * states;
    if (a.gain_x) bytes += room<T>(count * ahead_row(a));
    if (uses_ahead(a, count)) bytes += room<T>(count * ahead_steps(a, count) * ahead_row(a));
    return bytes;
  }
  static idx own_bytes(const Args& a, idx count) {
    const idx pairs = uses_ahead(a, count) ? count * ahead_steps(a, count) : 0;
    return room<T*>(count) * 5 + room<T*>(pairs) + whole_room(pairs > count ? pairs : count, a.input) +
           whole_room(count, a.hidden);
  }
  static idx scratch(const Args& a, idx count, int parts) {
    return shared_bytes(a, count) + parts * own_bytes(a, count);
  }

  static idx length(const Args& a, idx row) { return a.lengths ? a.lengths[row] : a.time; }
  static idx when(const Args& a, idx row, idx s) { return a.reverse ? length(a, row) - 1 - s : s; }

  // Products of x for steps first .. first + steps, laid out [step][row].
  static void look_ahead(const Step& whole, const idx* rows, idx count, idx first, idx steps, T* out, const T** in) {
    const Args& a = *whole.a;
    const idx last = least(first + steps, length(a, rows[0]));
    idx pairs = 0;
    for (idx s = first; s < last; ++s)
      for (idx i = 0; i < count; ++i) {
        // A row that has ended repeats its last live input: computed, never used, and padding stays unread.
        const idx live = least(s, length(a, rows[i]) - 1);
        in[pairs++] = a.x + rows[i] * a.x_row + when(a, rows[i], live) * a.x_time;
      }
    Step s{};
    s.a = &a;
    s.wx = whole.wx;
    s.own = whole.own;
    s.x = in;
    s.x_whole = whole.x_whole;
    take_inputs(s, pairs);
    s.next = out;
    s.state_row = ahead_row(a);
    sweep(s, pairs, kInput, nullptr);
    if (!a.gain_x) return;
    for (idx p = 0; p < pairs; ++p) {
      const idx row = rows[p % count], at = first + p / count;
      T* saved = nullptr;
      if (kSaves && a.saved && at < length(a, row)) saved = a.saved + row * a.saved_row + when(a, row, at) * a.saved_time;
      norm_input(a, out + p * ahead_row(a), saved);
    }
  }

  static void run(const Args& a, const S* wx, const S* wh, const idx* rows, idx count, void* scratch_block,
                  const Together& together) {
    Arena arena{static_cast<char*>(scratch_block)};
    const idx states = count * state_row(a);
    Step s{};
    s.a = &a;
    s.wx = wx;
    s.wh = wh;
    s.together = &together;
    s.own = share(blocks(a.hidden, W), a.reset_after ? 1 : 3, together);
    s.state_row = state_row(a);
    s.h = arena.take<T>(states);
    s.next = arena.take<T>(states);
    s.seen = a.mask ? arena.take<T>(states) : s.h;
    s.next_seen = a.mask ? arena.take<T>(states) : s.next;
    if (!a.reset_after) {
      s.z = arena.take<T>(states);
      s.n = arena.take<T>(states);
      s.rh = arena.take<T>(states);
    }
    if (a.gain_x) s.products = arena.take<T>(count * ahead_row(a));
    T* ahead = nullptr;
    const T** ahead_in = nullptr;
    const idx steps = uses_ahead(a, count) ? ahead_steps(a, count) : 0;
    if (steps) ahead = arena.take<T>(count * steps * ahead_row(a));
    arena.next += together.part * own_bytes(a, count);
    s.x = arena.take<const T*>(count);
    s.y = arena.take<T*>(count);
    s.saved = arena.take<T*>(count);
    s.mask = arena.take<const T*>(count);
    s.keep = arena.take<const uint8_t*>(count);
    if (steps) {
      ahead_in = arena.take<const T*>(count * steps);
      s.ahead_row = ahead_row(a);
    }
    s.x_whole = make_whole(arena, steps ? count * steps : count, a.input);
    s.h_whole = make_whole(arena, count, a.hidden);
    if (!a.y) s.y = nullptr;
    if (!a.saved) s.saved = nullptr;
    if (!a.mask) s.mask = nullptr;
    if (!a.keep_mask) s.keep = nullptr;
    for (idx i = 0; i < count; ++i) {
      if (together.part == 0) begin(a, s, i, rows[i]);
      if (s.mask) s.mask[i] = a.mask + rows[i] * a.mask_row;
    }
    meet(together);

    idx active = count, ahead_rows = 0;
    for (idx t = 0;; ++t) {
      while (active > 0 && length(a, rows[active - 1]) == t) {
        --active;
        if (together.part == 0) finish(a, s.h + active * s.state_row, rows[active]);
      }
      if (active == 0) break;
      if (steps) {
        if (t % steps == 0) look_ahead(s, rows, ahead_rows = active, t, steps, ahead, ahead_in);
        s.ahead = ahead + t % steps * ahead_rows * s.ahead_row;
      }
      for (idx i = 0; i < active; ++i) aim(a, s, i, rows[i], when(a, rows[i], t));
      if (!steps) take_inputs(s, active);
      s.backwards = t % 2;
      step(s, active);
      if (a.resets)
        for (idx i = 0; i < active; ++i)
          if (t + 1 < length(a, rows[i]) && starts_anew(a, rows[i], when(a, rows[i], t + 1))) forget(s, i);
      if (a.decay)
        for (idx i = 0; i < active; ++i)
          if (t + 1 < length(a, rows[i])) fade(s, i, rows[i], when(a, rows[i], t + 1));
      meet(together);
      swap(s.h, s.next);
      swap(s.seen, s.next_seen);
    }
  }
  // A single step. Many rows are taken some at a time, so that a row's states stay in the first cache between the units.
  static constexpr idx kStepRows = 64;
  static idx step_row(idx hidden) { return spread_row<T>(round_up(hidden, W)); }
  static idx step_room(idx input, idx hidden, idx rows, int parts) {
    const idx some = least(rows, kStepRows);
    return 2 * some * room<T>(step_row(hidden)) + parts * (whole_room(some, input) + whole_room(some, hidden));
  }
  static Step single(const Args& a, const S* wx, const S* wh, Arena& arena, idx rows, bool backwards) {
    Step s{};
    s.a = &a;
    s.wx = wx;
    s.wh = wh;
    s.state_row = step_row(a.hidden);
    s.h = s.seen = arena.take<T>(rows * s.state_row);
    s.next = s.next_seen = arena.take<T>(rows * s.state_row);
    s.backwards = backwards;
    return s;
  }
  static void one(const Args& a, const S* wx, const S* wh, void* block, bool backwards, const Together& part) {
    Arena arena{static_cast<char*>(block)};
    Step s = single(a, wx, wh, arena, 1, backwards);
    arena.next += part.part * (whole_room(1, a.input) + whole_room(1, a.hidden));
    s.x_whole = make_whole(arena, 1, a.input);
    s.h_whole = make_whole(arena, 1, a.hidden);
    const T* x = a.x;
    T* y = a.hn;
    s.x = &x;
    s.y = &y;
    s.own = share(blocks(a.hidden, W), wide(1), part);
    take_inputs(s, 1);
    take_states(s, s.seen, 1);
    sweep(s, 1, kAfter, kAfterWide);
  }
  static void many(const Args& a, const S* wx, const S* wh, void* block, bool backwards, idx row0, idx row1) {
    const idx most = least(row1 - row0, kStepRows);
    Arena arena{static_cast<char*>(block)};
    Step s = single(a, wx, wh, arena, most, backwards);
    s.x_whole = make_whole(arena, most, a.input);
    s.h_whole = make_whole(arena, most, a.hidden);
    const T* x[kStepRows];
    T* y[kStepRows];
    s.x = x;
    s.y = y;
    s.own = {0, blocks(a.hidden, W)};
    const size_t bytes = (size_t)a.hidden * sizeof(T);
    for (idx i = 0; i < most; ++i)
      memset(s.h + i * s.state_row + a.hidden, 0, (size_t)s.state_row * sizeof(T) - bytes);
    for (idx row = row0; row < row1; row += kStepRows) {
      const idx rows = least(row1 - row, kStepRows);
      for (idx i = 0; i < rows; ++i) {
        x[i] = a.x + (row + i) * a.x_row;
        y[i] = a.hn + (row + i) * a.hn_row;
        memcpy(s.h + i * s.state_row, a.h0 + (row + i) * a.h0_row, bytes);
      }
      take_inputs(s, rows);
      take_states(s, s.seen, rows);
      sweep(s, rows, kAfter, kAfterWide);
      for (idx i = 0; a.y && i < rows; ++i) memcpy(a.y + (row + i) * a.y_row, y[i], bytes);
    }
  }
  // Zeroes this call's units of the next state of row i.
  static void forget(const Step& s, idx i) {
    const idx from = i * s.state_row + s.own.first * W;
    const size_t bytes = (size_t)((s.own.last - s.own.first) * W) * sizeof(T);
    memset(s.next + from, 0, bytes);
    memset(s.next_seen + from, 0, bytes);
  }
  // This call's units of the next state of row i, as the step at time `at` takes them.
  static void fade(const Step& s, idx i, idx row, idx at) {
    const Args& a = *s.a;
    const T* const decay = a.decay + row * a.decay_row + at * a.decay_time;
    T *const h = s.next + i * s.state_row, *const seen = s.next_seen + i * s.state_row;
    for (idx j = s.own.first; j < s.own.last; ++j) {
      const V by = get<L>(decay, j * W, a.hidden);
      L::store(h + j * W, L::mul(L::load(h + j * W), by));
      if (s.mask) L::store(seen + j * W, L::mul(L::load(h + j * W), get<L>(s.mask[i], j * W, a.hidden)));
    }
  }
  static void swap(T*& a, T*& b) {
    T* const t = a;
    a = b;
    b = t;
  }
  // Points row i at its arrays of time `at`.
  static GRUS_INLINE void aim(const Args& a, const Step& s, idx i, idx row, idx at) {
    s.x[i] = a.x + row * a.x_row + at * a.x_time;
    if (s.y) s.y[i] = a.y + row * a.y_row + at * a.y_time;
    if (saves(s)) s.saved[i] = a.saved + row * a.saved_row + at * a.saved_time;
    if (s.keep) s.keep[i] = a.keep_mask + row * a.keep_row + at * a.keep_time;
  }
  // Is the state zeroed before step `at`? Going backwards, the boundary before t is met on the way to t - 1.
  static bool starts_anew(const Args& a, idx row, idx at) {
    const idx mark = at + (a.reverse ? 1 : 0);
    return a.resets && mark < length(a, row) && a.resets[row * a.resets_row + mark * a.resets_time];
  }

  static void begin(const Args& a, const Step& s, idx i, idx row) {
    T *const h = s.h + i * s.state_row, *const seen = s.seen + i * s.state_row;
    const bool begins = length(a, row) > 0, anew = begins && starts_anew(a, row, when(a, row, 0));
    const T* const decay = begins && a.decay ? a.decay + row * a.decay_row + when(a, row, 0) * a.decay_time : nullptr;
    for (idx k = 0; k < s.state_row; ++k) {
      h[k] = !anew && a.h0 && k < a.hidden ? a.h0[row * a.h0_row + k] : 0;
      if (decay && k < a.hidden) h[k] *= decay[k];
      if (a.mask) seen[k] = k < a.hidden ? h[k] * a.mask[row * a.mask_row + k] : 0;
    }
  }
  static void finish(const Args& a, const T* h, idx row) {
    memcpy(a.hn + row * a.hn_row, h, (size_t)a.hidden * sizeof(T));
    if (a.y)
      for (idx t = length(a, row); t < a.time; ++t)
        memset(a.y + row * a.y_row + t * a.y_time, 0, (size_t)a.hidden * sizeof(T));
  }
};
