// The only place that knows Python: shapes and dtypes are checked here, before any memory is touched.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstdlib>
#include <cstring>
#include <variant>

#include "look_back.h"
#include "mingru_layer.h"
#include "packed.h"
#include "search_calls.h"
#include "stack.h"
#include "team.h"
#include "training.h"

namespace grus {
namespace {

using nb::literals::operator""_a;

class PackedLinear {
 public:
  PackedLinear(nb::handle weight, nb::handle bias, const std::string& weights, const std::string& isa)
      : isa_(&isa_by_name(isa)), layer_(make(weight, bias, storage(weights, "PackedLinear"))) {}

  // x [rows, K] -> out [rows, N]
  nb::object run(nb::handle x, nb::handle out) const {
    return std::visit([&](const auto& layer) { return run_as(layer, x, out); }, layer_);
  }
  // x [rows, K] -> the best of its outputs
  nb::object best(nb::handle x, idx count, nb::handle banned, idx picked) const {
    return std::visit([&](const auto& layer) { return best_as(layer, x, count, banned, picked); }, layer_);
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
  using Layer = std::variant<DenseLayer<float>, DenseLayer<double>, DenseLayer<float, Bf16>, DenseLayer<float, Int8>>;
  const Isa* isa_;
  Layer layer_;

  Layer make(nb::handle weight, nb::handle bias, Storage as) const {
    const Array w(weight, "PackedLinear: weight");
    if (as == Storage::bf16) return pack<float, Bf16>(w, bias);
    if (as == Storage::int8) return pack<float, Int8>(w, bias);
    if (w.kind() == Kind::f64) return pack<double, double>(w, bias);
    return pack<float, float>(w, bias);
  }
  template <class T, class S>
  Layer pack(const Array& w, nb::handle bias) const {
    w.expect(kind_of<T>, {-1, -1}, "NK");
    const auto b = bias_of<T>(bias, "PackedLinear: bias", w.dim(0));
    const auto weight = contiguous<T>(w);
    check_finite<S>(weight, "PackedLinear: weight");
    return DenseLayer<T, S>(*isa_, w.dim(1), w.dim(0), weight.data(), pointer(b));
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
  template <class T, class S>
  nb::object best_as(const DenseLayer<T, S>& layer, nb::handle xo, idx count, nb::handle banned, idx picked) const {
    const Array x(xo, "PackedLinear.best: x");
    x.expect(kind_of<T>, {-1, layer.input}, "BK");
    const idx rows = x.dim(0);
    const BestOf<T> found(rows, layer.output, count, banned, picked, "PackedLinear.best");
    const Input<T> in(x);
    compute(rows * layer.input * layer.output,
            [&] { best_outputs(layer, in.data, rows, in.stride0, found.a); });
    return found.result();
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

// sigmoid, tanh and decay of the kernels on a contiguous array.
nb::object activation(const std::string& name, nb::handle xo, const std::string& isa) {
  const Array x(xo, "activation: x");
  const Isa& set = isa_by_name(isa);
  if (name != "sigmoid" && name != "tanh" && name != "decay")
    throw UsageError("activation: name must be sigmoid, tanh or decay, got '" + name + "'");
  const auto function = [&](const auto& k) { return name == "sigmoid" ? k.sigmoid : name == "tanh" ? k.tanh : k.decay; };
  if (x.kind() == Kind::f64) {
    x.expect(Kind::f64, {-1}, "N");
    const std::vector<double> in = contiguous<double>(x);
    const nb::object out = empty({x.dim(0)}, Kind::f64);
    const Array y(out, "activation: out", true);
    function(*set.f64)(in.data(), static_cast<double*>(y.writable_data()), x.dim(0));
    return out;
  }
  x.expect(Kind::f32, {-1}, "N");
  const std::vector<float> in = contiguous<float>(x);
  const nb::object out = empty({x.dim(0)}, Kind::f32);
  const Array y(out, "activation: out", true);
  function(*set.f32)(in.data(), static_cast<float*>(y.writable_data()), x.dim(0));
  return out;
}

void translate(const std::exception_ptr& p, void*) {
  const auto raise = [](const char* type, const std::exception& e) {
    PyErr_SetString(nb::object(nb::module_::import_("grus.errors").attr(type)).ptr(), e.what());
  };
  try {
    std::rethrow_exception(p);
  } catch (const UsageError& e) {
    raise("UsageError", e);
  } catch (const UnsupportedError& e) {
    raise("UnsupportedError", e);
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
           "resets"_a = nb::none(), "decay"_a = nb::none(), "reverse"_a = false, "out"_a = nb::none(),
           nb::sig("def run(self, x: numpy.ndarray, h0: numpy.ndarray | None = None, *, "
                   "lengths: numpy.ndarray | None = None, resets: numpy.ndarray | None = None, "
                   "decay: numpy.ndarray | None = None, reverse: bool = False, out: numpy.ndarray | None = None) -> tuple[numpy.ndarray, numpy.ndarray]"))
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

  def_stack(m);
  def_mingru(m);

  nb::class_<PackedLinear>(m, "PackedLinear")
      .def(nb::init<nb::handle, nb::handle, const std::string&, const std::string&>(), "weight"_a, "bias"_a.none(),
           nb::kw_only(), "weights"_a = "", "isa"_a = "",
           nb::sig("def __init__(self, weight: numpy.ndarray, bias: numpy.ndarray | None, *, weights: str = '', "
                   "isa: str = '') -> None"))
      .def("run", &PackedLinear::run, "x"_a, "out"_a = nb::none(),
           nb::sig("def run(self, x: numpy.ndarray, out: numpy.ndarray | None = None) -> numpy.ndarray"),
           "x [rows, K] -> [rows, N], written to out if given.")
      .def("best", &PackedLinear::best, "x"_a, "count"_a, "banned"_a, "picked"_a,
           nb::sig("def best(self, x: numpy.ndarray, count: int, banned: numpy.ndarray, picked: int) "
                   "-> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]"))
      .def_prop_ro("in_features", &PackedLinear::in_features)
      .def_prop_ro("out_features", &PackedLinear::out_features)
      .def_prop_ro("dtype", &PackedLinear::dtype)
      .def_prop_ro("isa", &PackedLinear::isa);

  def_training(m);
  def_look_back(m);
  def_search(m);
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
  m.def("limit_threads", [](int n) {
    if (n < 0 || n > 1024) throw UsageError("limit_threads: must be from 0 to 1024, got " + std::to_string(n));
    limit_threads(n);
  }, "n"_a);
  m.def("set_num_threads", [](int n) {
    if (n < 1 || n > 1024)
      throw UsageError("set_num_threads: must be from 1 to 1024, got " + std::to_string(n));
    set_num_threads(n);
  }, "n"_a);
}

}  // namespace grus
