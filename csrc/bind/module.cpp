// The only place that knows Python: shapes and dtypes are checked here, before any memory is touched.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <variant>

#include "array.h"
#include "gil.h"
#include "gru.h"
#include "problem.h"
#include "team.h"
#include "training.h"

namespace grus {
namespace {

using nb::literals::operator""_a;

// Below this many multiply-adds (about 5 us) the GIL is kept: giving it up costs a tenth of a one-row step, and
// getting it back can cost a scheduling interval.
constexpr idx kReleaseWork = 100000;

template <class F>
void compute(idx work, F&& f) {
  if (work < kReleaseWork) return f();
  const GilReleased unlocked;
  f();
}

nb::object empty(std::initializer_list<idx> shape, Kind kind) {
  static PyObject* const function = nb::object(nb::module_::import_("numpy").attr("empty")).release().ptr();
  nb::list sizes;
  for (const idx n : shape) sizes.append(n);
  return nb::handle(function)(nb::tuple(sizes), kind_name(kind));
}

void check_apart(const Array& out, const Array& in, const char* where, const char* other) {
  const char *a, *b, *c, *d;
  out.extent(&a, &b);
  in.extent(&c, &d);
  if (a < d && c < b) throw UsageError(std::string(where) + " must not share memory with " + other);
}

// In place means the very same rows; rows that overlap other rows would be read by one thread while another writes.
void check_apart_or_same(const Array& out, const Array& in, const char* where, const char* other) {
  if (out.data() == in.data() && out.stride(0) == in.stride(0)) return;
  check_apart(out, in, where, other);
}

template <class T>
std::optional<std::vector<T>> bias_of(nb::handle o, const char* where, idx size) {
  if (o.is_none()) return std::nullopt;
  const Array a(o, where);
  a.expect(kind_of<T>, {size}, "N");
  return contiguous<T>(a);
}
template <class T>
const T* pointer(const std::optional<std::vector<T>>& v) {
  return v ? v->data() : nullptr;
}

// Are weights to be stored as Bf16 (else as they are)?
bool as_bf16(const std::string& weights, const char* where) {
  if (weights.empty()) return false;
  if (weights == "bf16") return true;
  throw UsageError(std::string(where) + ": weights must be bf16 or None, got '" + weights + "'");
}

class PackedGru {
 public:
  PackedGru(nb::handle weight_ih, nb::handle weight_hh, nb::handle bias_ih, nb::handle bias_hh, bool reset_after,
            nb::handle gain_ih, nb::handle gain_hh, double zoneout, const std::string& weights, const std::string& isa)
      : isa_(&isa_by_name(isa)),
        zoneout_(zoneout),
        layer_(make({weight_ih, weight_hh, bias_ih, bias_hh, gain_ih, gain_hh}, reset_after,
                    as_bf16(weights, "PackedGRU"))) {
    if (!(zoneout >= 0 && zoneout <= 1))
      throw UsageError("PackedGRU: zoneout must be from 0 to 1, got " + std::to_string(zoneout));
  }

  nb::object run(nb::handle x, nb::handle h0, nb::handle lengths, nb::handle resets, bool reverse,
                 nb::handle out) const {
    return std::visit(
        [&](const auto& layer) { return run_as(layer, x, h0, lengths, resets, reverse, out); }, layer_);
  }
  void forward(nb::handle problem, nb::handle h_n) const {
    if (is_double(problem) != (layer_.index() == 1))
      throw UsageError(std::string("PackedGRU.forward: itemsize must be that of ") + dtype());
    std::visit([&](const auto& layer) { forward_as(layer, problem, h_n); }, layer_);
  }
  nb::object step(nb::handle x, nb::handle h, nb::handle out) const {
    return std::visit([&](const auto& layer) { return step_as(layer, x, h, out); }, layer_);
  }
  idx input_size() const {
    return std::visit([](const auto& layer) { return layer.input; }, layer_);
  }
  idx hidden_size() const {
    return std::visit([](const auto& layer) { return layer.hidden; }, layer_);
  }
  bool reset_after() const {
    return std::visit([](const auto& layer) { return layer.reset_after; }, layer_);
  }
  const char* dtype() const { return kind_name(layer_.index() == 1 ? Kind::f64 : Kind::f32); }
  const char* isa() const { return isa_->name; }

