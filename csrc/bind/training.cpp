#include "training.h"

#include <nanobind/stl/string.h>

#include <string>

#include "gil.h"
#include "problem.h"

namespace grus {
namespace {

using nb::literals::operator""_a;

template <class T>
void forward_as(const Isa& isa, nb::handle problem, nb::handle hn) {
  Problem<T> p(problem);
  const RawWeights<T> weights = raw_weights<T>(problem, p.a.input);
  const View<T> last(hn, "h_n", p.a.batch > 0);
  p.a.hn = last.data, p.a.hn_row = last.row;
  const GilReleased unlocked;
  train_forward(isa, p.a, weights);
}

template <class T>
void backward_as(const Isa& isa, nb::handle problem, nb::handle dy, nb::handle dhn, nb::handle dx, nb::handle dh0,
                 nb::handle grads, bool add_dx, nb::handle ddecay) {
  Problem<T> p(problem);
  const RawWeights<T> weights = raw_weights<T>(problem, p.a.input);
  if (!p.a.saved && !p.empty()) throw UsageError("saved must be given, got None");
  const View<const T> d_y(dy, "d_output"), d_hn(dhn, "d_h_n");
  const View<T> d_x(dx, "d_x"), d_h0(dh0, "d_h_0");
  BackwardArgs<T> b{};
  b.f = p.a;
  b.dy = d_y.data, b.dy_row = d_y.row, b.dy_time = d_y.time;
  b.dhn = d_hn.data, b.dhn_row = d_hn.row;
  b.dx = d_x.data, b.dx_row = d_x.row, b.dx_time = d_x.time;
  b.add_dx = add_dx;
  b.dh0 = d_h0.data, b.dh0_row = d_h0.row;
  const View<T> d_decay(ddecay, "d_decay");
  if (d_decay.data && !p.a.decay) throw UsageError("d_decay must be None where there is no decay");
  b.ddecay = d_decay.data, b.ddecay_row = d_decay.row, b.ddecay_time = d_decay.time;
  T* g[6];
  addresses<T, 6>(grads, "grads", g);
  const GilReleased unlocked;
  train_backward(isa, b, weights, WeightGrads<T>{g[0], g[1], g[2], g[3], g[4], g[5]});
}

}  // namespace

void def_training(nb::module_& m) {
  m.def(
      "saved_size",
      [](idx hidden, bool reset_after, bool norm, const std::string& isa) {
        return saved_size<float>(isa_by_name(isa), hidden, reset_after, norm);
      },
      "hidden"_a, "reset_after"_a, "norm"_a, "isa"_a = "");
  m.def(
      "forward_train",
      [](nb::handle problem, nb::handle h_n, const std::string& isa) {
        (is_double(problem) ? forward_as<double> : forward_as<float>)(isa_by_name(isa), problem, h_n);
      },
      "problem"_a, "h_n"_a, "isa"_a = "");
  m.def(
      "backward",
      [](nb::handle problem, nb::handle d_output, nb::handle d_h_n, nb::handle d_x, nb::handle d_h_0,
         nb::handle grads, bool add_d_x, nb::handle d_decay, const std::string& isa) {
        (is_double(problem) ? backward_as<double> : backward_as<float>)(isa_by_name(isa), problem, d_output, d_h_n,
                                                                        d_x, d_h_0, grads, add_d_x, d_decay);
      },
      "problem"_a, "d_output"_a.none(), "d_h_n"_a.none(), "d_x"_a.none(), "d_h_0"_a.none(), "grads"_a, "add_d_x"_a,
      "d_decay"_a = nb::none(), "isa"_a = "");
}

}  // namespace grus
