// Training takes addresses and strides: converting a torch tensor costs 2 us, reading its address 0.1 us. What can
// be checked without the tensors (sizes, alignment, missing arrays, lengths) is checked here; that the addresses
// are right is the promise of grus.nn, which takes them from tensors whose shapes it has checked.
#include "training.h"

#include <nanobind/stl/string.h>

#include <string>
#include <vector>

#include "errors.h"
#include "gru.h"

namespace grus {
namespace {

namespace nb = nanobind;
using nb::literals::operator""_a;

idx integer(PyObject* o, const char* name) {
  const long long v = PyLong_AsLongLong(o);
  if (v == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    throw nb::type_error((std::string(name) + " must hold integers").c_str());
  }
  return v;
}

// (address, row stride, time stride), strides in elements; None for an absent array.
template <class T>
struct View {
  T* data = nullptr;
  idx row = 0, time = 0;
  View(nb::handle o, const char* name, bool needed = false) {
    if (o.is_none()) {
      if (needed) throw UsageError(std::string(name) + " must be given, got None");
      return;
    }
    if (!PyTuple_Check(o.ptr()) || PyTuple_Size(o.ptr()) != 3)
      throw nb::type_error((std::string(name) + " must be (address, row stride, time stride) or None").c_str());
    const idx address = integer(PyTuple_GetItem(o.ptr(), 0), name);
    if (address % static_cast<idx>(sizeof(T)))
      throw UsageError(std::string(name) + " must be aligned to " + std::to_string(sizeof(T)) + " bytes");
    data = reinterpret_cast<T*>(static_cast<uintptr_t>(address));
    row = integer(PyTuple_GetItem(o.ptr(), 1), name);
    time = integer(PyTuple_GetItem(o.ptr(), 2), name);
  }
};

template <class T, int N>
void addresses(nb::handle o, const char* name, T* (&out)[N]) {
  if (!PyTuple_Check(o.ptr()) || PyTuple_Size(o.ptr()) != N)
    throw nb::type_error((std::string(name) + " must be a tuple of " + std::to_string(N) + " addresses").c_str());
  for (int i = 0; i < N; ++i) {
    const idx address = integer(PyTuple_GetItem(o.ptr(), i), name);
    if (address % static_cast<idx>(sizeof(T)))
      throw UsageError(std::string(name) + " must be aligned to " + std::to_string(sizeof(T)) + " bytes");
    out[i] = reinterpret_cast<T*>(static_cast<uintptr_t>(address));
  }
}

struct Sizes {
  idx batch, time, input, hidden;
  explicit Sizes(nb::handle o) {
    idx* const to[] = {&batch, &time, &input, &hidden};
    if (!PyTuple_Check(o.ptr()) || PyTuple_Size(o.ptr()) != 4)
      throw nb::type_error("sizes must be (batch, time, input, hidden)");
    for (int i = 0; i < 4; ++i) {
      *to[i] = integer(PyTuple_GetItem(o.ptr(), i), "sizes");
      if (*to[i] < 0 || *to[i] > (idx{1} << 40))
        throw UsageError("sizes must be from 0 to 2^40, got " + std::to_string(*to[i]));
    }
    if (hidden < 1) throw UsageError("sizes must have a hidden size of at least 1, got 0");
  }
};

template <class T>
RawWeights<T> raw_weights(nb::handle o) {
  const T* p[6];
  addresses<const T, 6>(o, "weights", p);
  if (!p[1] || !p[4] != !p[5]) throw UsageError("weights must hold weight_hh, and both gains or none");
  return {p[0], p[1], p[2], p[3], p[4], p[5]};
}

// grus.kernels.native.Problem, field by field.
enum Field { kItemsize, kSizes, kAfter, kReverse, kWeights, kX, kH0, kOutput, kSaved, kLengths, kOptions, kKeep, kFields };

nb::handle field(nb::handle problem, Field i) { return PyTuple_GetItem(problem.ptr(), i); }

template <class T>
struct Problem {
  SequenceArgs<T> a{};
  RawWeights<T> weights;
  std::vector<int64_t> lengths;

