#include "gru.h"

#include <stdlib.h>

#include <string.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <string>
#include <vector>

#include "errors.h"
#include "share.h"
#include "team.h"

namespace grus {

namespace {

// Blocks that this thread gave back, kept for its next call: a training step asks for the same sizes again and again,
// and new memory costs more than packing weights into it (0.25 us and more a page of 4 KB, against 0.3).
class Pool {
 public:
  ~Pool() {
    gone = true;
    for (const Block& b : blocks_) free(b.at);
  }
  void* take(size_t bytes, size_t* size) {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      if (blocks_[i].size < bytes || blocks_[i].size > 2 * bytes) continue;
      const Block b = blocks_[i];
      blocks_[i] = blocks_.back();
      blocks_.pop_back();
      kept_ -= b.size;
      *size = b.size;
      return b.at;
    }
    *size = bytes;
    void* p = nullptr;
    return posix_memalign(&p, kAlign, bytes) == 0 ? p : nullptr;
  }
  void give(void* at, size_t size) {
    if (kept_ + size > kKeep) return free(at);
    blocks_.push_back({at, size});
    kept_ += size;
  }
#ifdef GRUS_SANITIZED
  static constexpr size_t kKeep = 0;  // a block that is used again hides what goes beyond its end
#else
  static constexpr size_t kKeep = size_t{16} << 20;
#endif
  static constexpr size_t kAlign = 64;
  static thread_local bool gone;  // the thread is ending; what is freed after that is not kept

 private:
  struct Block {
    void* at;
    size_t size;
  };
  std::vector<Block> blocks_;
  size_t kept_ = 0;
};
thread_local bool Pool::gone = false;
thread_local Pool pool;

}  // namespace

// A block begins with its size, in a cache line of its own.
template <class T>
Aligned<T> allocate(idx n) {
  const size_t data = (static_cast<size_t>(n > 0 ? n : 1) * sizeof(T) + Pool::kAlign - 1) / Pool::kAlign * Pool::kAlign;
  size_t size = data + Pool::kAlign;
  void* p = nullptr;
  if (Pool::gone)
    p = posix_memalign(&p, Pool::kAlign, size) == 0 ? p : nullptr;
  else
    p = pool.take(size, &size);
  if (!p) throw std::bad_alloc();
  *static_cast<size_t*>(p) = size;
  return Aligned<T>(reinterpret_cast<T*>(static_cast<char*>(p) + Pool::kAlign));
}

void Freed::operator()(void* data) const {
  if (!data) return;
  void* const p = static_cast<char*>(data) - Pool::kAlign;
  if (Pool::gone) return free(p);
  pool.give(p, *static_cast<size_t*>(p));
}

template Aligned<float> allocate<float>(idx);
template Aligned<double> allocate<double>(idx);
template Aligned<Bf16> allocate<Bf16>(idx);
template Aligned<Int8> allocate<Int8>(idx);
template Aligned<char> allocate<char>(idx);

namespace {

// Into how many parts the hidden units are cut, 1 for none. Cutting rows needs no meetings, so units are cut only
// where rows are too few for the threads, or where a part would read weights that do not fit its cache for a tile of
// less than 8 rows; and only if a part has work for 3 us a step (a meeting takes 0.2 us, or far more on a busy machine).
constexpr idx kCacheBytes = idx{1} << 19;
constexpr idx kMeetingWork = 40000;
// Backward has a reason more: a part with rows of its own has weight gradients of its own, to be added up at the end,
// which with fewer than kFewPairs rows x steps a thread costs more than it saves.
constexpr idx kFewPairs = 128;
int unit_parts(idx rows, idx time, idx hidden, idx step_work, idx bytes, bool norm, idx few_pairs) {
  const int threads = num_threads();
  if (threads == 1 || norm) return 1;
  const bool few_rows = time > 1 && (rows < threads || (rows < 8 * threads && bytes > kCacheBytes));
  if (!few_rows && rows * time >= few_pairs * threads) return 1;
  const idx parts = std::min<idx>({threads, step_work / kMeetingWork, hidden / 48});
  return static_cast<int>(std::max<idx>(1, parts));
}

// Packs `weights` weights, in parts where there are many: one thread packs 3 a nanosecond.
constexpr idx kPackWork = 100000;
template <class F>
void packing(idx weights, F pack) {
  const int parts = static_cast<int>(std::max<idx>(1, std::min<idx>(weights / kPackWork, num_threads())));
  if (parts == 1) return pack(kAlone);
  parallel(parts, [&](int p) { pack(Together{p, parts, nullptr, nullptr}); });
}

}  // namespace

