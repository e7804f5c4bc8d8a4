// Back-propagation through time; included inside an instruction set's namespace.
//
// A call owns its rows for all steps, last step first. Per step: the gradients of the gates of all rows
// (elementwise), then one product with the recurrent weights carries the gradient to the step before. The gate
// gradients of a chunk of steps stay in cache until their share of dx and of the weight gradients is done, so
// nothing of size [batch, time, gates] is ever stored.
//
//   dh      = carried + dy_t                     k = zoneout's share of the old state
//   dz      = (1-k) dh (h - n) z (1-z)           dn = (1-k) dh (1-z) (1-n^2)
//   dr      = dn a_hn r (1-r)                    d(a_hn) = dn r          reset_after, a_hn = W_hn m h + b_hn
//   dr      = (W_hn^T dn) m h r (1-r)                                    reset before
//   carried = k dh + (1-k) z dh + m W_hh^T d(a_h)                        m = recurrent dropout mask
// With decays h is g * (the state before), and at the end of the step d(g) = carried * (that state), carried *= g.
// Layer norm, a = gain v + b with v = (u - mean(u)) / deviation:
//   du = (g - mean(g) - v mean(g v)) / deviation,  g = gain da;  dgain = sum da v
//
// Gate gradients of a (row, step) pair, each [hidden]:
//   reset_after   n of h, r, z, n of x          (h's are the first three, x's the last three)
//   reset before  r, z, n
//   layer norm    reset_after: n, r, z of h; before: r, z, n of h; then r, z, n of x: those of the products

template <class L>
struct Backward {
  using T = typename L::T;
  using V = typename L::V;
  using Args = BackwardArgs<T>;
  using Forward = Sequence<L>;
  static constexpr idx W = L::W;
  // Pairs in a chunk: long enough that loading and storing the sums of the weight gradients is cheap beside
  // adding to them, short enough that a panel of x or h stays in L1 (128 x 48 floats are 24 KB).
  static constexpr idx kChunkPairs = 128;

  struct Layout {
    idx row;           // numbers a pair takes
    idx h[3], x[3];    // where r, z, n of h and of x start
  };
  static Layout layout(const SequenceArgs<T>& f) {
    const idx H = f.hidden;
    const idx size = f.gain_x ? 6 * H : f.reset_after ? 4 * H : 3 * H;
    Layout l{spread_row<T>(size), {0, H, 2 * H}, {0, H, 2 * H}};
    if (f.reset_after) l.h[0] = H, l.h[1] = 2 * H, l.h[2] = 0;
    const idx x0 = f.gain_x ? 3 * H : f.reset_after ? H : 0;
    for (int g = 0; g < 3; ++g) l.x[g] = x0 + g * H;
    return l;
  }

  // One step of all active rows.
  struct Step {
    const Args* a;
    Layout at;
    T* d;               // gate gradients of this step's first pair
    const T** saved;    // per row
    const T** h;        // per row: the state before the step; zeros where a sequence begins
    const T** mask;     // per row, or null
    const T** decay;    // per row, or null
    const T** dy;       // per row, or null
    const uint8_t** keep;
    T** carry_rows;     // per row: its line of carry
    T *carry, *drs;     // [row][state_row]; drs: gradient of r * h, reset before
    idx state_row;
    T* sums;            // [4][padded] sums of the gate gradients r, z, n of x, n of h
    T* gain_sums;       // layer norm: [6][padded] sums for gain_x r, z, n and gain_h r, z, n
  };
  static GRUS_INLINE idx padded(const SequenceArgs<T>& f) { return round_up(f.hidden, W); }
  static GRUS_INLINE V one_minus(V a) { return L::sub(L::set(1), a); }

