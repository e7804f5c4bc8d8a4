// The greatest values of a row and log sum exp of all of them; included inside an instruction set's namespace.

template <class L>
struct Best {
  using T = typename L::T;
  using V = typename L::V;
  using Args = BestArgs<T>;
  static constexpr idx W = L::W;
  static constexpr idx kLook = 4 * W;   // values that are looked at together: most hold none of the greatest
  static constexpr idx kTotal = 16 * W;  // values whose sum is kept in T

  static void run(const Args& a, idx row0, idx row1) {
    for (idx row = row0; row < row1; ++row) {
      const T* const values = a.values + row * a.values_row;
      const T most = greatest(a, values, a.codes + row * a.count, a.best + row * a.count);
      a.of_picked[row] = values[a.picked];
      a.total[row] = log(total(values, a.size, most)) + static_cast<double>(most);
    }
  }
  // Returns the very greatest, banned or not.
  static T greatest(const Args& a, const T* values, int64_t* codes, T* best) {
    for (idx i = 0; i < a.count; ++i) codes[i] = 0, best[i] = static_cast<T>(-HUGE_VAL);
    V top = L::set(static_cast<T>(-HUGE_VAL));
    idx at = 0;
    for (; at + kLook <= a.size; at += kLook) {
      const T* const v = values + at;
      const V here = L::max(L::max(L::load(v), L::load(v + W)), L::max(L::load(v + 2 * W), L::load(v + 3 * W)));
      top = L::max(top, here);
      if (!L::any_above(here, L::set(best[a.count - 1]))) continue;
      for (idx i = at; i < at + kLook; i += W)
        if (L::any_above(L::load(values + i), L::set(best[a.count - 1]))) look(a, values, i, i + W, codes, best);
    }
    look(a, values, at, a.size, codes, best);
    T tops[W];
    L::store(tops, top);
    T most = tops[0];
    for (idx i = 1; i < W; ++i) most = tops[i] > most ? tops[i] : most;
    for (; at < a.size; ++at) most = values[at] > most ? values[at] : most;
    return most;
  }
  static void look(const Args& a, const T* values, idx from, idx to, int64_t* codes, T* best) {
    for (idx code = from; code < to; ++code) {
      const T value = values[code];
      if (!(value > best[a.count - 1]) || banned(a, code)) continue;
      idx place = a.count - 1;
      for (; place > 0 && value > best[place - 1]; --place) best[place] = best[place - 1], codes[place] = codes[place - 1];
      best[place] = value, codes[place] = code;
    }
  }
  static bool banned(const Args& a, idx code) {
    for (idx i = 0; i < a.banned_count; ++i)
      if (a.banned[i] == code) return true;
    return false;
  }
  // Sum of e^(value - most).
  static double total(const T* values, idx size, T most) {
    const V top = L::set(most);
    double total = 0;
    idx at = 0;
    while (at + W <= size) {
      V sum = L::set(0);
      for (const idx end = least(size, at + kTotal); at + W <= end; at += W)
        sum = L::add(sum, L::fade(L::sub(top, L::load(values + at))));
      total += L::sum(sum);
    }
    if (at == size) return total;
    T rest[W];
    for (idx i = 0; i < W; ++i) rest[i] = at + i < size ? values[at + i] : static_cast<T>(-HUGE_VAL);
    return total + L::sum(L::fade(L::sub(top, L::load(rest))));
  }
};
