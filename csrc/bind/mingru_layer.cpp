#include "mingru_layer.h"

#include <nanobind/stl/string.h>

#include "mingru.h"
#include "packed.h"

namespace grus {
namespace {

using nb::literals::operator""_a;

class PackedMinGru {
 public:
  PackedMinGru(nb::handle weight, nb::handle bias, const std::string& weights, const std::string& isa)
      : isa_(&isa_by_name(isa)), layer_(make(weight, bias, storage(weights, "PackedMinGRU"))) {}

  nb::object run(nb::handle x, nb::handle h0, nb::handle lengths, nb::handle resets, bool reverse,
                 nb::handle out) const {
    static constexpr RunNames names = GRUS_RUN_NAMES("PackedMinGRU");
    return std::visit(
        [&](const auto& layer) {
          using T = typename std::decay_t<decltype(layer)>::Number;
          return run_sequences(layer, names, T{0}, 2 * layer.hidden * layer.input, x, h0, lengths, resets, nb::none(),
                               reverse, out);
        },
        layer_);
  }
  void forward(nb::handle problem, nb::handle hn) const {
    if (is_double(problem) != (layer_.index() == 1))
      throw UsageError(std::string("PackedMinGRU.forward: itemsize must be that of ") + dtype());
    std::visit([&](const auto& layer) { forward_as(layer, problem, hn); }, layer_);
  }
  idx input_size() const {
    return std::visit([](const auto& layer) { return layer.input; }, layer_);
  }
  idx hidden_size() const {
    return std::visit([](const auto& layer) { return layer.hidden; }, layer_);
  }
  const char* dtype() const { return kind_name(layer_.index() == 1 ? Kind::f64 : Kind::f32); }
  const char* isa() const { return isa_->name; }

 private:
  using Layer = std::variant<MinGru<float>, MinGru<double>, MinGru<float, Bf16>, MinGru<float, Int8>>;
  const Isa* isa_;
  Layer layer_;

