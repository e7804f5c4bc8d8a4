// Holds every instruction set of this machine to golden cases of the oracle, without Python: for sanitizers, and for
// ARM under emulation. Usage: driver CASES. Cases come from make_cases.py, which describes the file.
#include <algorithm>
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
#include "gru.h"
#include "team.h"

using grus::idx;

namespace {

constexpr int64_t kMagic = 0x53555247;
int failures = 0;

void fail(const std::string& what) {
  if (++failures <= 20) std::fprintf(stderr, "FAILED %s\n", what.c_str());
}

struct Result {
  double scale[2];  // the oracle's own largest error in float32 and in float64
  std::vector<double> exact;
};

struct Case {
  idx T, B, I, H;
  bool after, reverse, bias, norm, lengths, resets, mask, keep_mask;
  double keep;
  std::vector<double> x, h0, w[6], len, res, m, km, dy, dhn;
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
  c.dy = in.array(c.T * c.B * c.H);
  c.dhn = in.array(c.B * c.H);
  const idx out[4] = {c.T * c.B * c.H, c.B * c.H, c.T * c.B * c.I, c.B * c.H};
  for (int i = 0; i < 10; ++i) {
    const idx n = i < 4 ? out[i] : sizes[i - 4];
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
           (c.norm ? " norm" : "") + (c.lengths ? " lengths" : "") + (c.reverse ? " reverse" : "");
  return c;
}

template <class T>
std::vector<T> cast(const std::vector<double>& v) {
  return std::vector<T>(v.begin(), v.end());
}

// A case in one number type, with results that start as NaN.
template <class T>
struct Run {
  const Case& c;
  std::vector<T> x, h0, w[6], mask, dy, dhn, saved, y, hn, dx, dh0, dw[6];
  std::vector<int64_t> lengths;
  std::vector<uint8_t> resets, keep;

  explicit Run(const Case& from)
      : c(from),
        x(cast<T>(c.x)),
        h0(cast<T>(c.h0)),
        mask(cast<T>(c.m)),
        dy(cast<T>(c.dy)),
        dhn(cast<T>(c.dhn)),
        y(c.dy.size(), T(NAN)),
        hn(c.dhn.size(), T(NAN)),
        dx(c.x.size(), T(NAN)),
        dh0(c.h0.size(), T(NAN)) {
    for (int i = 0; i < 6; ++i) {
      w[i] = cast<T>(c.w[i]);
      dw[i].assign(w[i].size(), T(NAN));
    }
    for (const double v : c.len) lengths.push_back(static_cast<int64_t>(v));
    for (const double v : c.res) resets.push_back(v != 0);
    for (const double v : c.km) keep.push_back(v != 0);
  }
  template <class U>
  static U* given(std::vector<U>& v) {
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
    grus::train_backward(isa, b, weights(),
                         grus::WeightGrads<T>{given(dw[0]), given(dw[1]), given(dw[2]), given(dw[3]), given(dw[4]),
                                              given(dw[5])});
  }
  std::vector<const std::vector<T>*> results() const {
    std::vector<const std::vector<T>*> all{&y, &hn, &dx, &dh0, &dw[0], &dw[1]};
    for (int i = 2; i < 6; ++i)
      if (!dw[i].empty()) all.push_back(&dw[i]);
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
                              "d_weight_hh", "d_w 2", "d_w 3", "d_w 4", "d_w 5"};

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
void check_same(const std::vector<T>& a, const std::vector<T>& b, const std::string& what) {
  if (a.size() != b.size() || (!a.empty() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) != 0)) fail(what);
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
  if (c.norm || c.lengths || c.resets || c.mask || c.keep_mask || c.keep != 0 || c.reverse) return;
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

// Many threads call at once: each must get its own right numbers.
void check_concurrency(const std::vector<Case>& cases, const grus::Isa& isa) {
  grus::set_num_threads(3);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (size_t k = static_cast<size_t>(i); k < cases.size(); k += 4) {
        Run<float> a(cases[k]), b(cases[k]);
        a.train(isa);
        b.train(isa);
        wrong[static_cast<size_t>(i)] += a.y.size() && std::memcmp(a.y.data(), b.y.data(), a.y.size() * sizeof(float));
      }
    });
  for (std::thread& t : threads) t.join();
  for (const int w : wrong)
    if (w) fail("concurrent calls differ");
}

// The comparison itself must be able to fail.
void check_checker(const Case& c, const grus::Isa& isa) {
  Run<float> run(c);
  run.train(isa);
  const int before = failures;
  run.y[run.y.size() / 2] += 1e-3f;
  std::fprintf(stderr, "(the next line is wanted: ");
  check_oracle(run, "a wrong number)");
  if (failures != before + 1) {
    std::fprintf(stderr, "driver: the comparison did not reject a wrong number\n");
    std::exit(1);
  }
  failures = before;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: driver CASES\n");
    return 2;
  }
  Reader in(argv[1]);
  std::vector<Case> cases;
  while (in.more()) cases.push_back(read_case(in, static_cast<int>(cases.size())));
  if (cases.empty()) {
    std::fprintf(stderr, "driver: no cases in %s\n", argv[1]);
    return 2;
  }
  for (const grus::Isa& isa : grus::available_isas()) {
    check_checker(cases[0], isa);
    for (const Case& c : cases) {
      check_case<float>(c, isa);
      check_case<double>(c, isa);
    }
    check_concurrency(cases, isa);
    std::printf("%s: %zu cases\n", isa.name, cases.size());
  }
  for (const Case& c : cases) check_cell(c);
  std::printf("driver: %s\n", failures ? "FAILED" : "all good");
  return failures ? 1 : 0;
}
