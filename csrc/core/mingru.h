// The MinGRU (Feng et al. 2024), forward and back; included inside an instruction set's namespace.
//
//   z = sigmoid(W_z x + b_z);  n = W_n x + b_n;  h' = (1 - z) * n + z * h
//
// Gates see the input only, so a tile of the product takes many steps of a row at once and the state follows through it in
// registers: what is read is x, what is written is y, and nothing lies between. Work is a list of pairs (row, step): some
// steps of the first row, the same steps of the second, and so on, then the next steps of the first, so that what lies side
// by side in memory is touched at the same time whether rows or steps are neighbours there. A tile may hold the end of one
// row's run and the beginning of the next. Units know nothing of each other, so those who share the work share rows or
// units and never wait. Every unit's chain is the same whatever the tile, so a row has the same bits alone, in any batch,
// chunks and threads.

// S: what the weights are stored as.
template <class L, class S = typename L::T>
struct Minimal {
  using T = typename L::T;
  using V = typename L::V;
  using Args = SequenceArgs<T>;
  using Row = typename Stored<T, S>::Row;
  using Forward = Sequence<L>;
  static constexpr idx W = L::W;
  static constexpr bool kWhole = Stored<T, S>::kWhole;
  // Pairs whose inputs are gone through block by block of units: of 64 inputs they are 16 KB of the first cache.
  static constexpr idx kPairs = 64;

  struct Pair {
    const T* from;  // where the state is, unless it is that of the pair before: then null
    T* y;
    T* last;  // where it goes too, after a row's last step; or null
  };
  struct Work {
    const Args* a;
    const S* wx;
    Span own;  // blocks of units
    T *state, *zeros;
    idx run, y_ahead;  // steps of a row that stand together, and how far ahead the next such run's y lies
    Pair pairs[kPairs];
    Row x[kPairs];
  };

