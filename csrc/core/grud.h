// What GRU-D makes of its inputs before its GRU runs; included inside an instruction set's namespace.
//
//   s = gap + since;  xhat = m ? x : e last, e = decay(w s + b);  last' = m ? x : last;  since' = m ? 0 : s
//
// A row goes through its steps by itself, so its bits depend on no other. Back, with q the gradient of xhat,
//
//   da = -q last e where m is 0 and w s + b > 0;  ds = w da + what comes from outside + (1 - m) dsince
//   dx = m (q + dlast);  dlast <- (1 - m) (dlast + q e);  dsince <- ds;  dgap = sum of ds
//
// Nothing is taken of x, nor of any gradient, where the mask says no: neither may be NaN there and spoil a sum. Sums are
// those of the rows, in order, one added to the other.

template <class L>
struct LookBack {
  using T = typename L::T;
  using V = typename L::V;
  using Args = LookBackArgs<T>;
  using Back = LookBackGradient<T>;
  static constexpr idx W = L::W;

  static idx length(const Args& a, idx row) { return a.lengths ? a.lengths[row] : a.time; }
  // 1 where the mask is above 1/2, else 0; a plain loop, since NaN is neither above nor below.
  static void mark(const T* __restrict mask, T* __restrict observed, idx size) {
    for (idx j = 0; j < size; ++j) observed[j] = mask[j] > T(0.5) ? T(1) : T(0);
  }

  static void run(const Args& a) {
    for (idx row = 0; row < a.batch; ++row) run_row(a, row);
  }
  static void run_row(const Args& a, idx row) {
    const idx D = a.size;
    T *const last = a.last_n + row * a.last_n_row, *const since = a.since_n + row * a.since_n_row;
    memcpy(last, a.last + row * a.last_row, (size_t)D * sizeof(T));
    memcpy(since, a.since + row * a.since_row, (size_t)D * sizeof(T));
    for (idx t = 0; t < length(a, row); ++t) {
      const T gap = a.gap[row * a.gap_row + t * a.gap_time];
      const T *const x = a.x + row * a.x_row + t * a.x_time, *const mask = a.mask + row * a.mask_row + t * a.mask_time;
      T *const in = a.inputs + row * a.inputs_row + t * a.inputs_time, *const observed = in + D;
      T *const s = a.elapsed + row * a.elapsed_row + t * a.elapsed_time;
      T *const before = a.before + row * a.before_row + t * a.before_time;
      mark(mask, observed, D);
      for (idx j = 0; j < D; j += W) {
        const V elapsed = L::add(L::set(gap), get<L>(since, j, D)), old = get<L>(last, j, D);
        const V e = L::decay(L::add(L::mul(get<L>(a.weight, j, D), elapsed), get<L>(a.bias, j, D)));
        const V no = L::sub(L::set(0), get<L>(observed, j, D)), value = get<L>(x, j, D);  // below 0: observed
        put<L>(s, j, D, elapsed);
        put<L>(before, j, D, old);
        put<L>(in, j, D, L::if_negative(no, value, L::mul(e, old)));
        put<L>(last, j, D, L::if_negative(no, value, old));
        put<L>(since, j, D, L::if_negative(no, L::set(0), elapsed));
      }
    }
    for (idx t = length(a, row); t < a.time; ++t) {
      memset(a.inputs + row * a.inputs_row + t * a.inputs_time, 0, (size_t)(2 * D) * sizeof(T));
      memset(a.elapsed + row * a.elapsed_row + t * a.elapsed_time, 0, (size_t)D * sizeof(T));
      memset(a.before + row * a.before_row + t * a.before_time, 0, (size_t)D * sizeof(T));
    }
  }

  // room: 4 D numbers.
  static void back(const Back& b, T* room) {
    const Args& a = b.f;
    memset(b.dweight, 0, (size_t)a.size * sizeof(T));
    memset(b.dbias, 0, (size_t)a.size * sizeof(T));
    for (idx row = 0; row < a.batch; ++row) {
      T *const dweight = room + 2 * a.size, *const dbias = room + 3 * a.size;
      memset(dweight, 0, (size_t)(2 * a.size) * sizeof(T));
      back_row(b, row, room, dweight, dbias);
      for (idx j = 0; j < a.size; ++j) b.dweight[j] += dweight[j], b.dbias[j] += dbias[j];
    }
  }
  static void back_row(const Back& b, idx row, T* room, T* dweight, T* dbias) {
    const Args& a = b.f;
    const idx D = a.size;
    const V zero = L::set(0);
    T *const dlast = room, *const dsince = room + D;
    begin(dlast, b.dlast_n, row * b.dlast_n_row, D);
    begin(dsince, b.dsince_n, row * b.dsince_n_row, D);
    for (idx t = length(a, row) - 1; t >= 0; --t) {
      const T* const s = a.elapsed + row * a.elapsed_row + t * a.elapsed_time;
      const T* const before = a.before + row * a.before_row + t * a.before_time;
      const T *const q = b.dinputs + row * b.dinputs_row + t * b.dinputs_time;
      const T *const observed = a.inputs + row * a.inputs_row + t * a.inputs_time + D;
      const T* const outside = b.delapsed ? b.delapsed + row * b.delapsed_row + t * b.delapsed_time : nullptr;
      T* const dx = b.dx ? b.dx + row * b.dx_row + t * b.dx_time : nullptr;
      V sum = zero;
      for (idx j = 0; j < D; j += W) {
        const V w = get<L>(a.weight, j, D), since = get<L>(s, j, D), of_xhat = get<L>(q, j, D);
        const V e = L::add(L::mul(w, since), get<L>(a.bias, j, D)), fading = L::decay(e);
        const V no = L::sub(zero, get<L>(observed, j, D));  // below 0: observed
        V da = L::sub(zero, L::mul(L::mul(of_xhat, get<L>(before, j, D)), fading));
        da = L::if_negative(no, zero, L::if_negative(L::sub(zero, e), da, zero));
        put<L>(dweight, j, D, L::add(get<L>(dweight, j, D), L::mul(da, since)));
        put<L>(dbias, j, D, L::add(get<L>(dbias, j, D), da));
        V ds = L::add(L::mul(w, da), L::if_negative(no, zero, get<L>(dsince, j, D)));
        if (outside) ds = L::add(ds, get<L>(outside, j, D));
        put<L>(dsince, j, D, ds);
        sum = L::add(sum, ds);
        const V later = get<L>(dlast, j, D);
        if (dx) put<L>(dx, j, D, L::if_negative(no, L::add(of_xhat, later), zero));
        put<L>(dlast, j, D, L::if_negative(no, zero, L::add(later, L::mul(of_xhat, fading))));
      }
      if (b.dgap) b.dgap[row * b.dgap_row + t * b.dgap_time] = L::sum(sum);
    }
    for (idx t = length(a, row); t < a.time; ++t) {
      if (b.dx) memset(b.dx + row * b.dx_row + t * b.dx_time, 0, (size_t)D * sizeof(T));
      if (b.dgap) b.dgap[row * b.dgap_row + t * b.dgap_time] = 0;
    }
    if (b.dlast) memcpy(b.dlast + row * b.dlast_row, dlast, (size_t)D * sizeof(T));
    if (b.dsince) memcpy(b.dsince + row * b.dsince_row, dsince, (size_t)D * sizeof(T));
  }
  static void begin(T* to, const T* from, idx at, idx size) {
    if (from)
      memcpy(to, from + at, (size_t)size * sizeof(T));
    else
      memset(to, 0, (size_t)size * sizeof(T));
  }
};
