// Holds every instruction set of this machine to golden cases of the oracle, without Python: for sanitizers, and for
// ARM under emulation. Usage: driver CASES. Cases come from make_cases.py, which describes the file.
// driver CASES beyond reads past the end of an array, driver CASES race writes one from two threads: whoever watches
// the memory must stop them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "core/cell.h"
#include "errors.h"
#include "gru.h"
#include "mingru.h"
#include "search.h"
#include "team.h"
#include "tests/fenced.h"

using grus::idx;

namespace {

constexpr int64_t kMagic = 0x53555247, kMagicMinimal = 0x4e494d47;
constexpr double kMaxUlp = 2.5;  // what core/activations.h states
std::atomic<int> failures{0};
bool quiet = false;

void fail(const std::string& what) {
  if (++failures <= 20 && !quiet) std::fprintf(stderr, "FAILED %s\n", what.c_str());
}

struct Result {
  double scale[2];  // the oracle's own largest error in float32 and in float64
  std::vector<double> exact;
};

struct Case {
  idx T, B, I, H;
  bool after, reverse, bias, norm, lengths, resets, mask, keep_mask, decay;
  double keep;
  std::vector<double> x, h0, w[6], len, res, m, km, g, dy, dhn;
  std::vector<Result> results;
  std::string name;
};

class Reader {
 public:
  explicit Reader(const char* path) : file_(path, std::ios::binary) {}
  bool more() { return file_.good() && file_.peek() != EOF; }
  int64_t integer() {
    int64_t v = 0;
    file_.read(reinterpret_cast<char*>(&v), 8);
    return v;
  }
  double number() {
    double v = 0;
    file_.read(reinterpret_cast<char*>(&v), 8);
    return v;
  }
  std::vector<double> array(idx n) {
    std::vector<double> v(static_cast<size_t>(n));
    file_.read(reinterpret_cast<char*>(v.data()), n * 8);
    return v;
  }
  int64_t peek() {
    const int64_t v = integer();
    file_.seekg(-8, std::ios::cur);
    return v;
  }
  bool good() const { return file_.good(); }

 private:
  std::ifstream file_;
};

Case read_case(Reader& in, int number) {
  if (in.integer() != kMagic) {
    std::fprintf(stderr, "driver: case %d does not start with the magic number\n", number);
    std::exit(2);
  }
  Case c;
  c.T = in.integer(), c.B = in.integer(), c.I = in.integer(), c.H = in.integer();
  c.after = in.integer(), c.reverse = in.integer(), c.bias = in.integer(), c.norm = in.integer();
  c.lengths = in.integer(), c.resets = in.integer(), c.mask = in.integer(), c.keep_mask = in.integer();
  c.decay = in.integer();
  c.keep = in.number();
  const idx G = 3 * c.H;
  c.x = in.array(c.T * c.B * c.I);
  c.h0 = in.array(c.B * c.H);
  const idx sizes[6] = {G * c.I, G * c.H, c.bias ? G : 0, c.bias ? G : 0, c.norm ? G : 0, c.norm ? G : 0};
  for (int i = 0; i < 6; ++i) c.w[i] = in.array(sizes[i]);
  c.len = in.array(c.lengths ? c.B : 0);
  c.res = in.array(c.resets ? c.B * c.T : 0);
  c.m = in.array(c.mask ? c.B * c.H : 0);
  c.km = in.array(c.keep_mask ? c.T * c.B * c.H : 0);
  c.g = in.array(c.decay ? c.T * c.B * c.H : 0);
  c.dy = in.array(c.T * c.B * c.H);
  c.dhn = in.array(c.B * c.H);
  const idx out[4] = {c.T * c.B * c.H, c.B * c.H, c.T * c.B * c.I, c.B * c.H};
  for (int i = 0; i < 11; ++i) {
    const idx n = i < 4 ? out[i] : i < 10 ? sizes[i - 4] : static_cast<idx>(c.g.size());
    if (i >= 6 && n == 0) continue;
    Result r;
    r.scale[0] = in.number(), r.scale[1] = in.number();
    r.exact = in.array(n);
    c.results.push_back(r);
  }
  if (!in.good()) {
    std::fprintf(stderr, "driver: case %d is cut short\n", number);
    std::exit(2);
  }
  c.name = "case " + std::to_string(number) + " T=" + std::to_string(c.T) + " B=" + std::to_string(c.B) +
           " I=" + std::to_string(c.I) + " H=" + std::to_string(c.H) + (c.after ? " after" : " before") +
           (c.norm ? " norm" : "") + (c.lengths ? " lengths" : "") + (c.reverse ? " reverse" : "") +
           (c.decay ? " decay" : "");
  return c;
}

template <class T>
Array<T> cast(const std::vector<double>& v) {
  return Array<T>(v.begin(), v.end());
}

// A case in one number type, with results that start as NaN.
template <class T>
struct Run {
  const Case& c;
  Array<T> x, h0, w[6], mask, decay, dy, dhn, saved, y, hn, dx, dh0, dw[6], ddecay;
  Array<int64_t> lengths;
  Array<uint8_t> resets, keep;