  // What both placements share: from dh the gradients of z's and n's arguments and the direct part of carried.
  struct Shared {
    V r, z, n, dz, dn;
  };
  static GRUS_INLINE Shared shared(const Step& s, idx i, idx j) {
    const SequenceArgs<T>& f = s.a->f;
    const idx H = f.hidden, at = j * W;
    Shared g;
    g.r = get<L>(s.saved[i], at, H);
    g.z = get<L>(s.saved[i] + H, at, H);
    g.n = get<L>(s.saved[i] + 2 * H, at, H);
    T* const carry = s.carry + i * s.state_row + at;
    V dh = L::load(carry), kept = L::set(0);
    if (s.dy) dh = L::add(dh, get<L>(s.dy[i], at, H));
    if (s.keep || f.keep != 0) {
      const V k = s.keep ? get_flags<L>(s.keep[i], at, H) : L::set(f.keep);
      kept = L::mul(k, dh);
      dh = L::mul(one_minus(k), dh);
    }
    const V h = before(s, i, j);
    g.dz = L::mul(L::mul(dh, L::sub(h, g.n)), L::mul(g.z, one_minus(g.z)));
    g.dn = L::mul(L::mul(dh, one_minus(g.z)), L::fma(L::sub(L::set(0), g.n), g.n, L::set(1)));
    L::store(carry, L::fma(g.z, dh, kept));
    return g;
  }
  // The state that the step began with.
  static GRUS_INLINE V before(const Step& s, idx i, idx j) {
    const V h = get<L>(s.h[i], j * W, s.a->f.hidden);
    return s.decay ? L::mul(h, get<L>(s.decay[i], j * W, s.a->f.hidden)) : h;
  }
  static GRUS_INLINE V seen(const Step& s, idx i, idx j) {
    const V h = before(s, i, j);
    return s.mask ? L::mul(h, get<L>(s.mask[i], j * W, s.a->f.hidden)) : h;
  }
  static GRUS_INLINE void put_gate(const Step& s, idx i, idx start, idx j, V v) {
    put<L>(s.d + i * s.at.row + start, j * W, s.a->f.hidden, v);
  }
  static GRUS_INLINE void add_to(T* sum, V v) { L::store(sum, L::add(L::load(sum), v)); }

  static void gates_after(const Step& s, idx rows, idx j) {
    const idx H = s.a->f.hidden, at = j * W, P = padded(s.a->f);
    V sum_r = L::set(0), sum_z = sum_r, sum_n = sum_r, sum_h = sum_r;
    for (idx i = 0; i < rows; ++i) {
      const Shared g = shared(s, i, j);
      const V dh_n = L::mul(g.dn, g.r);
      const V dr = L::mul(L::mul(g.dn, get<L>(s.saved[i] + 3 * H, at, H)), L::mul(g.r, one_minus(g.r)));
      put_gate(s, i, s.at.h[2], j, dh_n);
      put_gate(s, i, s.at.x[0], j, dr);
      put_gate(s, i, s.at.x[1], j, g.dz);
      put_gate(s, i, s.at.x[2], j, g.dn);
      sum_r = L::add(sum_r, dr);
      sum_z = L::add(sum_z, g.dz);
      sum_n = L::add(sum_n, g.dn);
      sum_h = L::add(sum_h, dh_n);
    }
    add_to(s.sums + at, sum_r);
    add_to(s.sums + P + at, sum_z);
    add_to(s.sums + 2 * P + at, sum_n);
    add_to(s.sums + 3 * P + at, sum_h);
  }
  // Reset before, first half: z and n.
  static void candidate_before(const Step& s, idx rows, idx j) {
    const idx at = j * W, P = padded(s.a->f);
    V sum_z = L::set(0), sum_n = sum_z;
    for (idx i = 0; i < rows; ++i) {
      const Shared g = shared(s, i, j);
      put_gate(s, i, s.at.x[1], j, g.dz);
      put_gate(s, i, s.at.x[2], j, g.dn);
      sum_z = L::add(sum_z, g.dz);
      sum_n = L::add(sum_n, g.dn);
    }
    add_to(s.sums + P + at, sum_z);
    add_to(s.sums + 2 * P + at, sum_n);
    add_to(s.sums + 3 * P + at, sum_n);
  }
  // Reset before, second half: r, from the gradient of r * seen.
  static GRUS_INLINE V reset_gate(const Step& s, idx i, idx j) {
    const idx H = s.a->f.hidden, at = j * W;
    const V r = get<L>(s.saved[i], at, H), drs = L::load(s.drs + i * s.state_row + at);
    V through = L::mul(drs, r);
    if (s.mask) through = L::mul(through, get<L>(s.mask[i], at, H));
    add_to(s.carry + i * s.state_row + at, through);
    return L::mul(L::mul(drs, seen(s, i, j)), L::mul(r, one_minus(r)));
  }
  static void reset_before(const Step& s, idx rows, idx j) {
    V sum_r = L::set(0);
    for (idx i = 0; i < rows; ++i) {
      const V dr = reset_gate(s, i, j);
      put_gate(s, i, s.at.x[0], j, dr);
      sum_r = L::add(sum_r, dr);
    }
    add_to(s.sums + j * W, sum_r);
  }

