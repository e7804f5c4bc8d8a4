// y = x w^T + b, the weights stored as S; included inside an instruction set's namespace.

template <class L, class S>
struct Linear {
  using T = typename L::T;
  using V = typename L::V;
  using Args = LinearArgs<T, S>;
  using Row = typename Stored<T, S>::Row;
  static constexpr idx W = L::W;

  template <int MR, int NV>
  static void tile(const Args& a, const Row* x, idx row, idx panel) {
    Row in[MR];
    for (int r = 0; r < MR; ++r) in[r] = x[r];
    V acc[1][MR][NV];
    GRUS_UNROLL
    for (int r = 0; r < MR; ++r)
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) acc[0][r][v] = L::load(a.bias + (panel + v) * W);
    accumulate<L, 1, MR, NV>(acc, in, a.w + panel * Stored<T, S>::column(a.input, W), 0, a.input);
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
  static void rows(int mr, const Args& a, const Row* x, idx row, idx panel) {
    using Tile = void (*)(const Args&, const Row*, idx, idx);
#if GRUS_TILE_ROWS == 8
    static constexpr Tile table[] = {tile<1, NV>, tile<2, NV>, tile<3, NV>, tile<4, NV>,
                                     tile<5, NV>, tile<6, NV>, tile<7, NV>, tile<8, NV>};
#else
    static constexpr Tile table[] = {tile<1, NV>, tile<2, NV>, tile<3, NV>, tile<4, NV>};
#endif
    table[mr - 1](a, x, row, panel);
  }
  // Rows are taken some at a time: whole numbers are made of them in scratch, room_size bytes.
  static constexpr idx kRows = 64;
  static idx room_size(idx input) { return Stored<T, S>::kWhole ? kRows * room<int16_t>(round_up(input, 2)) : 0; }
  static void run(const Args& a, idx row0, idx row1, void* scratch) {
    Row x[kRows];
    for (idx from = row0; from < row1; from += kRows) {
      const idx count = least(row1 - from, kRows);
      Arena arena{static_cast<char*>(scratch)};
      for (idx i = 0; i < count; ++i) {
        const T* const row = a.x + (from + i) * a.x_row;
        if constexpr (Stored<T, S>::kWhole) {
          x[i].values = arena.take<int16_t>(round_up(a.input, 2));
          x[i].scale = whole_of(row, a.input, x[i].values);
        } else {
          x[i] = row;
        }
      }
      some(a, x, from, count);
    }
  }
  static void some(const Args& a, const Row* x, idx from, idx count) {
    const idx n = blocks(a.output, W);
    const Tiles tiles(count);
    for (idx panel = 0; panel < n; panel += 3) {
      idx row = 0;
      for (idx i = 0; i < tiles.count; row += tiles.rows(i), ++i) {
        const int mr = tiles.rows(i);
        if (n - panel >= 3)
          rows<3>(mr, a, x + row, from + row, panel);
        else if (n - panel == 2)
          rows<2>(mr, a, x + row, from + row, panel);
        else
          rows<1>(mr, a, x + row, from + row, panel);
      }
    }
  }
};