 private:
  using Layer = std::variant<Gru<float>, Gru<double>, Gru<float, Bf16>>;
  const Isa* isa_;
  double zoneout_;
  Layer layer_;

  struct Handles {
    nb::handle weight_ih, weight_hh, bias_ih, bias_hh, gain_ih, gain_hh;
  };

  Layer make(const Handles& o, bool after, bool bf16) const {
    const Array wi(o.weight_ih, "PackedGRU: weight_ih"), wh(o.weight_hh, "PackedGRU: weight_hh");
    if (o.gain_ih.is_none() != o.gain_hh.is_none())
      throw UsageError("PackedGRU: gain_ih and gain_hh must both be given or both be None, got one");
    if (bf16) return pack<float, Bf16>(o, wi, wh, after);
    if (wi.kind() == Kind::f64) return pack<double, double>(o, wi, wh, after);
    return pack<float, float>(o, wi, wh, after);
  }
  template <class T, class S>
  Layer pack(const Handles& o, const Array& wi, const Array& wh, bool after) const {
    wh.expect(kind_of<T>, {-1, -1}, "GH");
    const idx hidden = wh.dim(1);
    if (hidden < 1 || wh.dim(0) != 3 * hidden) wh.refuse("have shape (3 * hidden, hidden)");
    wi.expect(kind_of<T>, {3 * hidden, -1}, "GI");
    const auto w_ih = contiguous<T>(wi), w_hh = contiguous<T>(wh);
    const auto b_ih = bias_of<T>(o.bias_ih, "PackedGRU: bias_ih", 3 * hidden);
    const auto b_hh = bias_of<T>(o.bias_hh, "PackedGRU: bias_hh", 3 * hidden);
    const auto gain_ih = bias_of<T>(o.gain_ih, "PackedGRU: gain_ih", 3 * hidden);
    const auto gain_hh = bias_of<T>(o.gain_hh, "PackedGRU: gain_hh", 3 * hidden);
    return Gru<T, S>(*isa_, wi.dim(1), hidden, after,
                  {w_ih.data(), w_hh.data(), pointer(b_ih), pointer(b_hh), pointer(gain_ih), pointer(gain_hh)});
  }

  template <class T, class S>
  nb::object run_as(const Gru<T, S>& layer, nb::handle xo, nb::handle h0o, nb::handle lengths_o, nb::handle resets_o,
                    bool reverse, nb::handle out) const {
    constexpr Kind kind = kind_of<T>;
    const Array x(xo, "PackedGRU.run: x");
    x.expect(kind, {-1, -1, layer.input}, "BTI");
    SequenceArgs<T> a{};
    a.batch = x.dim(0);
    a.time = x.dim(1);
    a.reverse = reverse;
    a.keep = static_cast<T>(zoneout_);

    std::optional<Array> h0, lengths, resets;
    std::optional<Input<T>> h0_in;
    std::vector<int64_t> lengths_in;
    std::optional<Input<uint8_t>> resets_in;
    if (!h0o.is_none()) {
      h0.emplace(h0o, "PackedGRU.run: h0");
      h0->expect(kind, {a.batch, layer.hidden}, "BH");
      h0_in.emplace(*h0);
      a.h0 = h0_in->data;
      a.h0_row = h0_in->stride0;
    }
    if (!lengths_o.is_none()) {
      lengths.emplace(lengths_o, "PackedGRU.run: lengths");
      lengths->expect(Kind::i64, {a.batch}, "B");
      // A copy: another thread may change the caller's array after the check.
      lengths_in = contiguous<int64_t>(*lengths);
      check_lengths(lengths_in.data(), a.batch, a.time);
      a.lengths = lengths_in.data();
    }
    if (!resets_o.is_none()) {
      resets.emplace(resets_o, "PackedGRU.run: resets");
      resets->expect(Kind::boolean, {a.batch, a.time}, "BT");
      resets_in.emplace(*resets);
      a.resets = resets_in->data;
      a.resets_row = resets_in->stride0;
      a.resets_time = 1;
    }
    const nb::object yo = out.is_none() ? empty({a.batch, a.time, layer.hidden}, kind) : nb::borrow(out);
    const nb::object ho = empty({a.batch, layer.hidden}, kind);
    const Array y(yo, "PackedGRU.run: out", true), hn(ho, "PackedGRU.run: h_n", true);
    y.expect(kind, {a.batch, a.time, layer.hidden}, "BTH");
    y.check_output();
    if (!out.is_none()) check_apart(y, x, "PackedGRU.run: out", "x");
    const Input<T> x_in(x);
    a.x = x_in.data;
    a.x_row = x_in.stride0;
    a.x_time = x_in.stride1;
    a.y = static_cast<T*>(y.writable_data());
    a.y_row = y.stride(0);
    a.y_time = y.stride(1);
    a.hn = static_cast<T*>(hn.writable_data());
    a.hn_row = layer.hidden;
    compute(a.batch * a.time * 3 * layer.hidden * (layer.input + layer.hidden), [&] { layer.run(a); });
    return nb::make_tuple(yo, ho);
  }