  explicit Run(const Case& from)
      : c(from),
        x(cast<T>(c.x)),
        h0(cast<T>(c.h0)),
        mask(cast<T>(c.m)),
        decay(cast<T>(c.g)),
        dy(cast<T>(c.dy)),
        dhn(cast<T>(c.dhn)),
        y(c.dy.size(), T(NAN)),
        hn(c.dhn.size(), T(NAN)),
        dx(c.x.size(), T(NAN)),
        dh0(c.h0.size(), T(NAN)),
        ddecay(c.g.size(), T(NAN)) {
    for (int i = 0; i < 6; ++i) {
      w[i] = cast<T>(c.w[i]);
      dw[i].assign(w[i].size(), T(NAN));
    }
    lengths = cast<int64_t>(c.len);  // cast also drops the spare room that push_back would leave before the fence
    resets = cast<uint8_t>(c.res);
    keep = cast<uint8_t>(c.km);
  }
  template <class U>
  static U* given(Array<U>& v) {
    return v.empty() ? nullptr : v.data();
  }
  grus::SequenceArgs<T> args() {
    grus::SequenceArgs<T> a{};
    a.batch = c.B, a.time = c.T, a.input = c.I, a.hidden = c.H;
    a.reset_after = c.after, a.reverse = c.reverse;
    a.x = x.data(), a.x_row = c.I, a.x_time = c.B * c.I;
    a.h0 = h0.data(), a.h0_row = c.H;
    a.y = y.data(), a.y_row = c.H, a.y_time = c.B * c.H;
    a.hn = hn.data(), a.hn_row = c.H;
    a.lengths = given(lengths);
    a.resets = given(resets), a.resets_row = c.T, a.resets_time = 1;
    a.mask = given(mask), a.mask_row = c.H;
    a.keep = static_cast<T>(c.keep);
    a.keep_mask = given(keep), a.keep_row = c.H, a.keep_time = c.B * c.H;
    a.decay = given(decay), a.decay_row = c.H, a.decay_time = c.B * c.H;
    return a;
  }
  grus::RawWeights<T> weights() {
    return {w[0].data(), w[1].data(), given(w[2]), given(w[3]), given(w[4]), given(w[5])};
  }
  void train(const grus::Isa& isa) {
    grus::SequenceArgs<T> a = args();
    const idx size = grus::saved_size<T>(isa, c.H, c.after, c.norm);
    saved.assign(static_cast<size_t>(c.T * c.B * size), T(NAN));
    a.saved = saved.data(), a.saved_row = size, a.saved_time = c.B * size;
    grus::train_forward(isa, a, weights());
    grus::BackwardArgs<T> b{};
    b.f = a;
    b.dy = dy.data(), b.dy_row = c.H, b.dy_time = c.B * c.H;
    b.dhn = dhn.data(), b.dhn_row = c.H;
    b.dx = dx.data(), b.dx_row = c.I, b.dx_time = c.B * c.I;
    b.dh0 = dh0.data(), b.dh0_row = c.H;
    b.ddecay = given(ddecay), b.ddecay_row = c.H, b.ddecay_time = c.B * c.H;
    grus::train_backward(isa, b, weights(),
                         grus::WeightGrads<T>{given(dw[0]), given(dw[1]), given(dw[2]), given(dw[3]), given(dw[4]),
                                              given(dw[5])});
  }
  std::vector<const Array<T>*> results() const {
    std::vector<const Array<T>*> all{&y, &hn, &dx, &dh0, &dw[0], &dw[1]};
    for (int i = 2; i < 6; ++i)
      if (!dw[i].empty()) all.push_back(&dw[i]);
    if (!ddecay.empty()) all.push_back(&ddecay);
    return all;
  }
};

// The tolerance of the design: 4 times the error of the oracle in this precision, plus 4 ulp.
template <class T>
bool close(T actual, double exact, double scale) {
  const T near = static_cast<T>(std::fabs(exact));
  const double ulp = std::nextafter(near, T(INFINITY)) - near;
  return std::fabs(static_cast<double>(actual) - exact) <= 4 * scale + 4 * ulp;  // false for NaN
}

const char* const kNames[] = {"output", "h_n",    "d_x",    "d_h_0",   "d_weight_ih",
                              "d_weight_hh", "d_w 2 or decay", "d_w 3", "d_w 4 or decay", "d_w 5", "d_decay"};

template <class T>
void check_oracle(const Run<T>& run, const std::string& where) {
  const auto actual = run.results();
  for (size_t i = 0; i < actual.size(); ++i) {
    const Result& r = run.c.results[i];
    for (size_t k = 0; k < r.exact.size(); ++k)
      if (!close((*actual[i])[k], r.exact[k], r.scale[sizeof(T) == 8])) {
        char text[200];
        std::snprintf(text, sizeof text, " %s[%zu]: %.9g, oracle %.9g, scale %.2g", kNames[i], k,
                      static_cast<double>((*actual[i])[k]), r.exact[k], r.scale[sizeof(T) == 8]);
        fail(where + text);
        break;
      }
  }
}

template <class T>
void check_same(const Array<T>& a, const Array<T>& b, const std::string& what) {
  if (a.size() != b.size() || (!a.empty() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) != 0)) fail(what);
}

