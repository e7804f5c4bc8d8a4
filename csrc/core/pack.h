// Weights laid out in the order in which the tiles read them; included inside an instruction set's namespace.
//   x weights          [hidden / W][input][3][W]    r, z, n of W hidden units side by side
//   recurrent weights  [hidden / W][hidden][3][W]   reset_after
//                      [hidden / W][hidden][2][W] then panels [hidden][<= 3][W] of n      reset before
//   biases             [hidden / W][4][W]           r and z summed, n of x, n of h (reset before: n summed, 0)
//   linear             panels [input][<= 3][W]
//   MinGRU             x weights [hidden / W][input][2][W] and biases [hidden / W][2][W], z and n side by side
// S is what the weights are stored as: T, Bf16, or Int8, whose blocks tile.h describes. Lanes beyond the last unit are
// zero. Several may pack one matrix, a part each; none waits for another.

template <class L>
struct Pack {
  using T = typename L::T;
  using V = typename L::V;
  static constexpr idx W = L::W;

  static GRUS_INLINE void transpose(V (&v)[W]) {
    // Interleaving row i with row i + W / 2 turns the bits of an element's (row, column) by one; log2(W) times swaps them.
    GRUS_UNROLL
    for (int n = W; n > 1; n /= 2) {
      V t[W];
      GRUS_UNROLL
      for (int i = 0; i < W / 2; ++i) L::interleave(v[i], v[i + W / 2], t[2 * i], t[2 * i + 1]);
      GRUS_UNROLL
      for (int i = 0; i < W; ++i) v[i] = t[i];
    }
  }
  // To nearest, ties to even; beyond the largest to infinity. A NaN keeps its sign and upper bits and becomes quiet.
  static GRUS_INLINE Bf16 rounded(float a) {
    uint32_t u;
    memcpy(&u, &a, sizeof u);
    const uint32_t up = (u + 0x7fffu + (u >> 16 & 1u)) >> 16, nan = u >> 16 | 0x40u;
    return {(uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : up)};
  }
  static GRUS_INLINE void keep(T* out, V v) { L::store(out, v); }
  static GRUS_INLINE void keep(Bf16* out, V v) {
    T t[W];
    L::store(t, v);
    for (int i = 0; i < W; ++i) out[i] = rounded(t[i]);
  }
  template <class S>
  static GRUS_INLINE idx column(idx depth) {
    return Stored<T, S>::column(depth, W);
  }
  // One vector's column of weights: rows first .. first + live of w [*, depth], as vector v of a block of nv. Int8: every
  // output's largest weight becomes 127.
  static void columns(const T* w, idx depth, idx first, idx live, Int8* block, idx v, idx nv) {
    T* const scales = reinterpret_cast<T*>(block + round_up(depth, 2) * nv * W) + v * W;
    for (idx lane = 0; lane < W; ++lane) {
      const T* const row = w + (first + lane) * depth;
      T most = 0;
      for (idx k = 0; k < depth && lane < live; ++k) {
        const T size = row[k] < 0 ? -row[k] : row[k];
        most = size > most ? size : most;
      }
      const bool counts = most >= (T)1e-30;
      const T inverse = counts ? 127 / most : 0, shift = 12582912;  // rounds to the nearest, see tile.h
      scales[lane] = counts ? most / 127 : 0;
      for (idx k = 0; k < round_up(depth, 2); ++k) {
        const T whole = k < depth && counts ? row[k] * inverse + shift - shift : 0;
        block[(k / 2 * nv + v) * W * 2 + lane * 2 + k % 2].value = (int8_t)whole;
      }
    }
  }
  template <class S>
  static void columns(const T* w, idx depth, idx first, idx live, S* block, idx v, idx nv) {
    S* const out = block + v * W;
    const idx step = nv * W;
    for (idx k = 0; k < depth; k += W) {
      const idx width = least(W, depth - k);
      V v[W];
      GRUS_UNROLL
      for (int lane = 0; lane < W; ++lane)
        v[lane] = lane < live ? get<L>(w + (first + lane) * depth, k, depth) : L::set(0);
      transpose(v);
      for (idx i = 0; i < width; ++i) keep(out + (k + i) * step, v[i]);
    }
  }
  // Gates 0 .. count of w [3 hidden, depth], side by side; one part's share of the blocks.
  template <class S>
  static void gates(const T* w, idx depth, idx hidden, int count, S* out, const Together& group) {
    const Span own = share(blocks(hidden, W), 1, group);
    for (idx j = own.first; j < own.last; ++j)
      for (int g = 0; g < count; ++g)
        columns(w + g * hidden * depth, depth, j * W, least(W, hidden - j * W), out + j * count * column<S>(depth), g,
                count);
  }
  // w [outputs, depth] in panels of up to three vectors.
  template <class S>
  static void panels(const T* w, idx depth, idx outputs, S* out, const Together& group) {
    const idx n = blocks(outputs, W);
    const Span own = share(n, 3, group);
    for (idx j = own.first; j < own.last; ++j) {
      const idx panel = j / 3 * 3, width = least(3, n - panel);
      columns(w, depth, j * W, least(W, outputs - j * W), out + panel * column<S>(depth), j - panel, width);
    }
  }

  template <class S>
  static idx gru_wx_size(idx input, idx hidden) {
    return blocks(hidden, W) * 3 * column<S>(input);
  }
  template <class S>
  static idx gru_wh_size(idx hidden) {
    return blocks(hidden, W) * 3 * column<S>(hidden);
  }
  static idx gru_bias_size(idx hidden) { return blocks(hidden, W) * W * 4; }