  template <class T, class S>
  void forward_as(const Gru<T, S>& layer, nb::handle problem, nb::handle hn) const {
    Problem<T> p(problem);
    if (sizeof(S) != sizeof(T) && p.a.saved)
      throw UsageError("PackedGRU.forward: saved must be None with bf16 weights, which are for inference");
    if (p.a.input != layer.input || p.a.hidden != layer.hidden || p.a.reset_after != layer.reset_after)
      throw UsageError("PackedGRU.forward: sizes and reset_after must be those of the packed weights");
    const View<T> last(hn, "h_n", p.a.batch > 0);
    p.a.hn = last.data, p.a.hn_row = last.row;
    compute(p.a.batch * p.a.time * 3 * layer.hidden * (layer.input + layer.hidden), [&] { layer.run(p.a); });
  }

  template <class T, class S>
  nb::object step_as(const Gru<T, S>& layer, nb::handle xo, nb::handle ho, nb::handle out) const {
    constexpr Kind kind = kind_of<T>;
    const Array x(xo, "PackedGRU.step: x"), h(ho, "PackedGRU.step: h");
    x.expect(kind, {-1, layer.input}, "BI");
    h.expect(kind, {x.dim(0), layer.hidden}, "BH");
    const nb::object next = out.is_none() ? empty({x.dim(0), layer.hidden}, kind) : nb::borrow(out);
    const Array y(next, "PackedGRU.step: out", true);
    y.expect(kind, {x.dim(0), layer.hidden}, "BH");
    y.check_output();
    if (!out.is_none()) {
      check_apart_or_same(y, x, "PackedGRU.step: out", "x, except to be x itself");
      check_apart_or_same(y, h, "PackedGRU.step: out", "h, except to be h itself");
    }
    const Input<T> x_in(x), h_in(h);
    SequenceArgs<T> a{};
    a.batch = x.dim(0);
    a.time = 1;
    a.keep = static_cast<T>(zoneout_);
    a.x = x_in.data;
    a.x_row = x_in.stride0;
    a.h0 = h_in.data;
    a.h0_row = h_in.stride0;
    a.hn = static_cast<T*>(y.writable_data());
    a.hn_row = y.stride(0);
    // In place is safe: a thread writes its rows when it has read them.
    compute(a.batch * 3 * layer.hidden * (layer.input + layer.hidden), [&] { layer.run(a); });
    return next;
  }
};

class PackedLinear {
 public:
  PackedLinear(nb::handle weight, nb::handle bias, const std::string& weights, const std::string& isa)
      : isa_(&isa_by_name(isa)), layer_(make(weight, bias, as_bf16(weights, "PackedLinear"))) {}

  // x [rows, K] -> out [rows, N]
  nb::object run(nb::handle x, nb::handle out) const {
    return std::visit([&](const auto& layer) { return run_as(layer, x, out); }, layer_);
  }
  idx in_features() const {
    return std::visit([](const auto& layer) { return layer.input; }, layer_);
  }
  idx out_features() const {
    return std::visit([](const auto& layer) { return layer.output; }, layer_);
  }
  const char* dtype() const { return kind_name(layer_.index() == 1 ? Kind::f64 : Kind::f32); }
  const char* isa() const { return isa_->name; }

 private:
  using Layer = std::variant<DenseLayer<float>, DenseLayer<double>, DenseLayer<float, Bf16>>;
  const Isa* isa_;
  Layer layer_;