// The nearest number with the upper 16 bits of a float, of two equally near the even one, by comparing distances.
float nearest_bf16(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  float near[2];
  for (uint32_t i = 0; i < 2; ++i) {
    const uint32_t upper = (bits & 0xffff0000u) + (i << 16);
    std::memcpy(&near[i], &upper, 4);
  }
  const double below = std::fabs(double{v} - near[0]), above = std::fabs(double{near[1]} - v);
  return near[below < above ? 0 : above < below ? 1 : bits >> 16 & 1u];
}
Array<float> nearest_bf16(Array<float> v) {
  for (float& number : v) number = nearest_bf16(number);
  return v;
}

// Weights stored as bf16: the bits of weights that were rounded beforehand.
void check_bf16(const Case& c, const grus::Isa& isa) {
  const std::string where = std::string(isa.name) + " bf16 " + c.name;
  Run<float> rounded(c);
  for (int i = 0; i < 2; ++i) rounded.w[i] = nearest_bf16(rounded.w[i]);
  grus::set_num_threads(1);
  grus::Gru<float>(isa, c.I, c.H, c.after, rounded.weights()).run(rounded.args());
  for (const int threads : {1, 2, 3}) {
    grus::set_num_threads(threads);
    Run<float> stored(c);
    grus::Gru<float, grus::Bf16>(isa, c.I, c.H, c.after, stored.weights()).run(stored.args());
    check_same(stored.y, rounded.y, where + ": output differs from that of rounded weights");
    check_same(stored.hn, rounded.hn, where + ": h_n differs from that of rounded weights");
  }
}

// Weights stored as Int8: bits that do not depend on the number of threads, near the portable instruction set's.
void check_int8(const Case& c, const grus::Isa& isa) {
  const std::string where = std::string(isa.name) + " int8 " + c.name;
  Run<float> first(c), portable(c);
  grus::set_num_threads(1);
  grus::Gru<float, grus::Int8>(isa, c.I, c.H, c.after, first.weights()).run(first.args());
  const grus::Isa& last = grus::available_isas().back();
  grus::Gru<float, grus::Int8>(last, c.I, c.H, c.after, portable.weights()).run(portable.args());
  for (size_t i = 0; i < first.y.size(); ++i)
    if (!(std::fabs(first.y[i] - portable.y[i]) < 3e-3f)) {
      fail(where + ": output is not near that of " + last.name);
      break;
    }
  for (const int threads : {2, 3}) {
    grus::set_num_threads(threads);
    Run<float> other(c);
    grus::Gru<float, grus::Int8>(isa, c.I, c.H, c.after, other.weights()).run(other.args());
    check_same(other.y, first.y, where + ": output depends on the number of threads");
    check_same(other.hn, first.hn, where + ": h_n depends on the number of threads");
  }
}

// A single step, in place: the bits of a sequence of one step.
template <class T, class S>
void check_step(const Case& c, const grus::Isa& isa) {
  if (c.lengths || c.resets || c.mask || c.keep_mask || c.decay || c.T == 0) return;
  Run<T> run(c);
  const grus::Gru<T, S> layer(isa, c.I, c.H, c.after, run.weights());
  grus::SequenceArgs<T> a = run.args();
  a.time = 1, a.y = nullptr;
  layer.run(a);
  Array<T> h(run.h0), y(run.hn.size(), T(NAN));
  layer.step(run.x.data(), c.I, h.data(), c.H, y.data(), c.H, c.B, T(c.keep), true);
  check_same(h, run.hn, std::string(isa.name) + " step " + c.name + ": differs from a sequence of one step");
  check_same(y, run.hn, std::string(isa.name) + " step " + c.name + ": y is not the state");
}

template <class T>
void check_case(const Case& c, const grus::Isa& isa) {
  const std::string where = std::string(isa.name) + (sizeof(T) == 4 ? " f32 " : " f64 ") + c.name;
  Run<T> first(c);
  grus::set_num_threads(1);
  first.train(isa);
  check_oracle(first, where);
  for (const int threads : {2, 3}) {
    grus::set_num_threads(threads);
    Run<T> other(c);
    other.train(isa);
    check_oracle(other, where + " threads");
    check_same(other.y, first.y, where + ": output depends on the number of threads");
  }
  if (c.mask || c.keep_mask) return;
  // Kept-packed inference: the bits of training.
  Run<T> packed(c);
  grus::Gru<T>(isa, c.I, c.H, c.after, packed.weights()).run(packed.args());
  check_same(packed.y, first.y, where + ": inference differs from training");
  check_same(packed.hn, first.hn, where + ": h_n of inference differs from training");
}

// core/cell.h, the C99 step, against the same case: the equations at home.
void check_cell(const Case& c) {
  if (!c.after && c.norm) return;
  if (c.norm || c.lengths || c.resets || c.mask || c.keep_mask || c.decay || c.keep != 0 || c.reverse) return;
  Run<float> run(c);
  std::vector<float> h(c.H), next(c.H), work(3 * c.H);
  for (idx b = 0; b < c.B; ++b) {
    std::copy_n(run.h0.data() + b * c.H, c.H, h.data());
    for (idx t = 0; t < c.T; ++t) {
      grus_cell_step_f32(static_cast<int>(c.I), static_cast<int>(c.H), c.after, run.w[0].data(), run.w[1].data(),
                         run.given(run.w[2]), run.given(run.w[3]), run.x.data() + (t * c.B + b) * c.I, h.data(),
                         next.data(), work.data());
      h = next;
      std::copy(h.begin(), h.end(), run.y.begin() + (t * c.B + b) * c.H);
    }
  }
  const Result& r = c.results[0];
  for (size_t k = 0; k < r.exact.size(); ++k)
    if (!close(run.y[k], r.exact[k], r.scale[0])) return fail("cell.h " + c.name);
}

