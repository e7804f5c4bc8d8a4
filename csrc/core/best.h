// The greatest values of a row and log sum exp of all of them; included inside an instruction set's namespace.
//
// A row is taken in some values at a time, always as many, whoever makes them: the greatest so far, and the sum so far of
// e^(value - most), most being the greatest of all so far.

template <class L>
struct Best {
  using T = typename L::T;
  using V = typename L::V;
  using Args = BestArgs<T>;
  static constexpr idx W = L::W;
  static constexpr idx kLook = 4 * W;    // values that are looked at together: most hold none of the greatest
  static constexpr idx kTotal = 16 * W;  // values whose sum is kept in T
  static constexpr idx kSome = 48 * W;   // values that are taken in at a time: whole panels of a layer, too

  static void run(const Args& a, idx row0, idx row1) {
    for (idx row = row0; row < row1; ++row) {
      T most = begin(a, row);
      for (idx from = 0; from < a.size; from += kSome)
        take(a, row, a.values + row * a.values_row + from, from, least(kSome, a.size - from), most);
      end(a, row, most);
    }
  }
  static T begin(const Args& a, idx row) {
    for (idx i = row * a.count; i < (row + 1) * a.count; ++i) a.codes[i] = 0, a.best[i] = static_cast<T>(-HUGE_VAL);
    a.total[row] = 0;
    return static_cast<T>(-HUGE_VAL);
  }
  // Values `from` to `from + count` of a row.
  static void take(const Args& a, idx row, const T* values, idx from, idx count, T& most) {
    const T here = greatest(a, values, from, count, a.codes + row * a.count, a.best + row * a.count);
    if (here > most) {
      a.total[row] *= exp(static_cast<double>(most) - static_cast<double>(here));
      most = here;
    }
    // Where all are minus infinity their sum is nothing, but that of a NaN is NaN.
    a.total[row] += total(values, count, most == static_cast<T>(-HUGE_VAL) ? 0 : most);
    if (a.picked >= from && a.picked < from + count) a.of_picked[row] = values[a.picked - from];
  }
  static void end(const Args& a, idx row, T most) { a.total[row] = log(a.total[row]) + static_cast<double>(most); }

  // Returns the very greatest of these, banned or not.
  static T greatest(const Args& a, const T* values, idx from, idx count, int64_t* codes, T* best) {
    V top = L::set(static_cast<T>(-HUGE_VAL));
    idx at = 0;
    for (; at + kLook <= count; at += kLook) {
      const T* const v = values + at;
      const V here = L::max(L::max(L::load(v), L::load(v + W)), L::max(L::load(v + 2 * W), L::load(v + 3 * W)));
      top = L::max(top, here);
      if (!L::any_above(here, L::set(best[a.count - 1]))) continue;
      for (idx i = at; i < at + kLook; i += W)
        if (L::any_above(L::load(values + i), L::set(best[a.count - 1]))) look(a, values + i, from + i, W, codes, best);
    }
    look(a, values + at, from + at, count - at, codes, best);
    T tops[W];
    L::store(tops, top);
    T most = tops[0];
    for (idx i = 1; i < W; ++i) most = tops[i] > most ? tops[i] : most;
    for (; at < count; ++at) most = values[at] > most ? values[at] : most;
    return most;
  }
  static void look(const Args& a, const T* values, idx from, idx count, int64_t* codes, T* best) {
    for (idx i = 0; i < count; ++i) {
      const T value = values[i];
      if (!(value > best[a.count - 1]) || banned(a, from + i)) continue;
      idx place = a.count - 1;
      for (; place > 0 && value > best[place - 1]; --place) best[place] = best[place - 1], codes[place] = codes[place - 1];
      best[place] = value, codes[place] = from + i;
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

// The same of the outputs of a layer. A piece of its weights is read once for many rows, and what it makes of some of them
// is taken in while it lies in the cache: of 8,000 outputs, 1,280 rows and 128 inputs 16 us a row, not 23 as when all outputs
// of 16 rows were made first (AVX-512, one thread).
template <class L, class S>
struct BestOutputs {
  using T = typename L::T;
  using One = Best<L>;
  static constexpr idx kMany = 512, kRows = Linear<L, S>::kRows;

  static idx room_size(idx input) { return Linear<L, S>::room_size(input) + room<T>(kRows * One::kSome); }
  static void run(const LinearArgs<T, S>& a, const BestArgs<T>& b, idx row0, idx row1, void* scratch) {
    Arena arena{static_cast<char*>(scratch)};
    T* const made = arena.take<T>(kRows * One::kSome);
    T most[kMany];
    for (idx first = row0; first < row1; first += kMany) {
      const idx many = least(kMany, row1 - first);
      for (idx i = 0; i < many; ++i) most[i] = One::begin(b, first + i);
      for (idx from = 0; from < a.output; from += One::kSome) {
        const idx count = least(One::kSome, a.output - from);
        const S* const w = a.w + from / L::W * Stored<T, S>::column(a.input, L::W);
        for (idx i = 0; i < many; i += kRows) {
          const idx rows = least(kRows, many - i);
          const T* const x = a.x + (first + i) * a.x_row;
          Linear<L, S>::run({rows, a.input, count, w, a.bias + from, x, a.x_row, made, One::kSome}, 0, rows, arena.next);
          for (idx r = 0; r < rows; ++r) One::take(b, first + i + r, made + r * One::kSome, from, count, most[i + r]);
        }
      }
      for (idx i = 0; i < many; ++i) One::end(b, first + i, most[i]);
    }
  }
};