  Layer make(nb::handle weight, nb::handle bias, bool bf16) const {
    const Array w(weight, "PackedLinear: weight");
    if (bf16) return pack<float, Bf16>(w, bias);
    if (w.kind() == Kind::f64) return pack<double, double>(w, bias);
    return pack<float, float>(w, bias);
  }
  template <class T, class S>
  Layer pack(const Array& w, nb::handle bias) const {
    w.expect(kind_of<T>, {-1, -1}, "NK");
    const auto b = bias_of<T>(bias, "PackedLinear: bias", w.dim(0));
    return DenseLayer<T, S>(*isa_, w.dim(1), w.dim(0), contiguous<T>(w).data(), pointer(b));
  }
  template <class T, class S>
  nb::object run_as(const DenseLayer<T, S>& layer, nb::handle xo, nb::handle out) const {
    constexpr Kind kind = kind_of<T>;
    const Array x(xo, "PackedLinear: x");
    x.expect(kind, {-1, layer.input}, "BK");
    const nb::object yo = out.is_none() ? empty({x.dim(0), layer.output}, kind) : nb::borrow(out);
    const Array y(yo, "PackedLinear: out", true);
    y.expect(kind, {x.dim(0), layer.output}, "BN");
    y.check_output();
    if (!out.is_none()) check_apart(y, x, "PackedLinear: out", "x");
    const Input<T> x_in(x);
    compute(x.dim(0) * layer.input * layer.output, [&] {
      layer.run(x_in.data, x.dim(0), x_in.stride0, static_cast<T*>(y.writable_data()), y.stride(0));
    });
    return yo;
  }
};

// Whether the bytes at each pair of addresses are the same; addresses and sizes as grus.nn knows them to be right.
bool same_memory(nb::tuple a, nb::tuple b, nb::tuple sizes) {
  if (a.size() != sizes.size() || b.size() != sizes.size()) throw UsageError("same_memory: tuples must be as long as sizes");
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto p = reinterpret_cast<const void*>(static_cast<uintptr_t>(integer(a[i].ptr(), "same_memory: addresses")));
    const auto q = reinterpret_cast<const void*>(static_cast<uintptr_t>(integer(b[i].ptr(), "same_memory: addresses")));
    const idx n = integer(sizes[i].ptr(), "same_memory: sizes");
    if (n > 0 && (!p || !q || memcmp(p, q, static_cast<size_t>(n)) != 0)) return false;
  }
  return true;
}

// sigmoid and tanh of the kernels on a contiguous array, for the test that measures their error.
nb::object activation(const std::string& name, nb::handle xo, const std::string& isa) {
  const Array x(xo, "activation: x");
  const Isa& set = isa_by_name(isa);
  const bool sigmoid = name == "sigmoid";
  if (!sigmoid && name != "tanh") throw UsageError("activation: name must be sigmoid or tanh, got '" + name + "'");
  if (x.kind() == Kind::f64) {
    x.expect(Kind::f64, {-1}, "N");
    const std::vector<double> in = contiguous<double>(x);
    const nb::object out = empty({x.dim(0)}, Kind::f64);
    const Array y(out, "activation: out", true);
    (sigmoid ? set.f64->sigmoid : set.f64->tanh)(in.data(), static_cast<double*>(y.writable_data()), x.dim(0));
    return out;
  }
  x.expect(Kind::f32, {-1}, "N");
  const std::vector<float> in = contiguous<float>(x);
  const nb::object out = empty({x.dim(0)}, Kind::f32);
  const Array y(out, "activation: out", true);
  (sigmoid ? set.f32->sigmoid : set.f32->tanh)(in.data(), static_cast<float*>(y.writable_data()), x.dim(0));
  return out;
}

void translate(const std::exception_ptr& p, void*) {
  try {
    std::rethrow_exception(p);
  } catch (const UsageError& e) {
    const nb::object type = nb::module_::import_("grus.errors").attr("UsageError");
    PyErr_SetString(type.ptr(), e.what());
  }
}

}  // namespace