// y = x w^T + b, in the order of the indices.
template <class T, class Wide>
Array<Wide> product(const Array<T>& x, const Array<T>& w, const Array<T>& b, idx rows, idx inputs, idx outputs) {
  Array<Wide> y(static_cast<size_t>(rows * outputs));
  for (idx r = 0; r < rows; ++r)
    for (idx n = 0; n < outputs; ++n) {
      Wide sum = b.empty() ? Wide{0} : Wide{b[n]};
      for (idx k = 0; k < inputs; ++k) sum += Wide{x[r * inputs + k]} * Wide{w[n * inputs + k]};
      y[r * outputs + n] = sum;
    }
  return y;
}

template <class T>
Array<T> numbers(idx n, unsigned seed) {
  Array<T> v(static_cast<size_t>(n));
  for (T& number : v) {
    seed = seed * 1664525u + 1013904223u;
    number = static_cast<T>(static_cast<float>(seed >> 8) / (1 << 23) - 1);
  }
  return v;
}

template <class T>
void check_linear(const grus::Isa& isa) {
  const idx sizes[][3] = {{1, 1, 1}, {0, 3, 4}, {3, 0, 5}, {5, 7, 3}, {40, 33, 50}, {200, 64, 97}};
  for (const auto& [rows, inputs, outputs] : sizes)
    for (const bool bias : {true, false}) {
      const std::string where = std::string(isa.name) + " linear of " + std::to_string(rows) + " rows";
      const auto x = numbers<T>(rows * inputs, 1), w = numbers<T>(outputs * inputs, 2);
      const auto b = numbers<T>(bias ? outputs : 0, 3);
      const auto exact = product<T, long double>(x, w, b, rows, inputs, outputs);
      const auto rough = product<T, T>(x, w, b, rows, inputs, outputs);
      double scale = 0;
      for (size_t i = 0; i < exact.size(); ++i)
        scale = std::max(scale, static_cast<double>(std::fabs(rough[i] - exact[i])));
      const grus::DenseLayer<T> layer(isa, inputs, outputs, w.data(), bias ? b.data() : nullptr);
      Array<T> first;
      for (const int threads : {1, 2, 3}) {
        grus::set_num_threads(threads);
        Array<T> y(exact.size(), T(NAN));
        layer.run(x.data(), rows, inputs, y.data(), outputs);
        for (size_t i = 0; i < y.size(); ++i)
          if (!close(y[i], static_cast<double>(exact[i]), scale)) {
            fail(where);
            break;
          }
        if (threads == 1) first = y;
        check_same(y, first, where + ": depends on the number of threads");
      }
    }
}

void check_linear_bf16(const grus::Isa& isa) {
  for (const idx outputs : {1, 20, 97}) {
    const idx rows = 50, inputs = 33;
    const auto x = numbers<float>(rows * inputs, 1), w = numbers<float>(outputs * inputs, 2);
    const auto b = numbers<float>(outputs, 3), rounded = nearest_bf16(w);
    Array<float> y(static_cast<size_t>(rows * outputs), NAN), expected(y);
    const grus::DenseLayer<float, grus::Bf16> stored(isa, inputs, outputs, w.data(), b.data());
    const grus::DenseLayer<float> whole(isa, inputs, outputs, rounded.data(), b.data());
    stored.run(x.data(), rows, inputs, y.data(), outputs);
    whole.run(x.data(), rows, inputs, expected.data(), outputs);
    check_same(y, expected, std::string(isa.name) + " linear bf16 differs from rounded weights");
  }
}

// A row as whole numbers up to `most`; returns the scale.
float whole(const float* row, idx n, float most, std::vector<int64_t>& out) {
  float top = 0;
  for (idx k = 0; k < n; ++k) top = std::max(top, std::fabs(row[k]));
  const float inverse = most / top;
  out.resize(static_cast<size_t>(n));
  for (idx k = 0; k < n; ++k) out[k] = static_cast<int64_t>(std::nearbyint(row[k] * inverse));
  return top / most;
}

// Exact sums of whole numbers, in runs of 512: to the bit.
void check_linear_int8(const grus::Isa& isa) {
  const idx rows = 70, inputs = 1031, outputs = 23;
  const auto x = numbers<float>(rows * inputs, 1), w = numbers<float>(outputs * inputs, 2);
  const auto b = numbers<float>(outputs, 3);
  Array<float> y(static_cast<size_t>(rows * outputs), NAN), expected(y);
  std::vector<int64_t> u, v;
  for (idx i = 0; i < rows; ++i)
    for (idx j = 0; j < outputs; ++j) {
      const float xs = whole(x.data() + i * inputs, inputs, 32767, u), ws = whole(w.data() + j * inputs, inputs, 127, v);
      float total = b[j];
      for (idx from = 0; from < inputs; from += 512) {
        int64_t sum = 0;
        for (idx k = from; k < std::min<idx>(from + 512, inputs); ++k) sum += u[k] * v[k];
        total += (static_cast<float>(sum) * ws) * xs;
      }
      expected[i * outputs + j] = total;
    }
  grus::set_num_threads(2);
  grus::DenseLayer<float, grus::Int8>(isa, inputs, outputs, w.data(), b.data())
      .run(x.data(), rows, inputs, y.data(), outputs);
  check_same(y, expected, std::string(isa.name) + " linear int8 differs from exact sums");
}

