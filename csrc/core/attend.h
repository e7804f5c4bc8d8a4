// What an attentive decoder does at a step beside its products; included inside an instruction set's namespace.
//
//   score_j = v . tanh(q + k_j), or q . k_j;  a = softmax over the valid j;  c = sum over j of a_j m_j
//
// A row goes through the steps of its memory in order, so its bits depend on no other, nor on the steps that the memory of
// another has. A score is summed lane by lane and then over the lanes; each number of c is one chain in ascending j.

template <class L>
struct Attend {
  using T = typename L::T;
  using V = typename L::V;
  using Args = AttendArgs<T>;
  static constexpr idx W = L::W;
  static constexpr int kVectors = 8;  // of the context that are summed at once

  static void run(const Args& a, idx row0, idx row1) {
    for (idx row = row0; row < row1; ++row) {
      const idx place = row / a.each, steps = a.lengths[place];
      T* const share = a.attention + row * a.attention_row;
      scores(a, a.query + row * a.query_row, a.keys + place * a.keys_row, share, steps);
      softmax(share, steps);
      for (idx j = steps; j < a.steps; ++j) share[j] = 0;
      sum(a, a.memory + place * a.memory_row, share, steps, a.context + row * a.context_row);
    }
  }
  static void scores(const Args& a, const T* q, const T* keys, T* score, idx steps) {
    for (idx j = 0; j < steps; ++j) {
      const T* const k = keys + j * a.keys_time;
      V total = L::set(0);
      if (a.vector)
        for (idx i = 0; i < a.key; i += W) {
          const V seen = L::tanh(L::add(get<L>(q, i, a.key), get<L>(k, i, a.key)));
          total = L::fma(get<L>(a.vector, i, a.key), seen, total);
        }
      else
        for (idx i = 0; i < a.key; i += W) total = L::fma(get<L>(q, i, a.key), get<L>(k, i, a.key), total);
      score[j] = L::sum(total);
    }
  }
  // In place. Scores that are all minus infinity, or none at all, give zeros; a NaN gives NaN.
  static void softmax(T* score, idx steps) {
    T most = -HUGE_VAL;
    for (idx j = 0; j < steps; ++j) most = score[j] > most ? score[j] : most;
    if (most == T(-HUGE_VAL)) most = 0;
    double total = 0;
    for (idx j = 0; j < steps; j += W) put<L>(score, j, steps, L::fade(L::sub(L::set(most), get<L>(score, j, steps))));
    for (idx j = 0; j < steps; ++j) total += score[j];
    if (total == 0) total = 1;
    for (idx j = 0; j < steps; ++j) score[j] = static_cast<T>(score[j] / total);
  }
  template <int NV>
  static void sum_some(const Args& a, const T* memory, const T* share, idx steps, idx at, T* context) {
    V total[NV];
    GRUS_UNROLL
    for (int v = 0; v < NV; ++v) total[v] = L::set(0);
    for (idx j = 0; j < steps; ++j) {
      const T* const m = memory + j * a.memory_time;
      const V part = L::set(share[j]);
      GRUS_UNROLL
      for (int v = 0; v < NV; ++v) total[v] = L::fma(part, get<L>(m, at + v * W, a.size), total[v]);
    }
    GRUS_UNROLL
    for (int v = 0; v < NV; ++v) put<L>(context, at + v * W, a.size, total[v]);
  }
  static void sum(const Args& a, const T* memory, const T* share, idx steps, T* context) {
    idx at = 0;
    for (; at + kVectors * W <= a.size; at += kVectors * W)
      sum_some<kVectors>(a, memory, share, steps, at, context);
    for (; at < a.size; at += W) sum_some<1>(a, memory, share, steps, at, context);
  }
};