NB_MODULE(_native, m) {
  m.attr("__doc__") = "Native kernels of Grus; use grus.kernels.native.";
  nb::register_exception_translator(translate);
  // A daemon thread that computes while the interpreter exits keeps its layer for good (see gil.h): not worth a warning.
  nb::set_leak_warnings(false);

  nb::class_<PackedGru>(m, "PackedGRU")
      .def(nb::init<nb::handle, nb::handle, nb::handle, nb::handle, bool, nb::handle, nb::handle, double,
                    const std::string&, const std::string&>(), "weight_ih"_a,
           "weight_hh"_a, "bias_ih"_a.none(), "bias_hh"_a.none(), nb::kw_only(), "reset_after"_a = true,
           "gain_ih"_a = nb::none(), "gain_hh"_a = nb::none(), "zoneout"_a = 0.0, "weights"_a = "",
           "isa"_a = "",
           nb::sig("def __init__(self, weight_ih: numpy.ndarray, weight_hh: numpy.ndarray, "
                   "bias_ih: numpy.ndarray | None, bias_hh: numpy.ndarray | None, *, reset_after: bool = True, "
                   "gain_ih: numpy.ndarray | None = None, gain_hh: numpy.ndarray | None = None, "
                   "zoneout: float = 0.0, weights: str = '', isa: str = '') -> None"))
      .def("run", &PackedGru::run, "x"_a, "h0"_a = nb::none(), nb::kw_only(), "lengths"_a = nb::none(),
           "resets"_a = nb::none(), "reverse"_a = false, "out"_a = nb::none(),
           nb::sig("def run(self, x: numpy.ndarray, h0: numpy.ndarray | None = None, *, "
                   "lengths: numpy.ndarray | None = None, resets: numpy.ndarray | None = None, "
                   "reverse: bool = False, out: numpy.ndarray | None = None) -> tuple[numpy.ndarray, numpy.ndarray]"))
      .def("forward", &PackedGru::forward, "problem"_a, "h_n"_a)
      .def("step", &PackedGru::step, "x"_a, "h"_a, "out"_a = nb::none(),
           nb::sig("def step(self, x: numpy.ndarray, h: numpy.ndarray, out: numpy.ndarray | None = None) "
                   "-> numpy.ndarray"),
           "One step: x [B, I], h [B, H] -> h_next [B, H]. With out given nothing is allocated; out may be h.")
      .def_prop_ro("input_size", &PackedGru::input_size)
      .def_prop_ro("hidden_size", &PackedGru::hidden_size)
      .def_prop_ro("reset_after", &PackedGru::reset_after)
      .def_prop_ro("dtype", &PackedGru::dtype)
      .def_prop_ro("isa", &PackedGru::isa);

  nb::class_<PackedLinear>(m, "PackedLinear")
      .def(nb::init<nb::handle, nb::handle, const std::string&, const std::string&>(), "weight"_a, "bias"_a.none(),
           nb::kw_only(), "weights"_a = "", "isa"_a = "",
           nb::sig("def __init__(self, weight: numpy.ndarray, bias: numpy.ndarray | None, *, weights: str = '', "
                   "isa: str = '') -> None"))
      .def("run", &PackedLinear::run, "x"_a, "out"_a = nb::none(),
           nb::sig("def run(self, x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray"),
           "x [rows, K] -> [rows, N], written to out if given.")
      .def_prop_ro("in_features", &PackedLinear::in_features)
      .def_prop_ro("out_features", &PackedLinear::out_features)
      .def_prop_ro("dtype", &PackedLinear::dtype)
      .def_prop_ro("isa", &PackedLinear::isa);

  def_training(m);
  m.def("activation", &activation, "name"_a, "x"_a, "isa"_a = "",
        nb::sig("def activation(name: str, x: numpy.ndarray, isa: str = '') -> numpy.ndarray"));
  m.def("same_memory", &same_memory, "a"_a, "b"_a, "sizes"_a,
        nb::sig("def same_memory(a: tuple[int, ...], b: tuple[int, ...], sizes: tuple[int, ...]) -> bool"));
  m.def("isa", [] { return isa_by_name("").name; });
  m.def("available_isas", [] {
    nb::list names;
    for (const Isa& isa : available_isas()) names.append(isa.name);
    return nb::tuple(names);
  }, nb::sig("def available_isas() -> tuple[str, ...]"));
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", [](int n) {
    if (n < 1 || n > 1024)
      throw UsageError("set_num_threads: must be from 1 to 1024, got " + std::to_string(n));
    set_num_threads(n);
  }, "n"_a);
}

}  // namespace grus