// Softmax over the valid steps of v . tanh(q + k), or of q . k, and the sum of the memory by it, in the order of indices.
template <class T, class Wide>
void look(const grus::AttendArgs<T>& a, idx row, Array<Wide>& context, Array<Wide>& attention) {
  const idx place = row / a.each, steps = a.lengths[place];
  const T *const q = a.query + row * a.query_row, *const keys = a.keys + place * a.keys_row;
  Wide *const share = attention.data() + row * a.steps, *const c = context.data() + row * a.size;
  Wide most = -INFINITY, total = 0;
  for (idx j = 0; j < steps; ++j) {
    const T* const k = keys + j * a.keys_time;
    share[j] = 0;
    for (idx i = 0; i < a.key; ++i)
      share[j] += a.vector ? Wide{a.vector[i]} * std::tanh(Wide{q[i]} + Wide{k[i]}) : Wide{q[i]} * Wide{k[i]};
    most = std::max(most, share[j]);
  }
  for (idx j = 0; j < steps; ++j) total += share[j] = std::exp(share[j] - most);
  for (idx j = 0; j < steps; ++j) {
    share[j] /= total;
    for (idx i = 0; i < a.size; ++i) c[i] += share[j] * Wide{a.memory[place * a.memory_row + j * a.memory_time + i]};
  }
}

template <class T, class Wide>
double furthest(const Array<T>& a, const Array<Wide>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, static_cast<double>(std::fabs(a[i] - b[i])));
  return most;
}

template <class T>
void check_attend(const grus::Isa& isa) {
  const idx memories = 5, each = 3, rows = memories * each, steps = 19, key = 37, size = 301;
  const auto q = numbers<T>(rows * key, 1), v = numbers<T>(key, 2), k = numbers<T>(memories * steps * key, 3);
  const auto m = numbers<T>(memories * steps * size, 4);
  const Array<int64_t> lengths{19, 0, 1, 8, 17};
  for (const bool vector : {true, false}) {
    const std::string where = std::string(isa.name) + (vector ? " additive" : " multiplicative") + " attention";
    Array<long double> exact(static_cast<size_t>(rows * size), 0.0L), exact_a(static_cast<size_t>(rows * steps), 0.0L);
    Array<T> rough(exact.size(), T(0)), rough_a(exact_a.size(), T(0)), first;
    for (const int threads : {1, 2, 3}) {
      grus::set_num_threads(threads);
      Array<T> context(exact.size(), T(NAN)), attention(exact_a.size(), T(NAN));
      const grus::AttendArgs<T> a{each, steps, key, size, q.data(), key, vector ? v.data() : nullptr,
                                  k.data(), steps * key, key, m.data(), steps * size, size, lengths.data(),
                                  context.data(), size, attention.data(), steps};
      grus::attend(isa, a, rows);
      if (threads == 1) {
        for (idx row = 0; row < rows; ++row) look(a, row, exact, exact_a), look(a, row, rough, rough_a);
        for (size_t i = 0; i < context.size(); ++i)
          if (!close(context[i], static_cast<double>(exact[i]), furthest(rough, exact))) return fail(where);
        for (size_t i = 0; i < attention.size(); ++i)
          if (!close(attention[i], static_cast<double>(exact_a[i]), furthest(rough_a, exact_a))) return fail(where);
        first = context;
      }
      check_same(context, first, where + ": depends on the number of threads");
    }
  }
}

// The best outputs of a layer are those of a sort of all of them, alone and in company.
template <class T>
void check_best(const grus::Isa& isa) {
  const idx rows = 150, inputs = 9, count = 4, banned = 2, picked = 5;
  for (const idx outputs : {6, 64, 5003}) {
    const std::string where = std::string(isa.name) + " best of " + std::to_string(outputs);
    const auto x = numbers<T>(rows * inputs, 1), w = numbers<T>(outputs * inputs, 2);
    const grus::DenseLayer<T> layer(isa, inputs, outputs, w.data(), nullptr);
    Array<T> y(static_cast<size_t>(rows * outputs));
    layer.run(x.data(), rows, inputs, y.data(), outputs);
    for (const int threads : {1, 3}) {
      grus::set_num_threads(threads);
      Array<int64_t> codes(static_cast<size_t>(rows * count), -1), again(codes);
      Array<T> best(codes.size(), T(NAN)), of_picked(static_cast<size_t>(rows), T(NAN));
      Array<T> best2(best), of_picked2(of_picked);
      Array<double> total(static_cast<size_t>(rows), NAN), total2(total);
      const grus::BestArgs<T> a{outputs, count, &banned, 1, picked, y.data(), outputs,
                                codes.data(), best.data(), of_picked.data(), total.data()};
      grus::best(isa, a, rows);
      grus::best_outputs(layer, x.data(), rows, inputs,
                         grus::BestArgs<T>{0, count, &banned, 1, picked, nullptr, 0, again.data(), best2.data(),
                                           of_picked2.data(), total2.data()});
      if (codes != again) fail(where + ": other codes without the outputs");
      check_same(best2, best, where + ": other values without the outputs");
      check_same(total2, total, where + ": other totals without the outputs");
      check_same(of_picked2, of_picked, where + ": another value without the outputs");
      for (idx row = 0; row < rows; ++row) {
        const T* const values = y.data() + row * outputs;
        std::vector<idx> order;
        long double sum = 0;
        for (idx i = 0; i < outputs; ++i) {
          sum += std::exp(static_cast<long double>(values[i]));
          if (i != banned) order.push_back(i);
        }
        std::stable_sort(order.begin(), order.end(), [&](idx i, idx j) { return values[i] > values[j]; });
        for (idx i = 0; i < count; ++i)
          if (codes[row * count + i] != order[i] || best[row * count + i] != values[order[i]]) return fail(where);
        const double bound = sizeof(T) == 4 ? 2e-6 : 1e-14;
        if (of_picked[row] != values[picked] || !(std::fabs(total[row] - std::log(sum)) < bound))
          return fail(where + ": picked or total");
      }
    }
  }
}

