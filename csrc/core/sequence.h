// The time loop of inference; included inside an instruction set's namespace.
//
// Rows are independent, so one call owns its rows for all steps: no barrier inside. Within a step the loop over
// blocks of W hidden units is outermost, so that a block's weights stay in L1 while all rows pass by. The state
// lives in two small buffers used in turn; y is only written.

template <class L>
struct Sequence {
  using T = typename L::T;
  using V = typename L::V;
  using Args = SequenceArgs<T>;
  static constexpr idx W = L::W;
  // With fewer rows than this the x product is done ahead for many steps: a tile of many steps of one row uses
  // the registers better than a tile of one row.
  static constexpr idx kAheadRows = 4;
  static constexpr idx kAheadSteps = 32;

  struct Step {
    const Args* a;
    const T** x;     // per row: its input of this step
    T** y;           // per row: its output of this step, or null
    const T* ahead;  // x products [row][block][3][W], ahead_row apart; or null
    idx ahead_row;
    T *h, *next, *z, *n, *rh;  // [row][state_row]; z, n, rh only for reset before
    idx state_row;
  };

  static GRUS_INLINE void put(const Args& a, T* row, idx j, V v) {
    if ((j + 1) * W <= a.hidden)
      L::store(row + j * W, v);
    else
      L::store(L::mask((int)(a.hidden - j * W)), row + j * W, v);
  }
  static GRUS_INLINE V blend(V z, V n, V h) { return L::fma(z, h, L::mul(L::sub(L::set(1), z), n)); }

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
    const T* in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) in[r] = s.x[row + r];
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int v = 0; v < 3; ++v) {
        const V bias = L::load(a.bias + ((j + b) * 4 + v) * W);
        GRUS_UNROLL
        for (int r = 0; r < MR; ++r) acc[b][r][v] = bias;
      }
    accumulate<L, NB, MR, 3>(acc, in, a.wx + j * a.input * 3 * W, a.input * 3 * W, a.input);
  }

  template <int MR, int NB>
  static void reset_after(const Step& s, idx row, idx j) {
    const Args& a = *s.a;
    V acc[NB][MR][3];
    from_input<MR, NB>(s, row, j, acc);
    alignas(64) T nx[NB][MR][W];
    const T* in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) in[r] = s.h + (row + r) * s.state_row;
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b) {
      const V bias = L::load(a.bias + ((j + b) * 4 + 3) * W);
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        L::store(nx[b][r], acc[b][r][2]);
        acc[b][r][2] = bias;
      }
    }
    accumulate<L, NB, MR, 3>(acc, in, a.wh + j * a.hidden * 3 * W, a.hidden * 3 * W, a.hidden);
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        const V rg = L::sigmoid(acc[b][r][0]);
        const V zg = L::sigmoid(acc[b][r][1]);
        const V ng = L::tanh(L::fma(rg, acc[b][r][2], L::load(nx[b][r])));
        const V h = L::load(s.h + (row + r) * s.state_row + (j + b) * W);
        const V next = blend(zg, ng, h);
        L::store(s.next + (row + r) * s.state_row + (j + b) * W, next);
        if (s.y) put(a, s.y[row + r], j + b, next);
      }
  }

  // Reset before, first half: r and z of NB blocks; keeps z, the x part of n, and r * h.
  template <int MR, int NB>
  static void reset_before_gates(const Step& s, idx row, idx j) {
    const Args& a = *s.a;
    V acc[NB][MR][3], rz[NB][MR][2];
    from_input<MR, NB>(s, row, j, acc);
    const T* in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) in[r] = s.h + (row + r) * s.state_row;
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        L::store(s.n + (row + r) * s.state_row + (j + b) * W, acc[b][r][2]);
        rz[b][r][0] = acc[b][r][0];
        rz[b][r][1] = acc[b][r][1];
      }
    accumulate<L, NB, MR, 2>(rz, in, a.wh + j * a.hidden * 2 * W, a.hidden * 2 * W, a.hidden);
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        const idx at = (row + r) * s.state_row + (j + b) * W;
        L::store(s.rh + at, L::mul(L::sigmoid(rz[b][r][0]), L::load(s.h + at)));
        L::store(s.z + at, L::sigmoid(rz[b][r][1]));
      }
  }

  // Reset before, second half: n from r * h, then the new state, for NV blocks of one panel.
  template <int MR, int NV>
  static void reset_before_state(const Step& s, idx row, idx j) {
    const Args& a = *s.a;
    V acc[1][MR][NV];
    const T* in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) {
      in[r] = s.rh + (row + r) * s.state_row;
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) acc[0][r][v] = L::load(s.n + (row + r) * s.state_row + (j + v) * W);
    }
    const T* w = a.wh + blocks(a.hidden, W) * W * 2 * a.hidden + j * W * a.hidden;
    accumulate<L, 1, MR, NV>(acc, in, w, 0, a.hidden);
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r)
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) {
        const idx at = (row + r) * s.state_row + (j + v) * W;
        const V next = blend(L::load(s.z + at), L::tanh(acc[0][r][v]), L::load(s.h + at));
        L::store(s.next + at, next);
        if (s.y) put(a, s.y[row + r], j + v, next);
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

  using Tile = void (*)(const Step&, idx, idx);
  // With one to three rows a tile takes several blocks, so that enough chains run to hide the latency of fma.
  static constexpr int wide(int mr) { return mr == 1 ? 4 : mr <= 3 ? 2 : 1; }

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
  static constexpr Tile kState[3][kTileRows] = {GRUS_BY_ROWS(reset_before_state, GRUS_ONE),
                                                GRUS_BY_ROWS(reset_before_state, GRUS_TWO),
                                                GRUS_BY_ROWS(reset_before_state, GRUS_THREE)};

  // One gate function over all rows and blocks; `several` (or null) takes wide(rows) blocks at a time.
  static void sweep(const Step& s, idx rows, const Tile* one, const Tile* several) {
    const idx n = blocks(s.a->hidden, W);
    idx j = 0;
    if (several && rows <= 3)
      for (const idx step = wide((int)rows); j + step <= n; j += step) several[rows - 1](s, 0, j);
    const Tiles tiles(rows);
    for (; j < n; ++j) {
      idx row = 0;
      for (idx i = 0; i < tiles.count; row += tiles.rows(i), ++i) one[tiles.rows(i) - 1](s, row, j);
    }
  }
  static void step(const Step& s, idx rows) {
    if (s.a->reset_after) {
      sweep(s, rows, kAfter, kAfterWide);
      return;
    }
    sweep(s, rows, kGates, kGatesWide);
    const idx n = blocks(s.a->hidden, W);
    const Tiles tiles(rows);
    for (idx j = 0; j < n; j += 3) {
      idx row = 0;
      for (idx i = 0; i < tiles.count; row += tiles.rows(i), ++i)
        kState[least(3, n - j) - 1][tiles.rows(i) - 1](s, row, j);
    }
  }

  static bool uses_ahead(const Args& a, idx count) { return count < kAheadRows && a.time > 1; }
  static idx ahead_row(const Args& a) { return blocks(a.hidden, W) * 3 * W; }
  static idx state_row(const Args& a) { return spread_row<T>(round_up(a.hidden, W)); }

  static idx scratch(const Args& a, idx count) {
    idx bytes = room<T>(count * state_row(a)) * (a.reset_after ? 2 : 5) + room<T*>(count) * 2;
    if (uses_ahead(a, count)) bytes += room<T>(count * kAheadSteps * ahead_row(a)) + room<T*>(count * kAheadSteps);
    return bytes;
  }

  static idx length(const Args& a, idx row) { return a.lengths ? a.lengths[row] : a.time; }
  static idx when(const Args& a, idx row, idx s) { return a.reverse ? length(a, row) - 1 - s : s; }

  // Products of x for steps first .. first + kAheadSteps, laid out [step][row].
  static void look_ahead(const Args& a, const idx* rows, idx count, idx first, T* out, const T** in) {
    const idx last = least(first + kAheadSteps, length(a, rows[0]));
    idx pairs = 0;
    for (idx s = first; s < last; ++s)
      for (idx i = 0; i < count; ++i) {
        // A row that has ended repeats its last live input: computed, never used, and padding stays unread.
        const idx live = least(s, length(a, rows[i]) - 1);
        in[pairs++] = a.x + rows[i] * a.x_row + when(a, rows[i], live) * a.x_time;
      }
    Step s{};
    s.a = &a;
    s.x = in;
    s.next = out;
    s.state_row = ahead_row(a);
    sweep(s, pairs, kInput, nullptr);
  }

  static void run(const Args& a, const idx* rows, idx count, void* scratch_block) {
    Arena arena{static_cast<char*>(scratch_block)};
    Step s{};
    s.a = &a;
    s.state_row = state_row(a);
    s.h = arena.take<T>(count * s.state_row);
    s.next = arena.take<T>(count * s.state_row);
    if (!a.reset_after) {
      s.z = arena.take<T>(count * s.state_row);
      s.n = arena.take<T>(count * s.state_row);
      s.rh = arena.take<T>(count * s.state_row);
    }
    s.x = arena.take<const T*>(count);
    T** y = arena.take<T*>(count);
    s.y = a.y ? y : nullptr;
    T* ahead = nullptr;
    const T** ahead_in = nullptr;
    if (uses_ahead(a, count)) {
      ahead = arena.take<T>(count * kAheadSteps * ahead_row(a));
      ahead_in = arena.take<const T*>(count * kAheadSteps);
      s.ahead_row = ahead_row(a);
    }
    for (idx i = 0; i < count; ++i) begin(a, s.h + i * s.state_row, rows[i]);

    idx active = count, ahead_rows = 0;
    for (idx t = 0;; ++t) {
      while (active > 0 && length(a, rows[active - 1]) == t) {
        --active;
        finish(a, s.h + active * s.state_row, rows[active]);
      }
      if (active == 0) break;
      if (ahead) {
        if (t % kAheadSteps == 0) look_ahead(a, rows, ahead_rows = active, t, ahead, ahead_in);
        s.ahead = ahead + t % kAheadSteps * ahead_rows * s.ahead_row;
      }
      for (idx i = 0; i < active; ++i) {
        const idx at = when(a, rows[i], t);
        s.x[i] = a.x + rows[i] * a.x_row + at * a.x_time;
        if (s.y) y[i] = a.y + rows[i] * a.y_row + at * a.y_time;
        if (starts_anew(a, rows[i], at))
          memset(s.h + i * s.state_row, 0, (size_t)s.state_row * sizeof(T));
      }
      step(s, active);
      T* swap = s.h;
      s.h = s.next;
      s.next = swap;
    }
  }

  // Is the state zeroed before step `at`? Going backwards, the boundary before t is met on the way to t - 1.
  static bool starts_anew(const Args& a, idx row, idx at) {
    const idx mark = at + (a.reverse ? 1 : 0);
    return a.resets && mark < length(a, row) && a.resets[row * a.resets_row + mark * a.resets_time];
  }

  static void begin(const Args& a, T* h, idx row) {
    const idx row_size = state_row(a);
    idx done = 0;
    if (a.h0) {
      memcpy(h, a.h0 + row * a.h0_row, (size_t)a.hidden * sizeof(T));
      done = a.hidden;
    }
    memset(h + done, 0, (size_t)(row_size - done) * sizeof(T));
  }
  static void finish(const Args& a, const T* h, idx row) {
    memcpy(a.hn + row * a.hn_row, h, (size_t)a.hidden * sizeof(T));
    if (a.y)
      for (idx t = length(a, row); t < a.time; ++t)
        memset(a.y + row * a.y_row + t * a.y_time, 0, (size_t)a.hidden * sizeof(T));
  }
};