  // --- layer norm -------------------------------------------------------------------------------------------

  // Gate g's gradient da of one block: its sums, and g = gain da with its two means' sums for the group.
  struct Group {
    V total, dot;
  };
  static GRUS_INLINE void gate_of_norm(const Step& s, idx i, idx start, idx j, V da, const T* gain, int gate,
                                       idx saved_at, T* gain_sum, Group& group) {
    const V v = get<L>(s.saved[i] + saved_at, j * W, s.a->f.hidden);
    add_to(gain_sum + j * W, L::mul(da, v));
    const V g = L::mul(da, L::load(gain + (j * 3 + gate) * W));
    group.total = L::add(group.total, g);
    group.dot = L::fma(g, v, group.dot);
    put_gate(s, i, start, j, g);
  }
  // g -> (g - mean(g) - v mean(g v)) / deviation for gates first .. last.
  static void through_norm(const Step& s, idx i, const idx* start, int first, int last, idx saved_at, int scale,
                           const Group& group) {
    const idx H = s.a->f.hidden;
    const T count = (T)(H * (last - first + 1));
    const V mean = L::set(L::sum(group.total) / count), dot = L::set(L::sum(group.dot) / count);
    const V inverse = L::set(s.saved[i][9 * H + scale]);
    for (int gate = first; gate <= last; ++gate)
      for (idx j = 0; j < blocks(H, W); ++j) {
        T* const d = s.d + i * s.at.row + start[gate];
        const V g = get<L>(d, j * W, H), v = get<L>(s.saved[i] + saved_at + gate * H, j * W, H);
        put<L>(d, j * W, H, L::mul(inverse, L::sub(L::sub(g, mean), L::mul(v, dot))));
      }
  }
  static void norm_after(const Step& s, idx i) {
    const SequenceArgs<T>& f = s.a->f;
    const idx H = f.hidden, P = padded(f);
    const V zero = L::set(0);
    Group x_rz{zero, zero}, x_n = x_rz, h_rz = x_rz, h_n = x_rz;
    for (idx j = 0; j < blocks(H, W); ++j) {
      const Shared g = shared(s, i, j);
      const V a_hn = L::fma(L::load(f.gain_h + (j * 3 + 2) * W), get<L>(s.saved[i] + 8 * H, j * W, H),
                            L::load(f.bias + (j * 4 + 3) * W));
      const V dh_n = L::mul(g.dn, g.r);
      const V dr = L::mul(L::mul(g.dn, a_hn), L::mul(g.r, one_minus(g.r)));
      add_to(s.sums + j * W, dr);
      add_to(s.sums + P + j * W, g.dz);
      add_to(s.sums + 2 * P + j * W, g.dn);
      add_to(s.sums + 3 * P + j * W, dh_n);
      gate_of_norm(s, i, s.at.x[0], j, dr, f.gain_x, 0, 3 * H, s.gain_sums, x_rz);
      gate_of_norm(s, i, s.at.x[1], j, g.dz, f.gain_x, 1, 4 * H, s.gain_sums + P, x_rz);
      gate_of_norm(s, i, s.at.x[2], j, g.dn, f.gain_x, 2, 5 * H, s.gain_sums + 2 * P, x_n);
      gate_of_norm(s, i, s.at.h[0], j, dr, f.gain_h, 0, 6 * H, s.gain_sums + 3 * P, h_rz);
      gate_of_norm(s, i, s.at.h[1], j, g.dz, f.gain_h, 1, 7 * H, s.gain_sums + 4 * P, h_rz);
      gate_of_norm(s, i, s.at.h[2], j, dh_n, f.gain_h, 2, 8 * H, s.gain_sums + 5 * P, h_n);
    }
    through_norm(s, i, s.at.x, 0, 1, 3 * H, 0, x_rz);
    through_norm(s, i, s.at.x, 2, 2, 3 * H, 1, x_n);
    through_norm(s, i, s.at.h, 0, 1, 6 * H, 2, h_rz);
    through_norm(s, i, s.at.h, 2, 2, 6 * H, 3, h_n);
  }
  // Reset before: n. z's gradient waits in its place among those of x until r's is there too.
  static void norm_candidate_before(const Step& s, idx i) {
    const SequenceArgs<T>& f = s.a->f;
    const idx H = f.hidden, P = padded(f);
    const V zero = L::set(0);
    Group x_n{zero, zero}, h_n = x_n;
    for (idx j = 0; j < blocks(H, W); ++j) {
      const Shared g = shared(s, i, j);
      put_gate(s, i, s.at.x[1], j, g.dz);
      add_to(s.sums + P + j * W, g.dz);
      add_to(s.sums + 2 * P + j * W, g.dn);
      add_to(s.sums + 3 * P + j * W, g.dn);
      gate_of_norm(s, i, s.at.x[2], j, g.dn, f.gain_x, 2, 5 * H, s.gain_sums + 2 * P, x_n);
      gate_of_norm(s, i, s.at.h[2], j, g.dn, f.gain_h, 2, 8 * H, s.gain_sums + 5 * P, h_n);
    }
    through_norm(s, i, s.at.x, 2, 2, 3 * H, 1, x_n);
    through_norm(s, i, s.at.h, 2, 2, 6 * H, 3, h_n);
  }
  static void norm_reset_before(const Step& s, idx i) {
    const SequenceArgs<T>& f = s.a->f;
    const idx H = f.hidden, P = padded(f);
    const V zero = L::set(0);
    Group x_rz{zero, zero}, h_rz = x_rz;
    for (idx j = 0; j < blocks(H, W); ++j) {
      const V dr = reset_gate(s, i, j), dz = get<L>(s.d + i * s.at.row + s.at.x[1], j * W, H);
      add_to(s.sums + j * W, dr);
      gate_of_norm(s, i, s.at.x[0], j, dr, f.gain_x, 0, 3 * H, s.gain_sums, x_rz);
      gate_of_norm(s, i, s.at.x[1], j, dz, f.gain_x, 1, 4 * H, s.gain_sums + P, x_rz);
      gate_of_norm(s, i, s.at.h[0], j, dr, f.gain_h, 0, 6 * H, s.gain_sums + 3 * P, h_rz);
      gate_of_norm(s, i, s.at.h[1], j, dz, f.gain_h, 1, 7 * H, s.gain_sums + 4 * P, h_rz);
    }
    through_norm(s, i, s.at.x, 0, 1, 3 * H, 0, x_rz);
    through_norm(s, i, s.at.h, 0, 1, 6 * H, 2, h_rz);
  }