  // acc <- bias + W x of MR pairs for NB blocks from block j: z and n.
  template <int MR, int NB>
  static GRUS_INLINE void products(V (&acc)[NB][MR][2], const Row* x, const Args& a, const S* wx, idx j) {
    Row in[MR];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) in[r] = x[r];
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int v = 0; v < 2; ++v) {
        const V bias = L::load(a.bias + ((j + b) * 2 + v) * W);
        GRUS_UNROLL
        for (int r = 0; r < MR; ++r) acc[b][r][v] = bias;
      }
    const idx block = 2 * Stored<T, S>::column(a.input, W);
    accumulate<L, NB, MR, 2>(acc, in, wx + j * block, block, a.input);
  }
  template <int MR, int NB>
  static void tile(const Work& w, idx first, idx j) {
    const idx hidden = w.a->hidden;
    V acc[NB][MR][2];
    products<MR, NB>(acc, w.x + first, *w.a, w.wx, j);
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b)
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        const V z = L::sigmoid(acc[b][r][0]);
        acc[b][r][0] = z;
        acc[b][r][1] = L::mul(L::sub(L::set(1), z), acc[b][r][1]);
      }
    GRUS_UNROLL
    for (int b = 0; b < NB; ++b) {
      const idx at = (j + b) * W;
      V h = L::load(w.state + at);
      GRUS_UNROLL
      for (int r = 0; r < MR; ++r) {
        const Pair& p = w.pairs[first + r];
        if (p.from) h = get<L>(p.from, at, hidden);
        fetch<1>(p.y + at, w.y_ahead);
        h = L::fma(acc[b][r][0], h, acc[b][r][1]);
        put<L>(p.y, at, hidden, h);
        if (p.last) put<L>(p.last, at, hidden, h);
      }
      L::store(w.state + at, h);
    }
  }
  using Tile = void (*)(const Work&, idx, idx);
  static constexpr Tile kTile[] = GRUS_BY_ROWS(tile, GRUS_ONE);
  static constexpr Tile kWide[] = {tile<1, 2>, tile<2, 2>, tile<3, 2>};  // enough chains where pairs are few

  static void some(const Work& w, idx count) {
    const Tiles tiles(count);
    idx j = w.own.first;
    for (; count > 0 && count <= 3 && j + 2 <= w.own.last; j += 2) kWide[count - 1](w, 0, j);
    for (; j < w.own.last; ++j) {
      idx first = 0;
      for (idx i = 0; i < tiles.count; first += tiles.rows(i), ++i) kTile[tiles.rows(i) - 1](w, first, j);
    }
  }

  // This part's columns of a row.
  static void copy_own(const Work& w, T* to, const T* from) {
    const idx first = w.own.first * W, n = least(w.own.last * W, w.a->hidden) - first;
    if (n <= 0) return;
    if (from)
      memcpy(to + first, from + first, (size_t)n * sizeof(T));
    else
      memset(to + first, 0, (size_t)n * sizeof(T));
  }
  // Where the state before step s of a row is.
  static GRUS_INLINE const T* before(const Args& a, const T* zeros, idx row, idx s) {
    if (Forward::starts_anew(a, row, Forward::when(a, row, s))) return zeros;
    if (s > 0) return a.y + row * a.y_row + Forward::when(a, row, s - 1) * a.y_time;
    return a.h0 ? a.h0 + row * a.h0_row : zeros;
  }
  // How many steps of each row stand together in the list, and how many of the rows, longest first, have a step s.
  static idx run_length(idx rows, idx pairs) { return rows < pairs ? pairs / rows : 1; }
  static idx longer(const Args& a, const idx* rows, idx count, idx s) {
    while (count > 0 && Forward::length(a, rows[count - 1]) <= s) --count;
    return count;
  }

  static idx whole_row(idx input) { return kWhole ? room<int16_t>(round_up(input, 2)) : 0; }
  static idx scratch(idx input, idx hidden) {
    return room<Work>(1) + 2 * room<T>(round_up(hidden, W)) + kPairs * whole_row(input);
  }
  static void run(const Args& a, const S* wx, const idx* rows, idx count, void* block, const Together& part) {
    Arena arena{static_cast<char*>(block)};
    Work& w = *arena.take<Work>(1);
    w.a = &a;
    w.wx = wx;
    w.own = share(blocks(a.hidden, W), 1, part);
    w.state = arena.take<T>(round_up(a.hidden, W));
    w.zeros = arena.take<T>(round_up(a.hidden, W));
    memset(w.state, 0, (size_t)round_up(a.hidden, W) * sizeof(T));
    memset(w.zeros, 0, (size_t)round_up(a.hidden, W) * sizeof(T));
    if constexpr (kWhole)
      for (idx i = 0; i < kPairs; ++i) w.x[i].values = arena.take<int16_t>(round_up(a.input, 2));
    for (idx i = 0; i < count; ++i) {
      const idx row = rows[i], steps = Forward::length(a, row);
      if (steps == 0) copy_own(w, a.hn + row * a.hn_row, a.h0 ? a.h0 + row * a.h0_row : nullptr);
      for (idx t = steps; t < a.time; ++t) copy_own(w, a.y + row * a.y_row + t * a.y_time, nullptr);
    }
    idx n = 0;
    for (idx s = 0; (count = longer(a, rows, count, s)) > 0;) {
      w.run = run_length(count, kPairs);
      w.y_ahead = (a.reverse ? -w.run : w.run) * a.y_time;
      const idx end = s + w.run;
      for (idx i = 0; i < count; ++i) take(w, n, rows[i], s, least(end, Forward::length(a, rows[i])));
      s = end;
    }
    some(w, n);
  }
  // Steps s .. end of a row; works off the list whenever it is full.
  static GRUS_INLINE void take(Work& w, idx& n, idx row, idx s, idx end) {
    const Args& a = *w.a;
    const idx at = Forward::when(a, row, s), way = a.reverse ? -1 : 1, x_step = way * a.x_time, y_step = way * a.y_time;
    const idx length = Forward::length(a, row);
    const T *x = a.x + row * a.x_row + at * a.x_time, *from = before(a, w.zeros, row, s);
    T* y = a.y + row * a.y_row + at * a.y_time;
    for (; s < end; ++s, x += x_step, y += y_step) {
      if (a.resets && Forward::starts_anew(a, row, Forward::when(a, row, s))) from = w.zeros;
      w.pairs[n] = {from, y, s + 1 == length ? a.hn + row * a.hn_row : nullptr};
      from = nullptr;
      if constexpr (kWhole)
        w.x[n].scale = whole_of(x, a.input, w.x[n].values);
      else
        w.x[n] = x;
      for (idx c = 0; s + w.run < length && c < a.input; c += kLine) fetch<0>(x + c, w.run * x_step);
      if (++n == kPairs) some(w, n), n = 0;
    }
  }
  // Asks for what lies so far ahead, to be read (0) or written (1), whether that is ours or not. Block by block of units a
  // row's lines are touched in steps that the processor does not foresee; asked for in every tile, they come while others
  // are computed, and not all at once.
  static constexpr idx kLine = 64 / (idx)sizeof(T);
  template <int Write>
  static GRUS_INLINE void fetch(const T* p, idx ahead) {
    __builtin_prefetch((const void*)((uintptr_t)p + (uintptr_t)(ahead * (idx)sizeof(T))), Write, 2);
  }
};