  template <class S>
  static void gru(idx input, idx hidden, bool reset_after, const T* w_ih, const T* w_hh, const T* b_ih,
                  const T* b_hh, S* wx, S* wh, T* bias, const Together& group) {
    gates(w_ih, input, hidden, 3, wx, group);
    if (reset_after) {
      gates(w_hh, hidden, hidden, 3, wh, group);
    } else {
      gates(w_hh, hidden, hidden, 2, wh, group);
      panels(w_hh + 2 * hidden * hidden, hidden, hidden, wh + blocks(hidden, W) * 2 * column<S>(hidden), group);
    }
    if (group.part == 0) biases(hidden, reset_after, b_ih, b_hh, bias);
  }
  static void biases(idx hidden, bool reset_after, const T* b_ih, const T* b_hh, T* bias) {
    for (idx j = 0; j < blocks(hidden, W) * W; ++j) {
      T* b = bias + j / W * 4 * W + j % W;
      const bool live = j < hidden;
      for (idx g = 0; g < 3; ++g) {
        const T bi = live && b_ih ? b_ih[g * hidden + j] : 0, bh = live && b_hh ? b_hh[g * hidden + j] : 0;
        const bool apart = g == 2 && reset_after;
        b[g * W] = apart ? bi : bi + bh;
        if (g == 2) b[3 * W] = apart ? bh : 0;
      }
    }
  }

  static idx gain_size(idx hidden) { return blocks(hidden, W) * W * 3; }
  static void gain(idx hidden, const T* g, T* packed) {
    for (idx j = 0; j < gain_size(hidden); ++j) {
      const idx unit = j / (3 * W) * W + j % W, gate = j / W % 3;
      packed[j] = unit < hidden ? g[gate * hidden + unit] : 0;
    }
  }

  // Rows of w [depth, outputs] as they lie, in panels of up to three vectors: for products with w itself rather
  // than with its transpose. `rotate` puts the last `rotate` rows first.
  static void rows(const T* w, idx depth, idx outputs, idx rotate, T* out, const Together& group) {
    const idx n = blocks(outputs, W);
    const Span own = share(n, 3, group);
    for (idx panel = own.first; panel < own.last; panel += 3) {
      const idx width = least(3, n - panel) * W, live = least(width, outputs - panel * W);
      T* to = out + panel * W * depth;
      for (idx k = 0; k < depth; ++k, to += width) {
        const T* row = w + (k < rotate ? depth - rotate + k : k - rotate) * outputs + panel * W;
        memcpy(to, row, (size_t)live * sizeof(T));
        for (idx i = live; i < width; ++i) to[i] = 0;
      }
    }
  }
  static idx whT_size(idx hidden) { return blocks(hidden, W) * W * 3 * hidden; }
  static idx wxT_size(idx input, idx hidden) { return blocks(input, W) * W * 3 * hidden; }
  // Backward reads the gates of h in the order n, r, z (reset before: r, z as one product, n as another).
  static void backward(idx input, idx hidden, bool reset_after, const T* w_ih, const T* w_hh, T* wxT, T* whT,
                       const Together& group) {
    rows(w_ih, 3 * hidden, input, 0, wxT, group);
    if (reset_after) return rows(w_hh, 3 * hidden, hidden, hidden, whT, group);
    rows(w_hh, 2 * hidden, hidden, 0, whT, group);
    rows(w_hh + 2 * hidden * hidden, hidden, hidden, 0, whT + blocks(hidden, W) * W * 2 * hidden, group);
  }

  template <class S>
  static idx linear_w_size(idx input, idx output) {
    return blocks(output, W) * column<S>(input);
  }
  static idx linear_bias_size(idx output) { return blocks(output, W) * W; }
  template <class S>
  static void linear(idx input, idx output, const T* w, const T* b, S* wp, T* bp) {
    panels(w, input, output, wp, {0, 1, nullptr, nullptr});
    for (idx j = 0; j < linear_bias_size(output); ++j) bp[j] = b && j < output ? b[j] : 0;
  }

  template <class S>
  static idx min_wx_size(idx input, idx hidden) {
    return blocks(hidden, W) * 2 * column<S>(input);
  }
  static idx min_bias_size(idx hidden) { return blocks(hidden, W) * W * 2; }
  template <class S>
  static void minimal(idx input, idx hidden, const T* w, const T* b, S* wx, T* bias) {
    gates(w, input, hidden, 2, wx, {0, 1, nullptr, nullptr});
    for (idx j = 0; j < min_bias_size(hidden); ++j) {
      const idx unit = j / (2 * W) * W + j % W, gate = j / W % 2;
      bias[j] = b && unit < hidden ? b[gate * hidden + unit] : 0;
    }
  }
  // For the gradient of x: the rows of w in the order of the gate gradients, z and n of W units after each other; every
  // part's share by itself, in panels [its units * 2][<= 3][W]. Rows beyond the last unit are zero.
  static idx min_wxT_size(idx input, idx hidden) { return min_bias_size(hidden) * blocks(input, W) * W; }
  static void min_backward(idx input, idx hidden, const T* w, T* wxT, const Together& part) {
    const Span own = share(blocks(hidden, W), 1, part);
    const idx n = blocks(input, W);
    T* to = wxT + own.first * 2 * W * n * W;
    for (idx panel = 0; panel < n; panel += 3) {
      const idx width = least(3, n - panel) * W, live = least(width, input - panel * W);
      for (idx j = own.first; j < own.last; ++j)
        for (idx k = 0; k < 2 * W; ++k, to += width) {
          const idx unit = j * W + k % W;
          const bool real = unit < hidden;
          if (real) memcpy(to, w + (k / W * hidden + unit) * input + panel * W, (size_t)live * sizeof(T));
          for (idx i = real ? live : 0; i < width; ++i) to[i] = 0;
        }
    }
  }
};