  // --- products ---------------------------------------------------------------------------------------------

  // out[row] (+)= scale[row] * (d[row] w): rows of gate gradients times packed rows of a weight matrix.
  struct Product {
    const T* d;
    idx d_row, depth;
    const T* w;
    idx outputs;
    T* const* out;
    const T* const* scale;  // per row, or null
    bool add;
  };
  template <int MR, int NV>
  static void product_tile(const Product& p, idx row, idx j) {
    const T* in[MR];
    V acc[1][MR][NV];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r) {
      in[r] = p.d + (row + r) * p.d_row;
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) acc[0][r][v] = L::set(0);
    }
    accumulate<L, 1, MR, NV>(acc, in, p.w + j * W * p.depth, 0, p.depth);
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r)
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) {
        V sum = acc[0][r][v];
        const idx at = (j + v) * W;
        if (p.scale) sum = L::mul(sum, get<L>(p.scale[row + r], at, p.outputs));
        if (p.add) sum = L::add(sum, get<L>(p.out[row + r], at, p.outputs));
        put<L>(p.out[row + r], at, p.outputs, sum);
      }
  }
  using ProductTile = void (*)(const Product&, idx, idx);
  static constexpr ProductTile kProduct[3][kTileRows] = {GRUS_BY_ROWS(product_tile, GRUS_ONE),
                                                         GRUS_BY_ROWS(product_tile, GRUS_TWO),
                                                         GRUS_BY_ROWS(product_tile, GRUS_THREE)};
  // Rows `rows` of all blocks of outputs in `own`, which starts at a panel.
  static void product(const Product& p, Span rows, Span own, bool backwards = false) {
    const Tiles tiles(rows.last - rows.first);
    const idx panels = blocks(own.last - own.first, 3);
    for (idx k = 0; k < panels; ++k) {
      const idx j = own.first + (backwards ? panels - 1 - k : k) * 3;
      idx row = rows.first;
      for (idx i = 0; i < tiles.count; row += tiles.rows(i), ++i)
        kProduct[least(3, own.last - j) - 1][tiles.rows(i) - 1](p, row, j);
    }
  }

  // c[m][n] (+)= sum over pairs of d[pair][m] * b[pair][n]; b packed in panels, c row-major.
  struct Outer {
    const T* d;
    idx d_row, pairs;
    const T* b;
    T* c;
    idx columns;
    bool add;
  };
  template <int MR, int NV>
  static void outer_tile(const Outer& o, idx m, idx j) {
    V acc[MR][NV];
    T* const c = o.c + m * o.columns;
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r)
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v)
        acc[r][v] = o.add ? get<L>(c + r * o.columns, (j + v) * W, o.columns) : L::set(0);
    accumulate_columns<L, MR, NV>(acc, o.d + m, o.d_row, o.b + j * W * o.pairs, o.pairs);
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r)
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) put<L>(c + r * o.columns, (j + v) * W, o.columns, acc[r][v]);
  }
  using OuterTile = void (*)(const Outer&, idx, idx);
  static constexpr OuterTile kOuter[3][kTileRows] = {GRUS_BY_ROWS(outer_tile, GRUS_ONE),
                                                     GRUS_BY_ROWS(outer_tile, GRUS_TWO),
                                                     GRUS_BY_ROWS(outer_tile, GRUS_THREE)};
  static void outer(const Outer& o, Span rows) {
    const idx n = blocks(o.columns, W);
    const Tiles tiles(rows.last - rows.first);
    for (idx j = 0; j < n; j += 3) {
      idx m = rows.first;
      for (idx i = 0; i < tiles.count; m += tiles.rows(i), ++i)
        kOuter[least(3, n - j) - 1][tiles.rows(i) - 1](o, m, j);
    }
  }
  // Rows given by pointers, times up to two factors, into panels [pairs][<= 3][W].
  static void pack_rows(const T* const* rows, const T* const* by, const T* const* by2, idx pairs, idx size, T* out) {
    const idx n = blocks(size, W);
    for (idx j = 0; j < n; ++j) {
      const idx first = j / 3 * 3, width = least(3, n - first);
      T* to = out + (first * pairs + (j - first)) * W;
      for (idx p = 0; p < pairs; ++p, to += width * W) {
        V v = get<L>(rows[p], j * W, size);
        if (by) v = L::mul(v, get<L>(by[p], j * W, size));
        if (by2) v = L::mul(v, get<L>(by2[p], j * W, size));
        L::store(to, v);
      }
    }
  }

  // --- a chunk of steps -------------------------------------------------------------------------------------

  struct Work {
    Layout at;
    T *d, *carry, *drs, *zeros, *sums, *gain_sums, *panel;
    const T **saved, **h, **mask, **decay, **x, **dy;  // all but dy, which is per row, per pair of the chunk
    const uint8_t** keep;
    T **dx, **carry_rows, **drs_rows;
    idx state_row;
    Span own;  // blocks of hidden units that this call computes
    const Together* together;
  };
  static idx chunk_steps(const Args& a, idx count) {
    const idx steps = kChunkPairs / (count > 0 ? count : 1);
    return least(steps > 0 ? steps : 1, a.f.time > 0 ? a.f.time : 1);
  }

  // What all who work together share, then what each has for itself.
  template <class Take>
  static void lay_out_shared(const Args& a, idx count, Work& w, Take take) {
    const SequenceArgs<T>& f = a.f;
    const idx P = padded(f);
    w.at = layout(f);
    w.state_row = Forward::state_row(f);
    take(w.d, count * chunk_steps(a, count) * w.at.row);
    take(w.carry, count * w.state_row);
    take(w.drs, f.reset_after ? 0 : count * w.state_row);
    take(w.zeros, w.state_row);
    take(w.sums, 4 * P);
    take(w.gain_sums, f.gain_x ? 6 * P : 0);
  }
  template <class Take>
  static void lay_out_own(const Args& a, idx count, Work& w, Take take) {
    const SequenceArgs<T>& f = a.f;
    const idx pairs = count * chunk_steps(a, count);
    take(w.panel, pairs * round_up(f.input > f.hidden ? f.input : f.hidden, W));
    take(w.saved, pairs);
    take(w.h, pairs);
    take(w.mask, pairs);
    take(w.decay, f.decay ? pairs : 0);
    take(w.x, pairs);
    take(w.dy, count);
    take(w.keep, count);
    take(w.dx, pairs);
    take(w.carry_rows, count);
    take(w.drs_rows, count);
  }
  struct Measure {
    idx* bytes;
    template <class U>
    void operator()(U*& p, idx n) const {
      *bytes += room<U>(n);
      p = nullptr;
    }
  };
  struct Place {
    Arena* arena;
    template <class U>
    void operator()(U*& p, idx n) const {
      p = arena->template take<U>(n);
    }
  };
  static idx own_bytes(const Args& a, idx count) {
    Work w;
    idx bytes = 0;
    lay_out_own(a, count, w, Measure{&bytes});
    return bytes;
  }
  static idx scratch(const Args& a, idx count, int parts) {
    Work w;
    idx bytes = 0;
    lay_out_shared(a, count, w, Measure{&bytes});
    return bytes + parts * own_bytes(a, count);
  }

  // The state before processing step s of a row: h0, the output of the step before, or zeros.
  static const T* state_before(const Args& a, const T* zeros, idx row, idx s) {
    const SequenceArgs<T>& f = a.f;
    const idx at = Forward::when(f, row, s);
    if (Forward::starts_anew(f, row, at)) return zeros;
    if (s == 0) return f.h0 ? f.h0 + row * f.h0_row : zeros;
    return f.y + row * f.y_row + Forward::when(f, row, s - 1) * f.y_time;
  }

  static void step(const Args& a, const Work& w, const idx* rows, idx active, idx s, idx pair) {
    const SequenceArgs<T>& f = a.f;
    Step t{};
    t.a = &a;
    t.at = w.at;
    t.d = w.d + pair * w.at.row;
    t.saved = w.saved + pair;
    t.h = w.h + pair;
    t.mask = f.mask ? w.mask + pair : nullptr;
    t.decay = f.decay ? w.decay + pair : nullptr;
    t.dy = a.dy ? w.dy : nullptr;
    t.keep = f.keep_mask ? w.keep : nullptr;
    t.carry = w.carry;
    t.drs = w.drs;
    t.state_row = w.state_row;
    t.sums = w.sums;
    t.gain_sums = w.gain_sums;
    for (idx i = 0; i < active; ++i) {
      const idx row = rows[i], at = Forward::when(f, row, s);
      t.saved[i] = f.saved + row * f.saved_row + at * f.saved_time;
      t.h[i] = state_before(a, w.zeros, row, s);
      w.x[pair + i] = f.x + row * f.x_row + at * f.x_time;
      if (a.dx) w.dx[pair + i] = a.dx + row * a.dx_row + at * a.dx_time;
      if (t.mask) t.mask[i] = f.mask + row * f.mask_row;
      if (t.decay) t.decay[i] = f.decay + row * f.decay_row + at * f.decay_time;
      if (t.dy) t.dy[i] = a.dy + row * a.dy_row + at * a.dy_time;
      if (t.keep) t.keep[i] = f.keep_mask + row * f.keep_row + at * f.keep_time;
    }
    const idx n = blocks(f.hidden, W), H = f.hidden;
    const Span all{0, active};
    Product p{t.d, w.at.row, 3 * H, a.whT, H, w.carry_rows, t.mask, true};
    if (f.reset_after) {
      if (f.gain_x)
        for (idx i = 0; i < active; ++i) norm_after(t, i);
      else
        for (idx j = w.own.first; j < w.own.last; ++j) gates_after(t, active, j);
    } else {
      if (f.gain_x)
        for (idx i = 0; i < active; ++i) norm_candidate_before(t, i);
      else
        for (idx j = w.own.first; j < w.own.last; ++j) candidate_before(t, active, j);
      meet(*w.together);
      const Product q{t.d + w.at.h[2], w.at.row, H, a.whT + n * W * 2 * H, H, w.drs_rows, nullptr, false};
      product(q, all, w.own);
      if (f.gain_x)
        for (idx i = 0; i < active; ++i) norm_reset_before(t, i);
      else
        for (idx j = w.own.first; j < w.own.last; ++j) reset_before(t, active, j);
      p.depth = 2 * H;
    }
    meet(*w.together);
    product(p, all, w.own, s % 2);  // every other step from the last panel: its weights are still in cache
    for (idx i = 0; f.decay && i < active; ++i) fade(t, w.own, i, rows[i], Forward::when(f, rows[i], s));
    if (f.resets)
      for (idx i = 0; i < active; ++i)
        if (Forward::starts_anew(f, rows[i], Forward::when(f, rows[i], s)))
          memset(w.carry_rows[i] + w.own.first * W, 0, (size_t)((w.own.last - w.own.first) * W) * sizeof(T));
  }

  // From the gradient of the state that a step began with to those of the decay and of the state before it.
  static void fade(const Step& s, const Span& own, idx i, idx row, idx at) {
    const Args& a = *s.a;
    const idx H = a.f.hidden;
    T* const carry = s.carry + i * s.state_row;
    T* const to = a.ddecay ? a.ddecay + row * a.ddecay_row + at * a.ddecay_time : nullptr;
    for (idx j = own.first; j < own.last; ++j) {
      const V d = L::load(carry + j * W);
      if (to) put<L>(to, j * W, H, L::mul(d, get<L>(s.h[i], j * W, H)));
      L::store(carry + j * W, L::mul(d, get<L>(s.decay[i], j * W, H)));
    }
  }

  // dx and the weight gradients of all pairs of a chunk; `add` to those of the chunks before, if there are any.
  static void chunk(const Args& a, const Work& w, idx pairs, const WeightGrads<T>& g, bool add) {
    const SequenceArgs<T>& f = a.f;
    const idx H = f.hidden, I = f.input;
    const Together& together = *w.together;
    if (a.dx)
      product(Product{w.d + w.at.x[0], w.at.row, 3 * H, a.wxT, I, w.dx, nullptr, a.add_dx},
              share(pairs, kTileRows, together), Span{0, blocks(I, W)});
    const Span own = share(H, kTileRows, together);
    pack_rows(w.x, nullptr, nullptr, pairs, I, w.panel);
    for (int gate = 0; gate < 3; ++gate)
      outer(Outer{w.d + w.at.x[gate], w.at.row, pairs, w.panel, g.w_ih + gate * H * I, I, add}, own);
    const T* const* mask = f.mask ? w.mask : nullptr;
    pack_rows(w.h, mask, f.decay ? w.decay : nullptr, pairs, H, w.panel);
    for (int gate = 0; gate < 3; ++gate) {
      if (gate == 2 && !f.reset_after) pack_rows(w.h, mask, w.saved, pairs, H, w.panel);
      outer(Outer{w.d + w.at.h[gate], w.at.row, pairs, w.panel, g.w_hh + gate * H * H, H, add}, own);
    }
    meet(together);  // before anyone overwrites the gate gradients
  }

  static void run(const Args& a, const idx* rows, idx count, void* scratch_block, const WeightGrads<T>& g,
                  const Together& together) {
    const SequenceArgs<T>& f = a.f;
    const idx H = f.hidden, P = padded(f), steps = chunk_steps(a, count);
    Arena arena{static_cast<char*>(scratch_block)};
    Work w;
    w.together = &together;
    w.own = share(blocks(H, W), 3, together);
    lay_out_shared(a, count, w, Place{&arena});
    arena.next += together.part * own_bytes(a, count);
    lay_out_own(a, count, w, Place{&arena});
    for (idx i = 0; i < count; ++i) {
      w.carry_rows[i] = w.carry + i * w.state_row;
      w.drs_rows[i] = f.reset_after ? nullptr : w.drs + i * w.state_row;
    }
    if (together.part == 0) begin(a, w, rows, count);
    meet(together);
    idx active = 0, pair = 0, done = 0;
    for (idx s = count ? Forward::length(f, rows[0]) - 1 : -1; s >= 0; --s) {
      while (active < count && Forward::length(f, rows[active]) > s) ++active;
      step(a, w, rows, active, s, pair);
      pair += active;
      if (++done % steps == 0 || s == 0) {
        chunk(a, w, pair, g, done > steps);
        pair = 0;
      }
    }
    if (together.part != 0) return;
    if (done == 0) {
      memset(g.w_ih, 0, (size_t)(3 * H * f.input) * sizeof(T));
      memset(g.w_hh, 0, (size_t)(3 * H * H) * sizeof(T));
    }
    for (idx i = 0; i < count; ++i) end_row(a, w.carry_rows[i], rows[i]);
    add_sums(w.sums, P, H, g.b_ih, 0, 1, 2);
    add_sums(w.sums, P, H, g.b_hh, 0, 1, 3);
    if (!f.gain_x) return;
    add_sums(w.gain_sums, P, H, g.gain_ih, 0, 1, 2);
    add_sums(w.gain_sums, P, H, g.gain_hh, 3, 4, 5);
  }
  static void add_sums(const T* sums, idx row, idx hidden, T* out, idx r, idx z, idx n) {
    for (idx k = 0; k < hidden; ++k) {
      out[k] = sums[r * row + k];
      out[hidden + k] = sums[z * row + k];
      out[2 * hidden + k] = sums[n * row + k];
    }
  }
  static void begin(const Args& a, const Work& w, const idx* rows, idx count) {
    const SequenceArgs<T>& f = a.f;
    memset(w.zeros, 0, (size_t)w.state_row * sizeof(T));
    memset(w.sums, 0, (size_t)(4 * padded(f)) * sizeof(T));
    if (f.gain_x) memset(w.gain_sums, 0, (size_t)(6 * padded(f)) * sizeof(T));
    for (idx i = 0; i < count; ++i) {
      for (idx k = 0; k < w.state_row; ++k)
        w.carry_rows[i][k] = a.dhn && k < f.hidden ? a.dhn[rows[i] * a.dhn_row + k] : 0;
      if (w.drs_rows[i]) memset(w.drs_rows[i], 0, (size_t)w.state_row * sizeof(T));
    }
  }
  static void end_row(const Args& a, const T* carry, idx row) {
    const SequenceArgs<T>& f = a.f;
    if (a.dh0) memcpy(a.dh0 + row * a.dh0_row, carry, (size_t)f.hidden * sizeof(T));
    if (a.dx && !a.add_dx)
      for (idx t = Forward::length(f, row); t < f.time; ++t)
        memset(a.dx + row * a.dx_row + t * a.dx_time, 0, (size_t)f.input * sizeof(T));
    if (a.ddecay)
      for (idx t = Forward::length(f, row); t < f.time; ++t)
        memset(a.ddecay + row * a.ddecay_row + t * a.ddecay_time, 0, (size_t)f.hidden * sizeof(T));
  }
};