  explicit Problem(nb::handle p) : weights(raw_weights<T>(field(p, kWeights))) {
    const Sizes n(field(p, kSizes));
    a.batch = n.batch, a.time = n.time, a.input = n.input, a.hidden = n.hidden;
    a.reset_after = nb::cast<bool>(field(p, kAfter));
    a.reverse = nb::cast<bool>(field(p, kReverse));
    if (!weights.w_ih && n.input) throw UsageError("weights must hold weight_ih");
    arrays(p);
    options(field(p, kOptions));
    const double keep = nb::cast<double>(field(p, kKeep));
    if (!(keep >= 0 && keep <= 1)) throw UsageError("keep must be from 0 to 1, got " + std::to_string(keep));
    a.keep = static_cast<T>(keep);
    if (field(p, kLengths).is_none()) return;
    const View<const int64_t> given(field(p, kLengths), "lengths");
    lengths.assign(given.data, given.data + n.batch);
    check_lengths(lengths.data(), n.batch, n.time);
    a.lengths = lengths.data();
  }
  bool empty() const { return a.batch == 0 || a.time == 0; }

 private:
  void arrays(nb::handle p) {
    const View<const T> x(field(p, kX), "x"), h0(field(p, kH0), "h_0");
    const View<T> y(field(p, kOutput), "output"), saved(field(p, kSaved), "saved");
    if (!empty() && ((!x.data && a.input) || !y.data)) throw UsageError("x and output must be given, got None");
    a.x = x.data, a.x_row = x.row, a.x_time = x.time;
    a.h0 = h0.data, a.h0_row = h0.row;
    a.y = y.data, a.y_row = y.row, a.y_time = y.time;
    a.saved = saved.data, a.saved_row = saved.row, a.saved_time = saved.time;
  }
  void options(nb::handle o) {
    if (!PyTuple_Check(o.ptr()) || PyTuple_Size(o.ptr()) != 3)
      throw nb::type_error("options must be a tuple of three views: resets, mask and zoneout mask");
    const View<const uint8_t> resets(PyTuple_GetItem(o.ptr(), 0), "resets");
    const View<const T> mask(PyTuple_GetItem(o.ptr(), 1), "mask");
    const View<const uint8_t> keep(PyTuple_GetItem(o.ptr(), 2), "zoneout mask");
    a.resets = resets.data, a.resets_row = resets.row, a.resets_time = resets.time;
    a.mask = mask.data, a.mask_row = mask.row;
    a.keep_mask = keep.data, a.keep_row = keep.row, a.keep_time = keep.time;
  }
};

template <class T>
void forward_as(const Isa& isa, nb::handle problem, nb::handle hn) {
  Problem<T> p(problem);
  const View<T> last(hn, "h_n", p.a.batch > 0);
  p.a.hn = last.data, p.a.hn_row = last.row;
  nb::gil_scoped_release unlocked;
  train_forward(isa, p.a, p.weights);
}

template <class T>
void backward_as(const Isa& isa, nb::handle problem, nb::handle dy, nb::handle dhn, nb::handle dx, nb::handle dh0,
                 nb::handle grads, bool add_dx) {
  Problem<T> p(problem);
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
  T* g[6];
  addresses<T, 6>(grads, "grads", g);
  nb::gil_scoped_release unlocked;
  train_backward(isa, b, p.weights, WeightGrads<T>{g[0], g[1], g[2], g[3], g[4], g[5]});
}

bool is_double(nb::handle problem) {
  if (!PyTuple_Check(problem.ptr()) || PyTuple_Size(problem.ptr()) != kFields)
    throw nb::type_error("problem must be a grus.kernels.native.Problem");
  const idx itemsize = integer(field(problem, kItemsize).ptr(), "itemsize");
  if (itemsize != 4 && itemsize != 8)
    throw UsageError("itemsize must be 4 (float32) or 8 (float64), got " + std::to_string(itemsize));
  return itemsize == 8;
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
         nb::handle grads, bool add_d_x, const std::string& isa) {
        (is_double(problem) ? backward_as<double> : backward_as<float>)(isa_by_name(isa), problem, d_output, d_h_n,
                                                                        d_x, d_h_0, grads, add_d_x);
      },
      "problem"_a, "d_output"_a.none(), "d_h_n"_a.none(), "d_x"_a.none(), "d_h_0"_a.none(), "grads"_a, "add_d_x"_a,
      "isa"_a = "");
}

}  // namespace grus