namespace {

// One row's step is shared with other threads only where each has so many bytes of weights, and only while steps come so
// close that those threads are still looking for work: waking one takes longer than the step.
constexpr idx kStepBytes = 320000;
constexpr int64_t kClose = 50000;

int64_t nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

// On a busy machine a thread may lose its processor in the middle of a shared step. What shared steps take beyond the time
// of one alone is a debt. Some is granted, since the first step has to wake the others; beyond that, steps are done
// alone until a sixteenth of each has paid it back. Several threads may step one layer: what they overwrite of each
// other is a matter of speed only.
struct Pace {
  static constexpr int64_t kGranted = 1000000;  // ns
  std::atomic<int64_t> last{0}, alone{0}, debt{0}, turn{0};
  std::atomic<bool> pays{false};

  template <class F>
  void share(idx bytes, idx hidden, F&& one) {
    constexpr auto relaxed = std::memory_order_relaxed;
    const idx parts = std::min<idx>({num_threads(), bytes / kStepBytes, hidden / 48});
    if (parts < 2) return one(kAlone);
    const int64_t start = nanoseconds(), usual = alone.load(relaxed), owed = debt.load(relaxed);
    const bool close = start - last.load(relaxed) < kClose, measures = turn.fetch_add(1, relaxed) % 64 < 2;
    const bool shared = close && !measures && !pays.load(relaxed);
    if (shared)
      parallel(static_cast<int>(parts), [&](int p) { one(Together{p, static_cast<int>(parts), nullptr, nullptr}); });
    else
      one(kAlone);
    const int64_t end = nanoseconds(), took = end - start;
    const int64_t left = std::max<int64_t>(0, shared ? owed + took - usual : owed - took / 16);
    debt.store(left, relaxed);
    if (left == 0 || left > kGranted) pays.store(left > 0, relaxed);
    // Down at once, up slowly: a step alone may lose its processor too.
    if (!shared && close) alone.store(usual > 0 ? std::min(took, usual + usual / 16) : took, relaxed);
    last.store(end, relaxed);
  }
};
void Freed::operator()(Pace* pace) const { delete pace; }

template <class T, class S>
Gru<T, S>::Gru(const Isa& isa, idx i, idx h, bool after, const RawWeights<T>& w)
    : kernels(&kernels_of<T>(isa)),
      stored(&stored_kernels_of<T, S>(isa)),
      input(i),
      hidden(h),
      reset_after(after),
      wx(allocate<S>(stored->gru_wx_size(i, h))),
      wh(allocate<S>(stored->gru_wh_size(h))),
      bias(allocate<T>(kernels->gru_bias_size(h))),
      pace(new Pace) {
  packing(3 * h * (i + h), [&](const Together& part) {
    stored->pack_gru(i, h, after, w.w_ih, w.w_hh, w.b_ih, w.b_hh, wx.get(), wh.get(), bias.get(), part);
  });
  if (!w.gain_ih) return;
  gain_x = allocate<T>(kernels->gain_size(h));
  gain_h = allocate<T>(kernels->gain_size(h));
  kernels->pack_gain(h, w.gain_ih, gain_x.get());
  kernels->pack_gain(h, w.gain_hh, gain_h.get());
}

template <class T, class S>
void Gru<T, S>::run(SequenceArgs<T> a) const {
  a.input = input;
  a.hidden = hidden;
  a.reset_after = reset_after;
  a.bias = bias.get();
  a.gain_x = gain_x.get();
  a.gain_h = gain_h.get();
  if (a.batch == 0) return;
  const idx step_work = a.batch * 3 * hidden * (input + hidden);
  const idx bytes = 3 * hidden * (input + hidden) * static_cast<idx>(sizeof(S));
  const int units = unit_parts(a.batch, a.time, hidden, step_work, bytes, a.gain_x, 0);
  const auto run = [&](const idx* rows, idx count, char* scratch, const Together& group) {
    stored->sequence(a, wx.get(), wh.get(), rows, count, scratch, group);
  };
  if (a.batch == 1 && units == 1) {
    const idx row = 0;
    return run(&row, 1, allocate<char>(stored->scratch(a, 1, 1)).get(), kAlone);
  }
  const int parts = units > 1 ? 1 : parts_for(a.batch, a.time * 3 * hidden * (input + hidden));
  std::vector<idx> starts;
  const std::vector<idx> rows = deal(a.batch, a.lengths, parts, starts);
  if (parts == 1) {
    const Aligned<char> room = allocate<char>(stored->scratch(a, a.batch, units));
    const bool done = units > 1 && together(units, [&](int part, Barrier* barrier) {
      run(rows.data(), a.batch, room.get(), Together{part, units, meet_at, barrier});
    });
    if (!done) run(rows.data(), a.batch, room.get(), kAlone);
    return;
  }
  // Allocated here, not by the workers: an allocation that fails must be thrown to the caller.
  const auto count = [&](int p) { return starts[p + 1] - starts[p]; };
  std::vector<Aligned<char>> room;
  for (int p = 0; p < parts; ++p) room.push_back(allocate<char>(stored->scratch(a, count(p), 1)));
  parallel(parts, [&](int p) {
    run(rows.data() + starts[p], count(p), room[p].get(), kAlone);
  });
}

template <class T, class S>
void Gru<T, S>::step(const T* x, idx x_row, T* h, idx h_row, T* y, idx y_row, idx batch, T keep, bool turn) const {
  SequenceArgs<T> a{};
  a.batch = batch;
  a.time = 1;
  a.keep = keep;
  a.x = x;
  a.x_row = x_row;
  a.h0 = a.hn = h;
  a.h0_row = a.hn_row = h_row;
  a.y = y;
  a.y_row = y_row;
  if (batch == 0) return;
  if (!reset_after || gain_x) return run(a);
  a.input = input;
  a.hidden = hidden;
  a.bias = bias.get();
  const idx work = 3 * hidden * (input + hidden);
  if (batch == 1) {
    const Aligned<char> room = allocate<char>(stored->step_room(input, hidden, 1, num_threads()));
    const size_t bytes = static_cast<size_t>(hidden) * sizeof(T);
    memcpy(room.get(), h, bytes);
    memset(room.get() + bytes, 0, static_cast<size_t>(stored->step_row(hidden)) * sizeof(T) - bytes);
    pace->share(work * static_cast<idx>(sizeof(S)), hidden, [&](const Together& part) {
      stored->one(a, wx.get(), wh.get(), room.get(), turn, part);
    });
    if (y) memcpy(y, h, bytes);
    return;
  }
  const int parts = parts_for(batch, work);
  const idx room = stored->step_room(input, hidden, batch, 1);
  const Aligned<char> rooms = allocate<char>(parts * room);
  parallel(parts, [&](int p) {
    stored->many(a, wx.get(), wh.get(), rooms.get() + p * room, turn, batch * p / parts, batch * (p + 1) / parts);
  });
}

template <class T>
void train_forward(const Isa& isa, SequenceArgs<T> a, const RawWeights<T>& weights) {
  Gru<T>(isa, a.input, a.hidden, a.reset_after, weights).run(a);
}

namespace {

// One part's weight gradients: the caller's arrays for part 0, one block for every other part, and for arrays that
// the caller does not want.
template <class T>
class GradBlock {
 public:
  GradBlock(idx input, idx hidden, const WeightGrads<T>* wanted) {
    const idx H = hidden, sizes[6] = {3 * H * input, 3 * H * H, 3 * H, 3 * H, 3 * H, 3 * H};
    T* const given[6] = {wanted ? wanted->w_ih : nullptr,    wanted ? wanted->w_hh : nullptr,
                         wanted ? wanted->b_ih : nullptr,    wanted ? wanted->b_hh : nullptr,
                         wanted ? wanted->gain_ih : nullptr, wanted ? wanted->gain_hh : nullptr};
    idx own = 0;
    for (int i = 0; i < 6; ++i) own += given[i] ? 0 : sizes[i];
    block_ = allocate<T>(own);
    T* next = block_.get();
    for (int i = 0; i < 6; ++i) {
      wanted_at[i] = given[i];
      at[i] = given[i] ? given[i] : next;
      size[i] = sizes[i];
      if (!given[i]) next += sizes[i];
    }
  }
  WeightGrads<T> grads() const { return {at[0], at[1], at[2], at[3], at[4], at[5]}; }
  T* at[6];
  T* wanted_at[6];  // null where the caller wants none
  idx size[6];

