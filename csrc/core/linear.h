// y = x w^T + b, the weights stored as S; included inside an instruction set's namespace.

template <class L, class S>
struct Linear {
  using T = typename L::T;
  using V = typename L::V;
  using Args = LinearArgs<T, S>;
  static constexpr idx W = L::W;

  template <int MR, int NV>
  static void tile(const Args& a, idx row, idx panel) {
    const T* in[MR];
    for (int r = 0; r < MR; ++r) in[r] = a.x + (row + r) * a.x_row;
    V acc[1][MR][NV];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r)
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) acc[0][r][v] = L::load(a.bias + (panel + v) * W);
    accumulate<L, 1, MR, NV>(acc, in, a.w + panel * W * a.input, 0, a.input);
    GRUS_UNROLL
    for (int v = 0; v < NV; ++v) {
      const idx col = (panel + v) * W;
      if (col + W <= a.output) {
        GRUS_UNROLL
        for (int r = 0; r < MR; ++r) L::store(a.y + (row + r) * a.y_row + col, acc[0][r][v]);
      } else {
        const typename L::M m = L::mask((int)(a.output - col));
        GRUS_UNROLL
        for (int r = 0; r < MR; ++r) L::store(m, a.y + (row + r) * a.y_row + col, acc[0][r][v]);
      }
    }
  }
  template <int NV>
  static void rows(int mr, const Args& a, idx row, idx panel) {
    using Tile = void (*)(const Args&, idx, idx);
#if GRUS_TILE_ROWS == 8
    static constexpr Tile table[] = {tile<1, NV>, tile<2, NV>, tile<3, NV>, tile<4, NV>,
                                     tile<5, NV>, tile<6, NV>, tile<7, NV>, tile<8, NV>};
#else
    static constexpr Tile table[] = {tile<1, NV>, tile<2, NV>, tile<3, NV>, tile<4, NV>};
#endif
    table[mr - 1](a, row, panel);
  }
  static void run(const Args& a, idx row0, idx row1) {
    const idx n = blocks(a.output, W);
    const Tiles tiles(row1 - row0);
    for (idx panel = 0; panel < n; panel += 3) {
      idx row = row0;
      for (idx i = 0; i < tiles.count; row += tiles.rows(i), ++i) {
        const int mr = tiles.rows(i);
        if (n - panel >= 3)
          rows<3>(mr, a, row, panel);
        else if (n - panel == 2)
          rows<2>(mr, a, row, panel);
        else
          rows<1>(mr, a, row, panel);
      }
    }
  }
};