// Gradients. Nothing was saved: a chunk's z and n are computed from x once more, in the same tiles (what it would take to
// save them stands in docs/decisions.md), and the states before each step are y.
//
//   dh = carried + dy          dn = dh (1 - z)
//   carried = dh z             da_z = dh (h - n) z (1 - z)      h: the state before the step
//
// The gate gradients of a chunk, [pair][block of units][z, n][W], stay in cache until their share of dx and of the weight
// gradients is done.
template <class L>
struct MinimalBackward {
  using T = typename L::T;
  using V = typename L::V;
  using Args = BackwardArgs<T>;
  using Forward = Sequence<L>;
  using Products = Backward<L>;
  static constexpr idx W = L::W;
  static constexpr idx kPairs = 128;

  struct Pair {
    const T* h;     // the state before the step
    const T* dy;    // or null
    const T* from;  // where what is carried is, unless it comes from the pair behind: then null
    T* to;          // where it goes, unless to the pair before: then null
    bool cut;       // nothing is carried from here
  };
  struct Work {
    const Args* a;
    const T* wx;
    Span own;
    T *carry, *zeros, *sums, *d, *panel, *rows;  // rows: what is carried between the runs of each row
    idx d_row, run, h_ahead, dy_ahead;  // run: steps of a row that stand together
    Pair pairs[kPairs];
    const T* x[kPairs];
    T* dx[kPairs];
  };