 private:
  Aligned<T> block_;
};

}  // namespace

template <class T>
void train_backward(const Isa& isa, BackwardArgs<T> b, const RawWeights<T>& weights, const WeightGrads<T>& grads) {
  const Kernels<T>& k = kernels_of<T>(isa);
  const SequenceArgs<T>& f = b.f;
  const Aligned<T> wxT = allocate<T>(k.wxT_size(f.input, f.hidden)), whT = allocate<T>(k.whT_size(f.hidden));
  packing(3 * f.hidden * (f.input + f.hidden), [&](const Together& part) {
    k.pack_backward(f.input, f.hidden, f.reset_after, weights.w_ih, weights.w_hh, wxT.get(), whT.get(), part);
  });
  b.wxT = wxT.get();
  b.whT = whT.get();
  Aligned<T> gain_x, gain_h, bias;
  if (weights.gain_ih) {
    gain_x = allocate<T>(k.gain_size(f.hidden));
    gain_h = allocate<T>(k.gain_size(f.hidden));
    bias = allocate<T>(k.gru_bias_size(f.hidden));
    k.pack_gain(f.hidden, weights.gain_ih, gain_x.get());
    k.pack_gain(f.hidden, weights.gain_hh, gain_h.get());
    k.pack_bias(f.hidden, f.reset_after, weights.b_ih, weights.b_hh, bias.get());
    b.f.gain_x = gain_x.get();
    b.f.gain_h = gain_h.get();
    b.f.bias = bias.get();
  }
  const idx step_work = f.batch * 3 * f.hidden * (f.input + f.hidden);
  const idx bytes = 3 * f.hidden * (f.input + f.hidden) * static_cast<idx>(sizeof(T));
  const int units = unit_parts(f.batch, f.time, f.hidden, step_work, bytes, b.f.gain_x, kFewPairs);
  const int parts = units > 1 ? 1 : parts_for(f.batch, 2 * f.time * 3 * f.hidden * (f.input + f.hidden));
  std::vector<idx> starts;
  const std::vector<idx> rows = deal(f.batch, f.lengths, parts, starts);
  const auto count = [&](int p) { return starts[p + 1] - starts[p]; };
  std::vector<GradBlock<T>> blocks;
  std::vector<Aligned<char>> room;
  for (int p = 0; p < parts; ++p) {
    blocks.emplace_back(f.input, f.hidden, p == 0 ? &grads : nullptr);
    room.push_back(allocate<char>(k.backward_scratch(b, count(p), units)));
  }
  if (units > 1 && together(units, [&](int part, Barrier* barrier) {
        k.backward(b, rows.data(), f.batch, room[0].get(), blocks[0].grads(),
                   Together{part, units, meet_at, barrier});
      }))
    return;
  parallel(parts, [&](int p) {
    k.backward(b, rows.data() + starts[p], count(p), room[p].get(), blocks[p].grads(), kAlone);
  });
  if (parts == 1) return;
  parallel(parts, [&](int p) {
    for (int i = 0; i < 6; ++i) {
      T* const sum = blocks[0].wanted_at[i];
      if (!sum) continue;
      const idx n = blocks[0].size[i], first = n * p / parts, last = n * (p + 1) / parts;
      for (int q = 1; q < parts; ++q)
        for (idx j = first; j < last; ++j) sum[j] += blocks[q].at[i][j];
    }
  });
}

template <class T>
idx saved_size(const Isa& isa, idx hidden, bool reset_after, bool norm) {
  return kernels_of<T>(isa).saved_size(hidden, reset_after, norm);
}

template <class T, class S>
DenseLayer<T, S>::DenseLayer(const Isa& isa, idx i, idx o, const T* weight, const T* b)
    : stored(&stored_kernels_of<T, S>(isa)),
      input(i),
      output(o),
      w(allocate<S>(stored->linear_w_size(i, o))),
      bias(allocate<T>(kernels_of<T>(isa).linear_bias_size(o))) {
  stored->pack_linear(i, o, weight, b, w.get(), bias.get());
}

template <class T, class S>
void DenseLayer<T, S>::run(const T* x, idx rows, idx x_row, T* y, idx y_row) const {
  const LinearArgs<T, S> a{rows, input, output, w.get(), bias.get(), x, x_row, y, y_row};
  const int parts = parts_for(rows, input * output);
  const idx room = stored->linear_room(input);
  const Aligned<char> rooms = room ? allocate<char>(parts * room) : nullptr;
  parallel(parts, [&](int p) {
    stored->linear(a, rows * p / parts, rows * (p + 1) / parts, rooms.get() + p * room);
  });
}

void check_lengths(const int64_t* lengths, idx batch, idx time) {
  for (idx b = 0; b < batch; ++b)
    if (lengths[b] < 0 || lengths[b] > time)
      throw UsageError("lengths[" + std::to_string(b) + "]: must be from 0 to the " + std::to_string(time) +
                       " steps of x, got " + std::to_string(lengths[b]));
}

template void train_forward(const Isa&, SequenceArgs<float>, const RawWeights<float>&);
template void train_forward(const Isa&, SequenceArgs<double>, const RawWeights<double>&);
template void train_backward(const Isa&, BackwardArgs<float>, const RawWeights<float>&, const WeightGrads<float>&);
template void train_backward(const Isa&, BackwardArgs<double>, const RawWeights<double>&,
                             const WeightGrads<double>&);
template idx saved_size<float>(const Isa&, idx, bool, bool);
template idx saved_size<double>(const Isa&, idx, bool, bool);
template struct Gru<float>;
template struct Gru<double>;
template struct Gru<float, Bf16>;
template struct Gru<float, Int8>;
template struct DenseLayer<float>;
template struct DenseLayer<double>;
template struct DenseLayer<float, Bf16>;
template struct DenseLayer<float, Int8>;

}  // namespace grus