// Steps so large and so close that threads share them, of two streams at a time.
template <class S>
void check_shared_steps(const grus::Isa& isa) {
  const idx inputs = 16, hidden = sizeof(S) == 1 ? 600 : 290, steps = 40;
  const auto w_ih = numbers<float>(3 * hidden * inputs, 1), w_hh = numbers<float>(3 * hidden * hidden, 2);
  const auto x = numbers<float>(steps * inputs, 3);
  const grus::Gru<float, S> layer(isa, inputs, hidden, true, {w_ih.data(), w_hh.data(), nullptr, nullptr, nullptr, nullptr});
  const auto live = [&] {
    Array<float> h(static_cast<size_t>(hidden), 0.0f);
    for (idx t = 0; t < steps; ++t)
      layer.step(x.data() + t * inputs, inputs, h.data(), hidden, nullptr, 0, 1, 0.0f, t % 2 == 1);
    return h;
  };
  grus::set_num_threads(1);
  const Array<float> expected = live();
  grus::set_num_threads(3);
  on_threads(2, [&](int) { check_same(live(), expected, std::string(isa.name) + ": shared steps differ"); });
}

template <class T>
void check_activations(const grus::Isa& isa) {
  const auto& k = grus::kernels_of<T>(isa);
  Array<T> x(2001), s(2001), t(2001);
  for (size_t i = 0; i < x.size(); ++i) x[i] = (static_cast<T>(i) - 1000) / 50;
  k.sigmoid(x.data(), s.data(), static_cast<idx>(x.size()));
  k.tanh(x.data(), t.data(), static_cast<idx>(x.size()));
  const auto ulps = [](T actual, long double exact) {
    const T near = static_cast<T>(std::fabs(exact));
    return std::fabs(actual - exact) / (std::nextafter(near, T(INFINITY)) - near);
  };
  for (size_t i = 0; i < x.size(); ++i) {
    const long double v = x[i];
    if (!(ulps(s[i], 1 / (1 + std::exp(-v))) <= kMaxUlp)) return fail(std::string(isa.name) + " sigmoid");
    if (!(ulps(t[i], std::tanh(v)) <= kMaxUlp)) return fail(std::string(isa.name) + " tanh");
  }
}

void check_refused_lengths() {
  const int64_t good[] = {0, 3, 5}, negative[] = {2, -1}, late[] = {5, 6};
  grus::check_lengths(good, 3, 5);
  for (const int64_t* bad : {negative, late}) try {
      grus::check_lengths(bad, 2, 5);
      fail("a wrong length was not refused");
    } catch (const grus::UsageError&) {
    }
}

template <class F>
void on_threads(int n, F f) {
  std::vector<std::thread> threads;
  for (int i = 0; i < n; ++i) threads.emplace_back(f, i);
  for (std::thread& t : threads) t.join();
}