  template <int MR, int>
  static void tile(const Work& w, idx first, idx j) {
    const SequenceArgs<T>& f = w.a->f;
    const idx at = j * W, mine = (j - w.own.first) * 2 * W;
    V acc[1][MR][2];
    Minimal<L>::template products<MR, 1>(acc, w.x + first, f, w.wx, j);
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) acc[0][r][0] = L::sigmoid(acc[0][r][0]);
    V carry = L::load(w.carry + at), sum_z = L::load(w.sums + mine), sum_n = L::load(w.sums + mine + W);
    GRUS_UNROLL
    for (int r = MR - 1; r >= 0; --r) {
      const Pair& p = w.pairs[first + r];
      const V z = acc[0][r][0], n = acc[0][r][1];
      Minimal<L>::template fetch<0>(p.h + at, -w.h_ahead);
      if (p.dy) Minimal<L>::template fetch<0>(p.dy + at, -w.dy_ahead);
      V dh = p.from ? get<L>(p.from, at, f.hidden) : carry;
      if (p.dy) dh = L::add(dh, get<L>(p.dy, at, f.hidden));
      const V dn = L::mul(dh, L::sub(L::set(1), z));
      const V dz = L::mul(L::mul(dn, L::sub(get<L>(p.h, at, f.hidden), n)), z);
      carry = p.cut ? L::set(0) : L::mul(dh, z);
      if (p.to) put<L>(p.to, at, f.hidden, carry);
      T* const d = w.d + (first + r) * w.d_row + mine;
      L::store(d, dz);
      L::store(d + W, dn);
      sum_z = L::add(sum_z, dz);
      sum_n = L::add(sum_n, dn);
    }
    L::store(w.carry + at, carry);
    L::store(w.sums + mine, sum_z);
    L::store(w.sums + mine + W, sum_n);
  }
  using Tile = void (*)(const Work&, idx, idx);
  static constexpr Tile kTile[] = GRUS_BY_ROWS(tile, GRUS_ONE);

  // Pairs first .. kPairs: their gate gradients, and what follows from them; `add` to the weight gradients so far.
  static void chunk(const Work& w, idx first, const MinWeightGrads<T>& g, bool add) {
    const SequenceArgs<T>& f = w.a->f;
    const idx I = f.input, count = kPairs - first, depth = (w.own.last - w.own.first) * 2 * W;
    const Tiles tiles(count);
    for (idx j = w.own.first; j < w.own.last; ++j) {
      idx end = kPairs;
      for (idx i = tiles.count - 1; i >= 0; --i) {
        end -= tiles.rows(i);
        kTile[tiles.rows(i) - 1](w, end, j);
      }
    }
    const T* const d = w.d + first * w.d_row;
    if (w.a->dx)
      Products::product({d, w.d_row, depth, w.a->wxT + w.own.first * 2 * W * blocks(I, W) * W, I, w.dx + first, nullptr,
                         w.a->add_dx},
                        Span{0, count}, Span{0, blocks(I, W)});
    Products::pack_rows(w.x + first, nullptr, nullptr, count, I, w.panel);
    for (idx j = w.own.first; j < w.own.last; ++j)
      for (idx gate = 0; gate < 2; ++gate)
        Products::outer({d + (j - w.own.first) * 2 * W + gate * W, w.d_row, count, w.panel,
                         g.w_ih + (gate * f.hidden + j * W) * I, I, add},
                        Span{0, least(W, f.hidden - j * W)});
  }

  static idx d_row(idx hidden) { return spread_row<T>(blocks(hidden, W) * 2 * W); }
  static idx scratch(idx input, idx hidden, idx rows) {
    const idx P = round_up(hidden, W);
    return room<Work>(1) + 2 * room<T>(P) + room<T>(2 * P) + room<T>(rows * P) + room<T>(kPairs * d_row(hidden)) +
           room<T>(kPairs * round_up(input, W));
  }
  static void run(const Args& a, const T* wx, const idx* rows, idx count, void* block, const MinWeightGrads<T>& g,
                  const Together& part) {
    const SequenceArgs<T>& f = a.f;
    const idx P = round_up(f.hidden, W);
    Arena arena{static_cast<char*>(block)};
    Work& w = *arena.take<Work>(1);
    w.a = &a;
    w.wx = wx;
    w.own = share(blocks(f.hidden, W), 1, part);
    w.carry = arena.take<T>(P);
    w.zeros = arena.take<T>(P);
    w.sums = arena.take<T>(2 * P);
    w.d_row = d_row(f.hidden);
    w.d = arena.take<T>(kPairs * w.d_row);
    w.panel = arena.take<T>(kPairs * round_up(f.input, W));
    memset(w.carry, 0, (size_t)P * sizeof(T));
    memset(w.zeros, 0, (size_t)P * sizeof(T));
    memset(w.sums, 0, (size_t)(2 * P) * sizeof(T));
    w.rows = arena.take<T>(count * P);
    for (idx i = 0; i < count; ++i) {
      const idx row = rows[i], steps = Forward::length(f, row);
      if (steps == 0) no_steps(w, row);
      for (idx t = steps; a.dx && !a.add_dx && t < f.time; ++t)
        memset(a.dx + row * a.dx_row + t * a.dx_time, 0, (size_t)f.input * sizeof(T));
    }
    idx first = kPairs;
    bool add = false;
    for (idx end = count ? Forward::length(f, rows[0]) : 0; end > 0;) {
      const idx active = Minimal<L>::longer(f, rows, count, end - 1);
      w.run = Minimal<L>::run_length(active, kPairs);
      w.h_ahead = (f.reverse ? -w.run : w.run) * f.y_time;
      w.dy_ahead = (f.reverse ? -w.run : w.run) * a.dy_time;
      idx begin = end - w.run;
      if (begin < 0) begin = 0;
      for (idx i = Minimal<L>::longer(f, rows, count, begin) - 1; i >= 0; --i) {
        const idx last = least(end, Forward::length(f, rows[i])) - 1;
        take(w, first, rows[i], last, begin, w.rows + i * P, g, add);
      }
      end = begin;
    }
    if (first < kPairs || !add) chunk(w, first, g, add);
    for (idx k = w.own.first * W; k < least(w.own.last * W, f.hidden); ++k)
      for (idx gate = 0; gate < 2; ++gate)
        g.b_ih[gate * f.hidden + k] = w.sums[(k / W - w.own.first) * 2 * W + gate * W + k % W];
  }
  // Steps s down to begin of a row, into the list from its end to its beginning; works it off whenever it is full.
  // `carried` is the row's place between runs.
  static GRUS_INLINE void take(Work& w, idx& first, idx row, idx s, idx begin, T* carried, const MinWeightGrads<T>& g,
                               bool& add) {
    const Args& a = *w.a;
    const SequenceArgs<T>& f = a.f;
    using Ahead = Minimal<L>;
    const idx at = Forward::when(f, row, s), way = f.reverse ? -1 : 1;
    const T *x = f.x + row * f.x_row + at * f.x_time, *dy = a.dy ? a.dy + row * a.dy_row + at * a.dy_time : nullptr;
    T* dx = a.dx ? a.dx + row * a.dx_row + at * a.dx_time : nullptr;
    const T* source = s + 1 < Forward::length(f, row) ? carried : a.dhn ? a.dhn + row * a.dhn_row : w.zeros;
    for (; s >= begin; --s, x -= way * f.x_time) {
      Pair& p = w.pairs[--first];
      p.h = Ahead::before(f, w.zeros, row, s);
      p.dy = dy;
      p.from = source;
      p.to = s > begin ? nullptr : s > 0 ? carried : a.dh0 ? a.dh0 + row * a.dh0_row : nullptr;
      p.cut = f.resets && Forward::starts_anew(f, row, Forward::when(f, row, s));
      source = nullptr;
      w.x[first] = x;
      w.dx[first] = dx;
      for (idx c = 0; s >= w.run && c < f.input; c += Ahead::kLine) {
        Ahead::template fetch<0>(x + c, -w.run * way * f.x_time);
        if (dx) Ahead::template fetch<1>(dx + c, -w.run * way * a.dx_time);
      }
      if (dy) dy -= way * a.dy_time;
      if (dx) dx -= way * a.dx_time;
      if (first > 0) continue;
      chunk(w, first, g, add);
      first = kPairs;
      add = true;
    }
  }
  // A row without steps hands the gradient of its last state, which is its first, on.
  static void no_steps(const Work& w, idx row) {
    const Args& a = *w.a;
    const idx first = w.own.first * W, n = least(w.own.last * W, a.f.hidden) - first;
    if (!a.dh0 || n <= 0) return;
    T* const to = a.dh0 + row * a.dh0_row + first;
    if (a.dhn)
      memcpy(to, a.dhn + row * a.dhn_row + first, (size_t)n * sizeof(T));
    else
      memset(to, 0, (size_t)n * sizeof(T));
  }
};
