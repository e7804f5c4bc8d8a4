// Weights laid out in the order in which the tiles read them; included inside an instruction set's namespace.
//   x weights          [hidden / W][input][3][W]    r, z, n of W hidden units side by side
//   recurrent weights  [hidden / W][hidden][3][W]   reset_after
//                      [hidden / W][hidden][2][W] then panels [hidden][<= 3][W] of n      reset before
//   biases             [hidden / W][4][W]           r and z summed, n of x, n of h (reset before: n summed, 0)
//   linear             panels [input][<= 3][W]
// Lanes beyond the last unit are zero.

template <class L>
struct Pack {
  using T = typename L::T;
  static constexpr idx W = L::W;

  // One vector's column of weights: rows first .. first + live of w [*, depth] -> out[k * step + lane].
  static void columns(const T* w, idx depth, idx first, idx live, T* out, idx step) {
    for (idx lane = 0; lane < W; ++lane)
      if (lane < live)
        for (idx k = 0; k < depth; ++k) out[k * step + lane] = w[(first + lane) * depth + k];
      else
        for (idx k = 0; k < depth; ++k) out[k * step + lane] = 0;
  }
  // Gates first .. first + count of w [3 hidden, depth], side by side.
  static void gates(const T* w, idx depth, idx hidden, int count, T* out) {
    for (idx j = 0; j < blocks(hidden, W); ++j)
      for (int g = 0; g < count; ++g)
        columns(w + g * hidden * depth, depth, j * W, least(W, hidden - j * W), out + (j * depth * count + g) * W,
                count * W);
  }
  // w [outputs, depth] in panels of up to three vectors.
  static void panels(const T* w, idx depth, idx outputs, T* out) {
    const idx n = blocks(outputs, W);
    for (idx j = 0; j < n; ++j) {
      const idx panel = j / 3 * 3, width = least(3, n - panel);
      columns(w, depth, j * W, least(W, outputs - j * W), out + (panel * depth + (j - panel)) * W, width * W);
    }
  }

  static idx gru_wx_size(idx input, idx hidden) { return blocks(hidden, W) * W * 3 * input; }
  static idx gru_wh_size(idx hidden) { return blocks(hidden, W) * W * 3 * hidden; }
  static idx gru_bias_size(idx hidden) { return blocks(hidden, W) * W * 4; }

  static void gru(idx input, idx hidden, bool reset_after, const T* w_ih, const T* w_hh, const T* b_ih,
                  const T* b_hh, T* wx, T* wh, T* bias) {
    const idx n = blocks(hidden, W);
    gates(w_ih, input, hidden, 3, wx);
    if (reset_after) {
      gates(w_hh, hidden, hidden, 3, wh);
    } else {
      gates(w_hh, hidden, hidden, 2, wh);
      panels(w_hh + 2 * hidden * hidden, hidden, hidden, wh + n * W * 2 * hidden);
    }
    for (idx j = 0; j < n * W; ++j) {
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

  static idx linear_w_size(idx input, idx output) { return blocks(output, W) * W * input; }
  static idx linear_bias_size(idx output) { return blocks(output, W) * W; }
  static void linear(idx input, idx output, const T* w, const T* b, T* wp, T* bp) {
    panels(w, input, output, wp);
    for (idx j = 0; j < linear_bias_size(output); ++j) bp[j] = b && j < output ? b[j] : 0;
  }
};