// The team by itself: every part once, parts that wait for each other, and workers that have gone to sleep.
void check_team() {
  std::atomic<int> met{0};
  const auto call = [&](int caller) {
    for (int k = 0; k < 200; ++k) {
      const int parts = 1 + (k + caller) % 4;
      std::vector<int> done(static_cast<size_t>(parts), 0), wrote(done);
      grus::parallel(parts, [&](int p) { ++done[p]; });
      if (done != std::vector<int>(done.size(), 1)) fail("run_parts did not do every part once");
      std::atomic<bool> wrong{false};
      met += grus::together(parts, [&](int p, grus::Barrier* barrier) {
        for (int turn = 1; turn <= 3; ++turn) {
          wrote[p] = turn;
          grus::meet_at(barrier);
          if (wrote[(p + 1) % parts] != turn) wrong = true;
          grus::meet_at(barrier);
        }
      });
      if (wrong) fail("a part went on before all had met");
      if (k % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  call(1);  // nobody else is calling: the first of these cannot be turned away
  if (met == 0) fail("run_together never ran");
  on_threads(4, call);
}

// A case of a MinGRU, in the order of make_cases.py's record_minimal.
struct MinCase {
  idx T, B, I, H;
  bool reverse, bias, lengths, resets;
  std::vector<double> x, h0, w, b, len, res, dy, dhn;
  std::vector<Result> results;
  std::string name;
};

MinCase read_minimal(Reader& in, int number) {
  MinCase c;
  in.integer();
  c.T = in.integer(), c.B = in.integer(), c.I = in.integer(), c.H = in.integer();
  c.reverse = in.integer(), c.bias = in.integer(), c.lengths = in.integer(), c.resets = in.integer();
  c.x = in.array(c.T * c.B * c.I);
  c.h0 = in.array(c.B * c.H);
  c.w = in.array(2 * c.H * c.I);
  c.b = in.array(c.bias ? 2 * c.H : 0);
  c.len = in.array(c.lengths ? c.B : 0);
  c.res = in.array(c.resets ? c.B * c.T : 0);
  c.dy = in.array(c.T * c.B * c.H);
  c.dhn = in.array(c.B * c.H);
  for (const idx n : {c.T * c.B * c.H, c.B * c.H, c.T * c.B * c.I, c.B * c.H, 2 * c.H * c.I, 2 * c.H}) {
    if (c.results.size() == 5 && !c.bias) break;
    Result r;
    r.scale[0] = in.number(), r.scale[1] = in.number();
    r.exact = in.array(n);
    c.results.push_back(r);
  }
  if (!in.good()) {
    std::fprintf(stderr, "driver: case %d is cut short\n", number);
    std::exit(2);
  }
  c.name = "MinGRU " + std::to_string(number) + " T=" + std::to_string(c.T) + " B=" + std::to_string(c.B) +
           " I=" + std::to_string(c.I) + " H=" + std::to_string(c.H);
  return c;
}

template <class T>
struct MinRun {
  const MinCase& c;
  Array<T> x, h0, w, b, dy, dhn, y, hn, dx, dh0, dw, db;
  Array<int64_t> lengths;
  Array<uint8_t> resets;

  explicit MinRun(const MinCase& from)
      : c(from),
        x(cast<T>(c.x)),
        h0(cast<T>(c.h0)),
        w(cast<T>(c.w)),
        b(cast<T>(c.b)),
        dy(cast<T>(c.dy)),
        dhn(cast<T>(c.dhn)),
        y(c.dy.size(), T(NAN)),
        hn(c.dhn.size(), T(NAN)),
        dx(c.x.size(), T(NAN)),
        dh0(c.h0.size(), T(NAN)),
        dw(c.w.size(), T(NAN)),
        db(c.b.size(), T(NAN)),
        lengths(cast<int64_t>(c.len)),
        resets(cast<uint8_t>(c.res)) {}
  grus::SequenceArgs<T> args() {
    grus::SequenceArgs<T> a{};
    a.batch = c.B, a.time = c.T, a.input = c.I, a.hidden = c.H;
    a.reverse = c.reverse;
    a.x = x.data(), a.x_row = c.I, a.x_time = c.B * c.I;
    a.h0 = h0.data(), a.h0_row = c.H;
    a.y = y.data(), a.y_row = c.H, a.y_time = c.B * c.H;
    a.hn = hn.data(), a.hn_row = c.H;
    a.lengths = Run<T>::given(lengths);
    a.resets = Run<T>::given(resets), a.resets_row = c.T, a.resets_time = 1;
    return a;
  }
  template <class S = T>
  MinRun& forward(const grus::Isa& isa) {
    grus::MinGru<T, S>(isa, c.I, c.H, w.data(), Run<T>::given(b)).run(args());
    return *this;
  }
  void backward(const grus::Isa& isa) {
    grus::BackwardArgs<T> g{};
    g.f = args();
    g.dy = dy.data(), g.dy_row = c.H, g.dy_time = c.B * c.H;
    g.dhn = dhn.data(), g.dhn_row = c.H;
    g.dx = dx.data(), g.dx_row = c.I, g.dx_time = c.B * c.I;
    g.dh0 = dh0.data(), g.dh0_row = c.H;
    grus::min_backward(isa, g, w.data(), Run<T>::given(b), grus::MinWeightGrads<T>{Run<T>::given(dw), Run<T>::given(db)});
  }
};

template <class T>
void check_minimal(const MinCase& c, const grus::Isa& isa) {
  const char* const names[] = {"output", "h_n", "d_x", "d_h_0", "d_weight_ih", "d_bias_ih"};
  Array<T> first;
  for (const int threads : {1, 2, 3, 7}) {
    const std::string where = std::string(isa.name) + (sizeof(T) == 4 ? " f32 " : " f64 ") + c.name + " on " +
                              std::to_string(threads) + " threads: ";
    grus::set_num_threads(threads);
    MinRun<T> run(c);
    run.forward(isa).backward(isa);
    const Array<T>* const found[] = {&run.y, &run.hn, &run.dx, &run.dh0, &run.dw, &run.db};
    for (size_t i = 0; i < c.results.size(); ++i)
      for (size_t k = 0; k < c.results[i].exact.size(); ++k)
        if (!close((*found[i])[k], c.results[i].exact[k], c.results[i].scale[sizeof(T) == 8])) {
          fail(where + names[i]);
          break;
        }
    if (threads == 1) first = run.y;
    check_same(run.y, first, where + "output differs from that of one");
  }
}

// Weights stored as bf16 give the bits of rounded ones; Int8 those of any number of threads, near the portable set's.
void check_minimal_stored(const MinCase& c, const grus::Isa& isa) {
  const std::string where = std::string(isa.name) + " " + c.name;
  grus::set_num_threads(1);
  MinRun<float> rounded(c), whole(c), portable(c);
  rounded.w = nearest_bf16(rounded.w);
  rounded.forward(isa);
  whole.forward<grus::Int8>(isa);
  portable.forward<grus::Int8>(grus::available_isas().back());
  for (size_t i = 0; i < whole.y.size(); ++i)
    if (!(std::fabs(whole.y[i] - portable.y[i]) < 3e-3f)) {
      fail(where + ": int8 output is not near that of the portable instruction set");
      break;
    }
  for (const int threads : {1, 2, 3}) {
    grus::set_num_threads(threads);
    MinRun<float> stored(c), again(c);
    check_same(stored.forward<grus::Bf16>(isa).y, rounded.y, where + ": bf16 output differs from that of rounded weights");
    check_same(again.forward<grus::Int8>(isa).y, whole.y, where + ": int8 output depends on the number of threads");
  }
}

// Many threads call at once while another changes the number of threads: each must get its own right numbers.
template <class T>
void check_concurrency(const std::vector<Case>& cases, const grus::Isa& isa) {
  const Case& large = *std::max_element(cases.begin(), cases.end(), [](const Case& a, const Case& b) {
    return a.x.size() < b.x.size();
  });
  Run<T> expected(large);
  const grus::Gru<T> shared(isa, large.I, large.H, large.after, expected.weights());
  shared.run(expected.args());
  std::atomic<bool> finished{false};
  std::thread changer([&] {
    for (int n = 1; !finished; n = n % 4 + 1) {
      grus::set_num_threads(n);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  const std::string where = std::string(isa.name) + " concurrent ";
  on_threads(4, [&](int i) {
    for (size_t k = static_cast<size_t>(i); k < cases.size(); k += 4) {
      Run<T> a(cases[k]), b(cases[k]);
      a.train(isa);
      b.train(isa);
      check_same(a.y, b.y, where + cases[k].name);
      check_oracle(a, where);
    }
    for (int k = 0; k < 3; ++k) {
      Run<T> again(large);
      shared.run(again.args());
      check_same(again.y, expected.y, where + "calls of one layer");
    }
  });
  finished = true;
  changer.join();
}

// The comparison itself must be able to fail.
void check_checker(const Case& c, const grus::Isa& isa) {
  Run<float> run(c);
  run.train(isa);
  run.y[run.y.size() / 2] += 1e-3f;
  const int before = failures;
  quiet = true;
  check_oracle(run, "");
  quiet = false;
  if (failures != before + 1) {
    std::fprintf(stderr, "driver: the comparison did not reject a wrong number\n");
    std::exit(1);
  }
  failures = before;
}

// What a sanitizer or a fence must notice; see the scripts.
int commit(const std::string& fault, const Case& c, const grus::Isa& isa) {
  Run<float> run(c);
  grus::SequenceArgs<float> a = run.args();
  const grus::Gru<float> layer(isa, c.I, c.H, c.after, run.weights());
  if (fault == "beyond") {
    a.time += 1;
    layer.run(a);
  } else if (fault == "race") {
    on_threads(2, [&](int) { layer.run(a); });
  } else {
    std::fprintf(stderr, "driver: the fault must be beyond or race, got %s\n", fault.c_str());
    return 2;
  }
  std::printf("driver: nothing noticed the fault\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: driver CASES [beyond|race]\n");
    return 2;
  }
  Reader in(argv[1]);
  std::vector<Case> cases;
  std::vector<MinCase> minimal;
  while (in.more()) {
    const int number = static_cast<int>(cases.size() + minimal.size());
    if (in.peek() == kMagicMinimal)
      minimal.push_back(read_minimal(in, number));
    else
      cases.push_back(read_case(in, number));
  }
  if (cases.empty()) {
    std::fprintf(stderr, "driver: no cases in %s\n", argv[1]);
    return 2;
  }
  if (argc == 3) return commit(argv[2], cases[0], grus::available_isas().back());
  check_refused_lengths();
  check_team();
  for (const grus::Isa& isa : grus::available_isas()) {
    check_checker(cases[0], isa);
    for (const Case& c : cases) {
      check_case<float>(c, isa);
      check_case<double>(c, isa);
      check_bf16(c, isa);
      check_step<float, float>(c, isa);
      check_step<double, double>(c, isa);
      check_step<float, grus::Bf16>(c, isa);
      check_int8(c, isa);
      check_step<float, grus::Int8>(c, isa);
    }
    for (const MinCase& c : minimal) {
      check_minimal<float>(c, isa);
      check_minimal<double>(c, isa);
      check_minimal_stored(c, isa);
    }
    check_shared_steps<float>(isa);
    check_shared_steps<grus::Int8>(isa);
    check_linear<float>(isa);
    check_linear<double>(isa);
    check_linear_bf16(isa);
    check_linear_int8(isa);
    check_attend<float>(isa);
    check_attend<double>(isa);
    check_best<float>(isa);
    check_best<double>(isa);
    check_activations<float>(isa);
    check_activations<double>(isa);
    check_concurrency<float>(cases, isa);
    check_concurrency<double>(cases, isa);
    std::printf("%s: %zu cases\n", isa.name, cases.size() + minimal.size());
  }
  for (const Case& c : cases) check_cell(c);
  std::printf("driver: %s\n", failures ? "FAILED" : "all good");
  return failures ? 1 : 0;
}