  Layer make(nb::handle weight, nb::handle bias, Storage as) const {
    const Array w(weight, "PackedMinGRU: weight_ih");
    if (as == Storage::bf16) return pack<float, Bf16>(w, bias);
    if (as == Storage::int8) return pack<float, Int8>(w, bias);
    if (w.kind() == Kind::f64) return pack<double, double>(w, bias);
    return pack<float, float>(w, bias);
  }
  template <class T, class S>
  Layer pack(const Array& w, nb::handle bias) const {
    w.expect(kind_of<T>, {-1, -1}, "GI");
    if (w.dim(0) < 2 || w.dim(0) % 2) w.refuse("have shape (2 * hidden, input)");
    const auto b = bias_of<T>(bias, "PackedMinGRU: bias_ih", w.dim(0));
    const auto weight = contiguous<T>(w);
    check_finite<S>(weight, "PackedMinGRU: weight_ih");
    return MinGru<T, S>(*isa_, w.dim(1), w.dim(0) / 2, weight.data(), pointer(b));
  }
  template <class T, class S>
  void forward_as(const MinGru<T, S>& layer, nb::handle problem, nb::handle hn) const {
    Problem<T> p(problem);
    if (p.a.input != layer.input || p.a.hidden != layer.hidden)
      throw UsageError("PackedMinGRU.forward: sizes must be those of the packed weights");
    const View<T> last(hn, "h_n", p.a.batch > 0);
    p.a.hn = last.data, p.a.hn_row = last.row;
    compute(p.a.batch * p.a.time * 2 * layer.hidden * layer.input, [&] { layer.run(p.a); });
  }
};

// Of a problem's weights a MinGRU has weight_ih and bias_ih alone.
template <class T>
struct MinWeights {
  const T* p[6];
  MinWeights(nb::handle problem, idx input) {
    addresses<const T, 6>(field(problem, kWeights), "weights", p);
    if (!p[0] && input) throw UsageError("weights must hold weight_ih");
    if (p[1] || p[3] || p[4] || p[5]) throw UsageError("weights of a MinGRU must be weight_ih and bias_ih alone");
  }
};

template <class T>
void forward_as(const Isa& isa, nb::handle problem, nb::handle hn) {
  Problem<T> p(problem);
  const MinWeights<T> w(problem, p.a.input);
  const View<T> last(hn, "h_n", p.a.batch > 0);
  p.a.hn = last.data, p.a.hn_row = last.row;
  const GilReleased unlocked;
  MinGru<T>(isa, p.a.input, p.a.hidden, w.p[0], w.p[2]).run(p.a);
}

template <class T>
void backward_as(const Isa& isa, nb::handle problem, nb::handle dy, nb::handle dhn, nb::handle dx, nb::handle dh0,
                 nb::handle grads, bool add_dx) {
  Problem<T> p(problem);
  const MinWeights<T> w(problem, p.a.input);
  const View<const T> d_y(dy, "d_output"), d_hn(dhn, "d_h_n");
  const View<T> d_x(dx, "d_x"), d_h0(dh0, "d_h_0");
  BackwardArgs<T> b{};
  b.f = p.a;
  b.dy = d_y.data, b.dy_row = d_y.row, b.dy_time = d_y.time;
  b.dhn = d_hn.data, b.dhn_row = d_hn.row;
  b.dx = d_x.data, b.dx_row = d_x.row, b.dx_time = d_x.time;
  b.add_dx = add_dx;
  b.dh0 = d_h0.data, b.dh0_row = d_h0.row;
  T* g[6];
  addresses<T, 6>(grads, "grads", g);
  const GilReleased unlocked;
  min_backward(isa, b, w.p[0], w.p[2], MinWeightGrads<T>{g[0], g[2]});
}

}  // namespace

void def_mingru(nb::module_& m) {
  nb::class_<PackedMinGru>(m, "PackedMinGRU")
      .def(nb::init<nb::handle, nb::handle, const std::string&, const std::string&>(), "weight_ih"_a, "bias_ih"_a.none(),
           nb::kw_only(), "weights"_a = "", "isa"_a = "",
           nb::sig("def __init__(self, weight_ih: numpy.ndarray, bias_ih: numpy.ndarray | None, *, weights: str = '', "
                   "isa: str = '') -> None"))
      .def("run", &PackedMinGru::run, "x"_a, "h0"_a = nb::none(), nb::kw_only(), "lengths"_a = nb::none(),
           "resets"_a = nb::none(), "reverse"_a = false, "out"_a = nb::none(),
           nb::sig("def run(self, x: numpy.ndarray, h0: numpy.ndarray | None = None, *, "
                   "lengths: numpy.ndarray | None = None, resets: numpy.ndarray | None = None, "
                   "reverse: bool = False, out: numpy.ndarray | None = None) -> tuple[numpy.ndarray, numpy.ndarray]"))
      .def("forward", &PackedMinGru::forward, "problem"_a, "h_n"_a)
      .def_prop_ro("input_size", &PackedMinGru::input_size)
      .def_prop_ro("hidden_size", &PackedMinGru::hidden_size)
      .def_prop_ro("dtype", &PackedMinGru::dtype)
      .def_prop_ro("isa", &PackedMinGru::isa);
  m.def(
      "min_forward_train",
      [](nb::handle problem, nb::handle h_n, const std::string& isa) {
        (is_double(problem) ? forward_as<double> : forward_as<float>)(isa_by_name(isa), problem, h_n);
      },
      "problem"_a, "h_n"_a, "isa"_a = "");
  m.def(
      "min_backward",
      [](nb::handle problem, nb::handle d_output, nb::handle d_h_n, nb::handle d_x, nb::handle d_h_0,
         nb::handle grads, bool add_d_x, const std::string& isa) {
        (is_double(problem) ? backward_as<double> : backward_as<float>)(isa_by_name(isa), problem, d_output, d_h_n,
                                                                        d_x, d_h_0, grads, add_d_x);
      },
      "problem"_a, "d_output"_a.none(), "d_h_n"_a.none(), "d_x"_a.none(), "d_h_0"_a.none(), "grads"_a, "add_d_x"_a,
      "isa"_a = "");
}

}  // namespace grus
